"""Why each position has its size: the steps of decided sessions, from files of the lake that the ledger seals.

Sessions of earlier versions have their steps as rows of the ledger; they are read from there.
"""

from __future__ import annotations

import pandas as pd

from nn_assets.arrays import Session, Symbol
from nn_assets.contracts import POSITION_STEPS
from nn_assets.contracts.frames import PositionStepRows
from nn_assets.contracts.ledger import TRACES as _TRACES
from nn_assets.errors import PublicationError
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.lake import Lake
from nn_assets.store.ledger.ledger import Ledger

STEPS, TRACES = POSITION_STEPS.name, _TRACES.name
WHY = "why_this_size"
"""The operator's query that is answered from these files, too."""
_ORDER = ["session", "symbol", "step"]


def read_steps(
    lake: Lake, ledger: Ledger, strategy: str, first: Session | None = None, last: Session | None = None
) -> PositionStepRows:
    """Return the steps of a strategy's sessions in the order of session, symbol and step, from wherever they are kept.

    Parameters
    ----------
    first, last : session, optional
        Both included.

    Returns
    -------
    DataFrame
        ``strategy`` and the columns of ``position_steps``.

    Raises
    ------
    PublicationError
        A file is missing, or is not the one that was put on record; names the session.
    """
    rows = ledger.read(STEPS, strategy, first, last)
    traces = ledger.read(TRACES, strategy, first, last)
    if traces.empty:
        return rows
    frames = [_steps_in(lake, strategy, *trace) for trace in zip(traces["session"], traces["address"], strict=True)]
    steps = pd.concat([*([rows] if len(rows) else []), *(frame.assign(strategy=strategy) for frame in frames)])
    return steps.sort_values(_ORDER, kind="stable", ignore_index=True)[list(rows.columns)]


def why_this_size(lake: Lake, ledger: Ledger, *, strategy: str, session: Session, symbol: Symbol) -> pd.DataFrame:
    """What the query of that name answers, of a session whose steps lie in a file: a row a step."""
    steps = read_steps(lake, ledger, strategy, session, session)
    steps = steps[steps["symbol"] == symbol].reset_index(drop=True)
    changes = steps.assign(weight_change=steps["weight_after"] - steps["weight_before"])
    return changes[["step", "rule", "weight_before", "weight_after", "weight_change", "reason"]]


def lost_traces(lake: Lake, ledger: Ledger, after_sequence: int | None = None) -> list[str]:
    """What is wrong with the files that the ledger has on record, a sentence for each.

    Parameters
    ----------
    after_sequence : int, optional
        Only of those put on record after that place in the ledger.
    """
    traces = ledger.read(TRACES, after_sequence=after_sequence, every_version=True)
    lost = []
    for strategy, session, address in zip(traces["strategy"], traces["session"], traces["address"], strict=True):
        try:
            _steps_in(lake, strategy, session, address)
        except PublicationError as error:
            lost.append(f"{TRACES} {strategy} {session.date()}: {error}")
    return lost


def _steps_in(lake: Lake, strategy: str, session: pd.Timestamp, address: str) -> PositionStepRows:
    file = lake.folder(strategy, STEPS) / f"{address}.parquet"
    try:
        steps = lake.read_table(strategy, STEPS, address)
        fault = None if frame_hash(steps) == address else "content other than its name says"
    except PublicationError as error:
        fault = error.found
    if fault is not None:
        raise PublicationError(
            expected=f"the steps of {session.date()} that were put on record",
            found=fault,
            remedy="restore the file from a backup of the lake, or have it written again by the code that decided the "
            f"session: nn-assets run --strategy {strategy} --session {session.date()}",
            file=str(file),
            strategy=strategy,
            session=session.date(),
        )
    return steps
