"""Sections of a strategy that name data beside its daily bars: other series, a universe, intraday bars."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from nn_assets.settings.section import LagMinutes, LagSeconds, NeverCounts, Section, WhenSet, kind_of
from nn_assets.settings.sources import Address, Exchange

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]


class _SeriesSection(Section):
    """``lag_minutes`` runs from the observation until it counts as known."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    stamps: Literal["days", "moments"]
    calendar: str | None = None  # the days on which the series exists; the market's when left out
    lag_minutes: LagMinutes | None = None
    grid_minutes: Annotated[int, Field(ge=0, le=1440)] = 0  # 0: moments are taken as they come
    grid_tolerance_seconds: Annotated[float, Field(ge=0.0)] = 1.0
    intervals_minutes: tuple[Count, ...] = ()  # steps that are no gap; any when empty
    minimum: float | None = None
    maximum: float | None = None
    stale_after_sessions: NotNegative = 5


class FileSeriesSettings(_SeriesSection):
    """One series beside the bars, from files: a volatility index, funding rates, an on-chain metric, sentiment.

    ``path`` is a file, a folder, or a pattern (``futures/*-funding_rate.feather``). With ``symbol_from: file_name``
    each file is of one symbol, its name up to the first hyphen, or what ``named`` gives for that.

    ``stamps`` says whether its file gives days (observed at that day's close) or moments. A file that
    states when each value was published (a column ``known_at`` or ``published_at``) needs no ``lag_minutes``.
    """

    kind: NeverCounts[Literal["file"]] = "file"
    path: str
    symbol: str = ""  # empty: the file's symbol column, or market-wide where it has none
    symbol_from: WhenSet[Literal["column", "file_name"]] = "column"
    named: WhenSet[Mapping[str, str]] = Field(default_factory=dict)
    value_column: str = ""  # empty: value, close or rate
    stamps: Literal["days", "moments"] = "days"

    @property
    def stored_symbols(self) -> tuple[str, ...]:
        """The symbols whose observations it states, as far as the settings tell."""
        return (self.symbol,)

    @model_validator(mode="after")
    def _files_are_of_symbols(self) -> FileSeriesSettings:
        if self.symbol_from == "file_name" and self.symbol:
            raise ValueError(f"series.symbol {self.symbol} and series.symbol_from file_name: state one of the two")
        if self.named and self.symbol_from != "file_name":
            raise ValueError("series.named gives the symbols of files: it needs series.symbol_from: file_name")
        return self

    @model_validator(mode="after")
    def _grids_are_for_moments(self) -> FileSeriesSettings:
        if self.stamps == "days" and (self.grid_minutes or self.intervals_minutes):
            raise ValueError("series.grid_minutes and series.intervals_minutes need series.stamps 'moments'")
        return self


class FundingSeriesSettings(_SeriesSection):
    """Funding rates of perpetuals, asked from a crypto ``exchange`` that ccxt knows by this id; public data, no key.

    ``exchange``, where left out, is that of a ``source`` of kind ccxt, asked at the same ``base_url``.
    ``symbols`` lists the bars' symbols where they are the perpetuals themselves, or gives for each of
    the bars' symbols its perpetual on the exchange (spot ``BTC/USDT``: ``BTC/USDT:USDT``); the empty
    symbol is the market as a whole.
    """

    kind: Literal["ccxt_funding"]
    exchange: Exchange | None = None
    symbols: Annotated[Mapping[str, Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    base_url: Address | None = None
    stamps: Literal["moments"] = "moments"
    lag_minutes: LagMinutes = 1
    grid_minutes: Annotated[int, Field(ge=0, le=1440)] = 60

    @property
    def asked_of(self) -> str:
        """The kind of source that delivers the rates."""
        return self.kind.removesuffix("_funding")

    @property
    def stored_symbols(self) -> tuple[str, ...]:
        """The symbols whose observations it gives: the bars', not the exchange's."""
        return tuple(self.symbols)

    @field_validator("symbols", mode="before")
    @classmethod
    def _symbols_as_mapping(cls, symbols: Any) -> Any:
        if not isinstance(symbols, list | tuple):
            return symbols
        if not all(isinstance(symbol, str) for symbol in symbols):
            raise ValueError("a list of symbols, or a mapping from the bars' symbols to perpetuals, was expected")
        if len(set(symbols)) < len(symbols):
            raise ValueError("a symbol stands twice")
        return {symbol: symbol for symbol in symbols}


class SimulatedFundingSettings(FundingSeriesSettings):
    """Funding rates of the simulator's perpetuals, three payments a day. They foretell nothing."""

    kind: Literal["simulator_funding"]  # type: ignore[assignment]
    exchange: Exchange | None = "simulator"


SeriesSettings = Annotated[
    Annotated[FileSeriesSettings, Tag("file")]
    | Annotated[FundingSeriesSettings, Tag("ccxt_funding")]
    | Annotated[SimulatedFundingSettings, Tag("simulator_funding")],
    Discriminator(kind_of("file")),
]
"""One of the three sections above, told apart by ``kind``; a file where none is stated."""


class UniverseSettings(Section):
    """A file of membership: which symbols belonged to the universe, from when to when.

    ``renamed`` gives symbols of the bars that the file carries under another ticker. A file that lacks
    more than ``max_retired_fraction`` of the spells on record, or of those still open, is refused.
    """

    path: str
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = "universe"
    renamed: Mapping[str, str] = Field(default_factory=dict)
    max_retired_fraction: NeverCounts[Fraction] = 0.05


class HaltsSettings(Section):
    """A file of halts: which symbol did not trade, from which session to which.

    A file with a header alone says that none is halted; it is best named before the first halt.
    """

    path: str


class DecisionBarsSettings(Section):
    """When a strategy decides within the session: at the close of every ``every_bars`` bars.

    What holds of a session elsewhere holds of such a decision bar then: windows, horizons, the purge, averages of
    volume and limits count decision bars, and a bar is named by its start, UTC. The last one of a session is shorter
    where the session is no whole number of them. ``overnight`` says what happens at the session's end: what is ``held``
    stays, through the gap; ``flat`` closes it at the session's last close, and opens nothing that could not be closed
    by then. It is closed over the last ``closing_bars`` closes, since no order takes more than its share of a bar's
    volume; what is left all the same is held, and told. An order is late that would be sent more than
    ``latency_budget_seconds`` after its bar's close: the newest datum that it rests on was known by then, and
    ``computing_seconds`` came on top. A late decision is not sent. A budget that no decision can meet is refused: below
    ``computing_seconds``, and, of files that do not state known_at of every bar, below
    ``known_at_lag_seconds`` and those together where every decision would be late by it.
    """

    every_bars: Count
    overnight: Literal["held", "flat"] = "held"
    closing_bars: Count = 1
    latency_budget_seconds: Count
    computing_seconds: LagSeconds = 0


class IntradaySettings(Section):
    """Bars within the session, from files; the strategy's daily bars are made of them.

    A bar is stamped with its start. A file's name up to the first hyphen is its symbol, or the key of
    ``named`` that says it; one that holds ``bid`` or ``ask`` is one side of a quote. ``rolls_at`` (``17:00``) in
    ``timezone`` begins the next session earlier than midnight, as currency markets count theirs. A session
    that lacks more than ``max_minutes_missing_at_open`` of bars at its start, or ``..._at_close`` at its
    end, makes no daily bar. With ``decisions`` the strategy decides within the session; see there.
    """

    path: str
    named: Mapping[str, str] = Field(default_factory=dict)
    bar_minutes: Annotated[int, Field(ge=1, le=720)] = 5
    known_at_lag_seconds: LagSeconds = 5
    rolls_at: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = None
    timezone: str = "UTC"
    max_missing_bars_fraction: Fraction = 0.05
    min_session_coverage_fraction: Fraction = 0.9
    max_minutes_missing_at_open: NotNegative = 3
    max_minutes_missing_at_close: NotNegative = 3
    decisions: WhenSet[DecisionBarsSettings | None] = Field(default=None, exclude_if=operator.not_)

    @model_validator(mode="after")
    def _decision_bars_can_be(self) -> IntradaySettings:
        if self.decisions is None:
            return self
        seconds = 60 * self.bar_minutes * self.decisions.every_bars
        if self.rolls_at is not None:
            raise ValueError(
                "intraday.decisions and intraday.rolls_at: a strategy that decides within the session "
                "takes the session's hours from the calendar; leave one of the two out"
            )
        if seconds > 60 * 60 * 12:
            raise ValueError(
                f"intraday.decisions.every_bars {self.decisions.every_bars} makes a decision every "
                f"{seconds // 60} minutes; within the session 720 is the most"
            )
        if self.decisions.latency_budget_seconds >= seconds:
            raise ValueError(
                f"intraday.decisions.latency_budget_seconds {self.decisions.latency_budget_seconds} must "
                f"lie below the {seconds} seconds of a decision bar: its order fills at the next close"
            )
        if self.decisions.latency_budget_seconds < self.decisions.computing_seconds:
            raise ValueError(
                f"intraday.decisions.latency_budget_seconds {self.decisions.latency_budget_seconds} lies below "
                f"intraday.decisions.computing_seconds {self.decisions.computing_seconds}, so that every decision "
                "would be late and no order sent: raise the budget, or state what computing takes"
            )
        return self

    @property
    def decision_minutes(self) -> int:
        """Minutes from one decision within the session to the next; 0 where it decides once a session."""
        return 0 if self.decisions is None else self.bar_minutes * self.decisions.every_bars
