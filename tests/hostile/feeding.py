"""A home with bars published from good files, fed with mutants of them."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from nn_assets.errors import GateHalted, SchemaError, SourceError
from nn_assets.operations.history import History, open_history
from nn_assets.operations.intake.bars import Audited, audit_bars, ingest_bars, publish_bars
from nn_assets.operations.stores import Stores
from nn_assets.operations.strategy_files import parse_strategy
from nn_assets.settings import Strategy
from tests.hostile.good import Good, laid_out
from tests.hostile.oracle import Bar, Delivery, Verdict, judged, read_csv, rule_broken

LATER = 3  # sessions that the mutants bring and the published bars lack


@dataclass(frozen=True)
class Fed:
    """A home in which the bars of all but the last sessions were published, and the open stores."""

    good: Good
    home: Path
    stores: Stores
    strategy: Strategy
    stored: tuple[Bar, ...]

    @property
    def folder(self) -> Path:
        return self.home / "strategies" / "data"


_FILES_READ = "files_read.json"
_KEPT_LISTS = (_FILES_READ, "additions.json")  # what was read, and what is stored, so far


def _strategy(good: Good, last: str) -> Strategy:
    market = {"symbols": list(good.symbols), "history_starts": good.sessions[0], "history_ends": last}
    return parse_strategy(
        yaml.safe_dump({"name": "hostile", "source": {"kind": "files", "path": "data"}, "market": market})
    )


def deliver(folder: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def bars_of(files: dict[str, bytes]) -> Delivery:
    """What CSV files say, one after another."""
    delivery = Delivery()
    for name, content in sorted(files.items()):
        part = read_csv(name, content)
        delivery.bars += part.bars
        delivery.faults += part.faults
    return delivery


@contextmanager
def fed_home(good: Good, home: Path) -> Iterator[Fed]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NN_ASSETS_HOME", str(home))
        patch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
        folder = home / "strategies"
        early = [row for row in good.rows if row.date <= good.sessions[-1 - LATER]]
        deliver(folder / "data", laid_out(early, "long.csv"))
        with open_history(_strategy(good, good.sessions[-1 - LATER])) as history:
            ingest_bars(history, folder)
            audited = audit_bars(history)
            audited.report.raise_if_failed()
            publish_bars(history, audited, "good")
        with open_history(_strategy(good, good.sessions[-1])) as history:
            yield Fed(good, home, history.stores, history.strategy, tuple(bars_of(laid_out(early, "long.csv")).bars))


def _contents(home: Path) -> dict[str, str]:
    """Hash of every file that is kept: all but the delivery, the lists of what is there, and what locks leave."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.rglob("*")
        if path.is_file()
        and "data" not in path.parts
        and not path.name.endswith(("lock", "-shm", "-wal", *_KEPT_LISTS))
    }


def check(fed: Fed, delivery: Delivery | None) -> str:
    """Take in what lies in the folder, and hold what comes of it to the verdict; ``delivery`` is None if none can know.

    Returns
    -------
    str
        What came of it.
    """
    verdict = None if delivery is None else judged(delivery, fed.stored, fed.good.symbols, fed.good.sessions)
    before = _contents(fed.home)
    records = {path: path.read_bytes() for name in _KEPT_LISTS for path in fed.home.rglob(name)}
    try:
        history = History.of(fed.stores, fed.strategy)
        ingest_bars(history, fed.folder.parent)
        audited = audit_bars(history)
        audited.report.raise_if_failed()
    except (SourceError, SchemaError) as error:
        assert _contents(fed.home) == before
        _hold_refusal(error, verdict)
        return "refused"
    except GateHalted as error:
        _hold_halt(error, verdict)
        return "halted"
    else:
        _hold_bars(audited, verdict)
        return "quarantined" if len(audited.cleaned.quarantine) else "same" if _as_good(fed, audited) else "passed"
    finally:
        after = _contents(fed.home)
        for name in after.keys() - before.keys():
            assert "raw_bars" in name, name
            (fed.home / name).unlink()
        for path in [path for name in _KEPT_LISTS for path in fed.home.rglob(name) if path not in records]:
            path.unlink()  # of a table that this one began
        for path, content in records.items():  # they list this one's: the next mutant starts as this one did
            path.write_bytes(content)
        assert {name: after.get(name) for name in before} == before


def _hold_refusal(error: SourceError | SchemaError, verdict: Verdict | None) -> None:
    assert error.expected
    assert error.found
    assert error.remedy
    if verdict is None:
        return
    assert verdict.faults, f"refused what breaks nothing: {error}"
    if verdict.faults[0].file == "any":
        assert {"symbol", "session"} & set(error.where), error
        return
    where = error.where
    file, row, column = Path(str(where.get("file"))).name, where.get("row"), where.get("column")
    there = [fault for fault in verdict.faults if fault.file == file]
    assert there, f"{error}\nbut the faults are {verdict.faults}"
    assert where["rule"], error
    at_row = [fault for fault in there if fault.row in (None, row)]
    assert at_row, f"{error}\nbut the faults are {there}"
    assert row is None or column is None or any(fault.column in (None, column) for fault in at_row), (error, at_row)
    # A place that is known is named.
    if all(fault.row is not None for fault in there):
        assert row is not None, f"{error}\nbut the faults are {there}"


def _hold_halt(error: GateHalted, verdict: Verdict | None) -> None:
    if verdict is None:
        return
    assert verdict.halted, f"halted on what breaks nothing: {error}"
    assert set(str(error.where["rule"]).split(", ")) == verdict.halted, error
    assert error.violations
    if "quarantined_share" in verdict.halted:
        counts = Counter(line.split(",")[0] for line in error.violations if ": missing_s" not in line)
        for symbol, day, rule in verdict.quarantine:
            assert counts[f"{symbol} {day}: {rule}"] > 0, (symbol, day, rule, error)


def _rows(audited: Audited) -> list[Bar]:
    names = ["symbol", "session", "open", "high", "low", "close", "volume"]
    return [
        (row[0], row[1].strftime("%Y-%m-%d"), *row[2:]) for row in audited.cleaned.bars[names].itertuples(index=False)
    ]


def _as_good(fed: Fed, audited: Audited) -> bool:
    return sorted(_rows(audited)) == sorted(bars_of(laid_out(list(fed.good.rows), "long.csv")).bars)


def _hold_bars(audited: Audited, verdict: Verdict | None) -> None:
    bars = _rows(audited)
    days = sorted({bar[1] for bar in bars})
    assert not [bar for bar in bars if rule_broken(bar, days)]
    if verdict is None:
        return
    assert not verdict.faults, f"passed in spite of {verdict.faults[:5]}"
    assert not verdict.halted, f"passed in spite of {set(verdict.halted)}"
    assert sorted(bars) == sorted(verdict.bars)
    out = audited.cleaned.quarantine
    named = zip(out["symbol"], out["session"].dt.strftime("%Y-%m-%d"), out["rule"], strict=True)
    assert Counter(named) == Counter(verdict.quarantine)
    assert not out[["field", "value", "message", "source"]].isna().any().any()
    assert all(math.isfinite(value) for bar in bars for value in bar[2:])
