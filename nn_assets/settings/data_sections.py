"""Sections of a strategy that name data beside its daily bars: other series, a universe, intraday bars."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nn_assets.settings.section import Section

__all__ = ["IntradaySettings", "SeriesSettings", "UniverseSettings"]

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]


class SeriesSettings(Section):
    """One series beside the bars: a volatility index, funding rates, an on-chain metric, sentiment.

    ``stamps`` says whether its file gives days (observed at that day's close) or moments.
    ``lag_minutes`` runs from the observation until it counts as known; a file that states when each
    value was published (a column ``known_at`` or ``published_at``) needs none.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    path: str
    symbol: str = ""  # empty: the file's symbol column, or market-wide where it has none
    value_column: str = ""  # empty: value, close or rate
    stamps: Literal["days", "moments"] = "days"
    calendar: str | None = None  # the days on which the series exists; the market's when left out
    lag_minutes: NotNegative | None = None
    grid_minutes: Annotated[int, Field(ge=0, le=1440)] = 0  # 0: moments are taken as they come
    grid_tolerance_seconds: Annotated[float, Field(ge=0.0)] = 1.0
    intervals_minutes: tuple[Count, ...] = ()  # steps that are no gap; any when empty
    minimum: float | None = None
    maximum: float | None = None
    stale_after_sessions: NotNegative = 5

    @model_validator(mode="after")
    def _grids_are_for_moments(self) -> SeriesSettings:
        if self.stamps == "days" and (self.grid_minutes or self.intervals_minutes):
            raise ValueError("series.grid_minutes and series.intervals_minutes need series.stamps 'moments'")
        return self


class UniverseSettings(Section):
    """A file of membership: which symbols belonged to the universe, from when to when.

    ``renamed`` gives symbols of the bars that the file carries under another ticker. A file that lacks
    more than ``max_retired_fraction`` of the spells on record, or of those still open, is refused.
    """

    path: str
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] = "universe"
    renamed: dict[str, str] = Field(default_factory=dict)
    max_retired_fraction: Fraction = 0.05


class IntradaySettings(Section):
    """Bars within the session, from files; the strategy's daily bars are made of them.

    A bar is stamped with its start. A file's name up to the first hyphen is its symbol, or the key of
    ``named`` that says it; one that holds ``bid`` or ``ask`` is one side of a quote. ``rolls_at`` (``17:00``) in
    ``timezone`` begins the next session earlier than midnight, as currency markets count theirs. A session
    that lacks more than ``max_minutes_missing_at_open`` of bars at its start, or ``..._at_close`` at its
    end, makes no daily bar.
    """

    path: str
    named: dict[str, str] = Field(default_factory=dict)
    bar_minutes: Annotated[int, Field(ge=1, le=720)] = 5
    known_at_lag_seconds: NotNegative = 5
    rolls_at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    timezone: str = "UTC"
    max_missing_bars_fraction: Fraction = 0.05
    min_session_coverage_fraction: Fraction = 0.9
    max_minutes_missing_at_open: NotNegative = 3
    max_minutes_missing_at_close: NotNegative = 3
