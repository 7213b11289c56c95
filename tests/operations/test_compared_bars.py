"""A second source beside the first: no halt, and nothing decided changes, whatever it says later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import PublicationError
from nn_assets.operations.cut import Cut
from nn_assets.operations.exported_tables import read_exported
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import bars as intake
from nn_assets.operations.intake.bars import Audited, Ingested, audit_bars, ingest_bars, publish_bars
from nn_assets.operations.models import outdated
from nn_assets.operations.strategy_files import make_strategy
from nn_assets.settings import Strategy
from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.ledger import Ledger
from tests.market.builders import sound_bars

COLUMNS = ["symbol", "session", "open", "high", "low", "close", "volume"]
BARS = sound_bars(("AAA", "BBB"), 60)[COLUMNS]
ODD = BARS.index[40]  # of AAA, a low a tenth too low
DAY, LAST = BARS["session"][40], BARS["session"].max()


class JudgedAnew(Cut):
    """The versions known, cleaned again as if they were not those published."""

    bars_are_published = False


def first_bars() -> pd.DataFrame:
    changed = BARS.copy()
    changed.loc[ODD, "low"] *= 0.9
    return changed


def write(folder: Path, name: str, bars: pd.DataFrame) -> None:
    (folder / name).mkdir(exist_ok=True)
    bars.to_csv(folder / name / "bars.csv", index=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "home"))
    write(tmp_path, "bars", first_bars())
    return tmp_path


def strategy(**compare: object) -> Strategy:
    settings = {
        "name": "paired",
        "source": {"kind": "files", "path": "bars"},
        "market": {
            "calendar": "XNYS",
            "symbols": ["AAA", "BBB"],
            "history_starts": str(BARS["session"][0].date()),
            "history_ends": str(LAST.date()),
            "compare_with": {"kind": "files", "path": "venue", **compare},
        },
    }
    return make_strategy(settings)


def take_in(folder: Path, *, publish: bool = True) -> tuple[Ingested, Audited]:
    with open_history(strategy()) as history:
        ingested = ingest_bars(history, folder)
    with open_history(strategy()) as history:
        audited = audit_bars(history)
        audited.report.raise_if_failed()
        if publish:
            publish_bars(history, audited, "test")
    return ingested, audited


def odd(audited: Audited) -> list[tuple[str, str]]:
    rows = audited.cleaned.quarantine
    return [(row.symbol, f"{row.session:%F} {row.rule} {row.field}") for row in rows.itertuples()]


def test_what_the_second_source_does_not_come_near_is_not_published(folder: Path) -> None:
    write(folder, "venue", BARS[BARS["symbol"] == "AAA"])
    ingested, audited = take_in(folder)
    assert ingested.compared is not None
    assert (ingested.compared.delivered, ingested.compared.counted.added, ingested.compared.failed) == (60, 60, "")
    assert odd(audited) == [("AAA", f"{DAY:%F} odd_print low")]
    assert audited.report.figures["compared"] == 60
    with open_history(strategy()) as history:
        assert history.publication.details["quarantined_by_rule"]["odd_print"] == 1
        assert read_exported(history, "quarantine", None, None, None)["rule"].tolist() == ["odd_print"]
        assert set(history.published_bars["source"]) == {"files:bars.csv"}
        pd.testing.assert_frame_equal(JudgedAnew(history, LAST).bars, Cut(history, LAST).bars)


def test_a_bar_corrected_or_a_comparison_dropped_releases_the_bar(folder: Path) -> None:
    write(folder, "venue", BARS)
    _, audited = take_in(folder)
    assert len(odd(audited)) == 1
    market = strategy().market.model_copy(update={"compare_with": None})
    with open_history(strategy().model_copy(update={"market": market})) as history:
        assert audit_bars(history).cleaned.quarantine.empty
    write(folder, "bars", BARS)
    _, audited = take_in(folder)
    assert (odd(audited), audited.report.figures["compared"]) == ([], 120)


def test_a_bar_that_the_second_source_confirms_later_is_published_and_known_from_then_on(folder: Path) -> None:
    write(folder, "venue", BARS)
    take_in(folder)
    with open_history(strategy()) as history:
        before = history.published_bars
        quarantined_until = history.publication.published_at
    assert len(before) == 119
    write(folder, "venue", first_bars())
    ingested, audited = take_in(folder)
    assert ingested.compared is not None
    assert (ingested.compared.counted.added, ingested.compared.counted.revised) == (0, 1)
    assert odd(audited) == []
    with open_history(strategy()) as history:
        rows = history.published_bars
        row = rows[(rows["symbol"] == "AAA") & (rows["session"] == DAY)].iloc[0]
        assert row["low"] == first_bars().loc[ODD, "low"]
        assert row["known_at"] > quarantined_until
        # Every session there is was due before the correction, and knows no more than it did.
        for session in (DAY, LAST):
            known = before[before["session"] <= session].reset_index(drop=True)
            pd.testing.assert_frame_equal(history.view(session).bars, known)
            pd.testing.assert_frame_equal(JudgedAnew(history, session).bars, known)
        moment = row["known_at"]
        for at, count in ((moment - pd.Timedelta(microseconds=1), 119), (moment, 120)):
            assert len(read_exported(history, "bars", None, None, at)) == count
            assert len(read_exported(history, "quarantine", None, None, at)) == 120 - count


def test_the_moment_of_a_publication_of_an_earlier_version_is_kept_by_the_ledger_from_the_next_one_on(
    folder: Path,
) -> None:
    write(folder, "venue", BARS)
    take_in(folder)
    (record,) = (folder / "home" / "lake" / "paired" / "publication" / "history").iterdir()
    document = json.loads(record.read_text(encoding="utf-8"))
    del document["sha256"]
    record.write_text(json.dumps(document), encoding="utf-8")
    write(folder, "bars", BARS)
    for _ in range(2):
        take_in(folder)
    with open_history(strategy()) as history:
        kept = history.stores.ledger.read("verifications", "paired", where={"kind": "published_at"})
        assert len(kept) == 1
        assert len(history.published_at) == 2
        assert verify(history.stores.ledger).ok
    moment = document["published_at"]
    changed = moment.replace(moment[:4], "2017", 1)
    record.write_text(json.dumps({**document, "published_at": changed}), encoding="utf-8")
    with open_history(strategy()) as history, pytest.raises(PublicationError) as caught:
        _ = history.published_at
    for part in (f"expected published_at {moment} of publication 1", f"found published_at {changed}", record.name):
        assert part in str(caught.value)
    assert f'write "published_at": "{moment}"' in caught.value.remedy
    record.write_text(json.dumps({**document, "published_at": moment}), encoding="utf-8")  # the remedy
    with open_history(strategy()) as history:
        assert len(history.published_at) == 2


@pytest.mark.parametrize(("index", "shift"), [(0, "1h"), (1, "1h"), (1, "-1h")])
def test_a_moment_changed_before_the_ledger_keeps_it_must_lie_between_the_ledger_s_own_records(
    folder: Path, index: int, shift: str
) -> None:
    """As in a home of an earlier version that nothing was published in since: ``check`` and a round refuse it."""
    write(folder, "venue", BARS)
    take_in(folder)
    write(folder, "bars", BARS)
    take_in(folder)
    records = sorted((folder / "home" / "lake" / "paired" / "publication" / "history").iterdir())
    documents = [json.loads(record.read_text(encoding="utf-8")) for record in records]
    for record, document in zip(records, documents, strict=True):
        del document["sha256"]
        record.write_text(json.dumps(document), encoding="utf-8")
    moment = pd.Timestamp(documents[index]["published_at"])
    changed = (moment + pd.Timedelta(shift)).isoformat(timespec="microseconds")
    records[index].write_text(json.dumps({**documents[index], "published_at": changed}), encoding="utf-8")
    with open_history(strategy()) as history:
        rows = history.stores.ledger.read("publications", "paired", bookkeeping=True).sort_values("sequence")
        recorded = [timestamp.isoformat(timespec="microseconds") for timestamp in rows["recorded_at"]]
        with pytest.raises(PublicationError) as caught:
            _ = history.published_at
        assert history.stores.ledger.read("verifications", "paired").empty
    expected = f"by {recorded[0]}" if index == 0 else f"between {recorded[0]} and {recorded[1]}"
    for part in (f"expected published_at of publication {index + 1} {expected}", f"found published_at {changed}"):
        assert part in str(caught.value)
    for _ in range(2):
        with pytest.raises(PublicationError, match=records[index].name):
            take_in(folder)
    latest = caught.value.remedy.partition('"published_at": "')[2].partition('"')[0]
    records[index].write_text(json.dumps({**documents[index], "published_at": latest}), encoding="utf-8")  # the remedy
    take_in(folder)
    with open_history(strategy()) as history:
        assert len(history.published_at) == 2
        (kept,) = history.stores.ledger.read("verifications", "paired", where={"kind": "published_at"})["details"]
        assert set(kept["moments"].values()) == {latest, documents[1 - index]["published_at"]}


def test_once_the_ledger_keeps_the_moments_no_publication_is_looked_up_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "venue", BARS)
    take_in(folder)
    (record,) = (folder / "home" / "lake" / "paired" / "publication" / "history").iterdir()
    document = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({name: document[name] for name in document if name != "sha256"}), encoding="utf-8")
    read: list[str] = []
    whole = Ledger.read

    def reading(ledger: Ledger, table: str, *args: object, **kwargs: object) -> pd.DataFrame:
        read.append(table)
        return whole(ledger, table, *args, **kwargs)

    monkeypatch.setattr(Ledger, "read", reading)
    take_in(folder)
    assert read.count("publications") == 1
    read.clear()
    take_in(folder)
    assert "publications" not in read


def test_only_new_and_changed_files_of_the_second_source_are_read(folder: Path) -> None:
    (folder / "venue").mkdir()
    around = BARS[(BARS["session"] - DAY).abs() < pd.Timedelta(days=7)]
    days = around["session"].nunique()
    assert days > 6
    for day, bars in around.groupby("session"):
        bars.to_csv(folder / "venue" / f"{day:%F}.csv", index=False)

    def read() -> tuple[int, int, int]:
        with open_history(strategy()) as history:
            compared = ingest_bars(history, folder).compared
        assert compared is not None
        assert compared.failed == ""
        return len(compared.files_read), compared.delivered, compared.counted.added + compared.counted.revised

    assert read() == (days, 2 * days, 2 * days)
    assert read() == (0, 0, 0)
    BARS[BARS["session"] == DAY].assign(volume=1.0).to_csv(folder / "venue" / f"{DAY:%F}.csv", index=False)
    assert read() == (1, 2, 2)
    shutil.rmtree(folder / "home" / "lake" / "paired" / "compared_bars")
    assert read() == (days, 2 * days, 2 * days)


@pytest.mark.parametrize("there", [False, True])
def test_a_second_source_that_is_absent_or_has_other_symbols_halts_nothing(folder: Path, there: bool) -> None:
    if there:
        write(folder, "venue", BARS.assign(symbol="ZZZ"))
    ingested, audited = take_in(folder)
    assert ingested.compared is not None
    assert ("no bar of market.symbols" if there else "nothing there") in ingested.compared.failed
    assert (audited.report.figures["compared"], odd(audited)) == (0, [])


def test_what_it_says_once_a_session_is_decided_changes_nothing_but_a_bar_restated_then(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(folder)
    with open_history(strategy()) as history:
        before = history.publication.content_hash
    monkeypatch.setattr(intake, "last_decided_session", lambda *_: LAST)
    # A moment of its own that lies in the past does not make it known before it came.
    write(folder, "venue", BARS.assign(known_at="2018-01-02T12:00:00Z"))
    ingested, audited = take_in(folder)
    assert ingested.compared is not None
    assert ingested.compared.counted.added == 120
    assert (audited.report.figures["compared"], odd(audited)) == (0, [])
    with open_history(strategy()) as history:
        assert history.publication.content_hash == before
    # Restated, the bars are judged by what the second source had said by then.
    write(folder, "bars", first_bars().assign(volume=BARS["volume"] + 1.0))
    _, audited = take_in(folder, publish=False)
    assert odd(audited) == [("AAA", f"{DAY:%F} odd_print low")]
    assert audited.report.figures["compared"] == 120


def test_what_it_says_of_the_past_is_part_of_what_a_month_of_forecasts_knew(folder: Path) -> None:
    def hashes() -> dict[str, str]:
        with open_history(strategy()) as history:
            ends = {"early": history.row(BARS["session"][20]), "late": history.row(LAST)}
            return outdated._facts(history, ends)

    write(folder, "venue", BARS[BARS["session"] <= BARS["session"][20]])
    take_in(folder)
    before = hashes()
    assert hashes() == before
    write(folder, "venue", BARS)
    with open_history(strategy()) as history:
        ingest_bars(history, folder)
    after = hashes()
    assert after["early"] == before["early"]
    assert after["late"] != before["late"]


def test_a_second_source_that_is_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match="compare_with is source itself"):
        strategy(path="bars")
    with pytest.raises(ValueError, match="takes no actions_path"):
        strategy(actions_path="splits.csv")


def test_limits_of_reading_are_no_part_of_the_strategy_and_the_second_source_is() -> None:
    original = strategy()
    assert original.content_hash() == strategy(max_rows=7).content_hash()
    alone = original.model_copy(update={"market": original.market.model_copy(update={"compare_with": None})})
    assert "compare_with" not in alone.behaviour()["market"]
    assert original.content_hash() != alone.content_hash()
