"""All that is known at one decision: cut once, read-only, each stored thing read once.

The facts (bars, actions, series, members) are those of the session's own moment, features and labels follow from
them, and verdict, costs and controls are those of that moment too. A model states from which session on it is in force:
a session that is decided late is decided by the one fitted for it, though it was fitted late as well.
A view shows nothing of later sessions, whatever has arrived since.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from nn_assets.arrays import BoolArray, Cube, read_only
from nn_assets.contracts.frames import ActionVersions, DailyBars
from nn_assets.costs.model import CostModel
from nn_assets.features.labels import Labels
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import Panel
from nn_assets.operations.asof.actions import data_hash_of
from nn_assets.operations.asof.alarms import alarm_in_force
from nn_assets.operations.asof.capacity import capacity_in_force
from nn_assets.operations.asof.controls import breaker_reset_for, fill_moment, kill_switches_of, unfinished_run_before
from nn_assets.operations.asof.costs import cost_model, costs_in_force
from nn_assets.operations.asof.models import ModelsInForce, models_in_force
from nn_assets.operations.asof.series import series_known
from nn_assets.operations.asof.studies import is_leak_alarm, study_in_force
from nn_assets.operations.clock import as_of_session, counts_until
from nn_assets.operations.cut import Cut
from nn_assets.operations.facts import StoredFacts
from nn_assets.session.daily_round import Controls
from nn_assets.session.market_view import MarketView, SessionMarket


@dataclass(frozen=True, eq=False)
class SessionView:
    """What one session's decision may see. Frames and arrays are to be read only."""

    _facts: StoredFacts
    session: pd.Timestamp
    row: int  # of the session on the axis
    _cut: Cut

    @property
    def moment(self) -> pd.Timestamp:
        """When the session is decided, UTC."""
        return as_of_session(self._facts.strategy.market, self.session)

    @property
    def decided_at(self) -> pd.Timestamp | None:
        """When the session was put on record, UTC; None while it is undecided."""
        return self._facts.decided_at(self.session)

    # --- facts -----------------------------------------------------------------------------------------

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """The session axis up to the session, (bars,)."""
        return self._facts.sessions(self.session)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbol axis."""
        return self._cut.symbols

    @cached_property
    def bars(self) -> DailyBars:
        """Clean bars, columns of ``BARS``."""
        bars = self._cut.bars
        return bars[bars["session"] <= self.session].reset_index(drop=True)

    @cached_property
    def actions(self) -> ActionVersions | None:
        """The stated actions, and factors between two bars that none explains, as splits; None without any."""
        return self._until(self._cut.actions)

    @cached_property
    def published_actions(self) -> ActionVersions | None:
        """Splits and dividends up to the session; None where none were ever published."""
        return self._until(self._cut.published_actions)

    def _until(self, actions: ActionVersions | None) -> ActionVersions | None:
        return None if actions is None else actions[actions["ex_session"] <= self.session].reset_index(drop=True)

    @cached_property
    def data_hash(self) -> str:
        """Hash of bars and actions, 64 hex digits: the same however much comes later."""
        return data_hash_of(self.bars, self.published_actions)

    @cached_property
    def panel(self) -> Panel:
        """Bars and actions as arrays, (bars, symbols)."""
        return self._cut.panel.until(self.session)

    @cached_property
    def members(self) -> BoolArray | None:
        """Members of the universe on each session, (bars, symbols); None without a universe."""
        return None if self._cut.members is None else self._cut.members[: self.row + 1]

    @property
    def halted(self) -> BoolArray | None:
        """Symbols known at the decision to be halted on the session, (symbols,); None where none ever was."""
        return None if self._cut.halted is None else self._cut.halted[self.row]

    def series(self, name: str) -> KnownSeries:
        """One of the other series, (bars, symbols).

        Raises
        ------
        SettingsError
            The strategy names no such series.
        """
        known = series_known(self._facts.strategy, self._facts.series_versions, name, self.sessions, self.symbols)
        for array in vars(known).values():
            read_only(array)
        return known

    # --- what follows from them ------------------------------------------------------------------------

    @cached_property
    def cube(self) -> Cube:
        """Features, (bars, symbols, features).

        Raises
        ------
        PublicationError
            There are no features of the published bars, or other code made them.
        """
        return self._cut.cube.until(self.session)

    @cached_property
    def labels(self) -> Labels:
        """What is learned; NaN where a label is not realised yet."""
        return self._cut.labels.until(self.row)

    @cached_property
    def market_history(self) -> MarketView:
        """What each session up to this one shows of its market, by what is known at this one."""
        return self._cut.market.until(self.row)

    def market_on(self, session: pd.Timestamp) -> SessionMarket:
        """What a session up to this one shows of its market, by what is known at this one.

        Raises
        ------
        SchemaError
            The session is a later one.
        """
        return self.market_history.at(self.panel.row(session))

    @property
    def market(self) -> SessionMarket:
        """What the session shows of its market."""
        return self.market_on(self.session)

    # --- records in force ------------------------------------------------------------------------------

    @cached_property
    def _models(self) -> ModelsInForce:
        return models_in_force(self._facts.stores.ledger, self._facts.strategy, self.decided_at)

    @cached_property
    def models(self) -> ModelsInForce:
        """Which models decide which sessions up to this one."""
        return self._models.until(self.session)

    @cached_property
    def model_id(self) -> str:
        """Address of the model that decides the session.

        Raises
        ------
        ModelError
            None is in force.
        """
        return self._models.on(self.session)

    @cached_property
    def study(self) -> pd.Series | None:
        """The newest study whose record ended before the session's month, and that was there; None without one."""
        return study_in_force(self._facts.stores.ledger, self._facts.strategy, self.session, self.decided_at)

    @cached_property
    def under_alarm(self) -> bool:
        """Whether a leak alarm stands: by the verdict, or for the strategy's data under whatever settings it rang."""
        if self.study is not None and is_leak_alarm(self.study):
            return True
        ledger, strategy = self._facts.stores.ledger, self._facts.strategy
        return alarm_in_force(ledger, strategy, lambda: self.bars, self.session, self.decided_at) is not None

    @cached_property
    def cost_model_id(self) -> str | None:
        """Id of the cost model in force; None while the settings' own coefficients hold."""
        ledger, strategy = self._facts.stores.ledger, self._facts.strategy
        until = counts_until(strategy.market, self.session, self.decided_at)
        return costs_in_force(ledger, strategy.name, until).on(self.session)

    @cached_property
    def costs(self) -> CostModel:
        """The cost model in force."""
        return cost_model(self._facts.stores.ledger, self._facts.strategy, self.cost_model_id)

    @cached_property
    def controls(self) -> Controls:
        """The verdict and what a person set, each as it stood at the session's own moments."""
        ledger, strategy, decided = self._facts.stores.ledger, self._facts.strategy, self.decided_at
        filled_at = fill_moment(strategy, self.session)
        switch, before_fill = kill_switches_of(ledger, strategy, self.moment, filled_at, decided)
        allows = self.study is not None and bool(self.study["figures"]["allows_trading"])
        return Controls(
            verdict_allows=allows,
            leak_alarm=(allows or strategy.trade_without_verdict) and self.under_alarm,
            kill_switch=switch,
            kill_switch_before_fill=before_fill,
            breaker_reset=breaker_reset_for(ledger, strategy, self.session, decided),
            capacity_usd=capacity_in_force(ledger, strategy, counts_until(strategy.market, self.session, decided)).on(
                self.session
            ),
            unfinished_run=unfinished_run_before(ledger, strategy, self.session, self._facts.decision_moments),
        )
