"""Tables beside the daily bars, where a strategy names them: other series, and a universe."""

from __future__ import annotations

from nn_assets.operations.asof.stored import OTHER_SERIES, TRADING_HALTS, UNIVERSE
from nn_assets.operations.intake.beside import tables_beside_bars
from nn_assets.operations.intake.metadata import series_metadata, universe_metadata
from nn_assets.operations.intake.series import ingest_series
from nn_assets.operations.intake.trading_halts import halts_metadata, ingest_halts
from nn_assets.operations.intake.universe import ingest_universe
from nn_assets.operations.names import TABLES
from nn_assets.operations.wings import Job, Table, Wing
from nn_assets.settings import Strategy

_TABLES = (
    Table(
        OTHER_SERIES,
        "Observations of the series beside the bars, as facts with the moment each was known. A value "
        "delivered again that differs is a new version; faulty rows are kept in quarantine.",
        lambda history, making: series_metadata(ingest_series(history, making.folder, making.log)),
        made_by=(ingest_series,),
    ),
    Table(
        UNIVERSE,
        "Who belonged to the universe from when to when, as facts with the moment each was known. On a "
        "session only its members are trained on, forecast and held; one that leaves is closed.",
        lambda history, making: universe_metadata(history, ingest_universe(history, making.folder)),
        made_by=(ingest_universe,),
    ),
    Table(
        TRADING_HALTS,
        "Which instrument did not trade on which sessions, as facts with the moment each was known. On a halted "
        "session no bar is due, none is used, and nothing of the instrument trades.",
        lambda history, making: halts_metadata(history, ingest_halts(history, making.folder)),
        made_by=(ingest_halts,),
    ),
)


def _assets(strategy: Strategy) -> list[Table]:
    """The tables beside the bars that a strategy's settings name; none where they name none."""
    return [table for table in _TABLES if table.name in tables_beside_bars(strategy)]


WING = Wing(_assets, jobs=(Job(TABLES),))
