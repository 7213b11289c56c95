"""The controls that watch the market and the feed: the regime scale, and the breaker of stale data.

Measured as those of :mod:`tests.proof.controls`, on the same markets, and on one more in which the feed fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.proof.changing_markets import CHANGES, EVERY, LAST, REPEATED, REPEATS, changing_market
from tests.proof.controls import SEEDS, effects, table_of
from tests.proof.results import Result

TITLE = "Further controls: the regime scale and stale data"

CONTROLS = {
    "regime scale": "the names' mean: half the size while it falls and is volatile",
    "stale data": "the feed: over half of the names without a close, or with a bar that repeats the one before; "
    "nothing is traded until it is released, which a replay does after 20 sessions",
}
_READING = (
    "As in the table above, on the same markets, with every other control on. In one more market the feed fails: every "
    f"{EVERY} sessions it repeats all bars of the session before for {REPEATED} sessions, and so do the forecasts, "
    "while the market goes on. Decisions, marks and stops at the close see the feed; fills and resting stops the "
    "market, with the breaker and without: fills at prices that nobody was quoted, which it is there to prevent, are "
    "not in these figures.\n\n"
    "Two breakers are in no table: `unfinished_run` (orders put on record after they were due) and `no_answer` (no "
    "solution from the solver) answer faults of the operation, which no market brings. What they do to orders, fills "
    "and held positions is asserted end to end in `tests/evaluation/test_replay.py` and `test_replay_programme.py`; "
    "what they save in money is unknown."
)


def panels() -> list[dict[str, Any]]:
    """Twenty seeds of each market."""
    return [{"change": change, "seed": seed, "names": 40} for seed in SEEDS for change in (*CHANGES, REPEATS)]


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of each control on one market, as :func:`tests.proof.controls.measure` gives them."""
    market = changing_market(panel["change"], panel["seed"], panel["names"], panel.get("last", LAST))
    return {"controls": effects(market, tuple(CONTROLS))}


def summary(results: Sequence[Result]) -> str:
    """A table a market."""
    watched = "\n".join(f"- {control}: {part}" for control, part in CONTROLS.items())
    healthy = {
        result.panel["seed"]: result.figures["controls"] for result in results if result.panel["change"] == CHANGES[0]
    }
    by_change = {
        change: [result for result in results if result.panel["change"] == change] for change in (*CHANGES, REPEATS)
    }
    tables = [table_of(change, here, healthy, tuple(CONTROLS)) for change, here in by_change.items() if here]
    return "\n\n".join([f"{_READING}\n\nWhat each watches:\n\n{watched}", *tables])
