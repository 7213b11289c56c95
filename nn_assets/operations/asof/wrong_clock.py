"""Moments on record that lie ahead of the clock: a clock that ran ahead then, or that is behind now.

Such a moment is a named state. ``status``, ``run`` and ``check`` tell it, and nothing is decided while it lasts: what
is stored ahead of a decision would be hidden when it is derived again. A clock that is behind is set right; what
one that ran ahead has stamped is read anew from a mend on, which is a control on record
(``operations/mended_clock.py``). Nothing stored is changed.
"""

from __future__ import annotations

import pandas as pd

from nn_assets.errors import ClockError
from nn_assets.operations.asof.stored import FACTS, versions_of
from nn_assets.operations.clock import now_utc
from nn_assets.operations.stores import Stores
from nn_assets.store.ledger.schema import WHOLE_LEDGER

_TOLERANCE = pd.Timedelta(minutes=1)  # between the clocks of machines that share a ledger
_NONE = pd.Timedelta(0)
_COLUMNS = ["table", "strategy", "moment"]


def clock_fault(stores: Stores, strategy: str) -> ClockError | None:
    """What lies ahead of the clock among a strategy's facts and the acts of the ledger; None where nothing does."""
    ahead = moments_ahead(stores, strategy, _TOLERANCE)
    if ahead.empty:
        return None
    count = f"{len(ahead)} moment{'s' * (len(ahead) > 1)} later than that in {', '.join(sorted(set(ahead['table'])))}"
    return ClockError(
        expected=f"no recorded moment later than now, {now_utc():%Y-%m-%d %H:%M:%S} UTC",
        found=f"{count}, up to {ahead['moment'].max():%Y-%m-%d %H:%M:%S} UTC",
        remedy="if the clock is behind, set it right; if it ran ahead before, nn-assets control clock "
        '--now "UTC TIME BY ANOTHER CLOCK" --reason "..."',
        strategy=strategy,
        rule="no_moment_ahead",
    )


def moments_ahead(stores: Stores, strategy: str | None = None, tolerance: pd.Timedelta = _NONE) -> pd.DataFrame:
    """Moments on record that lie ahead of the clock and were not mended.

    Parameters
    ----------
    strategy : str, optional
        One strategy, and what is about the whole ledger; all when left out, with every publication besides.
    tolerance : Timedelta
        How far ahead acts of the ledger may lie; facts may not at all.

    Returns
    -------
    DataFrame
        table, strategy, moment (UTC): each moment of a table once.
    """
    acts = stores.ledger.stamped_after((pd.Timestamp(stores.ledger.now()) + tolerance).to_pydatetime())
    if strategy is None:
        names = stores.lake.strategies()
        parts = [
            acts,
            *(_of_facts(stores, name) for name in names),
            *(_of_publications(stores, name) for name in names),
        ]
    else:  # a publication is an act of the ledger too
        whole = acts["strategy"].isin([strategy, f"{strategy}.intraday", WHOLE_LEDGER])
        parts = [acts[whole], _of_facts(stores, strategy)]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True).drop_duplicates(_COLUMNS)


def _of_facts(stores: Stores, strategy: str) -> pd.DataFrame:
    now, ahead = now_utc(), []
    for table in FACTS:
        newest = stores.lake.newest(strategy, table, "ingested_at")
        if newest is not None and newest > now:
            arrived = versions_of(stores, strategy, table, columns=["ingested_at"])["ingested_at"]
            ahead += [(table, strategy, stamp) for stamp in arrived[arrived > now].unique()]
    return pd.DataFrame(ahead, columns=_COLUMNS)


def _of_publications(stores: Stores, strategy: str) -> pd.DataFrame:
    published = [publication.published_at for publication in stores.publications.history(strategy)]
    read = stores.ledger.mended().of(pd.Series(published, dtype="datetime64[ns, UTC]"))
    late = read[read > now_utc()]
    return pd.DataFrame({"table": "publications", "strategy": strategy, "moment": late}, columns=_COLUMNS)
