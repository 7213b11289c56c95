"""The facts known at one session, as arrays on the session axis up to it, each made once.

Made for the last session of a stretch, a cut serves all of its sessions: row t of every array reads nothing that
was not known at t, to the bit. A decision reads it through ``operations/session_view.py``, which ends with its session.
What goes over many sessions reads the cut itself (training, forecasts, studies, drift, costs): one pass serves
them all, so its arrays outrun each session but the last, and their reader takes rows up to its own session. Here
the bar becomes a number in the panel, and with others a feature, a label, a volatility; features go to
``operations/models/forecasts.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, Cube, read_only
from nn_assets.contracts.frames import ActionVersions, BarDetails, BarVersions, DailyBars
from nn_assets.errors import PublicationError, first_of
from nn_assets.features.labels import Labels, make_labels
from nn_assets.market.calendar.decision_bars import earned_within
from nn_assets.market.cash import cash_rates
from nn_assets.market.facts.actions import actions_as_of
from nn_assets.market.facts.bars import known_bars, restated_since, saying_something_new
from nn_assets.market.facts.bitemporal import DETAIL_FACTS
from nn_assets.market.panel import Panel, panel_from_bars
from nn_assets.market.quality.cleaning import clean
from nn_assets.market.quality.unexplained_factors import with_unexplained_factors
from nn_assets.operations.asof.known_details import details_as_of
from nn_assets.operations.asof.series import funding_known, greeks_known, known_by_role
from nn_assets.operations.clock import as_of_session, now_utc, seen_until
from nn_assets.operations.derived import (
    FEATURES,
    feature_codes,
    feature_names,
    features_of,
    features_on_record,
    made_with,
    names_code,
    prices_for_features,
    record_of,
)
from nn_assets.operations.facts import StoredFacts
from nn_assets.operations.markov_fits import fitted_once
from nn_assets.session.day_sizes import days_of
from nn_assets.session.market_view import MarketView, market_view
from nn_assets.session.missing_bars import sessions_read
from nn_assets.session.regime_naming import regime_naming
from nn_assets.session.volatility_used import of_relative_returns

_MOST_STALE = 8


@dataclass(frozen=True, eq=False)
class Cut:
    """What is known at the decision of ``last``: clean bars, actions, and what follows from them.

    Rows up to an earlier session of the stretch are those of a cut made for it, but for labels: one that is realised
    later stands in its row, and ``labels.until(row)`` takes it away.
    """

    facts: StoredFacts
    last: pd.Timestamp
    _narrow: dict[tuple[str, ...], Cut] = field(default_factory=dict, repr=False)

    def of(self, session: pd.Timestamp) -> Cut:
        """The cut on the symbol axis of one of its sessions: where none is stated, those with a bar by then.

        Symbols listed later are not on earlier axes, so that earlier models and decisions stay what they were.
        """
        if self.facts.strategy.market.symbols:
            return self
        listed = self.first_rows <= int(self.sessions.searchsorted(session))
        symbols = tuple(symbol for symbol, there in zip(self.symbols, listed, strict=True) if there)
        if symbols == self.symbols:
            return self
        if symbols not in self._narrow:
            self._narrow[symbols] = NarrowCut(self.facts, self.last, whole=self, axis=symbols)
        return self._narrow[symbols]

    @cached_property
    def first_rows(self) -> npt.NDArray[np.int64]:
        """Row of each symbol's first bar, (symbols,); the number of sessions where it has none."""
        firsts = self.bars.groupby("symbol", observed=True)["session"].min().reindex(list(self.symbols))
        rows = self.sessions.searchsorted(pd.DatetimeIndex(firsts))
        return np.where(firsts.isna(), len(self.sessions), rows).astype(np.int64)

    @cached_property
    def moment(self) -> pd.Timestamp:
        """When ``last`` is decided, UTC: versions known later are not there."""
        return as_of_session(self.facts.strategy.market, self.last)

    @cached_property
    def decided_at(self) -> pd.Timestamp | None:
        """When ``last`` was put on record, if it was: versions stored later were not there to decide on."""
        return self.facts.decided_at(self.last)

    @cached_property
    def bars_are_published(self) -> bool:
        """Whether the published bars, cut at ``last``, are those known at it."""
        raw = self.facts.raw_versions
        if restated_since(raw[raw["session"] <= self.last], self.moment, ingested_by=self.decided_at):
            return False
        later = self.facts.compared_corrections
        if self._hidden(later[later["session"] <= self.last]).any():
            return False
        versions = self.action_versions
        # Stated splits tell a factor from a fault: bars are judged by those known then.
        return versions is None or not self._hidden(versions[versions["kind"] == "split"]).any()

    @cached_property
    def bars(self) -> DailyBars:
        """Clean bars known at the decision, columns of ``BARS``: those published, or the versions known then."""
        facts = self.facts
        facts.covering(self.last)
        if self.bars_are_published:
            published = facts.published_bars
            return published[published["session"] <= self.last].reset_index(drop=True)
        raw = facts.raw_versions
        known_versions = known_bars(raw[raw["session"] <= self.last], self.moment, ingested_by=self.decided_at)
        compared = facts.compared_until(self.moment, self.decided_at)
        judged_by = facts.strategy.cleaning, self.published_actions, compared
        return clean(known_versions, facts.strategy.market.calendar, *judged_by).bars

    @cached_property
    def action_versions(self) -> ActionVersions | None:
        """Every version of the actions of sessions up to ``last``, those not known yet among them."""
        versions = self.facts.action_versions
        return None if versions is None else versions[versions["ex_session"] <= self.last]

    @cached_property
    def published_actions(self) -> ActionVersions | None:
        """Splits and dividends up to ``last`` as known at its decision; None where none were ever published."""
        versions = self.action_versions
        return None if versions is None else actions_as_of(versions, self.moment, ingested_by=self.decided_at)

    @cached_property
    def actions(self) -> ActionVersions | None:
        """The stated actions, and the factors between two bars that none of them explains, as splits."""
        if self.facts.strategy.market.binary:  # a price may move by any factor
            return self.published_actions
        return with_unexplained_factors(self.published_actions, self.bars)

    @cached_property
    def details(self) -> BarDetails | None:
        """What is known of bars beside prices and volume at the decision; None where no feature reads any."""
        versions = self._detail_versions
        return None if versions is None else details_as_of(versions, self.moment, ingested_by=self.decided_at)

    @cached_property
    def _detail_versions(self) -> BarDetails | None:
        versions = self.facts.detail_versions
        return None if versions is None else versions[versions["session"] <= self.last]

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """The session axis up to ``last``."""
        return self.facts.sessions(self.last)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbol axis."""
        return self.facts.symbols

    @cached_property
    def panel(self) -> Panel:
        """Bars and actions as arrays, (bars, symbols)."""
        convention = self.facts.strategy.market.adjustment_convention
        return panel_from_bars(
            self.bars, self.sessions, self.symbols, self.actions, convention, self.details, self.halted
        )

    @cached_property
    def members(self) -> BoolArray | None:
        """Members of the universe on each session, as it knew them, (bars, symbols); None without a universe."""
        members = self.facts.members(self.sessions, self.symbols)
        return None if members is None else read_only(members)

    @cached_property
    def halted(self) -> BoolArray | None:
        """Symbols halted on each session, as it knew them, (bars, symbols); None where none ever was."""
        halted = self.facts.halted(self.sessions, self.symbols)
        return None if halted is None else read_only(halted)

    @cached_property
    def market(self) -> MarketView:
        """The sizes that costs and limits are measured by, session by session."""
        strategy = self.facts.strategy
        funding = funding_known(strategy, self.facts.series_versions, self.sessions, self.symbols)
        missing = strategy.features.max_missing_bars_fraction
        naming = regime_naming(strategy, self.sessions, partial(fitted_once, self.facts))
        return market_view(
            self.panel,
            strategy.portfolio,
            self.members,
            funding,
            max_missing_fraction=missing,
            regime_naming=naming,
            halted=self.halted,
            halt_reach=0 if self.halted is None else self._halt_reach,
            days=days_of(strategy.market.calendar, self.sessions),
            greeks=greeks_known(strategy, self.facts.series_versions, self.sessions, self.symbols),
        )

    @property
    def _halt_reach(self) -> int:
        """Sessions, the newest included, in which a halt may leave a fact of a decision missing."""
        strategy = self.facts.strategy
        missing = strategy.features.max_missing_bars_fraction
        of_forecast = sessions_read(self.feature_names, strategy.learning.lookback, missing)
        return max(of_forecast, strategy.portfolio.correlation_sessions, strategy.portfolio.covariance_sessions)

    @cached_property
    def labels(self) -> Labels:
        """What is learned; row t is known from its ``realised_row`` on, NaN where that lies beyond the axis."""
        strategy = self.facts.strategy
        rate = cash_rates(strategy.market, self.sessions) / self.facts.sessions_per_year
        missing = strategy.features.max_missing_bars_fraction
        variance = strategy.portfolio.volatility != "ewma" or strategy.of_no_direction
        total = self.panel if strategy.market.binary else self.panel.total_return()
        made = make_labels(
            total,
            strategy.label,
            rate,
            self.members,
            missing,
            variance=variance,
            beside_the_median=of_relative_returns(strategy),
        )
        if strategy.decisions is None or strategy.decisions.overnight == "held":
            return made
        span = strategy.label.horizon_sessions + strategy.label.execution_lag_sessions
        return made.where(earned_within(strategy.market.calendar, self.sessions, span))

    @cached_property
    def cube(self) -> Cube:
        """Features, (bars, symbols, features): those stored where they are of the facts known, else made anew.

        Raises
        ------
        PublicationError
            There are no features of the published bars, or other code made them.
        """
        record = self._features_record()
        if not (self.bars_are_published and self._actions_are_published and self._details_are_published):
            return self.compute_cube()
        if record.get("made_with") != made_with(self.facts):
            return self.compute_cube()  # other settings, or series or members that came since
        return self._stored(record)

    @property
    def stored_cube(self) -> Cube:
        """Features as they are stored, cut at ``last``, whatever is known of their facts; errors as of ``cube``."""
        return self._stored(self._features_record())

    def _stored(self, record: pd.Series) -> Cube:
        name = self.facts.strategy.name
        return self.facts.stores.lake.read_cube(name, FEATURES, str(record["address"])).until(self.last)

    @property
    def _actions_are_published(self) -> bool:
        versions = self.action_versions
        if versions is None:
            return True
        return not self._hidden(versions).any()

    @property
    def _details_are_published(self) -> bool:
        versions = self._detail_versions
        if versions is None:
            return True
        return saying_something_new(versions, self._hidden(versions).to_numpy(), DETAIL_FACTS).empty

    def _hidden(self, versions: BarVersions) -> pd.Series:
        """Versions that the decision of ``last`` could not know."""
        hidden = versions["known_at"] > self.moment
        return hidden if self.decided_at is None else hidden | (versions["ingested_at"] > self.decided_at)

    def _features_record(self) -> pd.Series:
        facts = self.facts
        name = facts.strategy.name
        record = facts.stores.lake.read_table(name, record_of(FEATURES)).iloc[-1]
        facts.stores.publications.require(name, self.last, str(record["data_hash"]))
        on_record = features_on_record(record)
        codes = feature_codes(list(on_record))
        stale = [feature for feature, origin in on_record.items() if origin["code"] != codes.get(feature)]
        if stale or not on_record or record["names_code"] != names_code(facts.strategy):
            raise PublicationError(
                expected="features computed by the code in force",
                found=f"other code behind {', '.join(first_of(stale, _MOST_STALE)) or 'all of them'}",
                remedy="make the features again of the published bars: nn-assets run and study do",
                strategy=name,
            )
        return record

    @cached_property
    def feature_prices(self) -> Panel:
        """Prices that features are computed from, (bars, symbols)."""
        return prices_for_features(self.panel, self.facts.strategy)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features of a cube that is made anew."""
        return feature_names(self.feature_prices, self.facts.strategy, self.members)

    def compute_cube(self, until: pd.Timestamp | None = None, names: Sequence[str] | None = None) -> Cube:
        """Compute features of the facts known, or of their part up to a session: the strategy's, or those named."""
        strategy, prices = self.facts.strategy, self.feature_prices
        if until is not None:
            prices = prices_for_features(self.panel.until(until), strategy)
        members = None if self.members is None else self.members[: prices.session_count]
        if names is None:
            names = feature_names(prices, strategy, members)
        series = known_by_role(strategy, self.facts.series_versions, prices.sessions, prices.symbols)
        return features_of(prices, strategy, series, self.facts.sessions_per_year, names, members)


@dataclass(frozen=True, eq=False)
class NarrowCut(Cut):
    """A cut on fewer symbols, of the same facts: row for row what a cut without the others would be."""

    whole: Cut = field(kw_only=True)
    axis: tuple[str, ...] = field(kw_only=True)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbol axis."""
        return self.axis

    @property
    def bars(self) -> DailyBars:
        """Clean bars known at the decision of ``last``, those of symbols off the axis among them."""
        return self.whole.bars

    @property
    def published_actions(self) -> ActionVersions | None:
        """As of the whole cut."""
        return self.whole.published_actions

    @property
    def actions(self) -> ActionVersions | None:
        """As of the whole cut."""
        return self.whole.actions

    @cached_property
    def cube(self) -> Cube:
        """The columns of the whole cut's features: each depends on its symbol, the members and the market symbol."""
        return self.whole.cube.of_symbols(self.axis)


class PublishedCut(Cut):
    """The facts as they are published, whatever single sessions knew of them: stored features are made of these.

    A session reads stored features only where it knows all of these facts; see :attr:`Cut.cube`.
    """

    @cached_property
    def moment(self) -> pd.Timestamp:
        """Until when what became known was judged and published, UTC."""
        return seen_until(self.facts.strategy.market, self.last, now_utc())

    @cached_property
    def decided_at(self) -> pd.Timestamp | None:
        """None: nothing that was stored is left out."""
        return None

    @cached_property
    def bars_are_published(self) -> bool:
        """True, by definition."""
        return True
