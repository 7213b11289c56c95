"""Simulated markets: regimes, GARCH with fat tails, market and sector factors, a planted edge.

Each session is drawn from a generator keyed by the seed and the session's own date, and computed row
by row: a longer history repeats a shorter one to the bit, and a symbol's bars do not depend on how
many other symbols are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import FloatArray
from nn_assets.contracts.frames import DeliveredBars
from nn_assets.errors import SettingsError

_DEGREES = 6  # of freedom of the Student-t shocks: kurtosis 6, as daily stock returns show
_CONSTANTS_KEY = 0  # generator key of what is drawn once; 1970-01-01, which no history reaches
_MARKET_DRAWS = 2 + _DEGREES
_SYMBOL_DRAWS = 6 + _DEGREES


@dataclass(frozen=True)
class MarketShape:
    """What the simulated market looks like; every default is an ordinary figure for US stocks.

    Volatilities are fractions per session. ``rank_ic_to_loading`` turns the planted rank IC into the
    share of the idiosyncratic shock that the signal foretells: Spearman against Pearson, the factors'
    share of the cross-section's dispersion and the fat tails are all in it; it is measured, and a test
    measures it again.
    """

    market_volatility: float = 0.008
    market_premium: float = 0.0002
    sector_volatility: float = 0.0045
    symbol_volatility: float = 0.016
    symbol_volatility_spread: float = 0.20  # standard deviation of its logarithm over symbols
    beta_spread: float = 0.20
    sectors: tuple[str, ...] = ("energy", "finance", "health", "industry", "technology")
    garch_shock: float = 0.06
    garch_memory: float = 0.92
    regime_scales: tuple[float, float] = (0.85, 1.70)  # calm, turbulent
    regime_leaves: tuple[float, float] = (0.005, 0.025)  # probability per session of leaving each
    overnight_share: float = 0.20
    pressure: float = 1.0  # how strongly the signal moves the close within the day's range
    volume_spread: float = 0.25
    rank_ic_to_loading: float = 1.0
    turbulent_edge: float = 1.0  # of the planted edge, while the market is turbulent: -1 turns its sign


COINS = MarketShape(
    market_volatility=0.025,
    market_premium=0.0004,
    sector_volatility=0.008,
    symbol_volatility=0.030,
    sectors=("exchanges", "games", "lending", "networks", "storage"),
    overnight_share=0.0,
)
"""Ordinary figures for coins other than Bitcoin. Their market never closes: each session opens at the last close."""


@dataclass(frozen=True)
class Truth:
    """What only the simulator knows. Arrays are (bars, symbols) float64, never NaN, read-only.

    Attributes
    ----------
    signal : latent order-flow pressure at the close of each session, unit variance.
    expected_return : the planted part of the *next* session's log return, a fraction, given
        everything up to this session's close; the market's premium is not in it, so it is exactly
        zero where nothing is planted.
    log_return : the session's own close-to-close log return before prices are rounded to cents.
    turbulent : shape (bars,), bool; the market's regime.
    """

    signal: FloatArray
    expected_return: FloatArray
    log_return: FloatArray
    turbulent: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SimulatedMarket:
    """Bars as a strategy may see them, and apart from them the truth."""

    bars: DeliveredBars  # symbol, session, open, high, low, close, volume
    sessions: pd.DatetimeIndex
    symbols: tuple[str, ...]
    sectors: dict[str, str]
    truth: Truth


def symbol_names(count: int) -> tuple[str, ...]:
    """Names of simulated symbols: ``SIM01``, ``SIM02`` and so on."""
    return tuple(f"SIM{number:02d}" for number in range(1, count + 1))


def simulate_market(
    symbols: int,
    sessions: pd.DatetimeIndex,
    seed: int,
    planted_rank_ic: float,
    signal_persistence: float,
    shape: MarketShape | None = None,
) -> SimulatedMarket:
    """Simulate daily bars whose cross-section hides an edge of known size.

    A latent signal per symbol, AR(1), foretells a share of the next session's idiosyncratic return.
    It shows, with noise, where order flow would: the close's place within the day's range, and volume.

    Parameters
    ----------
    symbols : int
        Number of instruments, at least 1.
    sessions : DatetimeIndex, shape (bars,)
        Increasing tz-naive midnights. The first is where the market starts: another first session is
        another market; a later last one is the same market continued.
    seed : int
        Not negative.
    planted_rank_ic : float
        Mean cross-sectional rank correlation of the signal with the next session's return; 0 is noise.
    signal_persistence : float
        AR(1) coefficient per session, in [0, 1).
    shape : MarketShape, optional
        Volatilities, factors and how visible the signal is.

    Returns
    -------
    SimulatedMarket
        Prices in cents, positive, high and low bracketing open and close; volumes whole shares,
        positive; no NaN.

    Raises
    ------
    SettingsError
        An argument outside its range.

    Notes
    -----
    GARCH(1,1): Bollerslev (1986), eq. 2; Student-t shocks: Bollerslev (1987); two-state Markov
    volatility: Hamilton and Susmel (1994).
    """
    _check(symbols, sessions, seed, planted_rank_ic, signal_persistence)
    process = _Process(symbols, seed, planted_rank_ic, signal_persistence, shape or MarketShape())
    rows = [process.step(int(day)) for day in sessions.to_numpy().astype("datetime64[D]").astype(np.int64)]
    stacked = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    for values in stacked.values():
        values.setflags(write=False)
    names = symbol_names(symbols)
    hidden = {name: stacked.pop(name) for name in ("signal", "expected_return", "log_return", "turbulent")}
    return SimulatedMarket(
        bars=_long(stacked, sessions, names),
        sessions=sessions,
        symbols=names,
        sectors=dict(zip(names, process.sector_names, strict=True)),
        truth=Truth(**hidden),
    )


def _check(symbols: int, sessions: pd.DatetimeIndex, seed: int, rank_ic: float, persistence: float) -> None:
    faults = {
        "symbols": (symbols >= 1, "at least 1", symbols),
        "sessions": (
            len(sessions) > 0 and sessions.is_monotonic_increasing and sessions.is_unique,
            "one or more increasing sessions",
            f"{len(sessions)} sessions, not strictly increasing" if len(sessions) else "none",
        ),
        "source.seed": (seed >= 0, "not negative", seed),
        "source.planted_rank_ic": (abs(rank_ic) <= 0.5, "between -0.5 and 0.5", rank_ic),
        "source.signal_persistence": (0.0 <= persistence < 1.0, "in [0, 1)", persistence),
    }
    for key, (holds, expected, found) in faults.items():
        if not holds:
            raise SettingsError(expected=expected, found=str(found), remedy=f"change {key}", key=key, value=found)


def _long(fields: dict[str, FloatArray], sessions: pd.DatetimeIndex, names: tuple[str, ...]) -> pd.DataFrame:
    columns: dict[str, object] = {
        "symbol": np.repeat(np.array(names, dtype=object), len(sessions)),
        "session": np.tile(sessions.as_unit("ns").to_numpy(), len(names)),
    }
    columns |= {name: np.ascontiguousarray(values.T).ravel() for name, values in fields.items()}
    frame = pd.DataFrame(columns)
    frame["symbol"] = frame["symbol"].astype("str")
    return frame


@dataclass
class _Process:
    """The market's state after the last session stepped through. Arrays are (symbols,)."""

    symbols: int
    seed: int
    planted_rank_ic: float
    persistence: float
    shape: MarketShape
    turbulent: bool = False
    market_variance: float = 1.0  # in units of the long-run variance
    sector_names: Sequence[str] = field(init=False)
    expected: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        shape = self.shape
        generator = np.random.default_rng([self.seed, _CONSTANTS_KEY])
        draws = np.ascontiguousarray(generator.standard_normal((self.symbols, 5)).T)
        self.sector = np.arange(self.symbols) % len(shape.sectors)
        self.sector_names = [shape.sectors[index] for index in self.sector]
        self.volatility = shape.symbol_volatility * np.exp(shape.symbol_volatility_spread * draws[0])
        self.beta = 1.0 + shape.beta_spread * draws[1]
        self.log_price = np.log(60.0) + 0.5 * draws[2]
        self.dollars = np.exp(np.log(80e6) + 0.7 * draws[3])
        self.signal = draws[4].copy()
        self.variance = np.ones(self.symbols)
        self.loading = shape.rank_ic_to_loading * self.planted_rank_ic
        self.expected = self._expected(self._scale())

    def _scale(self) -> float:
        return self.shape.regime_scales[int(self.turbulent)]

    def _expected(self, scale: float) -> FloatArray:
        """Foretell the planted part of the next log return, known now: the next regime is not."""
        edge = self.loading * (self.shape.turbulent_edge if self.turbulent else 1.0)
        planted: FloatArray = edge * scale * self.volatility * np.sqrt(self.variance) * self.signal
        return planted

    def step(self, day: int) -> dict[str, FloatArray | bool]:
        """Draw one session and move the state past it."""
        generator = np.random.default_rng([self.seed, day])
        leaves = generator.random() < self.shape.regime_leaves[int(self.turbulent)]
        market = generator.standard_normal(_MARKET_DRAWS)
        sectors = generator.standard_normal(len(self.shape.sectors))
        # (symbols, draws) in C order: a symbol's draws come before those of the next one.
        draws = np.ascontiguousarray(generator.standard_normal((self.symbols, _SYMBOL_DRAWS)).T)
        self.turbulent ^= bool(leaves)
        scale = self._scale()
        spread = scale * self.volatility * np.sqrt(self.variance)
        shock = _student(draws[0], draws[1 : 1 + _DEGREES])
        log_return = self._returns(scale, spread, shock, market, sectors)
        noise = draws[1 + _DEGREES :]
        self.signal = self.persistence * self.signal + np.sqrt(1.0 - self.persistence**2) * noise[0]
        bar = self._bar(log_return, spread, shock, noise)
        self._age(shock, _student(market[:1], market[1 : 1 + _DEGREES, None])[0])
        self.expected = self._expected(scale)
        return {
            **bar,
            "signal": self.signal,
            "expected_return": self.expected,
            "log_return": log_return,
            "turbulent": self.turbulent,
        }

    def _returns(
        self, scale: float, spread: FloatArray, shock: FloatArray, market: FloatArray, sectors: FloatArray
    ) -> FloatArray:
        shape = self.shape
        shock_of_market = _student(market[:1], market[1 : 1 + _DEGREES, None])[0]
        factor = shape.market_premium + (
            scale * shape.market_volatility * np.sqrt(self.market_variance) * shock_of_market
        )
        sector = scale * shape.sector_volatility * sectors
        own = np.sqrt(1.0 - self.loading**2) * spread * shock
        returns: FloatArray = self.beta * factor + sector[self.sector] + own + self.expected
        return returns

    def _age(self, shock: FloatArray, shock_of_market: float) -> None:
        """GARCH(1,1) in units of the long-run variance (Bollerslev 1986, eq. 2)."""
        fresh, memory = self.shape.garch_shock, self.shape.garch_memory
        rest = 1.0 - fresh - memory
        self.variance = rest + fresh * self.variance * shock * shock + memory * self.variance
        self.market_variance *= fresh * shock_of_market * shock_of_market + memory
        self.market_variance += rest

    def _bar(
        self, log_return: FloatArray, spread: FloatArray, shock: FloatArray, noise: FloatArray
    ) -> dict[str, FloatArray]:
        """Open, high, low and volume around a close: pressure lifts the close within the range."""
        shape = self.shape
        share = shape.overnight_share
        bridge = 0.5 * np.sqrt(share * (1.0 - share)) * spread * noise[1]
        opened = self.log_price + share * log_return + bridge
        self.log_price = closed = self.log_price + log_return
        wick = spread * (0.6 + 0.5 * np.abs(noise[2]))
        below = 1.0 / (1.0 + np.exp(-(shape.pressure * self.signal + noise[3])))
        low = np.minimum(opened, closed) - wick * below
        high = np.maximum(opened, closed) + wick * (1.0 - below)
        activity = 0.25 * np.abs(shock) + 0.15 * np.abs(self.signal) + shape.volume_spread * noise[4]
        shares = self.dollars * np.exp(activity - 0.3) / np.exp(closed)
        prices = {"open": opened, "high": high, "low": low, "close": closed}
        bar = {name: np.maximum(np.round(np.exp(value), 2), 0.01) for name, value in prices.items()}
        bar["volume"] = np.maximum(np.round(shares), 100.0)
        return bar


def _student(normal: FloatArray, squares: FloatArray) -> FloatArray:
    """Student-t of unit variance from a normal and the normals of its chi-square, (degrees, n)."""
    chi_square = squares[0] * squares[0]
    for row in squares[1:]:
        chi_square = chi_square + row * row
    shock: FloatArray = normal * np.sqrt((_DEGREES - 2) / chi_square)
    return shock
