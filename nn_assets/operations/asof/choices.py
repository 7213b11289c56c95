"""The choices that searches of hyper-parameters put on record: which is in force in a month, and what was spent.

A choice is a row of ``trials`` beside those of the trials that it was made of. Rows of a nested search bear names of
their own (:data:`NESTED`), so that they are recorded and shown, and counted by no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.arrays import named_rows
from nn_assets.errors import FoldError, ModelError, SettingsError
from nn_assets.learning.first_month import first_model_month, first_refit_day
from nn_assets.learning.folds import fitted_month
from nn_assets.learning.refits import refits_of
from nn_assets.operations.clock import LAST_OF_A_DAY
from nn_assets.settings import Strategy
from nn_assets.settings.changes import hash_of_settings
from nn_assets.settings.search import SearchSettings
from nn_assets.store.ledger.ledger import Ledger

NESTED, CHOICE = "nested-", "choice-"
"""How the name of a trial begins that counts for no verdict, and that of a choice."""
SEARCHED_BY = "searched_by"
"""Key of the configuration of rows that a search wrote: the hash of its settings."""
_SECTIONS = ("features", "label", "learning", "walk_forward", "universe", "series", "search")
_PACE = (
    "refit_every_months",
    "refresh_tolerance_fraction",
)  # of refits in months: no trial depends on it
_PRICED_BY = ("half_spread_bps", "commission_bps", "spread_volatility")


@dataclass(frozen=True)
class Choice:
    """What a search chose: in force from a refit on, until that of the next search."""

    since: str  # 'YYYY-MM'; the day, 'YYYY-MM-DD', where refits fall on days
    parameters: Mapping[str, Any]  # by key; empty where the strategy's own configuration stays
    number: int | None  # of the trial chosen; None where none had a figure
    value: float | None  # annual net Sharpe ratio of the trial chosen
    own_value: float | None  # likewise of the strategy's own configuration
    saw_until: str  # 'YYYY-MM-DD', the last session at which a label that it saw was realised; its hour too within it
    seen: str  # hash of the features and labels that it saw
    finished: int  # trials
    pruned: int
    failed: int
    fault: str = ""  # why the strategy's own configuration stays, where nothing could be compared

    def to_row(self) -> dict[str, Any]:
        """As JSON values, without the month or day."""
        return {name: value for name, value in vars(self).items() if name != "since"}


def search_of(strategy: Strategy) -> SearchSettings:
    """The search that a strategy states.

    Raises
    ------
    SettingsError
        It states none.
    """
    if strategy.search is None:
        raise SettingsError(
            expected="a section search: what may vary, and how many trials there are",
            found="none stated",
            remedy="state search.trials and search.space; docs/study.md shows one",
            key="search",
        )
    return strategy.search


def searched_sections(strategy: Strategy) -> str:
    """Hash of the settings that a search depends on, 16 hex digits: another one's choices are none of it."""
    settings = strategy.behaviour(*_SECTIONS)
    costs = strategy.behaviour("costs")["costs"]
    steps = {name: value for name, value in settings["walk_forward"].items() if name not in _PACE}
    priced = {name: costs[name] for name in _PRICED_BY if name in costs}
    return hash_of_settings({**settings, "walk_forward": steps, "costs": priced})


def search_start(strategy: Strategy, start: str) -> str:
    """The refit whose search made the choice in force as a month or a day begins; the first where one serves all.

    Returns
    -------
    str
        'YYYY-MM'; 'YYYY-MM-DD' where refits fall on days.

    Raises
    ------
    FoldError
        It lies before the first refit.
    """
    search, first = search_of(strategy), first_start(strategy)
    if search.scope == "all_folds":
        return first
    if search.every_days is None:
        return fitted_month(f"{pd.Timestamp(start):%Y-%m}", first, search.every_months)
    since_first = (pd.Timestamp(start) - pd.Timestamp(first)).days
    if since_first < 0:
        raise FoldError(
            expected=f"a day from {first} on",
            found=start,
            remedy="ask for a month that the study covers",
            month=start,
        )
    return str((pd.Timestamp(start) - pd.Timedelta(days=since_first % search.every_days)).date())


def first_start(strategy: Strategy) -> str:
    """The first refit, whose search is the first: its month, or its day where refits fall on days."""
    if strategy.walk_forward.refit_every_days is None:
        return first_model_month(strategy)
    return str(first_refit_day(strategy, strategy.market.history_starts))


def unseen_from(strategy: Strategy, start: str) -> pd.Timestamp:
    """The first day unseen by the choice in force as a month or day begins, whichever rows a model is held out on.

    Such rows are no evidence of what its forecasts are worth: of many trials the one that did best on them was taken.

    Returns
    -------
    Timestamp
        The month or day from which a nested search's choice is in force; the first there can be without a search, and
        the last there can be for one choice over all folds.
    """
    if strategy.search is None:
        return pd.Timestamp.min
    if strategy.search.scope == "all_folds":
        return pd.Timestamp.max
    return pd.Timestamp(search_start(strategy, max(start, first_start(strategy))))


def choices_on_record(ledger: Ledger, strategy: Strategy) -> dict[str, Choice]:
    """The newest choice of each month or day that one was made for under the settings in force, in order."""
    choices = {}
    for row in _rows(ledger, strategy, choices=True):
        choices[row.configuration["month"]] = Choice(row.configuration["month"], **row.figures)
    return dict(sorted(choices.items()))


def with_choice(ledger: Ledger, strategy: Strategy, start: str) -> Strategy:
    """The strategy with the choice of its search in force as a month or a day begins; as it is without a search.

    Raises
    ------
    ModelError
        No search was made for it.
    """
    if strategy.search is None:
        return strategy
    since = search_start(strategy, start)
    choice = choices_on_record(ledger, strategy).get(since)
    if choice is None:
        made_in = refits_of(strategy).partition(since)
        raise ModelError(
            expected=f"the choice of a search, in force in {start}",
            found=f"none of {since} under the settings in force",
            remedy=f"nn-assets search --strategy {strategy.name} --from {made_in} --to {made_in}",
            strategy=strategy.name,
            month=start,
        )
    return strategy.with_parameters(choice.parameters)


def as_fitted(ledger: Ledger, strategy: Strategy, session: pd.Timestamp) -> Strategy:
    """The strategy with the choice that the scheduled model of a session was fitted by, for what is told of it.

    As its file states it where no choice is on record for that model.
    """
    if strategy.search is None:
        return strategy
    pace = refits_of(strategy)
    try:
        refits = pace.in_force(f"{session:%Y-%m}")
        refit = next((refit for refit in reversed(refits) if pd.Timestamp(refit) <= session), refits[0])
        return with_choice(ledger, strategy, refit)
    except (FoldError, ModelError):
        return strategy


def in_sample_until(ledger: Ledger, strategy: Strategy) -> pd.Timestamp | None:
    """The last moment that one choice over all folds has seen; None where every choice was made before its fold.

    Of ``learning.knows_until``, a day, its end: every decision within that day is seen.
    """
    prior, until = strategy.learning.prior, strategy.learning.knows_until
    days = [] if until is None or prior != "chosen_over_all_folds" else [pd.Timestamp(until) + LAST_OF_A_DAY]
    if strategy.search is not None and strategy.search.scope == "all_folds":
        days += [pd.Timestamp(choice.saw_until) for choice in choices_on_record(ledger, strategy).values()]
    return max(days, default=None)


def search_text(ledger: Ledger, strategy: Strategy) -> str | None:
    """The budget that was stated and what was spent of it, and the newest choice; None of a strategy without a search.

    Returns
    -------
    str
        Such as ``120 of 120 trials in 3 searches (2 pruned) and 40 in 1 search made before on other data or settings;
        from 2017-04: learning.lookback 5 (net Sharpe 0.61 on the slices judged, 0.42 as the file states it)``. Every
        trial on the ledger is in one of the counts.
    """
    if strategy.search is None:
        return None
    budget, choices = strategy.search.trials, choices_on_record(ledger, strategy)
    under_way, before = _other_trials(ledger, strategy, choices)
    if not choices:
        return f"{under_way} of {budget} trials{before}, no choice yet"
    spent = sum(choice.finished for choice in choices.values())
    counts = f"{spent} of {budget * len(choices)} trials in {len(choices)} search{'es' * (len(choices) > 1)}"
    given_up = [
        f"{count} {name}"
        for name in ("pruned", "failed")
        if (count := sum(getattr(choice, name) for choice in choices.values()))
    ]
    counts += (
        f" ({', '.join(given_up)})" * bool(given_up) + f", {under_way} in one under way" * bool(under_way) + before
    )
    newest, period = choices[max(choices)], "month" if strategy.search.every_days is None else "day"
    marked = (
        f"; one choice over all folds: in-sample up to {newest.saw_until}"
        if strategy.search.scope == "all_folds"
        else f"; each saw nothing after its {period} began, the newest nothing after {newest.saw_until}"
    )
    return f"{counts}; from {newest.since}: {choice_text(newest)}{marked}"


def _other_trials(ledger: Ledger, strategy: Strategy, choices: Mapping[str, Choice]) -> tuple[int, str]:
    """Trials that no choice in force was made of: of a search under way, and in words of those made before."""
    searches: dict[tuple[str, str, str], set[int]] = {}
    searched = searched_sections(strategy)
    rows = ledger.read("trials", strategy.name, bookkeeping=True, every_version=True).sort_values("sequence")
    for row in named_rows(rows):
        of = row.configuration
        if SEARCHED_BY in of and not row.trial_id.startswith(CHOICE):
            searches.setdefault((of[SEARCHED_BY], of["month"], row.figures["seen"]), set()).add(of["number"])
    for month, choice in choices.items():
        searches.pop((searched, month, choice.seen), None)
    newest = next(reversed(searches), None)
    # the first search of a month that ends without a choice: it was killed, and goes on
    begun = newest is not None and newest[0] == searched and newest[1] not in choices
    under_way = len(searches.pop(newest)) if newest is not None and begun else 0
    trials, count = sum(map(len, searches.values())), len(searches)
    made = f" and {trials} in {count} search{'es' * (count > 1)} made before on other data or settings"
    return under_way, made * bool(count)


def choice_text(choice: Choice) -> str:
    """What was chosen, and by what, in one line."""
    if choice.fault:
        return f"the strategy's own configuration stays: {choice.fault}"
    own = "" if choice.own_value is None or not choice.number else f", {choice.own_value:.2f} as the file states it"
    chosen = ", ".join(f"{key} {_shown(value)}" for key, value in sorted(choice.parameters.items()))
    taken = chosen if choice.number else "as the file states it"
    return f"{taken} (net Sharpe {choice.value:.2f} on the slices judged{own})"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " + ".join(map(str, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def trials_of_search(ledger: Ledger, strategy: Strategy, since: str, seen: str, code: str) -> list[Any]:
    """Rows of the finished trials of one search that saw the same, by the same code, by their numbers."""
    rows = [
        row
        for row in _rows(ledger, strategy, choices=False)
        if row.configuration["month"] == since and row.figures["seen"] == seen and row.code_version == code
    ]
    return sorted(
        {row.configuration["number"]: row for row in rows}.values(), key=lambda row: row.configuration["number"]
    )


def names_of(strategy: Strategy) -> str:
    """How the names of the trials of a strategy's search begin: those over all folds count as any other."""
    return NESTED if search_of(strategy).scope == "nested" else ""


def _rows(ledger: Ledger, strategy: Strategy, *, choices: bool) -> list[Any]:
    """Rows that searches under the settings in force wrote, in the order of the ledger."""
    rows = ledger.read("trials", strategy.name, bookkeeping=True).sort_values("sequence")
    searched = searched_sections(strategy)
    return [
        row
        for row in named_rows(rows)
        if row.configuration.get(SEARCHED_BY) == searched and row.trial_id.startswith(CHOICE) == choices
    ]
