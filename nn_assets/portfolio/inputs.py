"""What a decision is given, and what it gives back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nn_assets.arrays import BoolArray, FloatArray, IntArray, Session, Symbol
from nn_assets.costs.model import CostModel
from nn_assets.learning.evidence import sessions_needed
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.greeks import Greeks, greeks_asked_for
from nn_assets.portfolio.premium import held_premium
from nn_assets.settings import PortfolioSettings

STEP_NAMES = ("signal", "edge", "kelly", "risk", "correlation", "limits", "cost", "controls")
"""Names of steps 1 to 8."""


@dataclass(frozen=True, eq=False)
class ProgrammeFacts:
    """What ``portfolio.construction: programme`` knows beside; arrays (symbols,) unless said otherwise.

    NaN in ``label_volatility`` means that the fact is missing, and the symbol gets no position.
    """

    label_volatility: FloatArray  # forecast per session of the return that the label is made of, fraction
    outcome_slope: float  # beta = 1 / f(0)
    change_share: float  # q
    autocorrelation: float  # rho_h of the forecasts; NaN: too few
    returns: FloatArray  # (at most covariance sessions, symbols), session returns, fraction
    relative: bool  # returns expected are less the names' mean: the label is relative, or novelty in a neutral book
    short_fee: float  # over the horizon, fraction of the short's value
    margin_fee: float  # over the horizon, fraction of what is borrowed
    reach_usd: FloatArray | float = math.inf  # most of each name that one session can trade, dollars
    members: BoolArray | None = None  # of the universe: only their returns count; None: all symbols
    funding: FloatArray | None = None  # that longs are expected to pay over the horizon, fraction; None: not asked for


@dataclass(frozen=True, eq=False)
class BinaryFacts:
    """What is known beside of contracts that settle at 1 or at 0; arrays (symbols,)."""

    event: IntArray  # outcomes of one number exclude each other
    events: tuple[str, ...]  # of each symbol, the event that it shares with others; empty where it is alone
    overdue: BoolArray  # its settlement should have come by now: held as it is
    fee_fraction: float = 0.0  # of price x (1 - price), dollars a contract


class Priced:
    """What has a reference price for each symbol."""

    reference_price: FloatArray

    @property
    def priced(self) -> BoolArray:
        """Whether a name can be traded at all, (symbols,)."""
        return np.isfinite(self.reference_price) & (self.reference_price > 0.0)


@dataclass(frozen=True, eq=False)
class DecisionInputs(Priced):
    """All that a decision may know. Arrays have shape (symbols,) unless said otherwise.

    NaN in any array but ``beta`` and ``stop_price`` (and in ``base_rate`` where it is not read) means that the fact is
    missing, and the symbol gets no position, unless :func:`held_on` lets it keep the one it has.
    """

    symbols: tuple[Symbol, ...]
    session: Session
    reference_price: FloatArray  # close of the session; NaN or not positive: not tradable
    calibrated_probability: FloatArray
    base_rate: FloatArray  # p0, of what was realised before; not read where the premium in it is held
    confidence: FloatArray  # 0..1, from the signal: usual over today's dispersion of the ensemble, times novelty
    mean_win: FloatArray  # G, positive fraction over the horizon, in the name's own volatility
    mean_loss: FloatArray  # L, likewise
    outcomes: IntArray  # whole independent out-of-sample outcomes behind G and L
    outcome_sessions: IntArray  # sessions that had any
    atr: FloatArray  # ATR_14, price
    daily_volatility: FloatArray  # fraction per session
    adv_usd: FloatArray  # average daily volume, or the stated proxy, dollars
    trailing_returns: FloatArray  # (60, symbols), session returns, fraction
    beta: FloatArray  # NaN: taken as 1
    current_quantity: FloatArray
    blocked_side: IntArray  # side whose stop was hit; 0 for none
    equity_usd: float
    drawdown_fraction: float
    horizon_sessions: int
    edge_scale: float  # s of step 5, see portfolio/kelly.py; read by ``per_name`` alone
    verdict_allows: bool  # the verdict in force allows trading, or the settings trade without one
    trading_state: str = "CONTINUE"
    breakers: tuple[str, ...] = ()  # kinds of those latched
    kill_switch: str = "ACTIVE"
    account_differs: bool = False  # the account at the venue is not that of its books: nothing opens or grows
    regime_scale: float = 1.0
    last_mark: FloatArray | None = None  # last price known of what is held; the reference where left out
    unscaled_quantity: FloatArray | None = None  # u0: u of the session before, carried; what is held where left out
    was_halved: bool = False  # by drawdown, at the session before
    stop_price: FloatArray | None = None  # of what is held; NaN, or left out, where nothing rests
    closes_session: bool = False  # within the session: what is decided fills at its end, and must be flat
    programme: ProgrammeFacts | None = None  # asked for by that construction alone
    groups: tuple[Symbol, ...] | None = None  # by behaviour; None where the settings do not ask for them
    novelty: FloatArray | float = 1.0  # the factor of the confidence that novelty is, 0..1
    cost_volatility: FloatArray | None = None  # that costs are priced by, per session; as sizes are where left out
    assets_usd: float = 0.0  # the book's peak since the last reset of a loss; read beside an estimate of capacity
    capacity_usd: float | None = None  # the estimate in force; None: none is, or none is asked for
    since_halt: BoolArray | None = None  # trades again after a stated halt that a forecast still reaches into
    binary: BinaryFacts | None = None  # of contracts that settle at 1 or at 0: weights are stakes; None: no such market
    greeks: Greeks | None = None  # of instruments that carry them; read where the settings limit them

    def holdable(self, settings: PortfolioSettings) -> BoolArray:
        """Names that no Greek keeps from being held, (symbols,)."""
        greeks = greeks_asked_for(self.greeks, settings, self.symbols)
        if greeks is None:
            return np.ones(len(self.symbols), dtype=np.bool_)
        return greeks.holdable(~self.priced & (self.current_quantity != 0.0))

    def greeks_per_dollar(self, settings: PortfolioSettings) -> dict[str, FloatArray] | None:
        """Dollars of each limited Greek for a dollar of each name, (symbols,); None where none is limited."""
        greeks = greeks_asked_for(self.greeks, settings, self.symbols)
        if greeks is None:
            return None
        mark = self.reference_price if self.last_mark is None else self.last_mark
        return greeks.per_dollar(np.where(self.priced, self.reference_price, mark))

    @property
    def priced_volatility(self) -> FloatArray:
        """The volatility that costs are a multiple of, fraction per session, (symbols,)."""
        return self.daily_volatility if self.cost_volatility is None else self.cost_volatility

    @property
    def start_quantity(self) -> FloatArray:
        """The unscaled book that the decision starts from, in shares, (symbols,)."""
        return self.current_quantity if self.unscaled_quantity is None else self.unscaled_quantity

    @property
    def resting_stop(self) -> FloatArray:
        """Stops of what is held, price, (symbols,); NaN where nothing rests."""
        return np.full(len(self.symbols), np.nan) if self.stop_price is None else self.stop_price

    @property
    def evidence(self) -> BoolArray:
        """Names whose record has the sessions that any size needs, (symbols,)."""
        return self.outcome_sessions >= sessions_needed(self.horizon_sessions)

    @property
    def stuck_weight(self) -> FloatArray:
        """Signed weight of what is held and has no price today: it cannot be sold, and still counts, (symbols,)."""
        if self.last_mark is None or self.priced.all() or self.equity_usd <= 0.0:
            return np.zeros(len(self.symbols))
        return np.where(self.priced, 0.0, np.nan_to_num(self.current_quantity * self.last_mark) / self.equity_usd)


def held_on(inputs: DecisionInputs, complete: BoolArray, evidence: BoolArray) -> BoolArray:
    """Names that lack a forecast, or returns, because of a stated halt: what is held stays, (symbols,).

    Nobody decided to leave them, so the book before stands: nothing is added, and limits, stops and controls take off
    what they do. Price, range, volatility and volume step over a halt, so none of them may be missing; and where no
    other name has its facts either, the reason is another one.

    Parameters
    ----------
    complete : array of bool, shape (symbols,)
        Names with every fact.
    evidence : array of bool, shape (symbols,)
        Names whose record is long enough for a size.
    """
    if inputs.since_halt is None:
        return np.zeros(len(inputs.symbols), dtype=np.bool_)
    known = inputs.priced & evidence & np.isfinite(inputs.current_quantity) & np.isfinite(inputs.start_quantity)
    for fact in (inputs.atr, inputs.priced_volatility, inputs.adv_usd):
        known &= np.isfinite(fact) & (fact > 0.0)
    others = complete[inputs.priced & ~inputs.since_halt]
    explained = bool(others.any()) or not len(others)
    return np.asarray(inputs.since_halt & ~complete & known & (inputs.current_quantity != 0.0) & explained)


@dataclass(frozen=True)
class Answer:
    """How the limits (``per_name``) or the whole programme were answered, and at what costs.

    ``no_answer`` says why nothing was opened or enlarged, in the solver's words: an alarm. ``exceeded`` names the
    limits that the book exceeds because of what cannot be traded.
    """

    costs: CostModel
    no_answer: str | None
    exceeded: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Decision:
    """Targets, the trace of the eight steps, and the numbers behind the reasons.

    ``weights`` has shape (9, symbols): row 0 the unscaled weight before, row k the weight after step k. Row 7 is the
    unscaled book, row 8 what controls and lots leave of it. The programme leaves rows 1 to 6 NaN: they are solved
    for the trace.
    """

    inputs: DecisionInputs
    settings: PortfolioSettings
    target_quantity: FloatArray
    target_weight: FloatArray
    unscaled_quantity: FloatArray  # u in shares: the next session's decision starts from it
    stop_distance: FloatArray  # of what is added, price units; NaN where ATR is missing
    risk_distance: FloatArray  # fraction of price: the larger of that and the distance to what rests
    weights: FloatArray
    control: Control
    scale: float
    direction: IntArray
    complete: BoolArray  # every input is there
    edge_kept: FloatArray  # per session, before costs, times confidence
    edge_opened: FloatArray  # per session, after the round trip
    round_trip_cost: FloatArray  # fraction, of the size considered
    overlap: FloatArray  # correlation with the rest of the book on the signal's side; NaN from the programme
    not_worth: BoolArray  # changes that step 7 did not make
    premium_share: FloatArray  # of the expected return that the base rate promises by itself, 0 to 1
    answer: Answer
    expected_return: FloatArray | None = None  # mu of the programme, over the horizon; NaN: none; None: per name
    held_on: BoolArray | None = None  # of :func:`held_on`; None where no symbol ever was halted

    @property
    def premium_of_gross(self) -> float:
        """Share of the target's gross that is premium, 0 to 1."""
        return held_premium(self.target_weight, self.premium_share)
