"""A strategy: all sections together, what they demand of each other, and which of them can change a result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from math import ceil
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from nn_assets.errors import PluginError
from nn_assets.plugins import NOT_PLAIN, declared_by, names_of, no_such_member, stated_by
from nn_assets.settings.beside_signals import NoveltySettings, RangeSettings
from nn_assets.settings.changes import hash_of_settings, part_of_settings
from nn_assets.settings.data_sections import (
    DecisionBarsSettings,
    FundingSeriesSettings,
    HaltsSettings,
    IntradaySettings,
    SeriesSettings,
    UniverseSettings,
)
from nn_assets.settings.horizon import MINUTES_OF_A_DAY, horizon_told, sessions_of_hours
from nn_assets.settings.search import SearchSettings, search_faults, with_parameters
from nn_assets.settings.section import NeverCounts, Section, WhenSet
from nn_assets.settings.sections import (
    BROKERS_OF_ITS_OWN,
    COMPUTES_OF_ITS_OWN,
    LABEL_OF_BINARIES,
    LABELS_OF_ITS_OWN,
    LABELS_OF_NO_DIRECTION,
    LABELS_OF_VALUES,
    LABELS_SIZED_PER_NAME,
    LABELS_TRADED,
    LOOKBACK_WITHIN_THE_SESSION,
    NETWORKS_OF_ITS_OWN,
    RETURNS_TO_GROUP,
    SIZES_BY_IT,
    VENUES_OF_ITS_OWN,
    CleaningSettings,
    CostSettings,
    ExecutionSettings,
    FeatureSettings,
    GateSettings,
    LabelSettings,
    LearningSettings,
    MarketSettings,
    OversightSettings,
    PortfolioSettings,
    RegimeSettings,
    WalkForwardSettings,
)
from nn_assets.settings.sources import TAKEN_SOURCE, SourceSection, SourceSettings, UncheckedSource

CLOSES_NEED = "source.closes_only needs"
"""How the message begins of what a source of closes alone asks of other keys."""


def _unknown_series(role: str, name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(names), n=1)
    meant = f", did you mean {near[0]}?" if near else ""
    return f"features.series.{role} names {name}, which series does not{meant}"


class Strategy(Section):
    """Everything a strategy is. Two with the same :meth:`content_hash` behave alike to the bit.

    ``plugins`` names Python files, relative to the strategy's, or entry points of installed packages, that register
    features, labels, networks and other members; what of them is used counts by its own code.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
    description: NeverCounts[str] = ""
    owner: NeverCounts[str] = "team:quants"
    plugins: NeverCounts[tuple[str, ...]] = ()
    source: SourceSettings = SourceSection(kind=TAKEN_SOURCE)
    market: MarketSettings
    cleaning: CleaningSettings = CleaningSettings()
    gate: GateSettings = GateSettings()
    features: FeatureSettings = FeatureSettings()
    label: LabelSettings = LabelSettings()
    learning: LearningSettings = LearningSettings()
    walk_forward: WalkForwardSettings = WalkForwardSettings()
    search: WhenSet[SearchSettings | None] = None
    costs: CostSettings = CostSettings()
    portfolio: PortfolioSettings = PortfolioSettings()
    execution: ExecutionSettings = ExecutionSettings()
    oversight: OversightSettings = OversightSettings()
    series: tuple[SeriesSettings, ...] = ()
    universe: UniverseSettings | None = None
    intraday: IntradaySettings | None = None
    regimes: WhenSet[RegimeSettings | None] = None
    novelty: WhenSet[NoveltySettings | None] = None
    ranges: NeverCounts[RangeSettings | None] = None
    halts: WhenSet[HaltsSettings | None] = None
    trade_without_verdict: bool = False

    @model_validator(mode="after")
    def _members_are_there(self) -> Strategy:
        twice = {reference for reference in self.plugins if self.plugins.count(reference) > 1}
        if twice:
            duplicates = f"{', '.join(sorted(twice))} twice"
            raise PluginError(expected="each plug-in once", found=duplicates, remedy="name it once", key="plugins")
        members: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
            ("label.kind", "label", self.label.kind, tuple(LABELS_OF_ITS_OWN)),
            ("learning.network", "network", self.learning.network, tuple(NETWORKS_OF_ITS_OWN)),
            ("learning.compute", "compute", self.learning.compute, COMPUTES_OF_ITS_OWN),
            ("execution.broker", "broker", self.execution.broker, (*BROKERS_OF_ITS_OWN, *VENUES_OF_ITS_OWN)),
            *(("portfolio.constraints", "constraint", name, ()) for name in self.portfolio.constraints),
            *(
                ("search.space.learning.network", "network", name, tuple(NETWORKS_OF_ITS_OWN))
                for name in self._networks
            ),
        )
        for key, kind, name, own in members:
            brought = names_of(kind, self.plugins)  # None: known only once they run
            if kind == "broker" and brought is not None:
                venues = names_of("venue", self.plugins)
                brought = None if venues is None else brought | venues
            if name not in own and brought is not None and name not in brought:
                raise ValueError(no_such_member(kind, key, name, (*own, *sorted(brought))).found)
        if self.label.settings and "kind" not in self.label.model_fields_set:
            kinds = (*LABELS_OF_ITS_OWN, *sorted(names_of("label", self.plugins) or ()))
            raise ValueError(
                f"label.settings are those of one kind of label, and label.kind is left out: state label.kind, one of "
                f"{', '.join(kinds)}"
            )
        return self

    @model_validator(mode="after")
    def _horizon_counts_decisions(self) -> Strategy:
        """Before the rules that read it."""
        hours, market = self.label.horizon_hours, self.market
        if hours is not None:
            count = sessions_of_hours(hours, decision_minutes=self._decision_minutes, calendar=market.calendar)
            label = self.label.model_copy(update={"horizon_sessions": count})
            label.model_fields_set.discard("horizon_sessions")  # still stated in hours, and once
            object.__setattr__(self, "label", label)  # frozen from here on
        return self

    @model_validator(mode="after")
    def _lookback_of_decisions_within_the_session(self) -> Strategy:
        if self.decisions is not None and "lookback" not in self.learning.model_fields_set:
            learning = self.learning.model_copy(update={"lookback": LOOKBACK_WITHIN_THE_SESSION})
            learning.model_fields_set.discard("lookback")  # still left out
            object.__setattr__(self, "learning", learning)  # frozen from here on
        return self

    @property
    def _decision_minutes(self) -> int:
        return 0 if self.intraday is None else self.intraday.decision_minutes

    @property
    def horizon_in_bars(self) -> bool:
        """Whether :attr:`horizon_text` says hours and a count both."""
        return bool(self._decision_minutes) or self.label.horizon_hours is not None

    @property
    def horizon_text(self) -> str:
        """The label's horizon for people: in sessions, or within the session in hours and decision bars both."""
        return horizon_told(
            self.label.horizon_sessions,
            decision_minutes=self._decision_minutes,
            in_hours=self.label.horizon_hours is not None,
            calendar=self.market.calendar,
        )

    @property
    def _networks(self) -> tuple[str, ...]:
        """Networks that a search chooses among."""
        space = {} if self.search is None else self.search.space
        return tuple(map(str, space["learning.network"].choices)) if "learning.network" in space else ()

    @model_validator(mode="after")
    def _search_varies_what_can_be(self) -> Strategy:
        if self.search is not None:
            faults = list(search_faults(self.search, self.learning, self.features, self.walk_forward))
            if faults:
                raise ValueError("; ".join(faults))
        return self

    def with_parameters(self, parameters: Mapping[str, Any]) -> Self:
        """The strategy with other values for keys that its search may vary; ValueError where a section refuses one."""
        if not parameters:
            return self
        learning, features = with_parameters(self.learning, self.features, parameters)
        return self.model_copy(update={"learning": learning, "features": features})

    @property
    def _label_is_relative(self) -> bool:
        """What its member says of it, read off a plug-in's text."""
        kind = self.label.kind
        if kind in LABELS_OF_ITS_OWN:
            return LABELS_OF_ITS_OWN[kind]
        relative = declared_by("label", kind, "relative", self.plugins)
        if not isinstance(relative, bool):
            raise ValueError(  # noqa: TRY004  for pydantic to name it beside the others
                f"label.kind {kind} must say in its file whether it is relative to the other names of a session, once "
                f'and as plain text: register_label("{kind}", relative=True), or False'
            )
        return relative

    def _label_states(self, key: str) -> object:
        """What the member of a plug-in states by a keyword, in its text; None for the package's own."""
        own = self.label.kind in LABELS_OF_ITS_OWN
        return None if own else stated_by("label", self.label.kind, key, self.plugins)

    @model_validator(mode="after")
    def _label_says_plainly_what_it_learns(self) -> Strategy:
        for key in ("learns", "traded"):
            if self._label_states(key) is NOT_PLAIN:
                raise ValueError(
                    f"label.kind {self.label.kind} must say {key} in its file as plain text: "
                    f'register_label("{self.label.kind}", learns="sign", ...) or "value", traded=True or False'
                )
        return self

    @property
    def of_no_direction(self) -> bool:
        """Whether the label is one of a volatility: it is forecast and judged, and no position follows from it."""
        return self.label.kind in LABELS_OF_NO_DIRECTION

    @model_validator(mode="after")
    def _label_says_what_a_position_earns(self) -> Strategy:
        kind = self.label.kind
        if self._label_states("learns") == "volatility" or self._label_states("traded") is False:
            raise ValueError(
                f"label.kind {kind} says how much a name moves and not in which direction, so that no position can be "
                f"taken by it: state one of {', '.join(LABELS_TRADED)}, or a label of your own that is traded; of a "
                f"volatility {' and '.join(sorted(LABELS_OF_NO_DIRECTION))} are studied"
            )
        return self

    @model_validator(mode="after")
    def _a_volatility_is_studied_alone(self) -> Strategy:
        if not self.of_no_direction:
            return self
        sizes = f"; {SIZES_BY_IT}" if self.label.kind == "log_realised_volatility" else ""
        asked = {
            "no market.live_starts: it is studied, and no session is decided by it": self.market.live_starts,
            f"portfolio.volatility left out: it sizes positions, and there are none{sizes}": (
                self.portfolio.volatility != "ewma"
            ),
            "trade_without_verdict: false, since there is nothing to trade": self.trade_without_verdict,
            "no search, whose trials are judged by a book": self.search is not None,
            "learning.baselines without momentum, a rule on the direction of past returns": (
                "momentum" in self.learning.baselines
            ),
            "no intraday.decisions, whose bars the EWMA and HAR beside it do not count": self.decisions is not None,
        }
        if any(asked.values()):
            needed = "; ".join(requirement for requirement, unmet in asked.items() if unmet)
            raise ValueError(
                f"label.kind {self.label.kind} forecasts a volatility, which has no direction, and needs {needed}"
            )
        return self

    @model_validator(mode="after")
    def _a_value_has_a_unit_of_its_own(self) -> Strategy:
        kind, asked = self.label.kind, self.portfolio.volatility
        if asked != "ewma" and (kind in LABELS_OF_VALUES or self._label_states("learns") == "value"):
            raise ValueError(
                f"label.kind {kind} says what a name is expected to earn in units of its own scale, so that "
                f"portfolio.volatility {asked} would change no size: leave it out, or state a label that learns a sign "
                "(direction, direction_relative)"
            )
        return self

    @property
    def _sized_per_name(self) -> bool:
        """Whether the label's probability is that of a gain."""
        kind = self.label.kind
        return kind in LABELS_SIZED_PER_NAME or (
            kind not in LABELS_OF_ITS_OWN
            and self._label_states("learns") in {None, "sign"}
            and self._label_states("ranked_against") is None  # else it is that of passing a threshold
        )

    @model_validator(mode="after")
    def _relative_labels_need_a_neutral_book(self) -> Strategy:
        if self._label_is_relative and self.portfolio.net_limit > 0.0:
            raise ValueError(
                f"label.kind {self.label.kind} says nothing of the market's direction: it needs a "
                f"dollar-neutral book, portfolio.net_limit 0, not {self.portfolio.net_limit}"
            )
        return self

    @model_validator(mode="after")
    def _orders_come_before_their_fill(self) -> Strategy:
        around_the_clock = self.market.calendar.split(" ")[0] == "24/7"
        if around_the_clock and self.execution.broker in VENUES_OF_ITS_OWN and self.label.execution == "next_open":
            raise ValueError(
                f"label.execution next_open on the calendar {self.market.calendar}, where a session opens as the one "
                f"before it closes: every order to {self.execution.broker} would be late for it; state label.execution "
                "next_close, or execution.broker paper"
            )
        return self

    @model_validator(mode="after")
    def _groups_need_returns(self) -> Strategy:
        walk, market = self.walk_forward, self.market
        every_day = market.calendar.split(" ")[0] == "24/7" or market.calendar_overrides is not None
        per_day = ceil(MINUTES_OF_A_DAY / self._decision_minutes) if self._decision_minutes else 1
        purged = self.label.horizon_sessions + self.label.execution_lag_sessions
        most = walk.most_training_sessions(every_day=every_day, per_day=per_day) - purged
        if self.portfolio.groups == "behaviour" and most < RETURNS_TO_GROUP:
            key = "training_months" if walk.refit_every_days is None else "training_days"
            raise ValueError(
                f"portfolio.groups behaviour groups a name by {RETURNS_TO_GROUP} returns or more, and a training part "
                f"of walk_forward.{key} {getattr(walk, key)} never holds more than {most:g} ({purged} sessions are "
                f"purged), so that all names would be one group under sector_limit: lengthen walk_forward.{key}, or "
                "leave portfolio.groups out and name sectors in portfolio.sectors"
            )
        return self

    @model_validator(mode="after")
    def _construction_by_the_label(self) -> Strategy:
        if self.portfolio.construction is None:
            chosen = "programme" if self._label_is_relative or not self._sized_per_name else "per_name"
            portfolio = self.portfolio.model_copy(update={"construction": chosen})
            object.__setattr__(self, "portfolio", portfolio)  # frozen from here on
        if self.portfolio.construction == "per_name" and not self._sized_per_name:
            raise ValueError(
                f"portfolio.construction per_name sizes by the probability of a gain, which that of label.kind "
                f"{self.label.kind} is not: state portfolio.construction: programme, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _borrowing_by_the_asset_class(self) -> Strategy:
        asset_class = self.market.asset_class
        if asset_class is None or "borrow_fee_annual_fraction" in self.costs.model_fields_set:
            return self
        if asset_class == "crypto" and self.portfolio.allow_short:
            raise ValueError(
                "market.asset_class crypto: what it costs to borrow a coin differs by coin and venue: state "
                "costs.borrow_fee_annual_fraction, or portfolio.allow_short: false; of perpetuals, "
                "market.asset_class: perpetual"
            )
        if asset_class not in {"equity", "crypto"}:
            costs = self.costs.model_copy(update={"borrow_fee_annual_fraction": 0.0})
            object.__setattr__(self, "costs", costs)  # frozen from here on
        return self

    @model_validator(mode="after")
    def _perpetuals_pay_funding(self) -> Strategy:
        funding, named = self.costs.funding, sorted({series.name for series in self.series})
        if (self.market.asset_class == "perpetual") != (funding is not None):
            raise ValueError(
                f"market.asset_class {self.market.asset_class or 'left out'} and costs.funding "
                f"{funding or 'left out'}: a position in perpetuals pays and receives funding, no other does: state "
                "market.asset_class: perpetual together with costs.funding, the name of the series of its rates, or "
                "neither"
            )
        if funding is not None and funding not in named:
            near = get_close_matches(funding, named, n=1)
            meant = f", did you mean {near[0]}?" if near else ""
            raise ValueError(f"costs.funding names {funding}, which series does not{meant}")
        return self

    @model_validator(mode="after")
    def _funding_is_expected_where_it_is_paid(self) -> Strategy:
        needs = {
            "costs.funding, the series of its rates": self.costs.funding is None,
            "portfolio.construction: programme": self.portfolio.construction != "programme",
            "a decision a session, no intraday.decisions": self.decisions is not None,
        }
        if self.portfolio.expect_funding and any(needs.values()):
            lacking = "; ".join(need for need, missing in needs.items() if missing)
            raise ValueError(f"portfolio.expect_funding needs {lacking}")
        return self

    @model_validator(mode="after")
    def _binary_contracts_are_sized_by_their_settlement(self) -> Strategy:
        portfolio, is_binary = self.portfolio, self.market.binary
        of_binaries = {
            f"label.kind {self.label.kind}": self.label.kind == LABEL_OF_BINARIES,
            "costs.contract_fee_fraction": self.costs.contract_fee_fraction > 0.0,
            "cleaning.binary_prices": self.cleaning.binary_prices,
        }
        if not is_binary and any(of_binaries.values()):
            raise ValueError(
                f"{', '.join(key for key, there in of_binaries.items() if there)}: for contracts that settle at 1 "
                "or at 0 alone: state market.asset_class: binary, or leave it out"
            )
        if not is_binary:
            return self
        asked = {
            f"label.kind: {LABEL_OF_BINARIES}, not {self.label.kind}, since a bet on a contract is one on where it "
            "settles": self.label.kind != LABEL_OF_BINARIES,
            "portfolio.construction left out: the bet is exact, and needs no covariance": (
                portfolio.construction == "programme"
            ),
            "portfolio.hold_premium left out: a contract is held against its price, not against a base rate": (
                portfolio.hold_premium
            ),
            "portfolio.volatility left out: no size is made of one": portfolio.volatility != "ewma",
            "portfolio.groups left out: outcomes of one event are a group": portfolio.groups != "sectors",
            f"portfolio.net_limit of portfolio.gross_limit {portfolio.gross_limit} or more: yes and no are both "
            "bought": portfolio.net_limit < portfolio.gross_limit,
            "portfolio.gross_limit of 1 or less: a contract is paid for in full": portfolio.gross_limit > 1.0,
            "no intraday.decisions, which know no actions": self.decisions is not None,
            "no market.compare_with, which compares prices by their ratio": self.market.compare_with is not None,
            f"execution.broker: paper, not {self.execution.broker}: an order says nothing yet of the price that it may "
            "cost at most, and one at a venue could buy at any": self.execution.broker != "paper",
            "execution.paper_fills left out: its limits and queues are of shares": self.execution.paper_fills
            != "at_bar",
        }
        if any(asked.values()):
            needed = "; ".join(requirement for requirement, unmet in asked.items() if unmet)
            raise ValueError(f"market.asset_class binary needs {needed}")
        cleaning = self.cleaning.model_copy(update={"binary_prices": True})
        object.__setattr__(self, "cleaning", cleaning)  # frozen from here on
        return self

    @property
    def prior_outcomes_at_base_rate(self) -> float:
        """Effective outcomes at the base rate that a calibration begins with.

        None for binary contracts: who knows nothing of one believes its price, so that what is known of it is shrunk
        towards that, where it is sized.
        """
        return 0.0 if self.market.binary else self.portfolio.shrink_prior_outcomes

    @property
    def closes_only(self) -> bool:
        """Whether a bar is its close alone."""
        return self.source.closes_alone

    @model_validator(mode="after")
    def _closes_alone_say_no_more(self) -> Strategy:
        if isinstance(self.source, UncheckedSource) or not self.closes_only:
            return self
        asked = {
            "label.execution: next_close, since there is no open to fill at": self.label.execution != "next_close",
            "cleaning.traded_with_volume: false, since there is no volume": self.cleaning.traded_with_volume,
            "portfolio.proxy_adv_usd, the dollars traded a session, since there is no volume to size by": (
                self.portfolio.proxy_adv_usd is None
            ),
        }
        if any(asked.values()):
            raise ValueError(
                f"{CLOSES_NEED} {'; '.join(requirement for requirement, missing in asked.items() if missing)}"
            )
        return self

    @model_validator(mode="after")
    def _compared_with_another_source(self) -> Strategy:
        second = self.market.compare_with
        if second is not None and second.actions_path is not None:
            raise ValueError("market.compare_with takes no actions_path: splits and dividends are those of source")
        if second is not None and second == self.source and self.intraday is None:
            raise ValueError(
                "market.compare_with is source itself, which would confirm every print: name another source, or leave "
                "it out"
            )
        return self

    @model_validator(mode="after")
    def _facts_are_consistent(self) -> Strategy:
        named = [(series.name, symbol) for series in self.series for symbol in series.stored_symbols]
        twice = sorted({name for name, symbol in named if named.count((name, symbol)) > 1})
        if twice:
            raise ValueError(f"series {', '.join(twice)} stands twice for the same symbol")
        series_names = {name for name, _ in named}
        unknown = {role: name for role, name in self.features.series.items() if name not in series_names}
        if unknown:
            messages = [_unknown_series(role, name, series_names) for role, name in unknown.items()]
            raise ValueError("; ".join(messages))
        greeks = self.portfolio.greeks
        for name, series in () if greeks is None else greeks.series.items():
            if series not in series_names:
                raise ValueError(f"portfolio.greeks.{name} names {series}, which series does not")
        if self.intraday is not None and "source" in self.model_fields_set:
            raise ValueError("with intraday, daily bars are made of the bars within the session: leave source out")
        return self

    @model_validator(mode="after")
    def _paper_fills_find_what_they_need(self) -> Strategy:
        paper_fills = self.execution.paper_fills
        if paper_fills == "by_urgency" and not isinstance(self.source, UncheckedSource) and self.closes_only:
            raise ValueError(
                "execution.paper_fills: by_urgency needs the highs and lows that orders rest against, and a bar is its "
                "close alone: leave it out"
            )
        if paper_fills == "closing_auction" and (self.label.execution != "next_close" or self.decisions is not None):
            raise ValueError(
                "execution.paper_fills: closing_auction needs label.execution: next_close and a decision a session: "
                "there is one such auction a session, at its close"
            )
        return self

    @property
    def decisions(self) -> DecisionBarsSettings | None:
        """How it decides within the session; None where it decides once a session."""
        return None if self.intraday is None else self.intraday.decisions

    @property
    def rows_called(self) -> str:
        """What the rows of its record are: ``sessions``, or the ``decisions`` within them."""
        return "sessions" if self.decisions is None else "decisions"

    @model_validator(mode="after")
    def _decisions_within_the_session(self) -> Strategy:
        if self.intraday is None or self.decisions is None:
            return self
        folded = f" every{self.intraday.decision_minutes}min@"
        asked = {
            "label.execution: next_close, since the next bar opens as the one that is decided on closes": (
                self.label.execution != "next_close"
            ),
            "market.known_at_lag_minutes: 0, since intraday.known_at_lag_seconds says when a bar is known": (
                self.market.known_at_lag_minutes != 0
            ),
            "market.symbols, the names that it decides on": not self.market.symbols,
            "no market.live_starts: live rounds within the session are not carried out": (
                self.market.live_starts is not None
            ),
            "series of stamps: moments, since a day's value is not known before the day has ended": any(
                series.stamps == "days" for series in self.series
            ),
            f"portfolio.volatility left out, not {self.portfolio.volatility}, since the week and month of HAR, which "
            "the network's too is compared with, would be 5 and 22 bars": self.portfolio.volatility != "ewma",
            "no universe, whose members change by the day": self.universe is not None,
            "no halts, which are stated by the day": self.halts is not None,
            "no market.compare_with, which compares daily bars": self.market.compare_with is not None,
            "a strategy that is read from a file, which divides market.calendar": folded not in self.market.calendar,
        }
        if any(asked.values()):
            needed = "; ".join(requirement for requirement, missing in asked.items() if missing)
            raise ValueError(f"intraday.decisions needs {needed}")
        return self

    @model_validator(mode="after")
    def _partial_months_are_of_decisions_within_the_session(self) -> Strategy:
        walk = self.walk_forward
        if walk.partial_months and (self.decisions is None or walk.refit_every_days is None):
            raise ValueError(
                "walk_forward.partial_months needs intraday.decisions and walk_forward.refit_every_days: a month of "
                "daily sessions is too few to judge a part of it, and refits in months begin with one"
            )
        return self

    @model_validator(mode="after")
    def _funding_is_asked_somewhere_and_read(self) -> Strategy:
        for series in self.series:
            if not isinstance(series, FundingSeriesSettings):
                continue
            asked = isinstance(self.source, UncheckedSource) or self.source.funding_exchange is not None
            if series.exchange is None and not asked:
                raise ValueError(
                    f"series {series.name} needs exchange: source.kind is {self.source.kind!r}, not 'ccxt'"
                )
            unread = sorted(set(series.symbols) - {"", *self.market.symbols}) if self.market.symbols else []
            if unread:
                raise ValueError(
                    f"series {series.name} gives {', '.join(unread)}, which market.symbols lacks, so that no feature "
                    "would read it: write series.symbols as a mapping from the bars' symbol to its perpetual, "
                    f"such as {{{self.market.symbols[0]}: {unread[0]}}}"
                )
        return self

    def behaviour(self, *sections: str) -> dict[str, Any]:
        """What can change a result, as plain JSON values.

        Parameters
        ----------
        *sections : str
            The sections that count; all when none is named. Without ``costs`` among them, series that no
            feature reads never count: see :func:`part_of_settings`. Which fields never count, and which only when
            they are set, each says itself: see :class:`~nn_assets.settings.section.Section`.
        """
        settings = self.counted()
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Section) and name in settings:
                settings[name] = value.counted()
        settings["series"] = [series.counted() for series in self.series]
        return part_of_settings(settings, *sections)

    def content_hash(self, *sections: str) -> str:
        """SHA-256 of :meth:`behaviour`, first 16 hex digits."""
        return hash_of_settings(self.behaviour(*sections))
