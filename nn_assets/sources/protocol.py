"""What every source offers, and the three things every source must do alike."""

from __future__ import annotations

import re
from typing import Protocol, runtime_checkable

import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.contracts.frames import DeliveredActions, DeliveredBars
from nn_assets.errors import SourceError

# What a frame of delivered bars or actions carries until it is taken in: of the rows left out, how many, and the first.
_OUTSIDE, _FIRST_OUTSIDE = "rows_outside", "first_outside"
_MOST_OUTSIDE = 5

_LONGEST_SYMBOL = 32
# Letters and digits first; then what exchanges and vendors join with: BRK.B, BTC/USDT:USDT, ES=F, ^GSPC.
_SYMBOL = re.compile(r"[A-Za-z0-9^#$][A-Za-z0-9.^=/:&_+#$@!-]*")


@runtime_checkable
class Source(Protocol):
    """A place bars come from. It reads no clock: when a delivery arrived is the caller's to say."""

    @property
    def name(self) -> str:
        """How the bars' ``source`` column begins."""
        ...

    def bars(
        self,
        symbols: tuple[Symbol, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredBars:
        """Deliver bars as they are at the source, faults of single rows included.

        Parameters
        ----------
        symbols : tuple of str
            Those asked for; all that the source has when empty.
        first, last : Timestamp, optional
            First and last session asked for, both included.

        Returns
        -------
        DataFrame
            Keeps the contract ``DELIVERED_BARS`` (a source that knows when its bars became known
            adds ``known_at``), ordered by symbol and session, ties as delivered. NaN where the
            source has no value.

        Raises
        ------
        SourceError
            The answer is empty, partial, malformed or unreadable.
        """
        ...


@runtime_checkable
class ActionSource(Protocol):
    """A source that also knows splits and dividends."""

    def actions(
        self,
        symbols: tuple[Symbol, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredActions:
        """Deliver the splits and dividends whose ex-session lies in a span.

        Parameters
        ----------
        symbols, first, last
            As in ``Source.bars``.

        Returns
        -------
        DataFrame
            Columns symbol, ex_session (tz-naive midnight), kind (``split`` or ``dividend``), value
            (new shares for each old one; cash for each share as held that day, unadjusted), source;
            ordered by symbol and ex-session. Without rows where nothing happened. How many rows of other symbols
            and days came goes with them.

        Raises
        ------
        SourceError
            As in ``Source.bars``, but for a span without an action.
        """
        ...


def validate_symbol(symbol: str, **where: object) -> Symbol:
    """Give a symbol back if it can be one.

    Tickers that look like something else (TRUE, INF, NAN, CON) are tickers.

    Raises
    ------
    SourceError
        Empty, over 32 characters, a path upwards, or with blanks, control characters or others
        that no exchange uses. ``where`` (file, row) goes into the message.
    """
    legal = len(symbol) <= _LONGEST_SYMBOL and _SYMBOL.fullmatch(symbol) is not None
    if legal and ".." not in symbol and "//" not in symbol and not symbol.endswith("/"):
        return symbol
    raise SourceError(
        expected=f"a symbol of 1 to {_LONGEST_SYMBOL} letters, digits and . - _ = ^ / : & + # $ @ !",
        found=repr(symbol[:80]),
        remedy="correct the symbol column or the file's name",
        rule="legal_symbol",
        symbol=repr(symbol[:80]),
        **where,
    )


def checked_selection(
    bars: DeliveredBars,
    source: str,
    symbols: tuple[Symbol, ...],
    first: pd.Timestamp | None,
    last: pd.Timestamp | None,
) -> DeliveredBars:
    """Cut a full delivery to what was asked for, ordered by symbol and session.

    Raises
    ------
    SourceError
        A symbol asked for is not there at all, or nothing lies in the span: never an empty success.
    """
    absent = sorted(set(symbols) - set(bars["symbol"].unique()))
    if absent:
        offered = sorted(bars["symbol"].unique())
        raise SourceError(
            expected=f"symbols that source {source} has ({', '.join(offered[:20])}{', …' * (len(offered) > 20)})",
            found=f"no bar of {', '.join(absent)}",
            remedy="correct market.symbols, or add the missing data",
            symbol=absent[0],
        )
    wanted = cut_to(bars, symbols, first, last)
    if wanted.empty:
        raise SourceError(
            expected=f"bars of {', '.join(symbols[:20]) or 'any symbol'} from {first} to {last}",
            found=f"none; source {source} has {len(bars)} bars, {_span(bars)}",
            remedy="ask for sessions that the source covers",
            session=None if first is None else first.date(),
        )
    return wanted.sort_values(["symbol", "session"], kind="stable").reset_index(drop=True)


def cut_to(
    bars: DeliveredBars, symbols: tuple[Symbol, ...], first: pd.Timestamp | None, last: pd.Timestamp | None
) -> DeliveredBars:
    """Bars of some symbols (all when empty) and sessions, both ends included; the frame says how many it lacks."""
    wanted = bars["symbol"].isin(symbols) if symbols else pd.Series(data=True, index=bars.index)
    if first is not None:
        wanted &= bars["session"] >= first
    if last is not None:
        wanted &= bars["session"] <= last
    return leaving_out(bars[wanted].reset_index(drop=True), bars[~wanted], last)


def leaving_out(chosen: pd.DataFrame, left: pd.DataFrame, last: pd.Timestamp | None) -> pd.DataFrame:
    """The rows chosen, which carry how many were left out, of other symbols or sessions, and the first of those.

    Parameters
    ----------
    left : DataFrame
        With ``symbol``, ``session`` and ``source``: see :func:`taken_outside` and :func:`first_outside`.
    last : Timestamp, optional
        The last session asked for.
    """
    chosen.attrs[_OUTSIDE] = len(left)
    if last is not None:  # those of the future last: most are only early
        early = left["session"] > last
        left = pd.concat([left[~early].head(_MOST_OUTSIDE), left[early].head(_MOST_OUTSIDE)])
    chosen.attrs[_FIRST_OUTSIDE] = [
        (str(row.symbol), row.session, str(row.source)) for row in left.head(_MOST_OUTSIDE).itertuples()
    ]
    return chosen


def actions_left(actions: DeliveredActions) -> DeliveredActions:
    """Actions that are left out, as :func:`leaving_out` names rows: of their ex-session, the kind with the source."""
    return actions.assign(session=actions["ex_session"], source=actions["kind"] + ", " + actions["source"])


def taken_outside(delivered: pd.DataFrame) -> int:
    """How many rows a source left out as of other symbols or sessions; the frame no longer says it afterwards."""
    return int(delivered.attrs.pop(_OUTSIDE, 0))


def first_outside(delivered: pd.DataFrame) -> list[tuple[str, pd.Timestamp, str]]:
    """Symbol, session and source of the first five rows left out, where known; not said afterwards, as above."""
    return list(delivered.attrs.pop(_FIRST_OUTSIDE, ()))


def _span(bars: pd.DataFrame) -> str:
    if bars.empty:
        return "no session"
    return f"{bars['session'].min().date()} to {bars['session'].max().date()}"
