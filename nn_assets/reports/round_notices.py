"""What a page says of a session's round, by kind: sentences, or none if there is nothing to say."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from nn_assets.arrays import Symbol
from nn_assets.costs.financing import assumed_funding_warning
from nn_assets.errors import first_of
from nn_assets.execution.binary_fills import STAKE_SPENT
from nn_assets.execution.resting import LIMIT_NOT_REACHED, QUEUE_AHEAD, STOP_FIRST
from nn_assets.market.calendar.sessions import calendar_end_warning
from nn_assets.portfolio.expected import horizon_is_short
from nn_assets.portfolio.late_actions import owed_by_late_actions
from nn_assets.session.daily_round import Round
from nn_assets.session.fill_costs import SLIPPAGE_SESSIONS, references_of, slippage_of
from nn_assets.settings import Strategy

_NET_ROOM = 0.001  # fraction of capital: what rounding to lots and a day's moves explain

_DELISTED = "delisted"
_BY_THE_MARKET = frozenset({"no_bar", "no_volume", "volume_cap", "no_liquidity", STAKE_SPENT})
_RESTED = frozenset({LIMIT_NOT_REACHED, QUEUE_AHEAD, STOP_FIRST})
_SETTLED = "What was held was settled in cash; no order follows."
_AS_FILLED = "The book holds what was filled, as the account does; the orders below are sized from there."
_MAY_DIFFER = "The orders below replace them; compare the positions with the account."


def answer_notices(session_round: Round) -> list[str]:
    """Say that the session's solver had no answer, which limits its book exceeds, or that its horizon is short."""
    answer, inputs = session_round.decision.answer, session_round.decision.inputs
    notices = []
    if answer.no_answer is not None:
        notices.append(
            f"The solver had no answer ({answer.no_answer}): nothing was opened or enlarged on this session."
        )
    if answer.exceeded:
        notices.append(f"Over {', '.join(answer.exceeded)}: what cannot be traded today is more than the limit.")
    rho = math.nan if inputs.programme is None else inputs.programme.autocorrelation
    if horizon_is_short(rho):
        notices.append(
            f"The label's horizon of {inputs.horizon_sessions} sessions is below half the forecasts' half-life: over "
            f"it they correlate {rho:.2f} with themselves. A longer label would say more of what a position earns."
        )
    return notices


def ended_notices(session_round: Round, halted: Collection[Symbol] = ()) -> list[str]:
    """Say which orders under way ended without a whole fill, and why.

    The market's own reasons, a delisting among them, leave the book and the account alike, so that nobody has to act;
    after any other one the account may hold what the book does not.

    Parameters
    ----------
    halted : collection of str
        Symbols known to be halted on the session: an order of one ended for that.
    """
    return [
        f"{reason}: {len(names)} order{'s' * (len(names) > 1)} under way ended without a whole fill: "
        f"{', '.join(first_of(names))}. {_what_is_left(reason)}"
        for reason, names in _ended_by_reason(session_round, halted).items()
        if reason not in _RESTED
    ]


def resting_facts(session_round: Round) -> list[str]:
    """Say which passive orders rested and were not filled: an ordinary thing, where the settings let them rest."""
    return [
        f"{reason}: {len(names)} passive order{'s' * (len(names) > 1)} rested without a fill: "
        f"{', '.join(first_of(names))}. {_AS_FILLED}"
        for reason, names in _ended_by_reason(session_round, ()).items()
        if reason in _RESTED
    ]


def _ended_by_reason(session_round: Round, halted: Collection[Symbol]) -> dict[str, list[str]]:
    by_reason: dict[str, list[str]] = {}
    for order in session_round.ended:
        name = session_round.session_state.book.symbols[order.symbol]
        halt = " (halted)" if name in halted else ""
        by_reason.setdefault(order.reason, []).append(f"{name}{halt}")
    return by_reason


def _what_is_left(reason: str) -> str:
    """What follows from an order that ended, by why it did."""
    if reason == _DELISTED:
        return _SETTLED
    return _AS_FILLED if reason in _BY_THE_MARKET else _MAY_DIFFER


def held_on_notices(session_round: Round) -> list[str]:
    """Say what is held as it was since a halt, because a forecast still reaches into it."""
    held_on, symbols = session_round.decision.held_on, session_round.decision.inputs.symbols
    if held_on is None or not held_on.any():
        return []
    names = first_of([symbols[column] for column in np.flatnonzero(held_on).tolist()])
    named = ", ".join(names)
    return [
        f"Held on after a halt that a forecast still reads: {named}. Limits, stops and controls act; nothing is added."
    ]


def volatility_notices(session_round: Round) -> list[str]:
    """Say which forecast of volatility sizes are made of, and why, where the settings ask for more than the EWMA."""
    return [] if session_round.volatility is None else [session_round.volatility.sentence]


def stop_notices(session_round: Round) -> list[str]:
    """Say what the session's fills lost beyond the stops of the positions they closed."""
    lost = session_round.loss_beyond_stops_usd
    if lost <= 0.0:
        return []
    return [f"Fills lost {lost:,.2f} USD beyond the stops of the positions they closed: prices opened or moved past."]


def premium_notices(session_round: Round) -> list[str]:
    """Say what share of the target is premium, where the settings hold it."""
    decision = session_round.decision
    if not decision.settings.hold_premium:
        return []
    share = f"{decision.premium_of_gross:.0%} of the target's gross is premium of the base rates"
    return [f"hold_premium: {share}, held whatever is forecast. Step 1 of each name says its own share."]


def net_notices(strategy: Strategy, state: Mapping[str, Any]) -> list[str]:
    """Say that a stop left one leg of a balanced book alone overnight; the orders below bring it back."""
    net, limit = float(state["net_fraction"]), strategy.portfolio.net_limit
    if abs(net) <= limit + _NET_ROOM:
        return []
    cause = "a stop, a partial fill or a move unbalanced the book after its orders were made"
    remedy = "The targets below keep to the limit again from the next fill on."
    return [f"Net {net:+.2%} lies beyond the limit of {limit:.0%}: {cause}. {remedy}"]


def calendar_notices(strategy: Strategy, session_round: Round) -> list[str]:
    """Say that the calendar ends soon."""
    warning = calendar_end_warning(strategy.market.calendar, session_round.session)
    return [] if warning is None else [f"{warning[0].upper()}{warning[1:]}."]


def _settlement_notices(session_round: Round) -> list[str]:
    paid = [
        f"{one.symbol} at {one.value:g}, {abs(one.quantity):,.10g} of {'yes' if one.quantity > 0.0 else 'no'} paid "
        f"{one.paid_usd:,.2f} USD"
        for one in session_round.settled
    ]
    return [f"Settled before this session's first fill: {'; '.join(first_of(paid))}."] if paid else []


def overdue_notices(strategy: Strategy, session_round: Round) -> list[str]:
    """Name the binary contracts whose settlement should have come by now, and what to write once it is known."""
    inputs = session_round.decision.inputs
    if inputs.binary is None or not inputs.binary.overdue.any():
        return []
    named = []
    for index in np.flatnonzero(inputs.binary.overdue).tolist():
        symbol, held = inputs.symbols[index], inputs.current_quantity[index]
        day = strategy.market.contracts[symbol].settles_by
        named.append(f"{symbol} was to settle by {day}" + (f" and {held:+,.10g} are held" if held else ""))
    path = strategy.source.actions_path or "a file that source.actions_path names"
    remedy = (
        f"Once it is known write SYMBOL,DAY,settlement,1 (or 0) to {path}, under symbol,ex_session,kind,value; if it "
        "was put off, set market.contracts.SYMBOL.settles_by to its new day."
    )
    return [f"No settlement is stated: {'; '.join(first_of(named))}. What is held stays and nothing is added. {remedy}"]


def delisting_notices(session_round: Round) -> list[str]:
    """Say what delistings brought to the book on this session; of binary contracts, their settlements."""
    if session_round.decision.inputs.binary is not None:
        return _settlement_notices(session_round)
    paid = session_round.session_state.book.session_delistings_usd
    gone = [
        session_round.session_state.book.symbols[order.symbol]
        for order in session_round.ended
        if order.reason == _DELISTED
    ]
    if paid == 0.0 and not gone:
        return []
    booked = "Delistings were booked before this session's first fill, at the cash per share that was stated"
    return [f"{booked}: {paid:+,.2f} USD."]


def financing_facts(session_round: Round) -> list[str]:
    """Say what the session's cash received and paid beside its fills and funding, each part that there was any of."""
    book, financing = session_round.session_state.book, session_round.financing
    parts = {
        "interest on cash": 0.0 if financing is None else financing.cash_interest_usd,
        "margin interest": 0.0 if financing is None else financing.margin_interest_usd,
        "borrow fee of shorts": 0.0 if financing is None else financing.borrow_fee_usd,
        "dividends": book.session_dividends_usd,
        "cash for fractions of shares": book.session_cash_in_lieu_usd,
    }
    sums = [f"{name} {value:+,.2f} USD" for name, value in parts.items() if value != 0.0]
    return [f"Received less paid on this session: {'; '.join(sums)}."] if sums else []


def funding_facts(strategy: Strategy, session_round: Round) -> list[str]:
    """Say what funding a session paid."""
    if strategy.costs.funding is None:
        return []
    return [
        f"Funding received less paid on this session: {session_round.session_state.book.session_funding_usd:+,.2f} USD."
    ]


def funding_notices(strategy: Strategy, session_round: Round) -> list[str]:
    """Say where a session's funding rates were not known."""
    assumed = session_round.session_state.book.funding_assumed
    if strategy.costs.funding is None or not assumed:
        return []
    cause, remedy = assumed_funding_warning(strategy, assumed)
    return [f"{cause[0].upper()}{cause[1:]}: {remedy}."]


def late_notices(strategy: Strategy, session_round: Round) -> list[str]:
    """Say which actions became known late, and what they brought to the book on this session."""
    late, symbols = session_round.late, session_round.session_state.book.symbols
    if late is None:
        return []
    notices, owed = [], owed_by_late_actions(late, strategy.portfolio.lot_size)
    for column in late.changed.nonzero()[0]:
        changes = [
            f"{kind} of {day} {before[column]:g} -> {now[column]:g}"
            for kind in ("split", "dividend", "delisting")
            for day, before, now in zip(
                late.sessions, getattr(late.taken, kind), getattr(late.known, kind), strict=True
            )
            if before[column] != now[column] and not (np.isnan(before[column]) and np.isnan(now[column]))
        ]
        notices.append(
            f"{symbols[column]}: {', '.join(changes)}, known only now. The book was converted before this session's "
            f"first fill: {owed.quantity[column]:+,.10g} shares, {owed.dividends_usd[column]:+,.2f} USD of dividends, "
            f"{owed.in_lieu_usd[column]:+,.2f} USD for fractions, "
            f"{owed.delistings_usd[column]:+,.2f} USD of delistings. The account should show the same."
        )
    if session_round.cancelled:
        notices.append(
            f"late_action: {session_round.cancelled} orders under way were cancelled and nothing of them was filled: "
            "the book that sized them was wrong. Cancel those that the account still holds; the orders below replace "
            "them."
        )
    return notices


def slippage_notices(strategy: Strategy, session_round: Round) -> list[str]:
    """Say where fills cost more than the model in force says, by volatility too, whatever the score counts of it.

    Also where most fills could be held against no price: no breach then says little.
    """
    tolerance, recent = strategy.oversight.slippage_tolerance_fraction, session_round.session_state.fill_costs
    slippage = slippage_of(recent, tolerance, by_volatility=True)
    of_whom = f"Fills of the last {SLIPPAGE_SESSIONS} sessions"
    if slippage.breach:
        return [f"{of_whom} cost more than the model in force says: {slippage.message}."]
    window = recent[-SLIPPAGE_SESSIONS:]
    if 2 * sum(record.unheld for record in window) <= sum(len(record.realised) for record in window):
        return []
    return [
        f"{of_whom} are judged by little: {references_of(window)}. A mid at each fill (mid_price) tells what they cost."
    ]
