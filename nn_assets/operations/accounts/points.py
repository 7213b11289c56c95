"""The points of the driver at which it may be killed, by name: each lies between two writes, or a write and a call."""

from __future__ import annotations

POINTS = (
    "before_outbox",
    "outbox_committed",
    "before_sending",
    "sending_recorded",
    "sent",
    "outcome_recorded",
    "before_asking",
    "answer_recorded",
    "before_cancel",
    "cancel_recorded",
    "cancelled",
    "before_collecting",
    "fills_asked",
    "fill_recorded",
    "ends_recorded",
    "before_reconciling",
    "reconciled",
    "before_accepting",
    "accepted",
)
"""Every name that :func:`reached` is called with."""


def reached(point: str) -> None:
    """Pass a point; a test of kills raises here."""
    assert point in POINTS, point
