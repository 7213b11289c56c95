"""The capacity of a strategy: its replay at a ladder of capital, the estimate on record, the curve on the study's page.

An estimate is in force from the session after its last one on, for strategies whose settings shrink sizes by it
(``portfolio.capacity_share``): through the ledger, to later decisions. It is no trial: nothing is chosen by it.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.errors import PublicationError, SettingsError
from nn_assets.evaluation.capital import at_capital, excess_of
from nn_assets.evaluation.study import replays_of
from nn_assets.operations.asof.capacity import CAPACITY
from nn_assets.operations.asof.choices import in_sample_until
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.asof.settings_on_record import hash_of_capacity
from nn_assets.operations.history import History
from nn_assets.operations.replay_pace import ReplayPace
from nn_assets.operations.study import material_until
from nn_assets.oversight.capacity import LADDER, LEVEL, Capacity, capacity_of
from nn_assets.reports.capacity_plot import capacity_curve
from nn_assets.settings.sections import NO_DIRECTION
from nn_assets.store.home import reports_root
from nn_assets.store.lake.files import read_record, write_record
from nn_assets.store.values import hash_of

CAPTION = (
    "Capacity",
    f"Net of cash, with {LEVEL:.0%} intervals. Beyond the line a further dollar earns less than it costs all others.",
)
_WHO = "capacity report"


def estimate_capacity(
    history: History,
    run_id: str,
    tell: Callable[[str], None] = lambda _: None,
    multiples: Sequence[float] | None = None,
) -> tuple[Capacity, dict[str, Any]]:
    """Replay the record at each size, estimate the capacity, and put it on record; running again changes nothing.

    To be called while the strategy is held alone.

    Parameters
    ----------
    multiples : sequence of float, optional
        Of the initial capital, ascending; those of the ladder when left out.

    Returns
    -------
    Capacity
    dict of str to object
        What an operator sees of it, by name.

    Raises
    ------
    SettingsError
        The label is a volatility: no book is replayed.
    PublicationError
        No forecast is stored, or those of a month of the record are not.
    """
    strategy, per_year = history.strategy, history.sessions_per_year
    if strategy.of_no_direction:
        raise SettingsError(
            expected="a strategy whose forecasts are traded",
            found=f"{strategy.name}, whose label is {strategy.label.kind}: {NO_DIRECTION}",
            remedy="nothing needs a capacity",
            key="label.kind",
        )
    months = history.stores.lake.months(strategy.name, FORECASTS)
    if not months:
        raise PublicationError(
            expected=f"forecasts of {strategy.name}",
            found="none stored",
            remedy=f"nn-assets study --strategy {strategy.name}",
            strategy=strategy.name,
        )
    multiples = LADDER if multiples is None else multiples
    material = material_until(history, max(months))
    sized = {f"{multiple:g}": at_capital(strategy, multiple) for multiple in multiples}
    tell(f"replaying {len(sized)} sizes over {len(material.rows)} sessions")
    replays = replays_of(sized, per_year, material, progress=ReplayPace(tell))
    sessions = material.sessions[: material.rows[-1] + 1]
    books = list(replays.values())
    excess, assets = excess_of(strategy, sessions, per_year, [book.track for book in books], books)
    solvent = np.isfinite(excess).all(axis=0).cumprod().astype(bool)  # up to the first size whose equity ran out
    if not solvent.all():
        tell(f"{int((~solvent).sum())} of the largest sizes are left out: their equity ran out")
    excess, assets, multiples = excess[:, solvent], assets[solvent], list(np.asarray(multiples)[solvent])
    seen = in_sample_until(history.stores.ledger, strategy)
    if seen is not None:
        excess = excess[np.asarray(sessions[-len(excess) :] > seen)]
    block = max(strategy.label.horizon_sessions, 1.5 * len(excess) ** (1.0 / 3.0))
    capacity = capacity_of(excess, assets, per_year, mean_block=block)
    last = sessions[-1]
    details = _details(capacity, last, [float(multiple) for multiple in multiples]) | {
        "settings_hash": hash_of_capacity(strategy)
    }
    row = {
        "control_id": hash_of([strategy.name, details])[:16],
        "kind": CAPACITY,
        "state": _text(capacity.usd.value, capacity),
        "who": _WHO,
        "reason": capacity.sentence,
        "details": details,
    }
    history.stores.ledger.append("controls", [row], run_id=run_id, strategy=strategy.name)
    plot = capacity_curve(capacity)
    keep = {"sentence": capacity.sentence, "session": str(last.date()), "plot": base64.b64encode(plot).decode()}
    write_record(_file(strategy.name), keep)
    return capacity, capacity_metadata(capacity, plot)


def capacity_metadata(capacity: Capacity, plot: bytes) -> dict[str, Any]:
    """What an operator sees of an estimate, by name."""
    return {
        "capacity": capacity.sentence,
        "sessions": capacity.sessions,
        "sizes": pd.DataFrame(
            [
                {
                    "mean assets, USD": f"{rung.assets_usd:,.0f}",
                    "net return": _interval(rung.net_return, ".2%"),
                    "net Sharpe": _interval(rung.sharpe, ".2f"),
                    "net, USD a year": f"{rung.net_usd:,.0f}",
                    "of a further dollar": f"{slope.net_return.value:.2%}",
                }
                for rung, slope in zip(capacity.rungs, capacity.slopes, strict=True)
            ]
        ),
        "curve": plot,
    }


def kept_capacity(strategy: str) -> dict[str, Any] | None:
    """The estimate that the study's page shows; None where none was made."""
    return read_record(_file(strategy))


def _interval(figure: Any, spec: str) -> str:
    return f"{figure.value:{spec}} ({figure.low:{spec}} to {figure.high:{spec}})"


def _details(capacity: Capacity, last: pd.Timestamp, multiples: list[float]) -> dict[str, Any]:
    """The estimate as it is recorded; a size beyond those replayed is none."""
    return {
        "session": last.isoformat(),
        "capacity_usd": _finite(capacity.usd.value),
        "low_usd": _finite(capacity.usd.low),
        "high_usd": _finite(capacity.usd.high),
        "level": LEVEL,
        "sessions": capacity.sessions,
        "multiples": multiples,
        "sizes": [_finite_all(asdict(rung)) for rung in capacity.rungs],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _finite_all(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _finite_all(value) if isinstance(value, dict) else _finite(float(value)) for name, value in values.items()
    }


def _text(usd: float, capacity: Capacity) -> str:
    return f"{usd:.0f} USD" if math.isfinite(usd) else f"beyond {capacity.rungs[-1].assets_usd:.0f} USD"


def _file(strategy: str) -> Path:
    return reports_root() / f"{strategy}-capacity.json"
