"""The book: cash, positions, stops, peaks and the latched breakers, as one frozen value.

A session goes: :meth:`Book.opened` (financing of what was held since the last session), then
:meth:`Book.filled` for each batch of fills, then :meth:`Book.marked` at the close. Each gives a new
book. A session is one that is decided: where bars within the session are, each of them, and ``day`` names the
session of the calendar that they belong to. Losses of a session and of a week are those of days then.
Sums run through ``math.fsum`` so that the order of symbols changes no bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import DayArray, FloatArray, IntArray, Session, Symbol
from nn_assets.errors import ControlError, DecisionError
from nn_assets.portfolio.breakers import (
    LOSSES,
    Breaker,
    fired_breakers,
    halved_by_drawdown,
    latched,
    loss_fraction,
)
from nn_assets.portfolio.fills import FillArrays, day_of
from nn_assets.portfolio.stops import own_stop, stop_after_addition
from nn_assets.portfolio.targets import carried
from nn_assets.settings import CostSettings, PortfolioSettings

_NO_DAY = np.datetime64("NaT", "D")
_POSITION = ("quantity", "price", "entry_price", "stop_price", "entered_session", "unfilled_quantity")
_MOVED_BY_FILLS = (*_POSITION, "blocked_side", "blocked_until")
_MONDAY = 3  # 1970-01-01 was a Thursday: days since then plus three, over seven, count weeks from Monday


class Financing(NamedTuple):
    """What a session's financing was made of, dollars received less paid."""

    cash_interest_usd: float  # at the cash rate: earned on what is lent, paid on what is borrowed
    margin_interest_usd: float  # beside it, on what is borrowed
    borrow_fee_usd: float  # of shorts


@dataclass(frozen=True)
class PortfolioState:
    """The row of a session in the portfolio_states frame."""

    session: np.datetime64
    cash_usd: float
    equity_usd: float
    gross_fraction: float
    net_fraction: float
    high_water_mark_usd: float
    drawdown_fraction: float
    session_return: float
    costs_usd: float
    breaker: str | None  # the kinds latched, strictest first: "stale_data, drawdown"


@dataclass(frozen=True)
class Book:
    """State after a session. Arrays have shape (symbols,); NaN or NaT where there is no position."""

    symbols: tuple[Symbol, ...]
    cash_usd: float
    quantity: FloatArray
    price: FloatArray  # last mark; a missing price keeps it
    entry_price: FloatArray
    stop_price: FloatArray  # fixed at the fill; an addition moves it towards the price or not at all
    entered_session: DayArray
    blocked_side: IntArray  # side on which a stop was hit; 0 for none
    blocked_until: DayArray
    pending_stop_distance: FloatArray  # price distance decided with the last targets
    unfilled_quantity: FloatArray  # signed rest of the last session's orders
    unscaled_quantity: FloatArray  # u of the last decision: what it would hold under no scale
    target_quantity: FloatArray  # of the last decision: what controls and lots left of u
    marked_session: DayArray  # of the bar that gave the mark; the book's own session where flat
    equity_usd: float
    high_water_mark_usd: float  # since the last reset
    highest_ever_usd: float  # never reset
    week_peak_usd: float  # highest close of a day since the last of the week before
    session: np.datetime64 = field(default=_NO_DAY)
    day: np.datetime64 = field(default=_NO_DAY)  # of its bars within the session; NaT where it is decided once a day
    day_start_usd: float = math.nan  # equity at the close of the day before, or at a reset since; NaN likewise
    session_costs_usd: float = 0.0
    session_financing_usd: float = 0.0  # interest and borrow fees, received less paid
    session_funding_usd: float = 0.0  # of perpetuals, received less paid
    funding_assumed: tuple[str, ...] = ()  # held, and no payment of the session was known
    session_dividends_usd: float = 0.0  # received less paid on the session's ex-dates
    session_cash_in_lieu_usd: float = 0.0  # for fractions that splits left
    session_delistings_usd: float = 0.0  # received for longs that were delisted, less paid for shorts
    breakers: tuple[Breaker, ...] = ()  # latched, strictest first
    halved: bool = False  # sizes, by drawdown, until it has fallen well below where that began

    @property
    def carried_quantity(self) -> FloatArray:
        """The unscaled book after this session's fills and stops, from which the next decision starts, (symbols,)."""
        return carried(self.unscaled_quantity, self.target_quantity, self.quantity)

    @property
    def position_usd(self) -> FloatArray:
        """Signed value of each position at the last mark, dollars; 0 where flat."""
        return np.where(self.quantity == 0.0, 0.0, self.quantity * self.price)

    @property
    def drawdown_fraction(self) -> float:
        """Fall from the high-water mark, fraction, never below zero."""
        return max(0.0, loss_fraction(self.equity_usd, self.high_water_mark_usd))

    @property
    def breaker_kinds(self) -> tuple[str, ...]:
        """Kinds of the latched breakers, strictest first."""
        return tuple(breaker.kind for breaker in self.breakers)

    def of_symbols(self, symbols: tuple[Symbol, ...]) -> Book:
        """The same book on another symbol axis: those that join are flat, those that leave must be.

        Raises
        ------
        DecisionError
            A symbol that leaves is held.
        """
        if symbols == self.symbols:
            return self
        leaving = ~np.isin(self.symbols, symbols)
        held = [self.symbols[index] for index in np.flatnonzero(leaving & (self.quantity != 0.0))]
        if held:
            raise DecisionError(
                expected=f"{', '.join(held)} among the symbols, for as long as the book holds any",
                found=f"only {', '.join(symbols)}",
                remedy=f"put {', '.join(held)} back, and take it off once its position is closed; what was delisted is "
                "closed by a line SYMBOL,DAY,delisting,CASH in the file that source.actions_path names",
                key="market.symbols",
            )
        old_indices = [list(self.symbols).index(symbol) if symbol in self.symbols else -1 for symbol in symbols]
        indices = np.array(old_indices, dtype=np.int64)
        laid: dict[str, Any] = {}
        for name, flat in vars(empty_book(symbols, 0.0)).items():
            if isinstance(flat, np.ndarray):
                laid[name] = np.where(indices >= 0, getattr(self, name)[indices], flat)
        return replace(self, symbols=symbols, **laid)

    def opened(
        self,
        costs: CostSettings,
        cash_rate_annual_fraction: float,
        sessions_per_year: int,
        *,
        margined: bool = False,
        binary: bool = False,
    ) -> Book:
        """Pay and earn financing on what was held into the session, and start its cost count.

        Cash earns the cash rate; borrowed cash pays it plus the margin spread; the value of shorts
        pays the borrow fee. Simple interest for one session. A ``margined`` position (a future, a perpetual)
        takes no cash and brings none: all of the equity earns the cash rate. A short ``binary`` contract is a "no",
        paid for in full: one dollar of cash a contract backs it, and earns nothing.
        """
        lent_usd, margin, short_usd = self._financed(costs, margined=margined, binary=binary)
        rate = cash_rate_annual_fraction + margin
        yearly = lent_usd * rate - short_usd * costs.borrow_fee_annual_fraction
        financing = yearly / sessions_per_year
        return replace(
            self,
            cash_usd=self.cash_usd + financing,
            session_financing_usd=financing,
            session_costs_usd=0.0,
            session_funding_usd=0.0,
            funding_assumed=(),
        )

    def _financed(self, costs: CostSettings, *, margined: bool, binary: bool) -> tuple[float, float, float]:
        """Dollars lent (borrowed where negative), the yearly spread over the cash rate on them, and shorts, dollars."""
        lent_usd = math.fsum([self.cash_usd, *self.position_usd.tolist()]) if margined else self.cash_usd
        if binary:
            lent_usd = math.fsum([self.cash_usd, *np.minimum(self.quantity, 0.0).tolist()])
        margin = costs.margin_spread_annual_fraction if lent_usd < 0.0 and not margined else 0.0
        return lent_usd, margin, -math.fsum(np.minimum(self.position_usd, 0.0).tolist())

    def financing(
        self,
        costs: CostSettings,
        cash_rate_annual_fraction: float,
        sessions_per_year: int,
        *,
        margined: bool = False,
        binary: bool = False,
    ) -> Financing:
        """The parts of what :meth:`opened` pays and earns; they add up to it but for the last bits."""
        lent_usd, margin, short_usd = self._financed(costs, margined=margined, binary=binary)
        return Financing(
            lent_usd * cash_rate_annual_fraction / sessions_per_year,
            lent_usd * margin / sessions_per_year,
            -short_usd * costs.borrow_fee_annual_fraction / sessions_per_year,
        )

    def funded(
        self, rate: FloatArray, assumed: npt.NDArray[np.bool_], *, position_usd: FloatArray | None = None
    ) -> Book:
        """Pay and receive funding: rate times notional; longs pay a positive rate, shorts receive it.

        Parameters
        ----------
        rate : ndarray, shape (symbols,)
            Sum of the rates of the payments, fraction of the notional at the last mark.
        assumed : ndarray of bool, shape (symbols,)
            No payment was known: what is held of these is remembered.
        position_usd : ndarray, shape (symbols,), optional
            What pays, signed dollars at the last mark; what is held when left out.
        """
        held = self.position_usd if position_usd is None else position_usd
        received = -math.fsum((held * rate).tolist())
        symbols = [self.symbols[index] for index in np.flatnonzero(assumed & (held != 0.0))]
        return replace(
            self,
            cash_usd=self.cash_usd + received,
            session_funding_usd=self.session_funding_usd + received,
            funding_assumed=tuple(sorted({*self.funding_assumed, *symbols})),
        )

    def filled(self, fills: FillArrays, session: Session, *, blocked_until: Session | None = None) -> Book:
        """Book fills, in their order.

        A new position (also one that changes side) takes its stop from the fill price and the
        decided stop distance. Adding to a position moves its average entry, and its stop to the
        quantity-weighted mean of the level that rests and the addition's own, but never away from
        the price. A stop that was hit blocks its side until ``blocked_until`` or until the signal
        leaves that side.

        Raises
        ------
        DecisionError
            A fill whose price or quantity is not a number.
        """
        day, until = day_of(session), day_of(blocked_until)
        state = {name: getattr(self, name).copy() for name in _MOVED_BY_FILLS}
        for name, stamp in (("entered_session", day), ("blocked_until", until)):  # of bars within the session: finer
            state[name] = state[name].astype(np.promote_types(state[name].dtype, stamp.dtype), copy=False)
        paid = []
        for row in range(len(fills)):
            index = int(fills.symbol[row])
            quantity, price = float(fills.quantity[row]), float(fills.price[row])
            if not (math.isfinite(quantity) and math.isfinite(price) and price > 0.0):
                raise DecisionError(
                    expected="a finite quantity at a positive price",
                    found=f"{quantity} at {price}",
                    remedy="correct the fill in the broker's file and import it again",
                    symbol=self.symbols[index],
                    session=str(day),
                    key=fills.fill_id[row],
                )
            if fills.is_stop[row]:
                state["blocked_side"][index] = int(np.sign(state["quantity"][index]))
                state["blocked_until"][index] = until
            else:
                state["unfilled_quantity"][index] -= quantity
            self._move(state, index, quantity, price, day)
            paid.append(-quantity * price - float(fills.commission_usd[row]))
        spent = (fills.half_spread_usd, fills.commission_usd, fills.impact_usd)
        costs = math.fsum(float(value) for part in spent for value in part if math.isfinite(value))
        return replace(
            self,
            cash_usd=math.fsum([self.cash_usd, *paid]),
            session_costs_usd=self.session_costs_usd + costs,
            **state,
        )

    def _move(self, state: dict[str, Any], index: int, quantity: float, price: float, day: np.datetime64) -> None:
        held = float(state["quantity"][index])
        new = held + quantity
        state["quantity"][index] = new
        if math.isnan(state["price"][index]):  # never marked: worth what was paid until it is
            state["price"][index] = price
        if new == 0.0:
            state["entry_price"][index] = state["stop_price"][index] = math.nan
            state["entered_session"][index] = _NO_DAY
        elif held == 0.0 or (held > 0.0) != (new > 0.0):
            state["entry_price"][index] = price
            state["stop_price"][index] = own_stop(new, price, self.pending_stop_distance[index])
            state["entered_session"][index] = day
        elif abs(new) > abs(held):
            average = (float(state["entry_price"][index]) * held + price * quantity) / new
            state["entry_price"][index] = average
            own = own_stop(new, price, self.pending_stop_distance[index])
            state["stop_price"][index] = stop_after_addition(held, state["stop_price"][index], quantity, own)

    def marked(
        self,
        session: Session,
        prices: FloatArray,
        settings: PortfolioSettings,
        *,
        day: np.datetime64 | None = None,
        stale_share: float = 0.0,
        unfinished_run: str | None = None,
        binary: bool = False,
    ) -> tuple[Book, PortfolioState]:
        """Value the book at the close, move its peaks, and let the breakers look at it.

        Parameters
        ----------
        prices : ndarray, shape (symbols,)
            Closes. A missing or non-positive price keeps the last mark.
        day : datetime64[D], optional
            The day that a bar within the session belongs to, for losses of a day and of a week; left out where each
            session is a day.
        stale_share, unfinished_run
            As in :func:`~nn_assets.portfolio.breakers.fired_breakers`.
        binary
            As in :meth:`state`.
        """
        usable = np.isfinite(prices) & (prices > 0.0)
        marked_session = np.where(usable | (self.quantity == 0.0), day_of(session), self.marked_session)
        valued = replace(self, price=np.where(usable, prices, self.price), marked_session=marked_session)
        values = valued.position_usd
        book = valued.worth(session, math.fsum([self.cash_usd, *values.tolist()]), day)
        fired = fired_breakers(
            equity_usd=book.equity_usd,
            previous_equity_usd=self.equity_usd if day is None else book.day_start_usd,
            week_peak_usd=book.week_peak_usd,
            high_water_mark_usd=book.high_water_mark_usd,
            settings=settings,
            stale_share=stale_share,
            unfinished_run=unfinished_run,
        )
        halved = halved_by_drawdown(book.drawdown_fraction, settings, was_halved=self.halved)
        book = replace(book, breakers=latched(self.breakers, fired), halved=halved)
        return book, book.state(previous_equity_usd=self.equity_usd, binary=binary)

    def worth(self, session: Session, equity_usd: float, of_day: np.datetime64 | None = None) -> Book:
        """Take the equity of a session's close, and move the peaks by it; a new week starts from the last one's.

        Of bars within the session, which name their day: a new day starts from the equity that the day before closed
        with, and that alone moves the week's peak. The high-water mark moves with each bar.
        """
        if of_day is not None:
            return self._worth_within(session, equity_usd, of_day)
        day = day_of(session)
        same_week = not np.isnat(self.session) and _week(day) == _week(self.session)
        return replace(
            self,
            session=day,
            equity_usd=equity_usd,
            high_water_mark_usd=max(self.high_water_mark_usd, equity_usd),
            highest_ever_usd=max(self.highest_ever_usd, equity_usd),
            week_peak_usd=max(self.week_peak_usd if same_week else self.equity_usd, equity_usd),
        )

    def _worth_within(self, session: Session, equity_usd: float, day: np.datetime64) -> Book:
        begins = bool(np.isnat(self.day)) or day != self.day
        same_week = not np.isnat(self.day) and _week(day) == _week(self.day)
        week_peak_usd = max(self.week_peak_usd, self.equity_usd) if same_week else self.equity_usd
        return replace(
            self,
            session=day_of(session),
            equity_usd=equity_usd,
            high_water_mark_usd=max(self.high_water_mark_usd, equity_usd),
            highest_ever_usd=max(self.highest_ever_usd, equity_usd),
            week_peak_usd=week_peak_usd if begins else self.week_peak_usd,
            day=day,
            day_start_usd=self.equity_usd if begins else self.day_start_usd,
        )

    def with_new_peaks(self) -> Book:
        """High-water mark, week's peak and day's start are the present equity from now on; the highest ever stays."""
        peaks: dict[str, Any] = {} if np.isnat(self.day) else {"day_start_usd": self.equity_usd}
        return replace(self, high_water_mark_usd=self.equity_usd, week_peak_usd=self.equity_usd, **peaks)

    def state(self, previous_equity_usd: float, *, binary: bool = False) -> PortfolioState:
        """Return the row of this session; its return is over ``previous_equity_usd``, NaN where that is not above 0.

        Gross and net of ``binary`` contracts are what is at stake: on a short, 1 less its price a contract.
        """
        values = self.position_usd.tolist()
        if binary:
            values = np.where(self.quantity < 0.0, self.quantity - self.position_usd, self.position_usd).tolist()
        scale = self.equity_usd if self.equity_usd > 0.0 else math.nan
        return PortfolioState(
            session=self.session,
            cash_usd=self.cash_usd,
            equity_usd=self.equity_usd,
            gross_fraction=math.fsum(abs(value) for value in values) / scale,
            net_fraction=math.fsum(values) / scale,
            high_water_mark_usd=self.high_water_mark_usd,
            drawdown_fraction=self.drawdown_fraction,
            session_return=self.equity_usd / previous_equity_usd - 1.0 if previous_equity_usd > 0.0 else math.nan,
            costs_usd=self.session_costs_usd,
            breaker=", ".join(self.breaker_kinds) or None,
        )

    def hit_by(self, price: FloatArray) -> npt.NDArray[np.bool_]:
        """Positions whose stop a price is at or beyond, (symbols,); a missing price or stop hits nothing."""
        side = np.sign(self.quantity)
        return np.asarray((side != 0.0) & (side * (price - self.stop_price) <= 0.0))

    def stopped_at_close(self, blocked_until: Session | None, *, before: npt.NDArray[np.bool_] | None = None) -> Book:
        """Block the side of every position whose mark is at or beyond its stop.

        For strategies that trade at closes only: the decision of this session then closes the
        position at the next close. ``before``, (symbols,), are those that a close which came late had hit.
        """
        side = np.sign(self.quantity).astype(np.int64)
        hit = self.hit_by(self.price) if before is None else self.hit_by(self.price) | (before & (side != 0))
        until = np.where(hit & (self.blocked_side != side), day_of(blocked_until), self.blocked_until)
        return replace(self, blocked_side=np.where(hit, side, self.blocked_side), blocked_until=until)

    def released(self, session: Session, calibrated_probability: FloatArray) -> Book:
        """Lift the block of sides that the signal has left, or whose time has passed.

        A missing probability has not left anything.
        """
        side = np.nan_to_num(np.sign(calibrated_probability - 0.5), nan=np.inf)
        left = np.isfinite(side) & (side != self.blocked_side)
        with np.errstate(invalid="ignore"):
            lifted = (self.blocked_side != 0) & (left | (self.blocked_until <= day_of(session)))
        return replace(
            self,
            blocked_side=np.where(lifted, 0, self.blocked_side),
            blocked_until=np.where(lifted, _NO_DAY, self.blocked_until),
        )

    def awaiting(
        self,
        ordered_quantity: FloatArray,
        stop_distance: FloatArray,
        unscaled_quantity: FloatArray,
        target_quantity: FloatArray,
    ) -> Book:
        """Remember what was decided, (symbols,): orders (signed), stop distances of new entries, u and targets."""
        return replace(
            self,
            unfilled_quantity=ordered_quantity.copy(),
            pending_stop_distance=stop_distance.copy(),
            unscaled_quantity=unscaled_quantity.copy(),
            target_quantity=target_quantity.copy(),
        )


def _week(day: np.datetime64) -> int:
    return (int(day.astype("datetime64[D]").astype(np.int64)) + _MONDAY) // 7


def empty_book(symbols: tuple[Symbol, ...], capital_usd: float) -> Book:
    """Return a flat book with all capital in cash, before its first session."""
    count = len(symbols)
    blank, days = np.full(count, np.nan), np.full(count, _NO_DAY)
    zeros = np.zeros(count)
    return Book(
        symbols=symbols,
        cash_usd=capital_usd,
        quantity=zeros,
        price=blank,
        entry_price=blank,
        stop_price=blank,
        entered_session=days,
        blocked_side=np.zeros(count, dtype=np.int64),
        blocked_until=days,
        pending_stop_distance=blank,
        unfilled_quantity=zeros,
        unscaled_quantity=zeros,
        target_quantity=zeros,
        marked_session=days,
        equity_usd=capital_usd,
        high_water_mark_usd=capital_usd,
        highest_ever_usd=capital_usd,
        week_peak_usd=capital_usd,
    )


def reset_breakers(book: Book, kinds: Sequence[str], *, person: str, reason: str) -> Book:
    """Release latched breakers by their kinds, and no others.

    The reset of a loss starts a new high-water mark and a new week's peak; the highest ever is kept. Every other
    reset leaves all peaks, so that no loss is forgotten with it.

    Raises
    ------
    ControlError
        No person or no reason is named, or a kind is not latched.
    """
    missing = [kind for kind in kinds if kind not in book.breaker_kinds]
    if not person.strip() or not reason.strip() or not kinds or missing:
        raise ControlError(
            expected="latched breakers by their kinds, and the name and the reason of who resets them",
            found=f"latched {_listed(book.breaker_kinds)}, named {_listed(kinds)}, person {person!r}, "
            f"reason {reason!r}",
            remedy="name what is latched, and state person and reason; what is not latched needs no reset",
        )
    kept = replace(book, breakers=tuple(breaker for breaker in book.breakers if breaker.kind not in kinds))
    return kept.with_new_peaks() if LOSSES & set(kinds) else kept


def _listed(kinds: Iterable[str]) -> str:
    return ", ".join(kinds) or "none"
