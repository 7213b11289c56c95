"""The command that a person gives next: what ``check`` and ``study`` end with, and ``status`` asks a person for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, cast

import pandas as pd

from nn_assets.errors import NnAssetsError
from nn_assets.learning.first_month import first_model_month, first_refit_day, live_start_fault, training_key
from nn_assets.market.calendar.sessions import timezone_of
from nn_assets.operations.asof.decisions import undecided_sessions
from nn_assets.operations.asof.forecasts import missing_months, recorded_months
from nn_assets.operations.asof.models import ModelsInForce, models_in_force, refit_overdue
from nn_assets.operations.asof.settings_on_record import settings_apart
from nn_assets.operations.asof.studies import latest_study
from nn_assets.operations.clock import last_configured_session, now_utc
from nn_assets.operations.edited import stage_fault, symbols_fault
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.waiting_refresh import UI, waits_now
from nn_assets.settings import Strategy

if TYPE_CHECKING:
    from nn_assets.operations.history import History


class Due(NamedTuple):
    """What is to be done before a session can be decided, and why; empty where that sessions wait says it."""

    why: str
    command: str


def next_command(facts: StoredFacts) -> str:
    """The next command, or what to mend first; ``status`` asks for the same before anything else of this kind."""
    name = facts.strategy.name
    refused = faults_of_stages(facts)
    if refused:
        return refused[0].remedy
    if study_of_others(facts):
        return f"nn-assets study --strategy {name}"
    waiting = undecided_sessions(facts.stores.ledger, facts.strategy, facts.live_sessions)
    due = due_before(facts, waiting)
    if waiting:
        goes_on = goes_on_with(facts.strategy, waiting, models_in_force(facts.stores.ledger, facts.strategy), due)
        return UI if goes_on.startswith("nn-assets run ") and _refresh_needs_the_ui(facts) else goes_on
    if due is None and _refresh_needs_the_ui(facts):
        return UI
    return f"nn-assets status --strategy {name}" if due is None else due.command


def _refresh_needs_the_ui(facts: StoredFacts) -> bool:
    """Whether a refresh that drift asked for waits for want of a daemon."""
    ledger, strategy = facts.stores.ledger, facts.strategy
    decisions = ledger.latest("decisions", strategy.name)
    if decisions.empty:
        return False
    waits = waits_now(ledger, strategy, decisions["session"].iloc[-1], decisions["details"].iloc[-1])
    return waits is not None and waits[0].for_want_of_a_daemon


def due_before(facts: StoredFacts, waiting: Sequence[pd.Timestamp]) -> Due | None:
    """What comes before any session that waits: a longer history, or a study of all months; None where nothing does.

    Where none waits, also a refit of a walk in days that nobody made.
    """
    if (short := history_too_short(facts)) is not None:
        return short
    strategy, study = facts.strategy, f"nn-assets study --strategy {facts.strategy.name}"
    newest = str(facts.last_session.to_period("M") + 1)
    if outdated := _outdated(facts, newest):
        return Due(f"what was known in {', '.join(outdated)} has changed since the study of them", study)
    if comes_after_a_study(facts, waiting):
        return Due("", study)
    if not waiting and missing_months(facts.stores.lake, strategy, newest):
        return Due("no study of every month was made yet", study)
    if not waiting and (refit := refit_overdue(facts.stores.ledger, strategy, facts.last_session)):
        month = f"{facts.last_session:%Y-%m}"
        return Due(
            f"the refit of {refit} was not made: the model before it decides", f"{study} --from {month} --to {month}"
        )
    return None


def goes_on_with(strategy: Strategy, waiting: Sequence[pd.Timestamp], models: ModelsInForce, due: Due | None) -> str:
    """The command that decides what waits, or takes data in: a study where a round would find no study or model.

    Parameters
    ----------
    due : Due or None
        As :func:`due_before` gives it.
    """
    study = f"nn-assets study --strategy {strategy.name}"
    if due is not None:
        return due.command
    if not models.by_month or strategy.market.live_starts is None:
        return study
    if lacking := sorted({f"{session:%Y-%m}" for session in waiting} - models.by_month.keys()):
        return f"{study} --from {lacking[0]} --to {lacking[-1]}"
    return f"nn-assets run --strategy {strategy.name}" + (f" --from {waiting[0].date()}" if waiting else "")


def history_too_short(facts: StoredFacts) -> Due | None:
    """That no month of the history can have a model, and which bars to bring; None where one can."""
    strategy, first = facts.strategy, pd.Period(first_model_month(facts.strategy), "M")
    if strategy.walk_forward.partial_months and (short := _ends_before_its_first_refit(facts)) is not None:
        return short
    today = now_utc().tz_convert(timezone_of(strategy.market.calendar)).tz_localize(None).to_period("M")
    last = last_configured_session(strategy.market)
    if first <= (today if last is None else min(today, last.to_period("M"))):
        return None
    started = pd.Period(strategy.market.history_starts, "M")
    needed = (started - (first - facts.last_session.to_period("M")).n).start_time.date()
    return Due(
        f"a first model can be used from {first}, later than any session there is: bring a longer history, or shorten "
        f"{training_key(strategy)}",
        f"bring bars from {needed} or earlier on, set market.history_starts there, then nn-assets check --strategy "
        f"{strategy.name}",
    )


def _ends_before_its_first_refit(facts: StoredFacts) -> Due | None:
    """The same of a history that is stated to end in the month of the first refit, and before it."""
    strategy, ends = facts.strategy, facts.strategy.market.history_ends
    starts = strategy.market.history_starts
    refit = first_refit_day(strategy, starts)
    if ends is None or ends >= refit:
        return None
    return Due(
        f"a first model can be used from {refit}, later than any session there is: bring a longer history, or shorten "
        f"{training_key(strategy)}",
        f"bring bars from {starts - (refit - ends)} or earlier on, set market.history_starts there, then "
        f"nn-assets check --strategy {strategy.name}",
    )


def _outdated(facts: StoredFacts, before: str) -> list[str]:
    """Months whose sessions know something else than when they were studied, while nothing is decided."""
    if not facts.decision_moments.empty or not recorded_months(facts.stores.lake, facts.strategy):
        return []
    # Many modules, which only a strategy that is studied and has decided nothing needs.
    from nn_assets.operations.models.outdated import months_to_refit

    with suppress(NnAssetsError):  # of what cannot be read its own reader says so
        return months_to_refit(cast("History", facts), before)  # which reads what is stored alone
    return []


def comes_after_a_study(facts: StoredFacts, waiting: Sequence[pd.Timestamp]) -> bool:
    """Whether the first sessions ever must wait for a study: decided before it, they would be flat for good.

    They would have no forecasts of earlier months to size by, or no verdict that lets them trade.
    """
    if not waiting or not facts.decision_moments.empty:
        return False
    strategy, month = facts.strategy, f"{waiting[0]:%Y-%m}"
    if missing_months(facts.stores.lake, strategy, month):
        return True
    verdict_needed = not strategy.trade_without_verdict and first_model_month(strategy) < month
    return verdict_needed and latest_study(facts.stores.ledger, strategy) is None


def faults_of_stages(facts: StoredFacts) -> list[NnAssetsError]:
    """Faults of the strategy's dates and symbols, or of the clock, for which every round is refused."""
    faults = live_start_fault(facts.strategy), stage_fault(facts), symbols_fault(facts)
    return [fault for fault in faults if fault is not None]


def study_of_others(facts: StoredFacts) -> str:
    """The settings in which the newest study on record differs from those in force; empty if any study has these."""
    newest = _newest_of_others(facts)
    return "" if newest is None else settings_apart(facts.stores.ledger, facts.strategy, str(newest["settings_hash"]))


def study_of_others_text(facts: StoredFacts) -> str | None:
    """If no study has the settings in force: how far the newest one goes, and in which settings it differs."""
    newest = _newest_of_others(facts)
    return None if newest is None else f"to {newest['month']}, of other settings: {study_of_others(facts)}"


def _newest_of_others(facts: StoredFacts) -> pd.Series | None:
    ledger, strategy = facts.stores.ledger, facts.strategy
    newest = ledger.latest("studies", strategy.name)
    if newest.empty or latest_study(ledger, strategy) is not None:
        return None
    return newest.iloc[-1]
