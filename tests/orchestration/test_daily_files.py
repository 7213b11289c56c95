"""A folder that a vendor fills day by day: only new files are read, late ones find their place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.market.facts.bars import content_hash
from nn_assets.operations.history import History, open_history
from nn_assets.operations.intake import bars as ingest
from nn_assets.operations.intake import files_read
from nn_assets.operations.intake.bars import Ingested, audit_bars, ingest_bars, publish_bars
from nn_assets.operations.strategy_files import make_strategy
from nn_assets.settings import Strategy
from nn_assets.sources.tables.files import FilesSource

DAYS = ("2018-01-02", "2018-01-03", "2018-01-04", "2018-01-05")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path / "home"))
    made = tmp_path / "drops"
    made.mkdir()
    return made


def drop(folder: Path, day: int, close: float = 10.0, *, name: str | None = None, symbols: str = "AB") -> Path:
    """A file of a day: its bars, and those of the day before once more."""
    lines = ["symbol,date,open,high,low,close,volume"]
    for symbol in symbols:
        for index in range(max(day - 1, 0), day + 1):
            price = close if index < day else 10.0 + index
            lines.append(f"{symbol},{DAYS[index]},{price},{price + 1},{price - 1},{price},1000")
    path = folder / (name or f"prices_{DAYS[day]}.csv")
    path.write_text("\n".join(lines) + "\n")
    os.utime(path, (1_600_000_000, 1_600_000_000 + day))
    return path


def at(folder: Path, last: int = 3, **source: object) -> Strategy:
    market = {"calendar": "XNYS", "history_starts": DAYS[0], "history_ends": DAYS[last]}
    settings = {"kind": "files", "path": str(folder), "known_at_from": "file_name", **source}
    gate = {"max_stale_sessions": 9, "max_quarantined_fraction": 1.0, "max_missing_sessions_fraction": 1.0}
    return make_strategy({"name": "drops", "source": settings, "market": market, "gate": gate})


def take_in(strategy: Strategy, folder: Path) -> Ingested:
    with open_history(strategy) as history:
        return ingest_bars(history, folder)


def raw_of(strategy: Strategy) -> pd.DataFrame:
    with open_history(strategy) as history:
        return history.raw_versions


@pytest.mark.full
def test_only_new_and_changed_files_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = FilesSource.read
    monkeypatch.setattr(FilesSource, "read", lambda self, file: (read.append(file.name), real(self, file))[1])
    strategy = at(folder)
    drop(folder, 0)
    drop(folder, 1)
    assert take_in(strategy, folder).counted.added == 4
    drop(folder, 2, close=11.0)
    again = take_in(strategy, folder)
    assert (again.delivered, again.counted.added, again.counted.unchanged) == (4, 2, 2)
    assert take_in(strategy, folder) == Ingested(type(again.counted)(), 0)
    assert read == ["prices_2018-01-02.csv", "prices_2018-01-03.csv", "prices_2018-01-04.csv"]
    # Touched, but the same: not read. Another strategy file that asks for more: all are.
    os.utime(folder / "prices_2018-01-02.csv")
    assert take_in(strategy, folder).delivered == 0
    wider = strategy.model_copy(update={"market": strategy.market.model_copy(update={"symbols": ("A",)})})
    assert take_in(wider, folder).counted.unchanged == 5


def test_a_file_with_sessions_still_to_come_is_read_again_when_they_have(folder: Path) -> None:
    drop(folder, 0)
    drop(folder, 2)
    assert take_in(at(folder, last=1), folder).counted.added == 4
    later = take_in(at(folder, last=3), folder)
    assert (later.files_read, later.counted.added) == (("prices_2018-01-04.csv",), 2)


def test_a_file_sent_again_with_other_content_is_known_from_now_on(folder: Path) -> None:
    strategy = at(folder)
    drop(folder, 0)
    drop(folder, 1, close=10.0)
    take_in(strategy, folder)
    path = drop(folder, 1, close=99.0)
    os.utime(path, (1_600_000_000, 1_700_000_000))
    changed = take_in(strategy, folder)
    assert (changed.counted.revised, changed.counted.unchanged) == (2, 2)
    raw = raw_of(strategy)
    mended = raw[raw["close"] == 99.0]
    assert len(mended) == 2
    assert (mended["known_at"] == mended["ingested_at"]).all()


@pytest.mark.full
@pytest.mark.parametrize("lists", [("A", "B"), ("B", "A")])
def test_a_file_sent_again_in_a_run_with_other_settings_is_known_from_now_on(
    folder: Path, lists: tuple[str, ...]
) -> None:
    strategy = at(folder)
    drop(folder, 0)
    drop(folder, 1)
    take_in(strategy, folder)
    path = drop(folder, 1, close=99.0)
    os.utime(path, (1_600_000_000, 1_700_000_000))
    market = strategy.market.model_copy(update={"symbols": lists})
    wider = strategy.model_copy(update={"market": market})
    assert take_in(wider, folder).counted.revised == 2
    raw = raw_of(wider)
    mended = raw[raw["close"] == 99.0]
    assert (mended["known_at"] == mended["ingested_at"]).all()
    with open_history(wider) as history:
        audited = audit_bars(history)
    assert (len(audited.cleaned.bars), len(audited.cleaned.quarantine)) == (4, 0)
    # Settings once more: read again, it speaks of the moment it first spoke of.
    assert take_in(strategy, folder).counted.revised == 0
    pd.testing.assert_frame_equal(raw_of(strategy), raw)


@pytest.mark.full
@pytest.mark.parametrize("away", [False, True])
def test_a_file_with_sessions_still_to_come_sent_again_is_known_from_now_on(folder: Path, away: bool) -> None:
    drop(folder, 0)
    path = drop(folder, 2)
    take_in(at(folder, last=1), folder)
    if away:
        path.unlink()
        take_in(at(folder, last=1), folder)
    os.utime(drop(folder, 2, close=99.0), (1_600_000_000, 1_700_000_000))
    assert take_in(at(folder, last=3), folder).counted.revised == 2
    raw = raw_of(at(folder))
    mended = raw[raw["close"] == 99.0]
    assert len(mended) == 2
    assert (mended["known_at"] == mended["ingested_at"]).all()


def test_killed_before_the_record_of_files_a_rerun_adds_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = at(folder)
    drop(folder, 0)
    with monkeypatch.context() as patched:
        patched.setattr(files_read, "write_record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take_in(strategy, folder)
    before = raw_of(strategy)
    assert take_in(strategy, folder).counted.unchanged == 2
    pd.testing.assert_frame_equal(raw_of(strategy), before)
    shutil.rmtree(folder.parent / "home" / "lake")
    assert take_in(strategy, folder).counted.added == 2  # rebuilt from every file


@pytest.mark.full
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0), (1, 0, 3, 2)])
def test_the_publication_is_the_same_whatever_order_late_drops_come_in(folder: Path, order: tuple[int, ...]) -> None:
    strategy = at(folder)
    closes = {0: 10.0, 1: 10.5, 2: 11.0, 3: 12.25}  # two of the four restate the day before
    for day in order:
        drop(folder, day, close=closes[day])
        take_in(strategy, folder)
    with open_history(strategy) as history:
        made = publish_bars(history, audit_bars(history), "run")
        bars = history.stores.publications.bars(made)
        then = content_hash(history.view(DAYS[2]).bars)
    published = {
        (row.symbol, str(row.session.date())): (row.close, str(row.known_at.date())) for row in bars.itertuples()
    }
    assert {day: published["A", day] for day in DAYS} == {
        "2018-01-02": (10.5, "2018-01-03"),
        "2018-01-03": (11.0, "2018-01-03"),
        "2018-01-04": (12.25, "2018-01-05"),
        "2018-01-05": (13.0, "2018-01-05"),
    }
    assert made.content_hash == content_hash(of_closes(10.5, 11.0, 12.25, 13.0))
    assert then == content_hash(of_closes(10.5, 11.0, 12.0))


def of_closes(*closes: float) -> pd.DataFrame:
    """Bars of both symbols, from the first day on."""
    rows = [(symbol, day, close) for symbol in "AB" for day, close in zip(DAYS, closes, strict=False)]
    frame = pd.DataFrame(rows, columns=["symbol", "session", "close"]).assign(volume=1000.0)
    frame["session"] = pd.to_datetime(frame["session"])
    return frame.assign(open=frame["close"], high=frame["close"] + 1, low=frame["close"] - 1)


@pytest.mark.full
def test_a_session_decided_before_a_late_drop_is_replayed_without_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = at(folder)
    drop(folder, 0)
    drop(folder, 2)
    take_in(strategy, folder)
    decided = pd.Timestamp.now(tz="UTC")
    with open_history(strategy) as history:
        publish_bars(history, audit_bars(history), "run")
    with monkeypatch.context() as patched:
        patched.setattr(ingest, "now_utc", lambda: decided + pd.Timedelta(hours=1))
        drop(folder, 1, close=77.0)
        assert take_in(strategy, folder).counted.revised == 4
    with open_history(strategy) as history:
        assert set(history.view(DAYS[1]).bars["close"]) == {11.0, 77.0}
    moments = pd.Series([decided], index=pd.DatetimeIndex([DAYS[1]]))
    with monkeypatch.context() as patched, open_history(strategy) as history:
        patched.setattr(History, "decision_moments", moments)
        assert set(history.view(DAYS[1]).bars["close"]) == {10.0}


def test_contents_sent_again_stay_known_from_then_on_under_another_name(folder: Path) -> None:
    """A name that states the day tells nothing of the moment of contents that came later under it."""
    strategy = at(folder)
    drop(folder, 0)
    drop(folder, 1, close=10.0)
    take_in(strategy, folder)
    path = drop(folder, 1, close=10.5)
    os.utime(path, (1_600_000_000, 1_700_000_000))
    assert take_in(strategy, folder).counted.revised == 2
    before = raw_of(strategy)
    path.rename(folder / f"mended_{DAYS[1]}.csv")
    renamed = take_in(strategy, folder)
    assert (renamed.files_read, renamed.counted.revised) == ((f"mended_{DAYS[1]}.csv",), 0)
    pd.testing.assert_frame_equal(raw_of(strategy), before)
