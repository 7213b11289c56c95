"""Searches of hyper-parameters: the trials of each refit that one falls due with, and the choice, on the ledger.

Every trial is put on record as it ends, so that a search that was killed goes on with the one that was under way.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import pandas as pd

from nn_assets.learning.address import fit_code
from nn_assets.learning.compute import open_compute
from nn_assets.operations.asof.choices import (
    CHOICE,
    SEARCHED_BY,
    Choice,
    choice_text,
    choices_on_record,
    names_of,
    search_of,
    search_start,
    search_text,
    searched_sections,
    trials_of_search,
)
from nn_assets.operations.asof.decisions import first_undecided
from nn_assets.operations.asof.trials import OTHER_BARS, Ground, ground_of
from nn_assets.operations.history import History
from nn_assets.operations.models.preparation import due_refits
from nn_assets.operations.search.budget import chosen, nothing_found, spend
from nn_assets.operations.search.judging import Evidence, FoldJudge
from nn_assets.operations.search.sampling import FinishedTrial, TrialFile
from nn_assets.settings import Strategy
from nn_assets.settings.search import SearchSettings, own_value
from nn_assets.store.home import searches_root
from nn_assets.store.ledger.audit import verify_acts
from nn_assets.store.values import canonical_json
from nn_assets.versions import version_of

Progress = Callable[[str], None]
_MADE_BY = "nn_assets.operations.search.judging:FoldJudge"
_SO_FAR, _SO_FAR_BEFORE = "net_sharpe_so_far", "by_fold"
"""Key of a trial's figures over the folds so far, fold after fold, the last over all, and before this name it."""


def search_months(history: History, months: Sequence[str], run_id: str, tell: Progress) -> list[Choice]:
    """Make the choices in force in some months that are not on record yet; all of them, in order.

    A choice is kept once a session is decided, and as long as it saw what would be seen now; else its search is made
    again. A search that finds nothing to compare leaves the strategy's own configuration in force, and says so.

    Raises
    ------
    SettingsError
        The strategy states no search.
    AuditError
        A record of what persons, studies and trainings did is not as it was appended: nothing is searched.
    """
    verify_acts(history.stores.ledger)
    search_of(history.strategy)
    due = chain.from_iterable(due_refits(history, months).values())
    return [
        _on_record(history, since) or _Search(history, since, run_id, tell).choice()
        for since in searches_of(history.strategy, [*months, *due])
    ]


def searches_of(strategy: Strategy, starts: Iterable[str]) -> list[str]:
    """The searches whose choices are in force as some months, or the days of refits, begin, in order."""
    return sorted({search_start(strategy, start) for start in starts})


def _on_record(history: History, since: str) -> Choice | None:
    """The choice that a search made, where it stands."""
    choice = choices_on_record(history.stores.ledger, history.strategy).get(since)
    if choice is None or first_undecided(history.stores.ledger, history.strategy) is not None:
        return choice
    if search_of(history.strategy).scope == "all_folds":
        return choice  # it says until when it has seen; what came since counts
    return choice if choice.seen == Evidence.of(history, since).address else None


def choices_metadata(history: History, choices: Sequence[Choice]) -> dict[str, Any]:
    """What an operator sees of the choices in force in some months, by name."""
    if not choices:
        return {"searches": 0}
    return {
        "searches": len(choices),
        "trials": sum(choice.finished for choice in choices),
        "budget": str(search_text(history.stores.ledger, history.strategy)),
        "choices": pd.DataFrame(
            [(choice.since, choice_text(choice), choice.saw_until) for choice in choices],
            columns=["from", "choice", "saw_until"],
        ),
    }


@dataclass(eq=False)
class _Search:
    """One search: its evidence, its trials, and where they are kept."""

    history: History
    since: str  # the month or day from which its choice is in force
    run_id: str
    tell: Progress

    @property
    def strategy(self) -> Strategy:
        """The strategy as its file states it."""
        return self.history.strategy

    @property
    def search(self) -> SearchSettings:
        """What may vary, and how many trials there are."""
        return search_of(self.strategy)

    @cached_property
    def evidence(self) -> Evidence:
        """All that the trials see."""
        return Evidence.of(self.history, self.since)

    @cached_property
    def seen(self) -> str:
        """Its hash."""
        return self.evidence.address

    @cached_property
    def code(self) -> str:
        """Version of the code that fits and judges trials, 16 hex digits: that of every network among them."""
        networks = self.search.space.get("learning.network")
        names = [self.strategy.learning.network] if networks is None else sorted(map(str, networks.choices))
        fits = [fit_code(self.strategy.with_parameters({"learning.network": name})) for name in names]
        return hashlib.sha256("".join([version_of(_MADE_BY), *fits]).encode()).hexdigest()[:16]

    @cached_property
    def ground(self) -> Ground:
        """The bars published now, by which trials over all folds are counted."""
        data_hash = self.history.covering(self.history.last_session).content_hash
        return ground_of(self.strategy.name, data_hash, self.history.view().bars)

    def choice(self) -> Choice:
        """Spend what is left of the budget, choose, and put the choice on record."""
        learning, search = self.strategy.learning, self.search
        finished = self._finished()
        name = f"{self.strategy.name} {self.since} {searched_sections(self.strategy)} {self.seen} {self.code}"
        file = TrialFile(searches_root() / f"{self.strategy.name}.journal", name, search.space, finished)
        folds = len(self.evidence.folds)
        self.tell(
            f"search of {self.since}: {len(finished)} of {search.trials} trials on record, each judged on "
            f"{folds} fold{'s' * (folds != 1)}; nothing is seen after {self.evidence.saw_until}"
        )
        at_once = min(learning.processes, search.at_once)
        compute = open_compute(learning.compute if at_once > 1 else "here", at_once, learning.compute_settings)
        if len(finished) < search.trials:
            with compute as where:
                judge = FoldJudge(self.evidence, where)
                seed = f"{search.seed}:{self.since}"
                finished = spend(search, self._own(), finished, seed, judge, _Kept(self, file))
        choice = self._chosen(finished)
        self._append([self._row({"choice": dict(choice.parameters)}, choice.to_row(), CHOICE)])
        self.tell(f"search of {self.since}: {choice_text(choice)}")
        return choice

    def _own(self) -> dict[str, Any]:
        """What the strategy itself states for the keys that vary, where the ranges hold it."""
        learning, features = self.strategy.learning, self.strategy.features
        own = {key: own_value(key, learning, features) for key in self.search.space}
        return own if all(values.holds(own[key]) for key, values in self.search.space.items()) else {}

    def _finished(self) -> list[FinishedTrial]:
        """Trials on record that saw the same, by the same code."""
        rows = trials_of_search(self.history.stores.ledger, self.strategy, self.since, self.seen, self.code)
        return [
            FinishedTrial(
                row.configuration["number"],
                row.configuration["parameters"],
                row.figures["state"],
                row.figures["net_sharpe"],
                tuple(row.figures[_SO_FAR if _SO_FAR in row.figures else _SO_FAR_BEFORE]),
                row.figures["why"],
            )
            for row in rows[: self.search.trials]
        ]

    def keep(self, trial: FinishedTrial) -> None:
        """Put a trial that ended on record."""
        per_session = None if trial.value is None else trial.value / self.evidence.sessions_per_year**0.5
        figures = {
            "net_sharpe": trial.value,
            "sharpe_per_session": per_session,
            _SO_FAR: list(trial.by_fold),
            "state": trial.state,
            "why": trial.why,
            "seen": self.seen,
            "saw_until": self.evidence.saw_until,
        }
        learning = self.strategy.learning
        seeds = list(range(learning.seed, learning.seed + self.search.ensemble))
        configuration = {"number": trial.number, "parameters": dict(trial.parameters), "seeds": seeds}
        self._append([self._row(configuration, figures, names_of(self.strategy))])

    def _row(self, configuration: Mapping[str, Any], figures: Mapping[str, Any], kind: str) -> dict[str, Any]:
        of_search = {SEARCHED_BY: searched_sections(self.strategy), "month": self.since, **configuration}
        content = canonical_json([of_search, self.seen])
        return {
            "trial_id": kind + hashlib.sha256(content.encode()).hexdigest()[:16],
            "data_hash": self.ground.data_hash,
            "code_version": self.code,
            "study_id": None,
            "configuration": json.loads(json.dumps(of_search)),
            "figures": json.loads(json.dumps(figures)),
        }

    def _append(self, rows: list[dict[str, Any]]) -> None:
        with self.history.stores.ledger.transaction(self.run_id, strategy=self.strategy.name) as transaction:
            transaction.append("data_fingerprints", [self.ground.to_row()], reason=OTHER_BARS)
            transaction.append("trials", rows, reason="the search was made again")

    def _chosen(self, finished: Sequence[FinishedTrial]) -> Choice:
        best = chosen(finished)
        values = {trial.number: trial.value for trial in finished}
        return Choice(
            since=self.since,
            parameters={} if best is None else best.parameters,
            number=None if best is None else best.number,
            value=None if best is None else best.value,
            own_value=values.get(0),
            saw_until=self.evidence.saw_until,
            seen=self.seen,
            finished=len(finished),
            pruned=sum(trial.state == "pruned" for trial in finished),
            failed=sum(trial.state == "failed" for trial in finished),
            fault="" if best is not None else str(nothing_found(self.strategy.name, self.since, finished)),
        )


class _Kept:
    """Trials of a search as they begin and end: on the ledger, in Optuna's file, and told with what is left."""

    def __init__(self, search: _Search, file: TrialFile) -> None:
        self._search, self._file = search, file
        self._rows: dict[int, int] = {}
        self._began, self._ended = time.monotonic(), 0

    def begin(self, number: int, parameters: Mapping[str, Any]) -> None:
        """A trial is under way."""
        self._rows[number] = self._file.begin(number, parameters)

    def end(self, trial: FinishedTrial, finished: Sequence[FinishedTrial]) -> None:
        """A trial ended; ``finished`` are all so far."""
        self._search.keep(trial)
        self._file.end(self._rows.pop(trial.number), trial)
        self._ended += 1
        left = (time.monotonic() - self._began) / self._ended * (self._search.search.trials - len(finished))
        best = chosen(finished)
        compared = "none has a figure yet" if best is None else f"best net Sharpe {best.value:.2f}"
        minutes = f"; about {round(left / 60)} min left" if left >= 30 else ""
        spent = f"{len(finished)} of {self._search.search.trials} trials"
        self._search.tell(f"search of {self._search.since}: {spent}, {compared}{minutes}")
