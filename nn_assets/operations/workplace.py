"""The stores of one strategy, opened together, and what is loaded from them for a session.

Everything a decision or a study reads comes through here, cut to what was known at the session's
close. A session that the publication in force does not cover is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import Cube
from nn_assets.errors import DecisionError, PublicationError
from nn_assets.features.catalogue import SERIES_FEATURES, compute_features, with_series_features
from nn_assets.features.labels import Labels, make_labels
from nn_assets.learning.address import code_version
from nn_assets.market.calendar.sessions import sessions_between, sessions_per_year
from nn_assets.market.facts.actions import actions_as_of
from nn_assets.market.facts.bars import as_of as known_bars
from nn_assets.market.facts.bars import restated_since
from nn_assets.market.panel import Panel, panel_from_bars
from nn_assets.market.quality.cleaning import clean
from nn_assets.operations.asof.actions import ACTIONS, data_hash_of, read_action_versions
from nn_assets.operations.asof.series import known_by_role
from nn_assets.operations.asof.stored import read_once
from nn_assets.operations.asof.universe import candidates_of
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.clock import as_of_session, last_open_session, now_utc
from nn_assets.operations.derived import record_of
from nn_assets.settings import Strategy
from nn_assets.store.lake.files import locked
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.models import ModelStore
from nn_assets.store.lake.publication import Publication, PublicationStore
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["FORECASTS", "RAW_BARS", "Workplace", "open_workplace"]

RAW_BARS, FEATURES, FORECASTS = "raw_bars", "features", "forecasts"

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Workplace:
    """One strategy's stores and settings, for the length of a run."""

    strategy: Strategy
    folder: Path  # that relative data paths start from
    ledger: Ledger
    lake: Lake = field(default_factory=Lake)
    models: ModelStore = field(default_factory=ModelStore)

    @cached_property
    def publications(self) -> PublicationStore:
        """The publications of the lake."""
        return PublicationStore(self.lake)

    @cached_property
    def last_session(self) -> pd.Timestamp:
        """The last session that may be seen: closed, within history, before the vault."""
        return last_open_session(self.strategy.market, now_utc())

    @property
    def sessions_per_year(self) -> int:
        """Sessions that annualise a figure."""
        return sessions_per_year(self.strategy.market.calendar)

    def sessions(self, until: object = None) -> pd.DatetimeIndex:
        """The session axis: every session from the fixed first one."""
        last = self.last_session if until is None else min(pd.Timestamp(until), self.last_session)
        return sessions_between(self.strategy.market.calendar, self.strategy.market.history_starts, last)

    @cached_property
    def live_sessions(self) -> pd.DatetimeIndex:
        """Sessions that are decided one by one, so far; none before ``market.live_starts``."""
        market = self.strategy.market
        return sessions_between(market.calendar, market.live_starts or market.history_starts, self.last_session)

    @property
    def first_live_session(self) -> pd.Timestamp:
        """The first session that is decided one by one.

        Raises
        ------
        DecisionError
            The strategy goes live later than any session there is.
        """
        if len(self.live_sessions) == 0:
            raise DecisionError(
                expected=f"a session from market.live_starts {self.strategy.market.live_starts} on",
                found=f"sessions up to {self.last_session.date()}",
                remedy="wait for the first live session, or set market.live_starts earlier",
                strategy=self.strategy.name,
            )
        return self.live_sessions[0]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the strategy alone: another round or study of it, in whatever process, waits."""
        with locked(self.lake.root.parent / "locks" / self.strategy.name):
            yield

    def sweep(self) -> int:
        """Remove what killed writers left staged more than a day ago, here and among the models; how many.

        No record names what is staged. To be called while the strategy is held alone.
        """
        return self.lake.sweep(self.strategy.name) + self.models.sweep()

    # --- bars ------------------------------------------------------------------------------------------

    def raw_versions(self, sessions: pd.DatetimeIndex | None = None) -> pd.DataFrame:
        """Every version of every raw bar, or of those of some sessions, read from what holds them alone."""
        if sessions is not None:
            return self.lake.read_segments(self.strategy.name, RAW_BARS, sessions=sessions)
        return read_once(self.lake, self.strategy.name, RAW_BARS, self.lake.segments(self.strategy.name, RAW_BARS))

    def bars(self, session: object = None) -> pd.DataFrame:
        """Clean bars as they were known at a session's close.

        The published bars serve where nothing was restated since; else the versions known then
        are cleaned again.

        Raises
        ------
        PublicationError
            The publication in force does not cover the session.
        """
        return self._known_bars(session)[0]

    def _known_bars(self, session: object) -> tuple[pd.DataFrame, bool]:
        """The bars, and whether they and the actions are those published (cut at the session)."""
        day = self.last_session if session is None else pd.Timestamp(session)
        publication = self.publications.require(self.strategy.name, day)
        moment = as_of_session(self.strategy.market, day)
        raw, here_by = self.raw_versions(), self._decided_at(day)
        raw = raw[raw["session"] <= day]
        if restated_since(raw, moment, ingested_by=here_by):
            known = known_bars(raw, moment, ingested_by=here_by)
            return clean(known, self.strategy.market.calendar, self.strategy.cleaning).bars, False
        published = _read_published(self.lake.root, publication)
        actions = self.action_versions(day)
        all_known = actions is None or not (actions["known_at"] > moment).any()
        if actions is not None and here_by is not None:
            all_known &= not (actions["ingested_at"] > here_by).any()
        return published[published["session"] <= day].reset_index(drop=True), all_known

    def actions(self, session: object = None) -> pd.DataFrame | None:
        """Splits and dividends up to a session as known at its close; None where none were ever published.

        They are those that the publication in force was made with.
        """
        day = self.last_session if session is None else pd.Timestamp(session)
        versions = self.action_versions(day)
        return None if versions is None else self._known_actions(versions, day)

    def _known_actions(self, versions: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
        moment = as_of_session(self.strategy.market, day)
        return actions_as_of(versions[versions["ex_session"] <= day], moment, ingested_by=self._decided_at(day))

    def action_versions(self, session: object = None) -> pd.DataFrame | None:
        """Every version, up to a session, of the actions that the publication in force was made with."""
        day = self.last_session if session is None else pd.Timestamp(session)
        publication = self.publications.require(self.strategy.name, day)
        versions = read_action_versions(self.lake, self.strategy.name, publication.details.get(ACTIONS, ()))
        return None if versions is None else versions[versions["ex_session"] <= day]

    def _decided_at(self, day: pd.Timestamp) -> pd.Timestamp | None:
        """When a session was decided, if it was: what came in later was not there to decide on."""
        decided = self.ledger.read("decisions", self.strategy.name, day, day, bookkeeping=True)
        return None if decided.empty else decided["recorded_at"].max()

    def symbols(self, bars: pd.DataFrame) -> tuple[str, ...]:
        """The symbol axis: the strategy's, or those of the data in order where it names none."""
        return self.strategy.market.symbols or tuple(sorted(bars["symbol"].unique()))

    def panel(self, session: object = None) -> Panel:
        """Bars and actions known at a session's close, as arrays on the session axis up to it."""
        return self._panel_of(self.bars(session), self.actions(session), session)

    def panel_to_publish(self, bars: pd.DataFrame, segments: tuple[str, ...]) -> Panel:
        """What :meth:`panel` gives of the last session once these bars and segments of actions are published.

        Raises
        ------
        SchemaError
            An action that no price can be adjusted for.
        """
        versions = read_action_versions(self.lake, self.strategy.name, segments)
        actions = None if versions is None else self._known_actions(versions, self.last_session)
        return self._panel_of(bars, actions)

    def _panel_of(self, bars: pd.DataFrame, actions: pd.DataFrame | None, session: object = None) -> Panel:
        convention = self.strategy.market.adjustment_convention
        return panel_from_bars(bars, self.sessions(session), self.symbols(bars), actions, convention)

    def candidates(self, panel: Panel) -> BoolArray | None:
        """Members of the universe on each session of a panel, (bars, symbols); None without a universe."""
        return candidates_of(self.strategy, self.lake, panel.sessions, panel.symbols)

    # --- features and labels -----------------------------------------------------------------------------

    def compute_cube(self, panel: Panel) -> Cube:
        """The strategy's features of a panel, on its total-return prices."""
        settings = self.strategy.features
        of_bars = tuple(name for name in settings.names if name not in SERIES_FEATURES)
        prices = panel.total_return()
        members = self.candidates(panel)
        cube = compute_features(prices, of_bars, market_symbol=settings.market_symbol, candidates=members)
        series = known_by_role(self.strategy, self.lake, panel.sessions, panel.symbols)
        return with_series_features(cube, prices, series, self.sessions_per_year, settings.names)

    def cube(self, session: object = None) -> Cube:
        """Features known at a session's close.

        Raises
        ------
        PublicationError
            There are no features of the published bars, or they do not cover the session.
        """
        day = self.last_session if session is None else pd.Timestamp(session)
        record = self.lake.read_table(self.strategy.name, record_of(FEATURES)).iloc[-1]
        self.publications.require(self.strategy.name, day, str(record["data_hash"]))
        if record["code_version"] != code_version():
            raise PublicationError(
                expected=f"features computed by the code in force ({code_version()[:12]})",
                found=f"features of code {str(record['code_version'])[:12]}",
                remedy="materialise features again",
                strategy=self.strategy.name,
            )
        bars, published = self._known_bars(day)
        if not published:
            return self.compute_cube(self._panel_of(bars, self.actions(day), day))
        stored = self.lake.read_cube(self.strategy.name, FEATURES, str(record["address"]))
        cube = Cube(stored.sessions, stored.symbols, stored.names, stored.values)
        return cube.until(day)

    def data_hash(self) -> str:
        """Content hash of the publication in force."""
        return self.publications.require(self.strategy.name, self.last_session).content_hash

    def data_hash_until(self, session: object) -> str:
        """Hash of the bars and actions known at a session's close: the same however much came later."""
        return data_hash_of(self.bars(session), self.actions(session))

    def labels(self, panel: Panel) -> Labels:
        """What is learned from a panel's total-return prices; NaN where not realised on it."""
        rate = self.strategy.market.cash_rate_annual_fraction / self.sessions_per_year
        return make_labels(panel.total_return(), self.strategy.label, rate, self.candidates(panel))

    # --- forecasts ---------------------------------------------------------------------------------------

    def forecast_history(self, until_month: str | None = None) -> pd.DataFrame:
        """Out-of-sample forecasts of every month stored, up to one."""
        months = [
            month
            for month in self.lake.months(self.strategy.name, FORECASTS)
            if until_month is None or month <= until_month
        ]
        return self.lake.read_months(self.strategy.name, FORECASTS, months)


_PUBLISHED: dict[tuple[Path, str, str], pd.DataFrame] = {}


def _read_published(root: Path, publication: Publication) -> pd.DataFrame:
    key = (root, publication.strategy, publication.bars_address)
    if key not in _PUBLISHED:
        _PUBLISHED.clear()
        _PUBLISHED[key] = PublicationStore(Lake(root)).bars(publication)
    return _PUBLISHED[key]


@contextmanager
def open_workplace(strategy: Strategy, folder: Path | None = None) -> Iterator[Workplace]:
    """Open the stores of a strategy; the ledger's connections are given back at the end."""
    place = find_strategy(strategy.name).folder if folder is None else folder
    with Ledger() as ledger:
        yield Workplace(strategy, place, ledger)
