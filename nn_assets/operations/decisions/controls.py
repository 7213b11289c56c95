"""What a person set, as the ledger has it: the kill switch, and the release of a latched breaker."""

from __future__ import annotations

from nn_assets.errors import LedgerError
from nn_assets.portfolio.breakers import KillSwitch
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["BREAKER_RESET", "KILL_SWITCH", "kill_switch_state", "latest_breaker_reset"]

KILL_SWITCH, BREAKER_RESET = "kill_switch", "breaker_reset"


def kill_switch_state(ledger: Ledger, strategy: str) -> str:
    """The kill switch as stored; ACTIVE when it was never set, HALTED when it cannot be read."""
    try:
        found = ledger.latest("controls", strategy, where={"kind": KILL_SWITCH})
    except LedgerError:
        return str(KillSwitch.HALTED)
    return str(KillSwitch.ACTIVE) if found.empty else str(found["state"].iloc[-1])


def latest_breaker_reset(ledger: Ledger, strategy: str) -> tuple[str, str] | None:
    """Person and reason of a breaker reset that no decision has used yet, or None."""
    found = ledger.read("controls", strategy, where={"kind": BREAKER_RESET}, bookkeeping=True)
    decided = ledger.read("decisions", strategy, bookkeeping=True)
    used = -1 if decided.empty else int(decided["sequence"].max())
    unused = found[found["sequence"] > used].sort_values("sequence")
    return None if unused.empty else (str(unused["who"].iloc[-1]), str(unused["reason"].iloc[-1]))
