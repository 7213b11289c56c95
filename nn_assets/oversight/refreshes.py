"""The refreshes that drift asks for: one request is open at a time, and a cooldown follows each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from nn_assets.oversight.drift import DriftReport
from nn_assets.oversight.severity import STATES, State
from nn_assets.settings import OversightSettings


@dataclass(frozen=True)
class RefreshWatch:
    """The state of the last request for a refresh, after a session's close.

    Attributes
    ----------
    asked : Timestamp or None
        Session whose drift made the open request; None where none is open.
    model_id : str
        In force when it was made. The request is answered when another model decides; until then it is
        pending, or was refused.
    quiet : int
        Examined sessions, up to the last, since drift last asked for anything.
    cooldown_left : int
        Examined sessions still to pass before the next request.
    """

    asked: pd.Timestamp | None = None
    model_id: str = ""
    quiet: int = 0
    cooldown_left: int = 0

    @property
    def idle(self) -> bool:
        """Whether no request is open and no cooldown runs."""
        return self.asked is None and self.cooldown_left == 0

    def state_under(self, model_id: str | None) -> State:
        """What it leaves of trading while a model decides: REDUCE_SIZE as long as the request is open.

        Parameters
        ----------
        model_id : str or None
            None where it is not known; the request then stays open.
        """
        answered = model_id is not None and model_id != self.model_id
        return "CONTINUE" if self.asked is None or answered else "REDUCE_SIZE"

    def to_record(self) -> dict[str, object]:
        """Plain values, for the ledger."""
        asked = None if self.asked is None else str(self.asked.date())
        return {"asked": asked, "model_id": self.model_id, "quiet": self.quiet, "cooldown_left": self.cooldown_left}

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> RefreshWatch:
        """Return the watch that :meth:`to_record` described."""
        asked = record["asked"]
        return cls(
            asked=None if asked is None else pd.Timestamp(str(asked)).as_unit("ns"),
            model_id=str(record["model_id"]),
            quiet=int(str(record["quiet"])),
            cooldown_left=int(str(record["cooldown_left"])),
        )


def stricter_state(first: State, second: State) -> State:
    """Return the one of two states that leaves less."""
    return max(first, second, key=STATES.index)


def next_refresh_watch(previous: RefreshWatch, report: DriftReport, settings: OversightSettings) -> RefreshWatch:
    """Move the watch over one session.

    A request is open until another model decides, or until drift has asked for nothing on
    ``cooldown_sessions`` sessions in a row: the drift it was made for is then over. The next one is made
    no sooner than ``refresh_cooldown_sessions`` sessions after the last, and takes the place of one that
    is still open.

    Parameters
    ----------
    report : DriftReport
        Of the session; it names the model in force. One that was not examined is no quiet session, and shortens
        no cooldown.

    Returns
    -------
    RefreshWatch
        A new request was made where ``asked`` is the report's own session.
    """
    passed = int(report.examined)
    quiet = 0 if report.asks_retraining else previous.quiet + passed
    left = max(0, previous.cooldown_left - passed)
    if report.asks_retraining and left == 0:
        return RefreshWatch(report.session, report.model_id, 0, settings.refresh_cooldown_sessions)
    stands = previous.state_under(report.model_id) == "REDUCE_SIZE" and quiet < settings.cooldown_sessions
    if not stands:
        return RefreshWatch(None, "", quiet if left else 0, left)
    return RefreshWatch(previous.asked, previous.model_id, quiet, left)
