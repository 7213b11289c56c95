"""A mend of what a clock that ran ahead has stamped, put on record as a control; nothing stored is changed.

``operations/asof/wrong_clock.py`` says what lies ahead, ``store/ledger/mended.py`` reads moments as mended.
"""

from __future__ import annotations

from contextlib import ExitStack

import pandas as pd

from nn_assets.errors import ControlError
from nn_assets.market.facts.arrival import read_moments
from nn_assets.operations.asof.wrong_clock import moments_ahead
from nn_assets.operations.clock import now_utc
from nn_assets.operations.stores import Stores
from nn_assets.store.ledger.mended import CLOCK
from nn_assets.store.ledger.schema import WHOLE_LEDGER
from nn_assets.store.values import hash_of

_APART = pd.Timedelta(minutes=5)  # how far the time that a person states may lie from the clock's


def mend_moments(stores: Stores, who: str, reason: str, confirmed_now: pd.Timestamp) -> pd.DataFrame:
    """Put on record as what every moment that lies ahead of the clock is read from now on.

    Waits for rounds and studies under way. Where nothing lies ahead, nothing is recorded.

    Parameters
    ----------
    confirmed_now : Timestamp, UTC
        What time it is by another clock: a mend by a clock that is behind would have facts known too early.

    Returns
    -------
    DataFrame
        table, strategy, moment, read_as (UTC).

    Raises
    ------
    ControlError
        The clock and the time stated lie more than five minutes apart.
    """
    with ExitStack() as held:
        for name in stores.lake.strategies():
            held.enter_context(stores.alone(name))
        now = now_utc()
        if abs(confirmed_now - now) > _APART:
            raise ControlError(
                expected=f"a clock within five minutes of the time stated, {confirmed_now:%Y-%m-%d %H:%M:%S} UTC",
                found=f"a clock at {now:%Y-%m-%d %H:%M:%S} UTC",
                remedy="set the clock right, or state the UTC time as it is now with --now",
                rule=CLOCK,
            )
        ahead = moments_ahead(stores)
        mended = read_moments(pd.DatetimeIndex(ahead["moment"]), stores.ledger.acts(), now)
        if mended.read_as:
            stamps = {_text(stored): _text(read) for stored, read in sorted(mended.read_as.items())}
            identity = hash_of(stamps)[:16]
            row = {"control_id": identity, "kind": CLOCK, "state": "MENDED", "who": who, "reason": reason}
            rows = [{**row, "details": {"read_as": stamps}}]
            stores.ledger.append("controls", rows, run_id=f"control:{identity}", strategy=WHOLE_LEDGER)
    return ahead.assign(read_as=mended.of(ahead["moment"]))


def _text(nanoseconds: int) -> str:
    return pd.Timestamp(nanoseconds, tz="UTC").isoformat()
