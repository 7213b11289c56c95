"""What fills on one session: stops that bars which came late had hit, orders under way, stops of the bar.

It takes the book, converted to the session's shares, and what the controls leave. Here an order becomes a fill, or
ends with a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, Session
from nn_assets.costs.model import CostModel
from nn_assets.execution.broker import (
    Account,
    Bar,
    Broker,
    EndedOrder,
    Liquidity,
    OpenBroker,
    Stops,
    ended_orders,
    loss_beyond_stops,
    uncounted_orders,
)
from nn_assets.execution.orders import Execution, Orders, ended_where
from nn_assets.execution.pre_trade_gate import orders_under
from nn_assets.execution.resting import PASSIVE
from nn_assets.market.calendar.sessions import next_session
from nn_assets.market.cash import cash_rates
from nn_assets.market.facts.funding import Funding
from nn_assets.portfolio.book import Book, Financing
from nn_assets.portfolio.breakers import Control
from nn_assets.portfolio.fills import FillArrays, joined, no_fills
from nn_assets.session.market_view import SessionMarket
from nn_assets.settings import Strategy


@dataclass(frozen=True, eq=False)
class Filled:
    """The book after a session's fills, and what they were."""

    book: Book
    fills: tuple[FillArrays, FillArrays]  # of orders, and of stops: those of late bars first
    loss_beyond_stops_usd: float  # what they lost beyond the stops of the positions they closed
    ended: tuple[EndedOrder, ...]  # orders decided that are without a whole fill
    financing: Financing  # what the book's financing was made of
    uncounted: tuple[str, ...] = ()  # ids of orders sent that were neither filled as ordered nor ended


@dataclass(frozen=True, eq=False)
class _Stops:
    """The stops of a session, at its broker."""

    strategy: Strategy
    market: SessionMarket
    broker: Broker

    def hit(
        self, book: Book, late_bar: Bar | None = None, late_bar_of: Session | None = None
    ) -> tuple[Book, FillArrays, float]:
        """The book without what a bar stopped out, its fills, and what they lost beyond the stops, dollars."""
        self.broker.send(Stops(_with_known_shares(book, self.market), late_bar, late_bar_of))
        hit = self.broker.fills()
        beyond = float(loss_beyond_stops(book, hit).sum())
        until = blocked_until(self.strategy, self.market.session)
        return book.filled(hit, self.market.session, blocked_until=until), hit, beyond


def fill_session(
    strategy: Strategy,
    costs: CostModel,
    market: SessionMarket,
    sessions_per_year: int,
    book: Book,
    orders: Orders,
    open_broker: OpenBroker,
    *,
    decided: Orders,
    control: Control,
    unfinished_run: bool,
) -> Filled:
    """Finance and fund what was held, book the broker's fills of yesterday's orders, then those of the stops.

    Payments of funding up to a fill fall on what was held before it, those after it on what is held then. No bar says
    when within the session a stop was hit: what it closed pays those of the payments after the open that cost it, and
    receives none of the others; what it closed at the open takes part in none of them. Of a passive order no bar says
    it either, and it is charged likewise. A stop that a late bar shows to
    have been hit closes on that bar's session: what was booked since is taken back.
    Interest and the borrow fee are for the time from one close to the next: what was held at the close before pays
    them, even what is closed on this session; what is opened on it does not.

    Parameters
    ----------
    sessions_per_year : int
        Of the calendar, for financing.
    book : Book
        As left by the session before, after the session's own actions.
    orders : Orders
        Under way, after the session's actions: those with a reason fill no more.
    open_broker : callable
        Opens the broker that fills them, on the account after financing.
    decided : Orders
        The same as they were decided, which what ended without a whole fill is told by.
    control : Control
        HALTED, by the kill switch or by a breaker latched as the session began, means that nothing fills: no order
        and no stop, since prices or positions are not known.
    unfinished_run : bool
        Whether the orders cannot have been sent.
    """
    bar = Bar(market.open, market.high, market.low, market.close, market.volume)
    cash_rate = float(cash_rates(strategy.market, pd.DatetimeIndex([market.session]))[0])
    execution, funding = strategy.label.execution, market.funding
    terms = strategy.costs, cash_rate, sessions_per_year
    margined, binary = strategy.market.margined, strategy.market.binary
    financing = book.financing(*terms, margined=margined, binary=binary)
    book = book.opened(*terms, margined=margined, binary=binary)
    sent = orders_under(orders, book.quantity, control)
    if unfinished_run:
        sent = ended_where(sent, np.ones(len(sent), dtype=np.bool_), "unfinished_run")
    broker = open_broker(Account(strategy, costs, market.session, bar, _liquidity(strategy, market), book))
    stops = None
    if execution == "next_open" and control is not Control.HALTED:
        stops = _Stops(strategy, market, broker)
    book, late, beyond = _late_stops(stops, book, market)
    if funding is not None:
        before_fill = funding.until_open if execution == "next_open" else funding.rate
        book = book.funded(before_fill, funding.assumed)
    sent = ended_where(sent, np.isin(sent.symbol, late.symbol), "late_stop")
    broker.send(sent)
    ordered = broker.fills()
    at_broker = broker.orders()
    ended, uncounted = ended_orders(decided, at_broker), uncounted_orders(sent, at_broker, ordered)
    beyond += float(loss_beyond_stops(book, ordered).sum())
    book = book.filled(ordered, market.session)
    if funding is not None and strategy.execution.paper_fills == "by_urgency":
        moved_usd, owed = _moved_within(book, ordered, sent, funding, execution)
        book = book.funded(owed, funding.assumed, position_usd=moved_usd)
    stopped, resting = no_fills(), book
    if stops is not None:
        book, stopped, more = stops.hit(book)
        beyond += more
    if len(rest := broker.fills()):  # what an account did although nothing was to fill
        beyond += float(loss_beyond_stops(book, rest).sum())
        book = book.filled(rest, market.session, blocked_until=blocked_until(strategy, market.session))
        stopped = joined(stopped, rest)
    if funding is not None and execution == "next_open":
        stopped_usd, owed = _stopped_within(resting, book, bar, funding)
        book = book.funded(funding.until_close, funding.assumed)
        book = book.funded(owed, funding.assumed, position_usd=stopped_usd)
    return Filled(book, (ordered, joined(late, stopped)), beyond, ended, financing, uncounted)


def _late_stops(stops: _Stops | None, book: Book, market: SessionMarket) -> tuple[Book, FillArrays, float]:
    """Fill the stops that bars of sessions gone by had hit; nothing where stops do not fill.

    The funding booked since for what they closed is taken back, except what may have fallen due before that.
    """
    late, beyond = no_fills(), 0.0
    if stops is None:
        return book, late, beyond
    for of_session, bar, funding in _late_bars(book, market):
        resting = book
        book, hit, more = stops.hit(book, bar, of_session)
        if funding is not None:
            stopped_usd = resting.position_usd - book.position_usd
            none_assumed = np.zeros(len(book.symbols), dtype=np.bool_)
            booked = funding.until_close[0] + funding.rate[1:].sum(axis=0)
            within_usd, owed = _stopped_within(resting, book, bar, funding.at(0))
            book = book.funded(-booked, none_assumed, position_usd=stopped_usd).funded(
                owed, none_assumed, position_usd=within_usd
            )
        late, beyond = joined(late, hit), beyond + more
    return book, late, beyond


def _stopped_within(resting: Book, book: Book, bar: Bar, funding: Funding) -> tuple[FloatArray, FloatArray]:
    """What a bar stopped out after its open, dollars at the last mark, and the rate charged on it, (symbols,) each."""
    stopped_usd = np.where(resting.hit_by(bar.open), 0.0, resting.position_usd - book.position_usd)
    return stopped_usd, np.where(stopped_usd > 0.0, funding.owed_by_longs, funding.owed_by_shorts)


def _moved_within(
    book: Book, fills: FillArrays, sent: Orders, funding: Funding, execution: Execution
) -> tuple[FloatArray, FloatArray]:
    """What passive orders moved after the open, dollars at the last mark, and the rate charged on it, (symbols,) each.

    No bar says when they filled: of each payment after the open a position pays the more, and receives the less, of
    what is due on it before and after. All of them are charged on what is held after the fills where orders fill at
    the open, and before them where they fill at the close; this is what is charged beside it.
    """
    passive = {name for name, urgency in zip(sent.client_order_id, sent.urgency, strict=True) if urgency == PASSIVE}
    at_close = execution == "next_close"  # one that crosses does so at the open, whatever the others do
    within = [
        name in passive and (at_close or rests) for name, rests in zip(fills.client_order_id, fills.rested, strict=True)
    ]
    moved = np.zeros(len(book.symbols))
    np.add.at(moved, fills.symbol[within], fills.quantity[within])
    moved_usd = np.where(moved == 0.0, 0.0, moved * book.price) * (1.0 if at_close else -1.0)
    return moved_usd, np.where(moved_usd > 0.0, funding.owed_by_longs, funding.owed_by_shorts)


def _liquidity(strategy: Strategy, market: SessionMarket) -> Liquidity:
    proxy = strategy.portfolio.proxy_adv_usd
    return Liquidity(
        adv_usd=market.previous_adv_usd,
        daily_volatility=market.previous_volatility,
        lot_size=strategy.portfolio.lot_size,
        proxy_adv_usd=None if proxy is None else proxy / market.bars_of_day,  # it stands for a bar's volume here
        closing_adv_usd=market.closing_adv_usd,
        closing_daily_volatility=market.closing_volatility,
    )


def blocked_until(strategy: Strategy, session: pd.Timestamp) -> pd.Timestamp:
    """The session until which what is stopped out on a session is not entered again on that side: one horizon on."""
    until = session
    for _ in range(strategy.label.horizon_sessions):
        until = next_session(strategy.market.calendar, until)
    return until


def _late_bars(book: Book, market: SessionMarket) -> Iterator[tuple[Session, Bar, Funding | None]]:
    """Sessions decided before their bars came, those bars of what is held, and the funding from then on, oldest first.

    A stop rests on every session from the fill on, whether or not its bar was there in time.
    """
    if market.earlier is None:
        return
    for unseen, bars in market.earlier.since(book.marked_session):
        fields = (bars.open, bars.high, bars.low, bars.close, bars.volume)
        yield bars.sessions[0], Bar(*(np.where(unseen, field[0], np.nan) for field in fields)), bars.funding


def hit_by_late_closes(book: Book, market: SessionMarket) -> BoolArray:
    """Positions whose stop a close that came late had hit, (symbols,)."""
    hit = np.zeros(len(book.symbols), dtype=np.bool_)
    for _, bar, _ in _late_bars(book, market):
        hit |= book.hit_by(bar.close)
    return hit


def of_unknown_shares(book: Book, market: SessionMarket) -> BoolArray:
    """Positions older than an assumed split, (symbols,): the number of shares in the account is unknown."""
    if market.assumed_split is None:
        return np.zeros(len(book.symbols), dtype=np.bool_)
    return np.asarray((book.quantity != 0.0) & (book.entered_session < market.assumed_split))


def _with_known_shares(book: Book, market: SessionMarket) -> Book:
    """The book without the stops of positions whose number of shares is not known: they sell nothing either."""
    return replace(book, stop_price=np.where(of_unknown_shares(book, market), np.nan, book.stop_price))
