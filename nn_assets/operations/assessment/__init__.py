"""The self-assessment of a strategy's controls over a period, from the ledger alone, as trading desks write it yearly.

(Commission Delegated Regulation (EU) 2017/589, "RTS 6", article 9: annual self-assessment and validation; 17 CFR
240.15c3-5(e), the market access rule: annual review of controls.)

Of each control: what fired and when, what it did, what was overridden, by whom and why, and whether it was tested. A
control is tested by an event that it acted on, or by a look that it put on record; one that had none says so. Every
row read is held against the hash chain, and the chain's head says of which ledger the page is.

A record belongs to the session that was the last decided when it was appended: so a control that a person set on a
weekend, and one set while a history is played as if live, have a place among sessions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.errors import LedgerError
from nn_assets.operations.assessment.controls import CONTROLS
from nn_assets.operations.assessment.records import Assessed, Event, Records
from nn_assets.operations.clock import now_utc
from nn_assets.operations.pages import write_page
from nn_assets.reports.page import render
from nn_assets.store.home import reports_root
from nn_assets.store.lake.files import write_record
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["Assessed", "Assessment", "Event", "assess", "write_assessment"]


@dataclass(frozen=True)
class Assessment:
    """The controls of a strategy over a period, and the head of the ledger that they were read from."""

    strategy: str
    first: str
    last: str
    sessions: int
    head: str
    controls: tuple[Assessed, ...]

    @property
    def untested(self) -> tuple[str, ...]:
        """Names of the controls that nothing in the period tested."""
        return tuple(control.name for control in self.controls if not control.tested)

    @property
    def sentence(self) -> str:
        """The whole in one line."""
        fired = sum(len(control.fired) for control in self.controls)
        overridden = sum(len(control.overridden) for control in self.controls)
        return (
            f"{self.sessions} sessions from {self.first} to {self.last}: {fired} events of "
            f"{sum(bool(control.fired) for control in self.controls)} controls, {overridden} overridden, "
            f"{len(self.untested)} of {len(self.controls)} controls never tested; ledger head {self.head}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for a file."""
        return {**asdict(self), "untested": list(self.untested), "sentence": self.sentence}


def assess(ledger: Ledger, strategy: str, first: pd.Timestamp | None, last: pd.Timestamp | None) -> Assessment:
    """Assess a strategy's controls over the decided sessions of a period.

    Parameters
    ----------
    first, last : Timestamp or None
        Days, both included; the last decided session and a year before it when left out.

    Raises
    ------
    LedgerError
        No session was decided in the period.
    AuditError
        A row that is read is not as it was appended.
    """
    head = str(ledger.head())
    with ledger.rows_verified():
        records = Records(ledger, strategy, first, last)
        if records.decisions.empty:
            raise LedgerError(
                expected=f"a decided session of {strategy} in the period",
                found="none",
                remedy="name another one with --from and --to, or --year",
                strategy=strategy,
            )
        controls = tuple(control for read in CONTROLS for control in read(records))
    days = records.decisions["session"]
    return Assessment(strategy, str(days.iloc[0].date()), str(days.iloc[-1].date()), len(days), head, tuple(controls))


def write_assessment(made: Assessment) -> tuple[Path, Path]:
    """Write an assessment as a page and as JSON; returns both files."""
    name = f"{made.strategy}-assessment-{made.first}-to-{made.last}"
    page = write_page(
        f"{name}.html", render("assessment.html", title=f"{made.strategy}: self-assessment of controls", made=made)
    )
    file = reports_root() / f"{name}.json"
    write_record(file, {**made.to_dict(), "written_at": now_utc().isoformat()})
    return page, file
