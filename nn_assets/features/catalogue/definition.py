"""What an entry of the catalogue is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from nn_assets.arrays import FloatArray
from nn_assets.contracts import DETAILS
from nn_assets.errors import PluginError
from nn_assets.market.facts.series import KnownSeries
from nn_assets.market.panel import FIELDS, Panel


@dataclass(frozen=True, eq=False)
class Context:
    """What a feature may know beyond its own symbol's bars.

    Parameters
    ----------
    log_return : array, shape (bars, 1) or that of the panel's arrays, or None
        Log return of the instrument that represents the market, from each of the panel's bars to the next.
    series : KnownSeries, optional
        The series of the feature's role as each session's decision knew it, on the panel's rows and columns.
    sessions_per_year : int
        Sessions that annualise a figure.
    factors : tuple of KnownSeries
        The series of ``features.factors``, of a feature that reads them; that of its role comes first.
    """

    log_return: FloatArray | None = field(default=None, repr=False)
    series: KnownSeries | None = field(default=None, repr=False)
    sessions_per_year: int = 252
    factors: tuple[KnownSeries, ...] = field(default=(), repr=False)

    @property
    def market(self) -> FloatArray:
        """The market's log return, of a feature that needs it."""
        assert self.log_return is not None
        return self.log_return

    @property
    def known(self) -> KnownSeries:
        """The series, of a feature that has a role."""
        assert self.series is not None
        return self.series


Formula = Callable[[Panel, Context], FloatArray]


class _StatedFields(Panel):
    """A panel without the fields that a feature does not state: to read one is an error by name."""

    feature: str
    fields: tuple[str, ...]

    def __getattr__(self, name: str) -> FloatArray:
        if name not in (*FIELDS, *DETAILS):
            raise AttributeError(name)
        raise PluginError(
            expected=f"of the feature {self.feature} that it reads what it states alone: {', '.join(self.fields)}",
            found=f"it reads {name}",
            remedy=f"state it, fields=({', '.join(repr(field) for field in (*self.fields, name))}), or do not read it",
            key="plugins",
            feature=self.feature,
        )


@dataclass(frozen=True)
class Feature:
    """One entry of the catalogue: of bars, of bars beside their market, or of bars beside a series.

    Parameters
    ----------
    name : str
    group : str
        ``return``, ``volatility``, ``volume``, ``trend``, ``price_location``, ``spread``, ``cross_market`` or
        ``crypto``; a plug-in may have others.
    reach_sessions : int
        A value depends on this many bars before its own, all of them needed: on rows t - reach_sessions .. t, and
        further back where a missing bar is stepped over.
    compute : callable
        From a panel and its context to an array (bars, symbols), float64. NaN where a bar within
        reach is missing or the formula has no value.
    formula : str
    fields : tuple of str
        Fields of the panel that it reads, those of ``DETAILS`` among them; the others are not handed to it.
    source : str
        Where the formula is published.
    needs_market : bool
        Whether it reads the context's market return.
    role : str
        Key of ``features.series`` whose series it reads; empty for none.
    factors : bool
        Whether it reads the series of ``features.factors``, all of them.
    ranked : bool
        Whether its values are the places of what it computes among the members of each session.
    """

    name: str
    group: str
    reach_sessions: int
    compute: Formula = field(repr=False, compare=False)
    formula: str
    fields: tuple[str, ...] = ("close",)
    source: str = "standard"
    needs_market: bool = False
    role: str = ""
    factors: bool = False
    ranked: bool = False

    @property
    def reads_series(self) -> bool:
        """Whether its values depend on a series beside the bars."""
        return bool(self.role) or self.factors

    def of_role(self, name: str, role: str) -> Self:
        """The same feature of another series, by another name."""
        return replace(self, name=name, role=role)

    def computed(self, panel: Panel, context: Context) -> FloatArray:
        """Its values, (bars, symbols), of the fields that it states: the one door by which bars come to a feature.

        Raises
        ------
        PluginError
            It reads a field that it does not state.
        """
        fields_alone = object.__new__(_StatedFields)
        unstated = {*FIELDS, *DETAILS} - set(self.fields)
        its_own = {name: value for name, value in vars(panel).items() if name not in unstated}
        fields_alone.__dict__.update(its_own, feature=self.name, fields=self.fields)
        return self.compute(fields_alone, context)

    @property
    def version_inputs(self) -> tuple[object, ...]:
        """The declared properties that its values depend on; group, formula and source are text only."""
        later = ("factors",) * self.factors + ("ranked",) * self.ranked
        return self.reach_sessions, self.fields, self.needs_market, self.role, *later
