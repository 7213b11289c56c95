"""The command to run next, after an intake or a study."""

from __future__ import annotations

import pandas as pd

from nn_assets.learning.first_month import first_model_month
from nn_assets.operations.asof.decisions import undecided_sessions
from nn_assets.operations.asof.forecasts import missing_months
from nn_assets.operations.edited import symbols_fault
from nn_assets.operations.history import History
from nn_assets.operations.models.outdated import months_to_refit
from nn_assets.operations.situation import comes_after_a_study
from nn_assets.orchestration.partitions import month_partitions


def next_command(history: History) -> dict[str, str]:
    """The next command as ``next``; ``history_too_short`` says why it is not a study where no model is possible."""
    strategy = history.strategy
    if not month_partitions(strategy).get_partition_keys():
        return {
            "history_too_short": f"a first model can be used from {first_model_month(strategy)}, later than any "
            "session there is: bring a longer history, or shorten walk_forward.training_months",
            "next": f"bring bars from {_needed_from(history)} or earlier on, set market.history_starts there, then "
            f"nn-assets check --strategy {strategy.name}",
        }
    newest = str(history.last_session.to_period("M") + 1)
    undecided = undecided_sessions(history.stores.ledger, strategy, history.live_sessions)
    to_study = missing_months(history.stores.lake, strategy, newest) or months_to_refit(history, newest)
    if to_study or comes_after_a_study(history, undecided):
        return {"next": f"nn-assets study --strategy {strategy.name}"}
    if (fault := symbols_fault(history)) is not None:
        return {"next": fault.remedy}
    if not undecided:
        return {"next": f"nn-assets status --strategy {strategy.name}"}
    which = "session" if len(undecided) == 1 else "from"
    return {"next": f"nn-assets run --strategy {strategy.name} --{which} {undecided[0].date()}"}


def _needed_from(history: History) -> str:
    """The first day of the latest month from which bars would make a model possible for the last session's month."""
    strategy = history.strategy
    started = pd.Period(strategy.market.history_starts, "M")
    first = pd.Period(first_model_month(strategy), "M")
    needed = started - (first - history.last_session.to_period("M")).n
    return str(needed.start_time.date())
