"""One decided session derived again from what was known then, row by row, and what explains a difference.

The session is played as it was live: from the state that the session before it left on record, on the facts that were
stored by the moment of its decision, with the controls, costs, list of forecasts and calibration that are on record as
given to it, and under the settings of its hash, which the ledger keeps. Nothing is put on record. (A lost file of steps
is stored again, where it comes out as it was; features that other code made are made again, as a run does.) What can
make it another is named: other code (by the definitions that changed), settings that cannot be read any more, a model
or a table that is gone. Facts that arrived since are counted: the decision did not know them, and does not when it is
derived again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pandas as pd

from nn_assets.errors import AuditError, DecisionError, NnAssetsError, PublicationError, first_of
from nn_assets.operations.asof.settings_on_record import hashes_in_force, settings_apart, strategy_on_record
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.decision_timing import refuse_live
from nn_assets.operations.decisions.code import changed_since, decision_code
from nn_assets.operations.decisions.records import (
    compare_session,
    recorded_context,
    session_frames,
    symbols_on_record,
)
from nn_assets.operations.decisions.rounds import play_live
from nn_assets.operations.features import store_features
from nn_assets.operations.history import History, open_history
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger

_FACTS = {
    "bars": ("raw_versions", "session"),
    "corrections by the second source": ("compared_corrections", "session"),
    "corporate actions": ("action_versions", "ex_session"),
    "values of series": ("series_versions", "session"),
    "spells of members": ("membership_versions", "member_from"),
    "halts": ("halt_versions", "halted_from"),
}
_MOST = 5


@dataclass(frozen=True)
class RederivedSession:
    """What deriving a session again came to.

    Attributes
    ----------
    differing : tuple of str
        A line for each row that is not what is on record; empty where all are equal, to the bit.
    refused : str
        Why it cannot be derived at all, with what a person does about it; empty where it was.
    explained : tuple of str
        What may make it another: the code that is in force now.
    settings_then : tuple of str
        What it was derived under, where that is not what is in force.
    arrived : tuple of str
        Facts of this session and of those before it that were stored after the decision, by kind.
    """

    session: pd.Timestamp
    decided_at: pd.Timestamp
    code: str
    settings_hash: str
    model_id: str
    differing: tuple[str, ...] = ()
    refused: str = ""
    explained: tuple[str, ...] = ()
    settings_then: tuple[str, ...] = ()
    arrived: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether every row on record came out again, to the bit."""
        return not self.differing and not self.refused

    @property
    def ok(self) -> bool:
        """Whether it is equal, or what makes it differ is known."""
        return self.equal or (not self.refused and bool(self.explained))

    @property
    def lines(self) -> tuple[str, ...]:
        """What it came to, for a person, a sentence each."""
        day = f"{self.session.date()}, decided at {self.decided_at:%Y-%m-%d %H:%M:%S} UTC"
        if self.refused:
            head = f"{day}: cannot be derived again: {self.refused}"
        elif self.differing:
            rows = "; ".join(first_of(self.differing, _MOST))
            head = f"{day}: differs from what is on record by {len(self.differing)} rows: {rows}"
        else:
            head = f"{day}: derived again from what was known then, and equal to the bit"
        unexplained = self.differing and not self.explained
        return (
            head,
            *(["nothing explains it: code and settings are those that decided it"] if unexplained else []),
            *self.explained,
            *self.settings_then,
            *self.arrived,
        )


def rederive_session(strategy: Strategy, day: pd.Timestamp) -> RederivedSession:
    """Derive one decided session again, on the stores of the home.

    Raises
    ------
    DecisionError
        The session was not decided, or the strategy decides within the session.
    AuditError
        A row that is read is not as it was appended.
    """
    refuse_live(strategy)
    with open_history(strategy) as history:
        ledger = history.stores.ledger
        with ledger.rows_verified():
            decision = _decision(ledger, strategy, day)
            made = RederivedSession(
                session=day,
                decided_at=decision["recorded_at"],
                code=str(decision["code_version"]),
                settings_hash=str(decision["settings_hash"]),
                model_id=str(decision["model_id"]),
                arrived=tuple(_arrived(history, day, decision["recorded_at"])),
            )
            if made.settings_hash in hashes_in_force(ledger, strategy):
                return _derived(history, made, decision, strategy)
            apart = f"the settings were others then: {settings_apart(ledger, strategy, made.settings_hash)}"
            recorded = strategy_on_record(ledger, strategy, made.settings_hash)
            if recorded is None:
                return replace(
                    made, refused=f"{apart}; those of its hash are not on record, or are none of this version"
                )
            under = f"{apart}; it is derived under those of then"
            return _derived(
                History.of(history.stores, recorded), replace(made, settings_then=(under,)), decision, strategy
            )


def _decision(ledger: Ledger, strategy: Strategy, day: pd.Timestamp) -> pd.Series:
    """The session's row of ``decisions``."""
    decided = ledger.read("decisions", strategy.name, day, day, bookkeeping=True)
    if decided.empty:
        newest = ledger.latest("decisions", strategy.name)["session"]
        others = "none" if newest.empty else f"those up to {newest.iloc[-1].date()}"
        raise DecisionError(
            expected=f"a decided session of {strategy.name}",
            found=f"{day.date()}, which was not decided; there are {others}",
            remedy="name one that was: nn-assets status",
            strategy=strategy.name,
            session=day.date(),
        )
    return decided.iloc[-1]


def _derived(history: History, made: RederivedSession, decision: pd.Series, in_force: Strategy) -> RederivedSession:
    """The session played again, and held against its record."""
    now = decision_code(history.strategy)
    explained = list[str]()
    if now != made.code:
        changed = changed_since(history, made.code)
        explained.append(
            f"code {made.code} decided it, {now} is in force: "
            + (f"changed since: {changed}" if changed else "what changed since is not known")
        )
    made = replace(made, explained=tuple(explained))
    try:
        history = _with_features(history, made.session, in_force)
        view = history.view(made.session)
        if (symbols := symbols_on_record(history, made.session)) != view.symbols:
            apart = sorted(set(symbols or ()) ^ set(view.symbols))
            why = f"it was decided with other symbols than its session has now: {', '.join(first_of(apart))}"
            return replace(made, refused=f"{why}; what was decided stands")
        context, played = play_live(history, view, recorded_context(decision))
        frames = session_frames(history, played, context, view.data_hash)
        compared = compare_session(history, played, frames, context, view.data_hash, decision)
    except AuditError:
        raise
    except NnAssetsError as error:
        return replace(made, refused=f"{error.statement}; {error.remedy}")
    return replace(made, differing=compared.differing)


def _with_features(history: History, day: pd.Timestamp, in_force: Strategy) -> History:
    """The history with features that the code in force made; those of other code are made again, as a run does.

    Raises
    ------
    PublicationError
        They are other ones than those of the settings in force, which stay stored; or cannot be made.
    """
    try:
        _ = history.view(day).cube
    except PublicationError:
        if history.strategy.features != in_force.features:
            raise
        with history.stores.alone(history.strategy.name):
            store_features(history)
        return History.of(history.stores, history.strategy)
    return history


def _arrived(history: History, day: pd.Timestamp, decided_at: pd.Timestamp) -> Iterator[str]:
    """How many facts of the session, and of those before it, became known or were stored after its decision."""
    moment = as_of_session(history.strategy.market, day)
    for kind, (name, column) in _FACTS.items():
        versions = getattr(history, name)
        if versions is None or not len(versions):
            continue
        unknown = versions["ingested_at"] > decided_at
        if "known_at" in versions:
            unknown |= versions["known_at"] > moment
        late = versions[unknown & (versions[column] <= day)]
        if len(late):
            days = first_of([str(one.date()) for one in sorted(late[column].unique())], _MOST)
            yield f"{len(late)} {kind} arrived since, which it did not know: of {', '.join(days)}"
