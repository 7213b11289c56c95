"""Rows that a clock stamped ahead are read as mended, in every kind of reading; the rows themselves stay."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.market.facts.arrival import read_moments
from nn_assets.store.home import sql_root
from nn_assets.store.ledger.audit import verify
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.mended import CLOCK
from nn_assets.store.ledger.migrations import view_names
from nn_assets.store.ledger.schema import WHOLE_LEDGER
from tests.store.rounds import day_round

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
AHEAD, HOUR = NOW + timedelta(days=40), timedelta(hours=1)


def control(name: str, kind: str = "kill_switch", details: dict[str, Any] | None = None) -> dict[str, Any]:
    row = {"control_id": name, "kind": kind, "state": "HALTED", "who": "me", "reason": "why", "details": details or {}}
    return {**row, "strategy": WHOLE_LEDGER if kind == CLOCK else "one"}


def seen(ledger: Ledger, **bounds: object) -> list[str]:
    return sorted(ledger.read("controls", "one", **bounds)["control_id"])  # type: ignore[arg-type]


def test_rows_stamped_ahead_are_seen_from_their_mend_on_and_stay_as_they_are(tmp_path: Path) -> None:
    clock = [NOW - HOUR]
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", clock=lambda: clock[0])
    for name, stamp in (("right", NOW - HOUR), ("first", AHEAD), ("second", AHEAD + HOUR)):
        clock[0] = stamp
        ledger.append("controls", [control(name)], run_id="test")
    clock[0] = NOW
    assert ledger.stamped_after(NOW)["moment"].tolist() == [pd.Timestamp(AHEAD), pd.Timestamp(AHEAD + HOUR)]
    assert seen(ledger, recorded_by=NOW) == seen(ledger, as_of=NOW) == ["right"]
    before = ledger.chain()
    mended = read_moments(pd.DatetimeIndex(ledger.stamped_after(NOW)["moment"]), ledger.acts(), pd.Timestamp(NOW))
    stamps = {pd.Timestamp(key).isoformat(): pd.Timestamp(read).isoformat() for key, read in mended.read_as.items()}
    read_as = {f"{key}+00:00": f"{read}+00:00" for key, read in stamps.items()}
    ledger.append("controls", [control("mend", CLOCK, {"read_as": read_as})], run_id="test")
    assert ledger.stamped_after(NOW).empty
    assert ledger.mended() == mended
    for bound in ("recorded_by", "as_of"):
        assert seen(ledger, **{bound: NOW}) == ["first", "right", "second"]
        assert seen(ledger, **{bound: NOW - timedelta(microseconds=1)}) == ["right"]
    rows = ledger.read("controls", "one", bookkeeping=True).set_index("control_id")
    between = rows["recorded_at"]["first"]
    assert seen(ledger, recorded_by=between) == ["first", "right"]  # to the nanosecond, in their order
    assert rows["known_at"].tolist() == rows["recorded_at"].tolist()
    assert (rows["recorded_at"] <= pd.Timestamp(NOW)).all()
    pd.testing.assert_frame_equal(ledger.chain().iloc[: len(before)], before)
    clock[0] = AHEAD  # the clock is really there
    ledger.append("controls", [control("later")], run_id="test")
    later = ledger.read("controls", "one", bookkeeping=True).set_index("control_id")["recorded_at"]["later"]
    assert later == pd.Timestamp(AHEAD) + pd.Timedelta(microseconds=1)
    assert seen(ledger, recorded_by=AHEAD) == ["first", "right", "second"]
    assert verify(ledger).ok


def test_an_operator_s_query_tells_moments_as_they_are_read_and_in_the_order_in_which_rows_came(tmp_path: Path) -> None:
    clock = [AHEAD]
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", clock=lambda: clock[0])
    first = day_round("2026-02-27", symbols=1)
    for offset, (moment, price) in enumerate([(AHEAD, 1.0), (AHEAD + HOUR, 2.0), (NOW, 3.0)]):
        clock[0] = moment
        targets = [{**row, "reference_price": price} for row in first["target_positions"]]
        ledger.append("target_positions", targets, run_id=f"run {offset}", strategy="one", reason="other bars")
    query = ledger.query("restated", strategy="one")
    assert query["recorded_at"].tolist() == [pd.Timestamp(NOW), pd.Timestamp(AHEAD + HOUR)], (
        "stamped ahead, and told so"
    )
    stamps = {pd.Timestamp(AHEAD + HOUR).isoformat(): pd.Timestamp(NOW - HOUR).isoformat()}
    ledger.append("controls", [control("mend", CLOCK, {"read_as": stamps})], run_id="test")
    query = ledger.query("restated", strategy="one")
    assert query["recorded_at"].tolist() == [pd.Timestamp(NOW), pd.Timestamp(NOW - HOUR)]
    assert query["version"].tolist() == [3, 2]


def test_no_view_tells_a_moment_of_the_clock() -> None:
    """A view is plain SQL and cannot read the mend: what it gives is sessions alone."""
    for name in view_names():
        assert "_at" not in re.sub(r"--.*", "", (sql_root() / "views" / f"{name}.sql").read_text(encoding="utf-8"))
