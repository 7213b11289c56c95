"""The paper broker: fills at the next open or close, capped by volume, priced by the cost model.

How much of a session's volume an order may be, and whether it rests or crosses the spread, is by
``execution.paper_fills``: passive orders that rest are in ``execution/resting.py``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import BoolArray, FloatArray, Session
from nn_assets.costs.model import CostModel
from nn_assets.execution.binary_fills import STAKE_SPENT, binary_fills
from nn_assets.execution.broker import Account, Bar, Liquidity, Stops
from nn_assets.execution.orders import Execution, Orders, ended_where, joined_orders, reduces
from nn_assets.execution.resting import Resting, resting_orders
from nn_assets.portfolio.book import Book
from nn_assets.portfolio.fills import FillArrays, day_of, joined, no_fills
from nn_assets.settings import ExecutionSettings

_NORMAL = NormalDist()
_HASHED_BITS = 64
_URGENT = "close"
_NOT_URGENT = 0.5  # of the participation cap, for what is not: an urgent order trades at twice the rate


def _noise(seed: int, key: str, spread: float) -> float:
    """Return a factor around one, drawn from the order's own id and nothing else.

    Normal, cut to 0..2: symmetric, so that neither a mean nor a robust mean of it is biased.
    """
    digest = hashlib.sha256(f"{seed}\x1f{key}".encode()).digest()
    uniform = (int.from_bytes(digest[:8], "big") + 0.5) / 2.0**_HASHED_BITS
    # The largest hash would round to exactly one, whose quantile is infinite.
    normal = _NORMAL.inv_cdf(min(uniform, 1.0 - 2.0**-53))
    return min(max(1.0 + spread * normal, 0.0), 2.0)


def _allowed(
    wanted: FloatArray,
    indices: npt.NDArray[np.int64],
    price: FloatArray,
    bar: Bar,
    liquidity: Liquidity,
    cap: FloatArray | float,
) -> FloatArray:
    """Return signed quantities that the session's volume allows, in whole lots unless filled whole."""
    volume = bar.volume[indices]
    most = cap * volume
    if liquidity.proxy_adv_usd is not None:
        # An index has no volume of its own; a bar that trades with a volume of zero is still no fill.
        most = np.where(volume == 0.0, 0.0, cap * liquidity.proxy_adv_usd / price)
    size = np.abs(wanted)
    most = np.maximum(most - _asked_before(indices, size), 0.0)  # a symbol's orders share its volume
    lots = np.floor(most / liquidity.lot_size) * liquidity.lot_size
    filled = np.where(size <= most, size, lots)
    usable = np.isfinite(filled) & np.isfinite(price) & (price > 0.0)
    return np.where(usable, np.sign(wanted) * np.where(usable, filled, 0.0), 0.0)


def _asked_before(indices: npt.NDArray[np.int64], size: FloatArray) -> FloatArray:
    """Size of the order before of the same symbol, shape (orders,); 0 where there is none."""
    before = np.zeros(len(size))
    before[1:] = np.where(indices[1:] == indices[:-1], size[:-1], 0.0)
    return before


def _priced(
    ids: list[str],
    indices: npt.NDArray[np.int64],
    wanted: FloatArray,
    benchmark: FloatArray,
    bar: Bar,
    costs: CostModel,
    liquidity: Liquidity,
    settings: ExecutionSettings,
    closing: BoolArray,
    *,
    is_stop: bool,
    cap: FloatArray | float | None = None,
) -> FillArrays:
    cap = settings.participation_cap_fraction if cap is None else cap
    quantity = _allowed(wanted, indices, benchmark, bar, liquidity, cap)
    rows = np.flatnonzero(quantity)
    indices, quantity, price, closing = indices[rows], quantity[rows], benchmark[rows], closing[rows]
    kept = [ids[row] for row in rows]
    value = np.abs(quantity) * price
    traded = np.zeros(len(bar.close))
    np.add.at(traded, indices, value)  # two orders of a symbol move its price as one
    parts = costs.parts(traded[indices], *liquidity.known(indices, closing))
    spread = settings.cost_noise_fraction
    half_spread = parts.half_spread * np.array([_noise(settings.seed, f"{k}|spread", spread) for k in kept])
    impact = parts.impact * np.array([_noise(settings.seed, f"{k}|impact", spread) for k in kept])
    priced = np.isfinite(impact)  # without ADV or volatility there is no honest price, and so no fill
    side = np.sign(quantity)
    mid = price * (1.0 + side * impact)
    paid = mid * (1.0 + side * half_spread)
    return FillArrays(
        fill_id=tuple(_fill_id(key) for key, ok in zip(kept, priced, strict=True) if ok),
        client_order_id=tuple(key for key, ok in zip(kept, priced, strict=True) if ok),
        symbol=indices[priced],
        quantity=quantity[priced],
        price=paid[priced],
        mid_price=mid[priced],
        half_spread_usd=np.abs(quantity * (paid - mid))[priced],
        commission_usd=(np.abs(quantity) * paid * parts.commission)[priced],
        impact_usd=np.abs(quantity * (mid - price))[priced],
        is_stop=np.full(int(priced.sum()), is_stop, dtype=np.bool_),
    )


def _fill_id(client_order_id: str) -> str:
    return hashlib.sha256(f"fill\x1f{client_order_id}".encode()).hexdigest()[:32]


def fill_orders(
    orders: Orders,
    bar: Bar,
    costs: CostModel,
    liquidity: Liquidity,
    settings: ExecutionSettings,
    execution: Execution,
    held: FloatArray | None = None,
    stop_price: FloatArray | None = None,
) -> FillArrays:
    """Fill the accepted orders at the bar's open or close, or where ``settings.paper_fills`` says.

    The bar's price, moved by impact, is the mid; half the spread away from it lies the price paid,
    and the commission is booked apart. Each order's noise (mean one, on spread and impact) comes
    from its own id: neither the order of the orders nor their number changes a fill.

    ``by_urgency``, a passive order works from the open to the close, and is filled at its limit, without impact, and
    as a maker, where it rests (``execution/resting.py``); where it crosses, at the open.

    Parameters
    ----------
    orders : Orders
        Denied ones are left out.
    bar : Bar
        The session after the decision. A missing bar, or a volume of zero, fills nothing.
    liquidity : Liquidity
        A missing ADV or volatility fills nothing. Orders that only reduce what is held are priced by the
        ``closing`` ones, so that a position is closed on the first bar that trades.
    execution : str
        ``next_open`` or ``next_close``.
    held : ndarray, shape (symbols,), optional
        Signed quantities before the fills; nothing where left out.
    stop_price : ndarray, shape (symbols,), optional
        Stops that rest within the session; left out where they are for closes alone.

    Returns
    -------
    FillArrays
        At most ``participation_cap_fraction`` of the bar's volume for each order (of the proxy ADV
        where one is stated), by urgency half of it for what is not urgent, in the closing auction of its volume;
        partial fills in whole lots. What rested has an impact of NaN: it moved nothing.
    """
    sent = orders.at(np.flatnonzero(orders.accepted))
    closing = _closing(orders, held)[orders.accepted]
    benchmark, cap = bar.at(execution)[sent.symbol], settings.participation_cap_fraction

    def crossed(rows: BoolArray, price: FloatArray, share: FloatArray | float) -> FillArrays:
        ids = [key for key, ok in zip(sent.client_order_id, rows, strict=True) if ok]
        taken = (sent.symbol[rows], sent.quantity[rows], price[rows])
        share = share if isinstance(share, float) else share[rows]
        return _priced(ids, *taken, bar, costs, liquidity, settings, closing[rows], is_stop=False, cap=share)

    everything = np.ones(len(sent), dtype=np.bool_)
    if settings.paper_fills == "closing_auction":
        return crossed(everything, benchmark, cap * settings.closing_auction_fraction)
    if settings.paper_fills == "at_bar":
        return crossed(everything, benchmark, cap)
    resting = _resting(sent, bar, costs, liquidity, settings, closing, held, stop_price)
    urgent = np.array([urgency == _URGENT for urgency in sent.urgency], dtype=np.bool_)
    price = np.where(resting.crosses, bar.open[sent.symbol], benchmark)
    taken = crossed(~resting.rests, price, np.where(urgent, cap, _NOT_URGENT * cap))
    return joined(taken, _rested(sent, resting, bar, costs, liquidity, settings, closing))


def _resting(
    sent: Orders,
    bar: Bar,
    costs: CostModel,
    liquidity: Liquidity,
    settings: ExecutionSettings,
    closing: BoolArray,
    held: FloatArray | None,
    stop_price: FloatArray | None,
) -> Resting:
    held = np.zeros(len(bar.open)) if held is None else held
    ahead = settings.queue_ahead_fraction
    return resting_orders(sent, bar, costs, liquidity, closing, held, stop_price, queue_ahead=ahead)


def _rested(
    sent: Orders,
    resting: Resting,
    bar: Bar,
    costs: CostModel,
    liquidity: Liquidity,
    settings: ExecutionSettings,
    closing: BoolArray,
) -> FillArrays:
    """Fill what rests, at its limit: the maker's fee, no impact, and the half-spread in the mid."""
    known = np.logical_and.reduce([np.isfinite(values) for values in liquidity.known(sent.symbol, closing)])
    share = _NOT_URGENT * settings.participation_cap_fraction * resting.volume_share
    quantity = _allowed(sent.quantity, sent.symbol, resting.limit, bar, liquidity, share)
    rows = np.flatnonzero(np.where(resting.rests & known, quantity, 0.0))
    indices, quantity, price, mid = sent.symbol[rows], quantity[rows], resting.limit[rows], resting.mid_price[rows]
    value = np.abs(quantity) * price
    parts = costs.parts(value, *liquidity.known(indices, closing[rows]), maker_share=1.0)
    ids = [sent.client_order_id[row] for row in rows]
    return FillArrays(
        fill_id=tuple(_fill_id(key) for key in ids),
        client_order_id=tuple(ids),
        symbol=indices,
        quantity=quantity,
        price=price,
        mid_price=mid,
        half_spread_usd=np.abs(quantity * (price - mid)),
        commission_usd=value * parts.commission,
        impact_usd=np.full(len(rows), np.nan),
        is_stop=np.zeros(len(rows), dtype=np.bool_),
    )


def _closing(orders: Orders, held: FloatArray | None) -> BoolArray:
    return np.zeros(len(orders), dtype=np.bool_) if held is None else reduces(orders, held)


def _reasons_unfilled(
    of_symbol: FloatArray, bar: Bar, liquidity: Liquidity, sent: Orders, held: FloatArray | None
) -> npt.NDArray[np.str_]:
    """What keeps each order from any fill, shape (orders,)."""
    price, volume = of_symbol[sent.symbol], bar.volume[sent.symbol]
    priced = np.logical_and.reduce(
        [np.isfinite(values) for values in liquidity.known(sent.symbol, _closing(sent, held))]
    )
    traded = (volume > 0.0) | (np.isnan(volume) & (liquidity.proxy_adv_usd is not None))
    return np.select(
        [~(np.isfinite(price) & (price > 0.0)), ~traded, ~priced], ["no_bar", "no_volume", "no_liquidity"], "volume_cap"
    )


def stop_fills(
    book: Book,
    bar: Bar,
    costs: CostModel,
    liquidity: Liquidity,
    settings: ExecutionSettings,
    *,
    strategy: str,
    session: Session,
    late_bar_of: Session | None = None,
) -> FillArrays:
    """Fill the stops that the bar touched, at the worse of open and stop.

    Call it with the book after the session's orders were booked: stops rest from the fill on, also
    within the session of the entry, whose open lies on the right side of its own stop. Strategies
    that trade at closes only use ``Book.stopped_at_close`` instead. A price is all that a stop needs: it is priced by
    the ``closing`` liquidity.

    Parameters
    ----------
    book : Book
        A stop price of NaN, and a symbol that is not held, is no stop.
    bar : Bar, arrays of shape (symbols,)
        Prices; a NaN touches nothing.
    costs, liquidity, settings
        What a fill costs, and the largest share of a session's volume that it may be.
    strategy : str
    session : session
        On which it is filled; with the strategy and the symbol it makes the fill's id.
    late_bar_of : session, optional
        The earlier session whose bar this is, where it came after that session was decided.

    Returns
    -------
    FillArrays
        Marked ``is_stop``; the capped rest keeps its stop and is hit again the next session.
    """
    side = np.sign(book.quantity)
    with np.errstate(invalid="ignore"):
        touched = np.where(side > 0.0, bar.low <= book.stop_price, bar.high >= book.stop_price)
    indices = np.flatnonzero(touched & (side != 0.0) & np.isfinite(book.stop_price))
    stop, begun = book.stop_price[indices], bar.open[indices]
    worse = np.where(side[indices] > 0.0, np.minimum(begun, stop), np.maximum(begun, stop))
    day, kind = day_of(session), "stop" if late_bar_of is None else f"late stop of {day_of(late_bar_of)}"
    ids = [
        hashlib.sha256(f"{kind}\x1f{strategy}\x1f{day}\x1f{book.symbols[i]}".encode()).hexdigest()[:32] for i in indices
    ]
    wanted = -book.quantity[indices]
    closing = np.ones(len(indices), dtype=np.bool_)
    return _priced(ids, indices, wanted, worse, bar, costs, liquidity, settings, closing, is_stop=True)


class PaperBroker:
    """Fills when asked for fills: orders at the session's open or close, stops where its bar touched them.

    Parameters
    ----------
    account : Account
        ``costs`` price the fills, and ``strategy.execution`` says how much of the bar's volume they may be.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._quantity, self._cash_usd = account.book.quantity.copy(), account.book.cash_usd
        self._ended: list[Orders] = []
        self._waiting: list[Orders | Stops] = []

    def send(self, orders: Orders | Stops) -> None:
        """As of :meth:`Broker.send`."""
        if isinstance(orders, Orders):
            sent_ids = self.orders().client_order_id
            orders = orders.at(np.flatnonzero([name not in sent_ids for name in orders.client_order_id]))
        self._waiting.append(orders)

    def cancel(self, client_order_ids: Collection[str]) -> None:
        """As of :meth:`Broker.cancel`."""
        for index, batch in enumerate(self._waiting):
            if isinstance(batch, Orders):
                named = np.array([name in client_order_ids for name in batch.client_order_id], dtype=np.bool_)
                self._waiting[index] = ended_where(batch, named, "cancelled")

    def orders(self) -> Orders:
        """As of :meth:`Broker.orders`.

        What is not filled whole ended by ``no_bar``, ``no_volume``, ``volume_cap`` (filled in part, or not at all),
        ``no_liquidity`` (no ADV or volatility to price it with); of a passive order that rested also by
        ``limit_not_reached``, ``queue_ahead`` or ``stop_first``, of binary contracts by ``stake_spent``.
        """
        return joined_orders([*self._ended, *(batch for batch in self._waiting if isinstance(batch, Orders))])

    def fills(self) -> FillArrays:
        """As of :meth:`Broker.fills`."""
        filled = no_fills()
        for batch in self._waiting:
            fills = self._traded(batch) if isinstance(batch, Orders) else self._stopped(batch)
            paid = -fills.quantity * fills.price - fills.commission_usd
            self._cash_usd = math.fsum([self._cash_usd, *paid.tolist()])
            np.add.at(self._quantity, fills.symbol, fills.quantity)
            filled = joined(filled, fills)
        self._waiting = []
        return filled

    def positions(self) -> FloatArray:
        """As of :meth:`Broker.positions`."""
        return self._quantity.copy()

    def cash(self) -> float:
        """As of :meth:`Broker.cash`."""
        return self._cash_usd

    def _traded(self, orders: Orders) -> FillArrays:
        account, held = self._account, self._quantity.copy()
        execution, settings = account.strategy.label.execution, account.strategy.execution
        stop_price = account.book.stop_price if execution == "next_open" else None
        market = (account.bar, account.costs, account.liquidity, settings)
        fills = fill_orders(orders, *market, execution, held, stop_price)
        stake_spent: frozenset[str] = frozenset()
        if account.strategy.market.binary:
            fills, stake_spent = binary_fills(fills, orders, account, held, self._cash_usd)
        filled_quantity = dict(zip(fills.client_order_id, fills.quantity, strict=True))
        unfilled = _reasons_unfilled(account.bar.at(execution), account.bar, account.liquidity, orders, held)
        if settings.paper_fills == "by_urgency":
            resting = _resting(orders, *market, _closing(orders, held), held, stop_price).reason
            unfilled = np.where((unfilled == "volume_cap") & (resting != ""), resting, unfilled)
        reasons = [
            code
            or (STAKE_SPENT if name in stake_spent else None)
            or (None if filled_quantity.get(name) == wanted else "volume_cap" if name in filled_quantity else reason)
            for name, wanted, code, reason in zip(
                orders.client_order_id, orders.quantity, orders.reason_code, unfilled.tolist(), strict=True
            )
        ]
        self._ended.append(replace(orders, reason_code=tuple(reasons)))
        return fills

    def _stopped(self, stops: Stops) -> FillArrays:
        account = self._account
        return stop_fills(
            stops.book,
            account.bar if stops.late_bar is None else stops.late_bar,
            account.costs,
            account.liquidity,
            account.strategy.execution,
            strategy=account.strategy.name,
            session=account.session,
            late_bar_of=stops.late_bar_of,
        )
