"""What a session shows of its market: prices, and the sizes that costs and limits are measured by."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, DayArray, FloatArray, IntArray, read_only, read_only_fields, stamps_of
from nn_assets.features.catalogue.prices import average_true_range, log_return, ratio
from nn_assets.features.catalogue.stepping import Stepping
from nn_assets.features.labels import less_the_median
from nn_assets.features.own_bars import OwnBars, over_own_rows, with_gaps
from nn_assets.features.rolling import lagged, rolling_covariance, rolling_mean
from nn_assets.market.facts.funding import Funding
from nn_assets.market.panel import FIELDS, Panel
from nn_assets.measures import mean_over_symbols
from nn_assets.portfolio.greeks import Greeks
from nn_assets.session.day_sizes import Days, DaySizes, average_daily_volume, daily_volatility
from nn_assets.session.regime_naming import RegimeNaming
from nn_assets.settings import PortfolioSettings
from nn_assets.signals.regimes import Regimes, classify_regimes, regime_scales, regimes_of_days
from nn_assets.signals.signals import ewma_volatility

_ATR_SESSIONS = 14
_ADV_SESSIONS = 20
_EARLIER_SESSIONS = 60  # how far back a bar that came late is looked for
_SMALLEST_MARKET = 5  # symbols (members) below which their mean is no market, and beta counts as unknown


@dataclass(frozen=True, eq=False)
class EarlierBars:
    """Raw bars of the sessions before, as known now; arrays of shape (sessions, symbols), NaN where there is none."""

    sessions: DayArray  # (sessions,), ascending
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    growth: FloatArray | None = None  # of the shares until each session, and a last row until now; None: no action
    funding: Funding | None = None  # as each session's decision knew it

    def __post_init__(self) -> None:
        read_only_fields(self)

    def since(self, last_seen: DayArray) -> list[tuple[BoolArray, EarlierBars]]:
        """Bars of sessions after the last one ``last_seen`` of each symbol, (symbols,), oldest first.

        Returns
        -------
        list of (mask, bars)
            One entry a session that has any: which symbols, and its bars in this session's shares, (1, symbols), with
            the funding of it and of those since.
        """
        newer = (last_seen < self.sessions[:, None]) & np.isfinite(self.close)
        return [(newer[row], self._at(row)) for row in np.flatnonzero(newer.any(axis=1)).tolist()]

    def _at(self, row: int) -> EarlierBars:
        scale = 1.0 if self.growth is None else self.growth[row] / self.growth[-1]
        rows = slice(row, row + 1)
        return EarlierBars(
            sessions=self.sessions[rows],
            open=self.open[rows] * scale,
            high=self.high[rows] * scale,
            low=self.low[rows] * scale,
            close=self.close[rows] * scale,
            volume=self.volume[rows] / scale,
            funding=None if self.funding is None else self.funding.at(slice(row, None)),
        )


@dataclass(frozen=True)
class SessionMarket:
    """One row of a :class:`MarketView`; arrays of shape (symbols,) unless said otherwise."""

    session: pd.Timestamp
    open: FloatArray  # price
    high: FloatArray  # price
    low: FloatArray  # price
    close: FloatArray  # price
    volume: FloatArray  # shares or contracts
    previous_close: FloatArray  # the last there is, price, in shares of this session and less its dividend
    average_true_range: FloatArray  # price
    volatility: FloatArray  # fraction per session
    cost_volatility: FloatArray  # that costs are a multiple of, fraction per day
    usual_volatility: float  # of the strategy, fraction per session
    adv_usd: FloatArray  # dollars a day
    previous_adv_usd: FloatArray  # as known when the order was decided
    previous_volatility: FloatArray  # that costs are a multiple of, likewise
    trailing_returns: FloatArray  # (correlation sessions, symbols), fraction
    beta: FloatArray  # to the equally weighted market; NaN where unknown
    regime_scale: float  # what the regime leaves of a size, 0..1
    split: FloatArray | None = None  # new shares for one old, 1 where none; None where no action is known at all
    dividend: FloatArray | None = None  # cash per share as counted on the session, 0 where none
    delisting: FloatArray | None = None  # cash per share on the first session without the symbol, NaN where none
    gone: BoolArray | None = None  # delisted by this session
    assumed_split: DayArray | None = None  # last session until now with an assumed split; NaT without one
    repeated: BoolArray | None = None  # the bar equals the one before in every field
    closing_adv_usd: FloatArray | None = None  # as before, of the bars there are: what closes a position is priced by
    closing_volatility: FloatArray | None = None  # the last one known
    day: np.datetime64 | None = None  # that the bar belongs to; None where each session is a day
    bars_of_day: int = 1  # of a usual one
    earlier: EarlierBars | None = None  # the sessions before
    funding: Funding | None = None  # of perpetuals, (symbols,); None where positions pay none
    halted: BoolArray | None = None  # known not to trade on this session; None: none
    since_halt: BoolArray | None = None  # trades again, and a forecast's sessions reach into a halt; None: none
    greeks: Greeks | None = None  # (symbols,); None where the settings limit none
    stale: BoolArray | None = None  # no fresh bar on as many sessions as the settings allow; None: they do not ask

    def __post_init__(self) -> None:
        read_only_fields(self)

    @property
    def stale_share(self) -> float:
        """Share of the symbols lately quoted that have no close of this session, or repeat the bar before.

        Lately: any return within the trailing window, and neither delisted since nor halted: a halt is known, and no
        fault of the data. 1 where nothing was quoted, and nothing is, but for a halt of all.
        """
        missing = ~(np.isfinite(self.close) & (self.close > 0.0))
        seen = np.isfinite(self.trailing_returns).any(axis=0)
        if self.gone is not None:
            seen &= ~self.gone
        if self.halted is not None:
            seen &= ~self.halted
            if not seen.any() and self.halted.any():
                return 0.0
        if not seen.any():
            return float(missing.all())
        stale = missing if self.repeated is None else missing | self.repeated
        return float(stale[seen].mean())


@dataclass(frozen=True)
class MarketView:
    """Sizes of every session, computed once; row t reads bars up to t, to the bit."""

    panel: Panel
    returns: FloatArray  # (bars, symbols), simple total return of the session, fraction
    average_true_range: FloatArray
    volatility: FloatArray
    adv_usd: FloatArray
    beta: FloatArray
    regimes: Regimes
    regime_scales: FloatArray  # (bars,)
    correlation_sessions: int
    candidates: BoolArray | None = None  # (bars, symbols), members of the universe; None: everyone
    funding: Funding | None = None  # (bars, symbols), each session's as known at it; None where positions pay none
    halted: BoolArray | None = None  # (bars, symbols), known at the session not to trade on it; None: never any
    halt_reach: int = 0  # sessions, the newest included, in which a halt may leave a fact of a decision missing
    greeks: Greeks | None = None  # (bars, symbols), each session's as known at it; None where the settings limit none
    stale_sessions: int = 0  # after which a symbol without a fresh bar is stale; 0: none ever is
    by_day: DaySizes | None = None  # where bars within the session are decided; None where each session is a day

    def __post_init__(self) -> None:
        read_only_fields(self)

    @cached_property
    def relative_returns(self) -> FloatArray:
        """Each session's return less its median, fraction, (bars, symbols), as relative labels are made of them."""
        return read_only(less_the_median(self.returns, self.candidates))

    @property
    def cost_volatility(self) -> FloatArray:
        """What costs are a multiple of, fraction per day, (bars, symbols)."""
        return self.volatility if self.by_day is None else self.by_day.volatility

    @property
    def traded_usd(self) -> FloatArray:
        """Average dollars traded a bar, (bars, symbols): what an order that one bar fills is a share of."""
        return self.adv_usd if self.by_day is None else self.by_day.traded_usd

    def begins_day(self, row: int) -> bool:
        """Whether a session is the first of its day; each is, unless bars within the session are decided."""
        return bool(self.day_began(row) == self.panel.sessions[row])

    def day_began(self, row: int) -> np.datetime64:
        """The first session of a session's day: itself, unless bars within the session are decided."""
        of_bar = None if self.by_day is None else self.by_day.days.of_bar
        first = row if of_bar is None else int(of_bar.searchsorted(of_bar[row]))
        return self.panel.sessions[first].to_datetime64()

    @cached_property
    def relative_volatility(self) -> FloatArray:
        """Forecast volatility per session of the return less the session's median, fraction, (bars, symbols).

        The median is over the session's members; a session with fewer than 5 returns of theirs is left out. The
        EWMA is that of :func:`nn_assets.signals.signals.ewma_volatility`, over the sessions that were not halted.
        """
        apart = self.relative_returns
        volatility, halts = ewma_volatility(apart), _Halts.of(self.halted)
        if halts is not None:
            halts.lay(volatility, ewma_volatility(halts.pack(apart)), stays=True)
        return read_only(volatility)

    @cached_property
    def usual_volatility(self) -> FloatArray:
        """The strategy's usual volatility as known at each session, fraction, (bars,); NaN before the first.

        The median over the sessions until then of each session's median name, members only.
        """
        judged = self.volatility if self.candidates is None else np.where(self.candidates, self.volatility, np.nan)
        usual, medians = np.full(len(judged), np.nan), list[float]()
        for row, values in enumerate(judged):
            finite = values[np.isfinite(values)]
            if len(finite):
                insort(medians, float(np.median(finite)))
            if medians:
                middle = len(medians) // 2
                usual[row] = medians[middle] if len(medians) % 2 else 0.5 * (medians[middle - 1] + medians[middle])
        return read_only(usual)

    @cached_property
    def _chained_close(self) -> FloatArray:
        """The last total-return close there is, price in shares of the first bar, (bars, symbols)."""
        return read_only(_last_known(self.panel.total_return().close))

    @cached_property
    def _closing_adv_usd(self) -> FloatArray:
        """Average daily volume; where bars are missing, over the last 20, or fewer; else as last known."""
        if self.by_day is not None:
            return read_only(_last_known(self.adv_usd))
        traded = self.panel.close * self.panel.volume
        finite = np.isfinite(self.adv_usd)
        return read_only(np.where(finite, self.adv_usd, _mean_of_what_is_there(traded, _ADV_SESSIONS)))

    @cached_property
    def _assumed_splits(self) -> DayArray | None:
        actions = self.panel.adjustment
        if actions is None or not actions.assumed.any():
            return None
        last = np.maximum.accumulate(np.where(actions.assumed, np.arange(len(actions.assumed))[:, None], -1), axis=0)
        days = stamps_of(self.panel.sessions)
        return read_only(np.where(last >= 0, days[np.maximum(last, 0)], np.datetime64("NaT", "D")))

    @cached_property
    def _closing_volatility(self) -> FloatArray:
        return read_only(_last_known(self.cost_volatility))

    def _since_halt(self, row: int) -> BoolArray | None:
        """Members that trade on a session and were halted within the reach before it, (symbols,); None: never any."""
        if self.halted is None:
            return None
        lately = self.halted[max(0, row + 1 - self.halt_reach) : row + 1].any(axis=0) & ~self.halted[row]
        return np.asarray(lately if self.candidates is None else lately & self.candidates[row])

    def _stale(self, row: int) -> BoolArray | None:
        """Symbols without a fresh bar on any of the last sessions, (symbols,): none, or one like the bar before.

        A session on which it was known to be halted is none of these.
        """
        if self.stale_sessions == 0:
            return None
        rows = range(row, row - self.stale_sessions, -1)
        if rows[-1] < 0:
            return np.zeros(len(self.panel.symbols), dtype=np.bool_)
        close = self.panel.close
        stale = np.logical_and.reduce(
            [~(np.isfinite(close[past]) & (close[past] > 0.0)) | _repeated(self.panel, past) for past in rows]
        )
        halted = False if self.halted is None else self.halted[rows[-1] : row + 1].any(axis=0)
        return np.asarray(stale & np.logical_not(halted))

    def until(self, row: int) -> MarketView:
        """The sessions up to ``row`` alone: what is known at it, and nothing later."""
        stop = row + 1
        cut = MarketView(
            panel=self.panel.until(self.panel.sessions[row]),
            regimes=self.regimes.until(stop),
            correlation_sessions=self.correlation_sessions,
            candidates=None if self.candidates is None else self.candidates[:stop],
            funding=None if self.funding is None else self.funding.at(slice(stop)),
            halted=None if self.halted is None else self.halted[:stop],
            halt_reach=self.halt_reach,
            stale_sessions=self.stale_sessions,
            greeks=None if self.greeks is None else self.greeks.at(slice(stop)),
            by_day=None if self.by_day is None else self.by_day.until(stop),
            **{name: getattr(self, name)[:stop] for name in _BY_BAR},
        )
        for name in _MADE_ONCE:  # row t of each reads no later row: what was computed once need not be again
            values = getattr(self, name)
            vars(cut)[name] = None if values is None else values[:stop]
        return cut

    def at(self, row: int) -> SessionMarket:
        """What session ``row`` shows."""
        panel = self.panel
        before = max(row - 1, 0)
        actions, last = panel.adjustment, max(row - _EARLIER_SESSIONS, 0)
        previous_close = self._chained_close[before]
        if actions is not None:
            previous_close = previous_close / actions.growth[row]
        first = max(0, row + 1 - self.correlation_sessions)
        return SessionMarket(
            session=panel.sessions[row],
            open=panel.open[row],
            high=panel.high[row],
            low=panel.low[row],
            close=panel.close[row],
            volume=panel.volume[row],
            previous_close=previous_close,
            average_true_range=self.average_true_range[row],
            volatility=self.volatility[row],
            cost_volatility=self.cost_volatility[row],
            usual_volatility=float(self.usual_volatility[row]),
            adv_usd=self.adv_usd[row],
            previous_adv_usd=self.adv_usd[before],
            previous_volatility=self.cost_volatility[before],
            trailing_returns=self.returns[first : row + 1],
            beta=self.beta[row],
            regime_scale=float(self.regime_scales[row]),
            split=None if actions is None else actions.split[row],
            dividend=None if actions is None else actions.dividend[row],
            delisting=None if actions is None else actions.delisting[row],
            gone=None if actions is None else actions.gone[row],
            assumed_split=None if self._assumed_splits is None else self._assumed_splits[row],
            repeated=_repeated(panel, row),
            closing_adv_usd=self._closing_adv_usd[before],
            closing_volatility=self._closing_volatility[before],
            day=None if self.by_day is None else self.by_day.days.of_bar[row],
            bars_of_day=1 if self.by_day is None else self.by_day.days.bars_of_session,
            funding=None if self.funding is None else self.funding.at(row),
            halted=None if self.halted is None else self.halted[row],
            since_halt=self._since_halt(row),
            greeks=None if self.greeks is None else self.greeks.at(row),
            stale=self._stale(row),
            earlier=EarlierBars(
                stamps_of(panel.sessions[last:row]),
                **{name: getattr(panel, name)[last:row] for name in FIELDS},
                growth=None if actions is None else actions.growth[last : row + 1],
                funding=None if self.funding is None else self.funding.at(slice(last, row)),
            ),
        )


_BY_BAR = ("returns", "average_true_range", "volatility", "adv_usd", "beta", "regime_scales")
_MADE_ONCE = ("usual_volatility", "_chained_close", "_closing_adv_usd", "_assumed_splits", "_closing_volatility")


@dataclass(frozen=True, eq=False)
class _Halts:
    """The columns that were ever halted, and their sessions without a halt moved together.

    So a window steps over a halt whatever its length, over nothing else, and the return of the first session that
    trades again is that of the whole halt.
    """

    columns: IntArray
    halted: BoolArray  # (bars, columns)
    own: OwnBars  # of these columns

    @classmethod
    def of(cls, halted: BoolArray | None) -> _Halts | None:
        """The halts of (bars, symbols); None where there are none."""
        columns = np.flatnonzero(np.zeros(0) if halted is None else halted.any(axis=0))
        if halted is None or not len(columns):
            return None
        return cls(columns, halted[:, columns], OwnBars.of(~halted[:, columns]))

    def pack(self, values: FloatArray) -> FloatArray:
        """These columns of (bars, symbols), the halted sessions left out; NaN at the end instead."""
        return self.own.pack(values[:, self.columns])

    def panel(self, panel: Panel) -> Panel:
        """A panel of total returns, likewise."""
        fields: dict[str, Any] = {name: self.pack(values) for name, values in panel.arrays.items()}
        return Panel(panel.sessions, tuple(panel.symbols[column] for column in self.columns.tolist()), **fields)

    def lay(self, values: FloatArray, packed: FloatArray, *, stays: bool = False) -> None:
        """Put what follows from packed columns in their place; on halted sessions NaN, or what ``stays`` from before.

        A price that does not move says nothing of how far it will.
        """
        laid = self.own.spread(packed)
        values[:, self.columns] = np.where(self.halted, _last_known(laid), laid) if stays else laid

    def over_the_same_sessions(self, market: FloatArray) -> FloatArray:
        """The market's returns, (bars,), from one session of each packed column to its next, (bars, columns)."""
        level: FloatArray = np.cumprod(1.0 + np.nan_to_num(market)).astype(np.float64)
        shape = len(market), len(self.columns)
        wide, levels = (self.own.pack(np.broadcast_to(values[:, None], shape)) for values in (market, level))
        across = np.diff(self.own.rows, axis=0, prepend=0) > 1
        return np.where(across & np.isfinite(wide), ratio(levels, lagged(levels, 1)) - 1.0, wide)


def _last_known(values: FloatArray) -> FloatArray:
    """Each value, or the last one before it that is a number, (bars, symbols)."""
    rows = np.where(np.isfinite(values), np.arange(len(values))[:, None], 0)
    return np.take_along_axis(values, np.maximum.accumulate(rows, axis=0), axis=0)


def _mean_of_what_is_there(values: FloatArray, window: int) -> FloatArray:
    """Mean of the last values that are numbers, at most ``window`` of them, (bars, symbols); NaN before the first."""
    means = np.full(values.shape, np.nan)
    for column in range(values.shape[1]):
        rows = np.flatnonzero(np.isfinite(values[:, column]))
        finite, total, count = values[rows, column], np.zeros(len(rows)), np.zeros(len(rows))
        for lag in range(min(window, len(rows))):
            total[lag:] += finite[: len(rows) - lag]
            count[lag:] += 1.0
        means[rows, column] = np.divide(total, count, out=total, where=count > 0.0)
    return _last_known(means)


def _repeated(panel: Panel, row: int) -> BoolArray:
    """Symbols whose bar equals the one before in price and volume, shape (symbols,); a volume may be unknown twice."""
    if row == 0:
        return np.zeros(len(panel.symbols), dtype=np.bool_)
    fields = (panel.open, panel.high, panel.low, panel.close)
    prices = np.logical_and.reduce([field[row] == field[row - 1] for field in fields])
    now, before = panel.volume[row], panel.volume[row - 1]
    return np.asarray(prices & ((now == before) | (np.isnan(now) & np.isnan(before))))


def market_view(
    panel: Panel,
    settings: PortfolioSettings,
    candidates: BoolArray | None = None,
    funding: Funding | None = None,
    *,
    max_missing_fraction: float = 0.0,
    regime_naming: RegimeNaming | None = None,
    halted: BoolArray | None = None,
    halt_reach: int = 0,
    days: Days | None = None,
    greeks: Greeks | None = None,
) -> MarketView:
    """Compute the sizes of every session.

    Parameters
    ----------
    panel : Panel, arrays of shape (bars, symbols)
        Raw prices, which orders and fills are in; returns and ranges are measured on their total
        return, and ranges given back in raw prices.
    settings : PortfolioSettings
        ``proxy_adv_usd`` replaces the measured average daily volume (of an index, say, whose volume
        is that of its members). ``correlation_sessions`` is the window of beta too.
    candidates : array of bool, shape (bars, symbols), optional
        Members of the universe on each session: the market is theirs alone. Everyone when left out.
    funding : Funding, arrays of shape (bars, symbols), optional
        What positions pay as perpetuals, each session's as known at its decision.
    max_missing_fraction : float
        Share of missing bars that average volume, range and beta may step over, as the features do; never bridged.
    regime_naming : RegimeNaming, optional
        What names the regimes, and what a stressed one leaves of a size; the rules at their defaults when left out.
    halted : array of bool, shape (bars, symbols), optional
        Known at each session's decision not to trade on it. Windows step over these sessions, however many: the
        return of the first session that trades again is the one since the last close before the halt, actions in
        between included, and counts once, on its session, in volatility, range, beta, covariance and the market.
    halt_reach : int
        Sessions in which a halt may leave a fact of a decision missing, for ``since_halt`` of a session's market.
    days : Days, optional
        The days of bars within the session. Average daily volume, the volatility of costs and the rules' regimes
        count days then, those that ended before the bar's own; ranges, volatilities of sizes and beta count bars.
    greeks : Greeks, arrays of shape (bars, symbols), optional
        Of instruments that carry them, each session's as known at its decision.

    Returns
    -------
    MarketView
        Volatility is the EWMA of :func:`nn_assets.signals.signals.ewma_volatility`; average daily
        volume the 20-session mean of close x volume; beta and regime are those of the equally
        weighted market of the session's members, NaN and unknown where it has too few or none. NaN
        where bars are missing.
    """
    halts = _Halts.of(halted)
    traded = panel.close * panel.volume
    if settings.proxy_adv_usd is None:
        adv = _mean_traded(traded, max_missing_fraction)
        if halts is not None:
            halts.lay(adv, _mean_traded(halts.pack(traded), max_missing_fraction))
    else:
        adv = np.full(panel.close.shape, settings.proxy_adv_usd)
    chained = panel.total_return()
    returns, volatility, true_range = _by_bar(chained, max_missing_fraction)
    if halts is not None:
        by_traded_bar = _by_bar(halts.panel(chained), max_missing_fraction)
        halts.lay(returns, by_traded_bar[0])
        halts.lay(volatility, by_traded_bar[1], stays=True)
        halts.lay(true_range, by_traded_bar[2])
    if panel.adjustment is not None:
        true_range = true_range / panel.adjustment.growth
    by_day = None
    if days is not None:
        mean = adv if settings.proxy_adv_usd is None else adv / days.bars_of_session
        by_day = DaySizes(days, daily_volatility(days, chained.close), mean)
        adv = average_daily_volume(days, traded) if settings.proxy_adv_usd is None else adv
    market = mean_over_symbols(returns, candidates)
    growth: FloatArray = np.cumprod(1.0 + np.nan_to_num(market)).astype(np.float64)
    if candidates is not None:
        growth[~candidates.any(axis=1)] = np.nan
    regimes = classify_regimes(growth) if days is None else regimes_of_days(growth, days.starts)
    parameters = None if regime_naming is None else regime_naming.parameters
    if regime_naming is not None and regime_naming.states is not None:
        regimes = replace(regimes, markov=regime_naming.states(np.log1p(np.where(market > -1.0, market, np.nan))))
    return MarketView(
        panel=panel,
        returns=returns,
        beta=_beta(returns, market, settings.correlation_sessions, candidates, max_missing_fraction, halts),
        regimes=regimes,
        regime_scales=regime_scales(regimes, parameters, None if days is None else days.starts),
        average_true_range=true_range,
        volatility=volatility,
        adv_usd=adv,
        correlation_sessions=settings.correlation_sessions,
        candidates=candidates,
        funding=funding,
        halted=halted,
        halt_reach=halt_reach,
        by_day=by_day,
        greeks=greeks,
        stale_sessions=settings.stale_symbol_sessions or 0,
    )


def _mean_traded(traded: FloatArray, max_missing_fraction: float) -> FloatArray:
    mean = partial(rolling_mean, window=_ADV_SESSIONS)
    return over_own_rows(traded, _ADV_SESSIONS, max_missing_fraction, mean)


def _by_bar(chained: Panel, max_missing_fraction: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return, volatility and true range of total-return prices, (bars, symbols) each."""
    returns = ratio(chained.close, lagged(chained.close, 1)) - 1.0
    has_bar = np.isfinite(chained.high) & np.isfinite(chained.low) & np.isfinite(chained.close)
    true_range = Stepping(chained, has_bar, max_missing_fraction).over(
        _ATR_SESSIONS + 1, lambda bars, _: average_true_range(bars, _ATR_SESSIONS)
    )
    return returns, ewma_volatility(log_return(chained)), true_range


def _beta(
    returns: FloatArray,
    market: FloatArray,
    sessions: int,
    candidates: BoolArray | None,
    max_missing_fraction: float,
    halts: _Halts | None,
) -> FloatArray:
    """Slope of each symbol's return on the market's over a trailing window; NaN where a small one is in it.

    A lost bar leaves two returns out, and a session without a return has no slope. The return across a halt meets the
    market's over the same sessions (trade-to-trade returns; Dimson 1979, "Risk measurement when shares are subject to
    infrequent trading", Journal of Financial Economics 7).
    """
    if candidates is not None:
        market = np.where(candidates.sum(axis=1) >= _SMALLEST_MARKET, market, np.nan)
    elif returns.shape[1] < _SMALLEST_MARKET:
        return np.full(returns.shape, np.nan)
    beta = _slopes(returns, np.repeat(market[:, None], returns.shape[1], axis=1), sessions, max_missing_fraction)
    if halts is not None:
        same = halts.over_the_same_sessions(market)
        halts.lay(beta, _slopes(halts.pack(returns), same, sessions, max_missing_fraction))
    return beta


def _slopes(returns: FloatArray, wide: FloatArray, sessions: int, max_missing_fraction: float) -> FloatArray:
    """Slope of each column of returns on that of the market beside it, (bars, columns)."""
    beta = _slope(returns, wide, sessions)
    finite = np.isfinite(returns) & np.isfinite(wide)
    gapped = with_gaps(finite)
    if max_missing_fraction and len(gapped):
        own = OwnBars.of(finite[:, gapped])
        packed = _slope(own.pack(returns[:, gapped]), own.pack(wide[:, gapped]), sessions)
        beta[:, gapped] = own.spread(np.where(own.within(sessions, max_missing_fraction), packed, np.nan))
    return beta


def _slope(returns: FloatArray, market: FloatArray, sessions: int) -> FloatArray:
    return ratio(rolling_covariance(returns, market, sessions), rolling_covariance(market, market, sessions))
