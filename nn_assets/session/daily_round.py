"""One session, in order: convert, fill, mark, decide, order, watch. Replay and the live round both call it.

Yesterday's state comes in, today's facts come in, today's records and tomorrow's state come out.
Nothing here reads a clock, a file or a later session. The bar prices the fills and marks the book; the signal made
of it is sized by ``portfolio/decide.py``, and ``execution/orders.py`` turns targets into orders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, Symbol
from nn_assets.costs.model import CostModel
from nn_assets.costs.shortfall import Executions
from nn_assets.errors import DecisionError
from nn_assets.execution.broker import EndedOrder, OpenBroker
from nn_assets.execution.orders import (
    Orders,
    ended_where,
    orders_after_actions,
    reduces,
    targets_to_orders,
    urgent_where,
)
from nn_assets.execution.pre_trade_gate import PreTradeGateState, pass_pre_trade_gate
from nn_assets.market.calendar.sessions import next_session, previous_session
from nn_assets.market.quality.unexplained_factors import UNEXPLAINED_FACTOR
from nn_assets.oversight.drift import DriftReport
from nn_assets.oversight.refreshes import RefreshWatch, next_refresh_watch, stricter_state
from nn_assets.oversight.severity import (
    Severity,
    State,
    TradingState,
    initial_trading_state,
    next_trading_state,
    severity,
)
from nn_assets.portfolio.actions import book_after_actions, book_after_delistings
from nn_assets.portfolio.adjustments import BookAdjustment, book_after_adjustment
from nn_assets.portfolio.book import Book, Financing, PortfolioState, empty_book, reset_breakers
from nn_assets.portfolio.breakers import (
    LOSSES,
    NO_ANSWER,
    Breaker,
    BreakerReset,
    Control,
    breaker_control,
    kill_switch_control,
    latched,
    strictest,
)
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.expected import expected_own_return
from nn_assets.portfolio.fills import FillArrays, day_of
from nn_assets.portfolio.inputs import Decision, DecisionInputs, ProgrammeFacts
from nn_assets.portfolio.kelly import edge_scale
from nn_assets.portfolio.late_actions import LateActions, book_after_late_actions, owed_by_late_actions
from nn_assets.portfolio.premium import traded_probability
from nn_assets.session.binary_facts import Settled, binary_facts, settled_on
from nn_assets.session.execution_costs import executions_of
from nn_assets.session.fill_costs import SLIPPAGE_SESSIONS, FillCosts, fill_costs_of, slippage_of
from nn_assets.session.filling import blocked_until, fill_session, hit_by_late_closes, of_unknown_shares
from nn_assets.session.market_view import SessionMarket
from nn_assets.settings import PortfolioSettings, Strategy
from nn_assets.signals.signals import SessionSignals
from nn_assets.signals.volatility import VolatilityChoice

_EVEN = 0.5
_MOST_NAMED = 5

SENT_LATE = "latency_budget"
"""Why the orders of a decision within the session are not sent that would be late."""


@dataclass(frozen=True, eq=False)
class SessionState:
    """What one session hands to the next: the book, the open orders, the trading state."""

    book: Book
    orders: Orders
    trading: TradingState
    fill_costs: tuple[FillCosts, ...] = ()  # of the last sessions, oldest first
    refresh: RefreshWatch = field(default_factory=RefreshWatch)

    @property
    def session(self) -> pd.Timestamp:
        """The session after whose close it holds."""
        return self.trading.session

    @property
    def trading_state(self) -> State:
        """The next session's trading state by drift score and open refresh request, unless the model changes."""
        return stricter_state(self.trading.state, self.refresh.state_under(None))


@dataclass(frozen=True)
class Controls:
    """What a decision takes from outside the market: the study's verdict, and what a person set."""

    verdict_allows: bool = False
    leak_alarm: bool = False  # one stands, which stops trading by a verdict of other settings and without one too
    kill_switch: str = "ACTIVE"  # at the decision: for the orders to come
    kill_switch_before_fill: str | None = None  # for the orders under way and stops; None: as at the decision
    breaker_reset: BreakerReset | None = None
    capacity_usd: float | None = None  # the estimate in force; None: none is, or the settings do not ask for one
    unfinished_run: str | None = None  # why the orders under way cannot have been sent; None where they could
    account_differs: str | None = None  # in which way the account at the venue is not that of its books
    adjustment: BookAdjustment | None = None  # what a person had the book take over from the account

    def allow(self, *, without_verdict: bool) -> bool:
        """Whether positions may be taken: by the verdict, or by the settings without one; under an alarm by neither."""
        return (self.verdict_allows or without_verdict) and not self.leak_alarm

    @property
    def switch_before_fill(self) -> str:
        """The kill switch that the session's fills obey."""
        return self.kill_switch if self.kill_switch_before_fill is None else self.kill_switch_before_fill


@dataclass(frozen=True, eq=False)
class SessionFacts:
    """What is known at a session's close, besides the state left by the session before."""

    market: SessionMarket
    signals: SessionSignals
    drift: DriftReport | None = None
    controls: Controls = Controls()
    late: LateActions | None = None  # actions of sessions gone by, where any became known only now
    programme: ProgrammeFacts | None = None  # what the construction of that name knows beside
    groups: tuple[str, ...] | None = None  # by behaviour, of the symbols; None where the settings do not ask for them
    closes_session: bool = False  # within the session: the book must be flat after the next fill
    sent_late: bool = False  # within the session: its orders would be sent after the latency budget, and are not
    refresh: RefreshWatch | None = None  # after the session, where another estimator's drift asks for the refreshes
    volatility: VolatilityChoice | None = None  # the forecast that sizes are made of; None where only one is asked for


@dataclass(frozen=True, eq=False)
class Round:
    """Everything that one session did, in order."""

    session: pd.Timestamp
    fills: tuple[FillArrays, ...]
    state: PortfolioState
    signals: SessionSignals
    drift: DriftReport | None
    severity: Severity
    decision: Decision
    orders: Orders
    session_state: SessionState
    turnover_usd: float
    loss_beyond_stops_usd: float  # what fills lost beyond the stops of the positions they closed
    late: LateActions | None = None  # what the book was mended by before the first fill
    released: tuple[str, ...] = ()  # kinds of the breakers that a person released as the session began
    cancelled: int = 0  # orders under way that were sized on the book before it was mended
    ended: tuple[EndedOrder, ...] = ()  # orders under way without a whole fill
    volatility: VolatilityChoice | None = None  # the forecast that sizes are made of; None where only one is asked for
    sent_late: bool = False  # within the session: its orders would have been late, and were not sent
    financing: Financing | None = None  # what the session's financing was made of
    executions: Executions | None = None  # what the orders under way cost against the prices of their decision
    settled: tuple[Settled, ...] = ()  # binary contracts that were held and settled on this session

    @property
    def signals_on_record(self) -> SessionSignals:
        """The signals, with the side and the return that the programme read in them where it decided."""
        mean = self.decision.expected_return
        if mean is None:
            return self.signals
        return replace(self.signals, direction=self.decision.direction, expected_return=mean)

    @property
    def starts_new_peaks(self) -> bool:
        """Whether the reset of a loss started a new high-water mark as the session began."""
        return not LOSSES.isdisjoint(self.released)

    @property
    def asks_refresh(self) -> bool:
        """Whether the session's drift made a new request for a refresh."""
        return self.session_state.refresh.asked == self.session

    @property
    def refresh_reasons(self) -> list[str]:
        """Why its drift makes a request, with what gave the score its points."""
        drift_reasons = () if self.drift is None else self.drift.retraining_reasons
        return [*drift_reasons, *self.severity.reasons]


def first_session_state(strategy: Strategy, symbols: tuple[Symbol, ...], first: pd.Timestamp) -> SessionState:
    """A flat book before the first session to be decided."""
    before = previous_session(strategy.market.calendar, first)
    book = empty_book(symbols, strategy.portfolio.initial_capital_usd)
    nothing = targets_to_orders(
        symbols,
        np.zeros(len(symbols)),
        np.zeros(len(symbols)),
        np.full(len(symbols), np.nan),
        np.zeros(len(symbols)),
        strategy=strategy.name,
        session=before,
    )
    return SessionState(book, nothing, initial_trading_state(before, first))


def play_session(
    strategy: Strategy,
    costs: CostModel,
    sessions_per_year: int,
    session_state: SessionState,
    facts: SessionFacts,
    open_broker: OpenBroker,
) -> Round:
    """Play one session.

    Parameters
    ----------
    strategy : Strategy
    costs : CostModel
        The model in force; the same one prices fills on paper and sizes positions.
    sessions_per_year : int
        Of the calendar, for financing.
    session_state : SessionState
        As left by the session before.
    facts : SessionFacts
        Known at this session's close.
    open_broker : callable
        Opens the broker whose fills the session books.

    Returns
    -------
    Round

    Raises
    ------
    DecisionError
        The state is not that of the session before: sessions are played in order, each once.
    """
    session = facts.market.session
    _require_next(session_state, session)
    if strategy.market.binary and facts.late is not None:  # what comes back by it has no stop either
        no_stop = np.full(len(session_state.book.symbols), np.nan)
        facts = replace(facts, late=replace(facts.late, stop_distance=no_stop))
    reset = facts.controls.breaker_reset
    released = () if reset is None else reset.among(session_state.book.breaker_kinds)
    under_way, before = session_state.orders, session_state.book
    session_state = _released(_converted(session_state, facts, strategy.portfolio.lot_size), reset)
    late_hit = hit_by_late_closes(session_state.book, facts.market)
    filled = fill_session(
        strategy,
        costs,
        facts.market,
        sessions_per_year,
        session_state.book,
        session_state.orders,
        open_broker,
        decided=under_way,
        control=_control_of_fills(facts.controls, session_state.book, strategy.portfolio),
        unfinished_run=facts.controls.unfinished_run is not None,
    )
    book, state = filled.book.marked(
        session,
        facts.market.close,
        strategy.portfolio,
        day=facts.market.day,
        stale_share=facts.market.stale_share,
        unfinished_run=facts.controls.unfinished_run or _uncounted_text(filled.uncounted, session_state),
        binary=strategy.market.binary,
    )
    book = book.released(session, _leaning(strategy, facts))
    halted = breaker_control(book.breaker_kinds, strategy.portfolio) is Control.HALTED
    if strategy.label.execution == "next_close" and not halted:  # without a known price no stop is hit
        late_hit &= np.sign(book.quantity) == np.sign(session_state.book.quantity)  # what was reversed since is another
        book = book.stopped_at_close(blocked_until(strategy, session), before=late_hit)
    decision = decide(_inputs(strategy, session_state, facts, book), strategy.portfolio, costs)
    book, state = _alarmed(decision, book, state)
    orders = _orders(strategy, facts.market, decision, book, session_state.orders, closes_session=facts.closes_session)
    if facts.sent_late:
        orders = ended_where(orders, np.ones(len(orders), dtype=np.bool_), SENT_LATE)
    book = book.awaiting(
        _signed(orders, len(book.symbols)),
        decision.stop_distance,
        decision.unscaled_quantity,
        decision.target_quantity,
    )
    assessment, following = _watched(strategy, costs, session_state, facts, filled.fills)
    return Round(
        session=session,
        fills=filled.fills,
        state=state,
        signals=facts.signals,
        drift=facts.drift,
        severity=assessment,
        decision=decision,
        orders=orders,
        session_state=replace(following, book=book, orders=orders),
        loss_beyond_stops_usd=filled.loss_beyond_stops_usd,
        turnover_usd=float(sum(np.abs(batch.quantity * batch.price).sum() for batch in filled.fills)),
        late=facts.late,
        released=released,
        cancelled=session_state.orders.reason_code.count("late_action"),
        ended=filled.ended,
        volatility=facts.volatility,
        sent_late=facts.sent_late,
        financing=filled.financing,
        executions=executions_of(session_state.orders, filled.fills, facts.market, costs, strategy.label.execution),
        settled=settled_on(before, facts.market.delisting) if strategy.market.binary else (),
    )


def _uncounted_text(uncounted: tuple[str, ...], before: SessionState) -> str | None:
    """Why the positions are not known where a broker answered nothing, or something else, to orders sent."""
    if not uncounted:
        return None
    orders, symbols = before.orders, before.book.symbols
    of = dict(zip(orders.client_order_id, orders.symbol.tolist(), strict=True))
    named = ", ".join(f"{symbols[of[name]]} ({name})" for name in uncounted[:_MOST_NAMED])
    more = f" and {len(uncounted) - _MOST_NAMED} more" if len(uncounted) > _MOST_NAMED else ""
    return (
        f"orders sent were neither filled as ordered nor ended: {named}{more}; compare the positions with the broker's"
    )


def _require_next(session_state: SessionState, session: pd.Timestamp) -> None:
    due = session_state.trading.effective_session
    if due != session:
        raise DecisionError(
            expected=f"the state left for {due.date()}",
            found=f"session {session.date()}",
            remedy="run the sessions in between first: each builds on the one before",
            session=session.date(),
        )


def _watched(
    strategy: Strategy,
    costs: CostModel,
    session_state: SessionState,
    facts: SessionFacts,
    fills: tuple[FillArrays, ...],
) -> tuple[Severity, SessionState]:
    """The severity of drift and slippage on this session, and the state that results."""
    session, oversight = facts.market.session, strategy.oversight
    spent = fill_costs_of(fills, facts.market, costs, execution=strategy.label.execution)
    recent = (*session_state.fill_costs, spent)[-SLIPPAGE_SESSIONS:]
    assessment, refresh = Severity(0, (), examined=False), session_state.refresh
    if facts.drift is not None:
        slippage = slippage_of(
            recent, oversight.slippage_tolerance_fraction, by_volatility=oversight.slippage_by_volatility
        )
        assessment = severity(facts.drift, slippage)
        refresh = next_refresh_watch(session_state.refresh, facts.drift, oversight)
    if facts.refresh is not None:
        refresh = facts.refresh
    following = next_session(strategy.market.calendar, session)
    trading = next_trading_state(session_state.trading, assessment, oversight, session, following)
    return assessment, replace(session_state, trading=trading, fill_costs=recent, refresh=refresh)


def _released(session_state: SessionState, reset: BreakerReset | None) -> SessionState:
    """Reset breakers that were latched when the session began; those that fire during it stay latched."""
    kinds = () if reset is None else reset.among(session_state.book.breaker_kinds)
    if reset is None or not kinds:
        return session_state
    book = reset_breakers(session_state.book, kinds, person=reset.person, reason=reset.reason)
    return replace(session_state, book=book)


def _alarmed(decision: Decision, book: Book, state: PortfolioState) -> tuple[Book, PortfolioState]:
    """Latch an alarm where the solver had no answer, until a person has looked at it."""
    if decision.answer.no_answer is None:
        return book, state
    message = f"the solver had no answer ({decision.answer.no_answer}): nothing was opened or enlarged"
    book = replace(book, breakers=latched(book.breakers, (Breaker(NO_ANSWER, message),)))
    return book, replace(state, breaker=", ".join(book.breaker_kinds))


def _converted(session_state: SessionState, facts: SessionFacts, lot_size: float) -> SessionState:
    """Mend the book by late actions; carry it and the orders over the session's own, before the first fill.

    Where late actions change the book, every order under way is cancelled.
    """
    split, dividend, orders = facts.market.split, facts.market.dividend, session_state.orders
    book = replace(
        session_state.book, session_dividends_usd=0.0, session_cash_in_lieu_usd=0.0, session_delistings_usd=0.0
    )
    adjustment, session = facts.controls.adjustment, facts.market.session
    if adjustment is not None and adjustment.before(session):
        book = book_after_adjustment(book, adjustment, session)
    if facts.late is not None:
        book = book_after_late_actions(book, facts.late, lot_size, facts.market.session)
        if owed_by_late_actions(facts.late, lot_size).anything:
            orders = ended_where(orders, np.ones(len(orders), dtype=np.bool_), "late_action")
    if split is None or dividend is None:
        return replace(session_state, book=_adjusted(book, adjustment, session), orders=orders)
    market = facts.market
    assumed = None if market.assumed_split is None else market.assumed_split == day_of(market.session)
    book = book_after_actions(book, split, dividend, lot_size, assumed)
    orders = orders_after_actions(orders, split, dividend, lot_size)
    if facts.market.delisting is not None:
        book = book_after_delistings(book, facts.market.delisting)
        gone = np.isfinite(facts.market.delisting)[orders.symbol]
        orders = ended_where(orders, gone, "delisted")
    orders = ended_where(orders, of_unknown_shares(book, facts.market)[orders.symbol], UNEXPLAINED_FACTOR)
    return replace(session_state, book=_adjusted(book, adjustment, session), orders=orders)


def _adjusted(book: Book, adjustment: BookAdjustment | None, session: pd.Timestamp) -> Book:
    """The book with what was accepted once the session was over, after its own actions."""
    if adjustment is None or adjustment.before(session):
        return book
    return book_after_adjustment(book, adjustment, session)


def _control_of_fills(controls: Controls, book: Book, settings: PortfolioSettings) -> Control:
    """What the kill switch before the fill and the breakers latched as the session began leave of its fills.

    Of the breakers only those that halt: what the others allow was part of the decision that made the orders.
    """
    halted = breaker_control(book.breaker_kinds, settings) is Control.HALTED
    return strictest(kill_switch_control(controls.switch_before_fill), Control.HALTED if halted else Control.NORMAL)


def _inputs(strategy: Strategy, session_state: SessionState, facts: SessionFacts, book: Book) -> DecisionInputs:
    signals, market = facts.signals, facts.market
    refresh = session_state.refresh.state_under(None if facts.drift is None else facts.drift.model_id)
    return DecisionInputs(
        symbols=book.symbols,
        session=market.session,
        reference_price=market.close,
        calibrated_probability=signals.calibrated_probability,
        base_rate=signals.base_rate,
        confidence=signals.confidence,
        novelty=signals.novelty,
        mean_win=signals.mean_win,
        mean_loss=signals.mean_loss,
        outcomes=signals.outcomes,
        outcome_sessions=signals.outcome_sessions,
        atr=market.average_true_range,
        daily_volatility=signals.forecast_volatility,
        cost_volatility=market.cost_volatility,
        adv_usd=market.adv_usd,
        trailing_returns=market.trailing_returns,
        beta=market.beta,
        current_quantity=book.quantity,
        blocked_side=book.blocked_side,
        equity_usd=book.equity_usd,
        drawdown_fraction=book.drawdown_fraction,
        horizon_sessions=strategy.label.horizon_sessions,
        edge_scale=edge_scale(
            strategy.portfolio.kelly_fraction,
            signals.mean_win,
            signals.mean_loss,
            signals.forecast_volatility,
            strategy.label.horizon_sessions,
            market.usual_volatility,
        ),
        verdict_allows=facts.controls.allow(without_verdict=strategy.trade_without_verdict),
        trading_state=stricter_state(session_state.trading.state, refresh),
        breakers=book.breaker_kinds,
        kill_switch=facts.controls.kill_switch,
        account_differs=facts.controls.account_differs is not None,
        regime_scale=market.regime_scale,
        last_mark=book.price,
        unscaled_quantity=book.carried_quantity,
        was_halved=book.halved,
        stop_price=book.stop_price,
        programme=facts.programme,
        groups=facts.groups,
        assets_usd=book.high_water_mark_usd,
        capacity_usd=facts.controls.capacity_usd,
        since_halt=market.since_halt,
        greeks=market.greeks,
        closes_session=facts.closes_session,
        binary=binary_facts(strategy, book.symbols, market.session, market.gone) if strategy.market.binary else None,
    )


def _leaning(strategy: Strategy, facts: SessionFacts) -> FloatArray:
    """Above one half where a name's signal is on the long side, below on the short side; NaN without a signal.

    Each name by itself takes the side of the probability it is sized by; the programme that of the return it expects.
    """
    signals, programme, hold = facts.signals, facts.programme, strategy.portfolio.hold_premium
    if programme is None:
        return traded_probability(signals.calibrated_probability, signals.base_rate, hold_premium=hold)
    mean = expected_own_return(
        signals.calibrated_probability,
        _EVEN if hold else signals.base_rate,
        programme.label_volatility,
        strategy.label.horizon_sessions,
        programme.outcome_slope,
        confidence=signals.confidence,
        novelty=signals.novelty,
        relative=programme.relative,
    )
    return _EVEN + mean


def _must_close(orders: Orders, decision: Decision, book: Book, *, closes_session: bool) -> BoolArray:
    """Orders that reduce for a reason that cannot wait, (orders,): a control, a stop at the close, a session's end."""
    held = book.quantity
    reason = decision.control is not Control.NORMAL or closes_session
    stopped = (held != 0.0) & (np.sign(held) == book.blocked_side)
    return np.asarray(reduces(orders, held) & (reason | stopped[orders.symbol]))


def _orders(
    strategy: Strategy,
    market: SessionMarket,
    decision: Decision,
    book: Book,
    sent: Orders,
    *,
    closes_session: bool,
) -> Orders:
    wanted_orders = targets_to_orders(
        book.symbols,
        decision.target_quantity,
        book.quantity,
        decision.inputs.reference_price,
        book.unfilled_quantity,
        strategy=strategy.name,
        session=market.session,
    )
    if strategy.execution.paper_fills == "by_urgency":
        wanted_orders = urgent_where(
            wanted_orders, _must_close(wanted_orders, decision, book, closes_session=closes_session)
        )
    gate_state = PreTradeGateState(
        control=decision.control,
        last_price=book.price,
        collar_price=market.previous_close,
        current_quantity=book.quantity,
        equity_usd=book.equity_usd,
        gross_limit=strategy.portfolio.gross_limit,
        net_limit=math.inf if strategy.market.binary else strategy.portfolio.net_limit,
        lot_size=strategy.portfolio.lot_size,
        sent_ids=frozenset(sent.client_order_id),
        unknown_shares=of_unknown_shares(book, market),
        stale=market.stale,
        binary=strategy.market.binary,
    )
    return pass_pre_trade_gate(wanted_orders, gate_state, strategy.execution)


def _signed(orders: Orders, symbols: int) -> FloatArray:
    """Accepted quantities on the symbol axis."""
    quantity = np.zeros(symbols)
    accepted = orders.accepted
    np.add.at(quantity, orders.symbol[accepted], orders.quantity[accepted])
    return quantity
