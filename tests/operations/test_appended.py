"""Two rows of one version are stored in no table of facts, whoever made them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.contracts import conform
from nn_assets.errors import SchemaError
from nn_assets.operations.asof.stored import ACTIONS, COMPARED, FACTS, RAW_BARS, versions_of
from nn_assets.operations.intake.appended import append_versions
from nn_assets.operations.stores import open_stores
from tests.contracts.samples import a_row

VALUE = {
    **dict.fromkeys(FACTS, "value"),
    **dict.fromkeys([RAW_BARS, COMPARED, "raw_intraday_bars"], "close"),
    **dict.fromkeys(["bar_details", "intraday_details"], "vwap"),
}
VALUE |= {"universe_membership": "member_to", "trading_halts": "resumes"}
MINUTE = pd.Timedelta(minutes=1)


@pytest.mark.parametrize("table", FACTS)
def test_two_rows_of_one_version_are_not_stored_at_once_and_not_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    contract, name = FACTS[table], VALUE[table]
    row = conform(pd.DataFrame([a_row(contract)]), contract)
    other = row.assign(**{name: row[name] + (pd.Timedelta(days=1) if name in ("member_to", "resumes") else 1.0)})
    with open_stores() as stores:
        with pytest.raises(SchemaError, match=f"one row for each {contract.key[0]}, .* in {table}"):
            append_versions(stores, "torn", table, None, row, other)
        assert not stores.lake.segments("torn", table)
        append_versions(stores, "torn", table, None, row)
        stored = versions_of(stores, "torn", table)
        with pytest.raises(SchemaError, match="1 rows more"):
            append_versions(stores, "torn", table, stored, other)
        later = other.assign(ingested_at=other["ingested_at"] + MINUTE)
        append_versions(stores, "torn", table, stored, later)
        assert versions_of(stores, "torn", table)[name].tolist() == [*row[name], *other[name]]


def test_files_that_say_the_same_have_their_own_words_in_bars_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    with open_stores() as stores:
        for table in (RAW_BARS, COMPARED):
            row = conform(pd.DataFrame([a_row(FACTS[table])]), FACTS[table])
            append_versions(stores, "torn", table, None, row, row.assign(source="b"))
        row = conform(pd.DataFrame([a_row(FACTS[ACTIONS])]), FACTS[ACTIONS])
        with pytest.raises(SchemaError):
            append_versions(stores, "torn", ACTIONS, None, row, row.assign(source="b"))
