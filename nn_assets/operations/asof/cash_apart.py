"""How far the cash at a venue lies from that of the books of its account, by a comparison that is on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.execution.venues import account_of, ledger_name
from nn_assets.operations.asof.accounts import ACCOUNT_UNTIL, DIFFERS, RECONCILIATIONS
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger


@dataclass(frozen=True)
class CashApart:
    """The gap that a comparison found, dollars: the venue's cash less the books', within what it may be."""

    usd: float
    least_usd: float
    most_usd: float
    equity_usd: float  # of the books together
    agrees: bool  # whether the comparison found nothing that differs

    @property
    def text(self) -> str:
        """In words."""
        side = "below" if self.usd < 0.0 else "above"
        explained = abs(self.least_usd if self.usd < 0.0 else self.most_usd)
        return (
            f"the venue's cash is {abs(self.usd):,.2f} USD {side} the books' ({self.bps:,.1f} bps of equity), where up "
            f"to {explained:,.2f} USD were booked and may not have been paid yet"
        )

    @property
    def bps(self) -> float:
        """Without a sign, of the books' equity; infinite where they are worth nothing."""
        return abs(self.usd) / self.equity_usd * 1e4 if self.equity_usd > 0.0 else float("inf")


def cash_apart_of(row: Mapping[str, Any] | None) -> CashApart | None:
    """The gap of a row of ``reconciliations``; None where none is stated, as where the venue did not answer."""
    bounds = None if row is None else row["details"].get("cash_may_be_apart_usd")
    if row is None or bounds is None:
        return None
    usd, equity = float(row["details"]["cash_apart_usd"]), float(row["details"]["equity_usd"])
    return CashApart(usd, float(bounds[0]), float(bounds[1]), equity, agrees=row["state"] != DIFFERS)


def cash_apart_now(ledger: Ledger, strategy: Strategy) -> CashApart | None:
    """The gap by the last comparison; None without an account."""
    account = account_of(strategy)
    return (
        None if account is None else cash_apart_of(ledger.last_appended(RECONCILIATIONS, strategy=ledger_name(account)))
    )


def cash_apart_at(
    ledger: Ledger, strategy: Strategy, session: pd.Timestamp, details: Mapping[str, Any]
) -> CashApart | None:
    """The gap by the last comparison that a session's decision took, by its details; None where it took none."""
    account, until = account_of(strategy), details.get(ACCOUNT_UNTIL)
    if account is None or until is None:
        return None
    rows = ledger.read(RECONCILIATIONS, ledger_name(account), None, session, bookkeeping=True).sort_values("sequence")
    rows = rows[rows["sequence"] <= int(until)]
    return None if rows.empty else cash_apart_of({name: rows[name].iloc[-1] for name in ("state", "details")})
