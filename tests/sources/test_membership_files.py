"""Membership from files: thirty years of the S&P 500, and the faults that such a file may have."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.contracts import MEMBERSHIP, empty
from nn_assets.errors import SourceError
from nn_assets.market.calendar.sessions import assumed_known_at, sessions_between
from nn_assets.market.facts.membership import members_of_sessions, members_without_bars, new_spells, several_spells
from nn_assets.settings import UniverseSettings
from nn_assets.sources.tables.membership_files import read_membership_file

ARRIVED = pd.Timestamp("2026-01-05T12:00Z").as_unit("ns")
RENAMED = {"HCN": "WELL", "LUK": "JEF", "PCLN": "BKNG"}


@pytest.fixture(scope="module")
def spells(shared_data) -> pd.DataFrame:
    settings = UniverseSettings(path="sp500_membership/sp500_ticker_start_end.csv", name="sp500")
    return new_spells(empty(MEMBERSHIP), read_membership_file(shared_data, settings), ARRIVED)[0]


def test_on_2013_02_08_the_index_had_497_members_of_which_91_have_bars_under_their_ticker(spells, shared_data) -> None:
    symbols = tuple(sorted(path.name.removesuffix("_data.csv") for path in (shared_data / "sp500_5yr").glob("*.csv")))
    day = sessions_between("XNYS", "2013-02-08", "2013-02-08")
    decided = assumed_known_at("XNYS", day, 30)
    every = tuple(spells["symbol"].unique())
    assert len(symbols) == 122
    assert members_of_sessions(spells, every, day, decided).sum() == 497
    assert members_of_sessions(spells, symbols, day, decided).sum() == 91
    # Three more traded under another ticker then.
    assert members_of_sessions(spells, symbols, day, decided, RENAMED).sum() == 94


def test_of_each_years_members_most_have_no_bars_among_the_122_files(spells, five_years) -> None:
    counts = members_without_bars(spells, five_years, pd.Timestamp("2013-02-08"), pd.Timestamp("2018-02-07"))
    assert counts.to_dict("list") == {
        "year": [2013, 2014, 2015, 2016, 2017, 2018],
        "members": [515, 513, 529, 533, 533, 506],
        "without_bars": [420, 417, 425, 422, 415, 387],
    }


def test_thirty_years_have_1230_spells_of_1181_tickers_and_those_with_several_are_listed(spells) -> None:
    assert len(spells) == 1230
    assert spells["symbol"].nunique() == 1181
    several = several_spells(spells)
    assert len(several) == 48
    assert {"AAL", "AMD", "CEG"} <= set(several)


def settings() -> UniverseSettings:
    return UniverseSettings(path="members.csv")


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ("A,2001-01-02,2000-01-03", "spells_end_after_they_begin"),
        ("A,2001-01-02,\nA,2003-01-02,", "spells_do_not_overlap"),
        ("A,2001-01-02,2004-01-02\nA,2003-01-02,", "spells_do_not_overlap"),
        ("A,2001-01-02,\nA,2001-01-02,", "spells_do_not_overlap"),
        ("A,2001-13-02,", "values_of_their_kind"),
        ("A B,2001-01-02,", "legal_symbol"),
        ("A,9999-12-31,", "values_of_their_kind"),
        ("A,2001-01-02,1000-01-01", "values_of_their_kind"),
        ("A,2001-01-02,2002-01-02,2003-01-02", "readable"),
    ],
)
def test_a_faulty_spell_is_refused_by_rule(tmp_path, rows, rule) -> None:
    (tmp_path / "members.csv").write_text(f"ticker,start_date,end_date\n{rows}\n", encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        read_membership_file(tmp_path, settings())
    assert caught.value.where["rule"] == rule


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("A,2001-01-02,2000-01-03", "a spell from 2001-01-02 to 2000-01-03, first of 1"),
        ("A,2001-01-02,\nA,2001-01-02,", "a spell from 2001-01-02 with no end, first of 1"),
    ],
)
def test_a_faulty_spell_is_told_in_days_with_its_file(tmp_path, rows, expected) -> None:
    file = tmp_path / "members.csv"
    file.write_text(f"ticker,start_date,end_date\n{rows}\n", encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        read_membership_file(tmp_path, settings())
    assert caught.value.found == expected
    assert caught.value.where["file"] == str(file)


def test_an_end_beyond_what_a_moment_holds_is_open(tmp_path: Path) -> None:
    ends = ["9999-12-31", "2262-04-12", "2261-01-01", ""]
    rows = [f"A{index},2001-01-02,{end}" for index, end in enumerate(ends)]
    (tmp_path / "members.csv").write_text("\n".join(["symbol,from,to", *rows]) + "\n", encoding="utf-8")
    assert list(read_membership_file(tmp_path, settings())["member_to"].isna()) == [True, True, False, True]


def test_tickers_that_look_like_something_else_are_tickers(tmp_path: Path) -> None:
    (tmp_path / "members.csv").write_text("symbol,from,to\nNAN,2001-01-02,\nTRUE,2001-01-02,2002-01-02\n")
    spells = read_membership_file(tmp_path, settings())
    assert list(spells["symbol"]) == ["NAN", "TRUE"]
    assert list(spells["member_to"].isna()) == [True, False]
