"""What cleaning points out without dropping a row: moves and prints that a person should judge.

The size of a move does not tell a split from a crash (Apple lost 51.9% on 2000-09-29 and split 2:1 three
months before), so a large move alone costs no row its place. It is reported, split-like ones apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from nn_assets.arrays import BoolArray, FloatArray, Symbol, nanoseconds
from nn_assets.contracts import LEFT_BY
from nn_assets.contracts.frames import ActionVersions, Quarantine
from nn_assets.market.facts.rows import Rows, rows_from
from nn_assets.market.quality.history_rules import LEAST_FACTOR, ODD_PRINT
from nn_assets.market.quality.odd_prints import disagreements, second_source_text
from nn_assets.market.quality.past import FEWEST_BEFORE, SIMPLE_SPLITS, market_moves, trailing
from nn_assets.measures import NORMAL_MAD
from nn_assets.settings import CleaningSettings

COPIED_SESSION, _ODD_SESSION = "copied_session", "odd_session"
MANY, MANY_SHARE = 5, 0.05  # of the symbols of a session
_SPLIT_LENIENCE = 0.5  # a simple ratio is itself evidence: half the z-score will do
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Notice:
    """What a person should judge: a stretch of one symbol, of many or of all (``symbol`` then says so in words).

    ``value`` is the close's log return, net of actions, for ``unexplained_jump`` and ``possible_split``, the factor
    between two closes, net of stated splits, for ``unexplained_factor``, the share of sessions whose open repeats the
    previous close for ``repeated_open``, the share of the session's symbols for ``copied_session`` and
    ``odd_session``, basis points between two sources for ``odd_print_elsewhere``, usual ranges for ``displaced_bar``,
    how many bars for ``known_in_the_future`` and ``price_stood_still``, one close over another for the rules of
    ``suspicions.py``, and NaN where the rule has no number (``possible_copy``).
    """

    rule: str
    symbol: Symbol
    first_session: pd.Timestamp
    last_session: pd.Timestamp
    value: float
    message: str

    @property
    def line(self) -> str:
        """Symbol, session, rule, value and message, on one line."""
        span = "" if self.first_session == self.last_session else f" to {self.last_session.date()}"
        value = "" if np.isnan(self.value) else f" {self.value:.4g}"
        return f"{self.symbol} {self.first_session.date()}{span}: {self.rule}{value}: {self.message}"


def rule_counts_text(counts: Mapping[str, int]) -> str:
    """Rules with their counts, most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{rule} {count:,}" for rule, count in ordered)


def widest_first(notices: Iterable[Notice]) -> list[Notice]:
    """Those of many symbols first, by their share of a session's symbols, largest first; the others as they come."""
    return sorted(notices, key=lambda notice: -notice.value if notice.rule in (COPIED_SESSION, _ODD_SESSION) else 0.0)


def jump_notices(
    rows: Rows, names: npt.NDArray[np.object_], settings: CleaningSettings, actions: ActionVersions | None = None
) -> tuple[Notice, ...]:
    """Point out moves that no action, not the symbol's own past nor the market of that session explains.

    ``actions`` has columns symbol, ex_session, kind (``split`` or ``dividend``) and value (new
    shares for old, or cash a share), those known by then; what they account for is taken off the
    return of the first row from the ex-session on. A close's log return of at least
    ``jump_minimum_log_return`` either way is pointed out if what is left of it after the median
    over all symbols of that session (nothing is taken off when fewer than three traded) is still as
    large, and exceeds ``jump_robust_z`` times the scale of the symbol's returns over the window
    before: 1.4826 times their median absolute value, which
    estimates a standard deviation (Hampel 1974). A past of fewer than 20 returns cannot excuse a
    move. If the ratio of open or close to the previous close is a simple one, it is a
    ``possible_split``, for which half that z-score is enough.
    """
    returns = np.log(rows.close / rows.previous(rows.close)) - action_log_returns(rows, names, actions)
    large = rows.of_asked(np.abs(returns) >= settings.jump_minimum_log_return)
    market = market_moves(rows, returns, large)
    notices = []
    for index, move in zip(large, returns[large] - market, strict=True):
        # A factor has a notice of its own.
        if abs(move) < settings.jump_minimum_log_return or abs(returns[index]) >= np.log(LEAST_FACTOR):
            continue
        z_score = _robust_z(trailing(rows, returns, int(index), settings.jump_window_sessions), move)
        split = near_split(rows, int(index), settings.split_slack_log_return)
        if z_score >= settings.jump_robust_z * (_SPLIT_LENIENCE if split else 1.0):
            notices.append(_jump(rows, names, int(index), float(returns[index]), z_score, split))
    return tuple(notices)


def factor_notices(rows: Rows, kept: BoolArray, names: npt.NDArray[np.object_]) -> tuple[Notice, ...]:
    """Point out closes kept that differ from the last one kept before by a factor of ``LEAST_FACTOR`` or more.

    Parameters
    ----------
    rows : Rows
        Every row delivered; what lies between the two closes waits in quarantine.
    kept : array of bool, shape (rows,)
    """
    indices = np.flatnonzero(kept)
    sound = rows.in_first_shares().take(indices)
    ratio = sound.close / sound.previous(sound.close)
    notices = []
    for position in sound.of_asked(np.abs(np.log(ratio)) >= np.log(LEAST_FACTOR)):
        index, before, factor = int(indices[position]), int(indices[position - 1]), float(ratio[position])
        symbol = str(names[rows.symbol[index]])
        first, last = (pd.Timestamp(int(rows.session[row])) for row in (before + 1, index))
        waited = f"; {index - before - 1} sessions from {first.date()} wait in quarantine" * (index - before > 1)
        message = (
            f"close {rows.close[before]:g} -> {rows.close[index]:g}, {factor:.4g} times, by no action on record"
            f"{waited}; no return is counted across it, and what is held keeps its value until you decide: if "
            f"shares were put together or split, write {symbol},{first.date()},split,{1.0 / factor:.3g} with the exact "
            "ratio into the file of source.actions_path; if the unit changed, correct it at the source; if it is "
            f"another share, set market.history_starts to {last.date()} or take the symbol off"
        )
        notices.append(Notice("unexplained_factor", symbol, first, last, factor, message))
    return tuple(notices)


def not_compared_notices(rows: Rows) -> tuple[Notice, ...]:
    """Say that the second source has no bar of the newest session that was known in time; not a fault of any row."""
    if rows.second is None or len(rows) == 0:
        return ()
    if np.isfinite(rows.second[rows.session == rows.session.max()]).any():
        return ()
    session = pd.Timestamp(int(rows.session.max()))
    message = "the source compared with has no bar of this session that was known in time: none is judged by it"
    return (Notice("not_compared", "all symbols", session, session, np.nan, message),)


def odd_print_notices(
    rows: Rows, names: npt.NDArray[np.object_], quarantine: Quarantine, settings: CleaningSettings
) -> tuple[Notice, ...]:
    """Point out where the second source has the odd print, and sessions on which the two disagree on many symbols.

    Many is at least five symbols, and a twentieth of those delivered: then the session is one notice
    (``odd_session``), else each print of the second source's (``odd_print_elsewhere``). The first source's own odd
    prints are in quarantine.

    Parameters
    ----------
    rows : Rows
        Those kept, in shares as delivered.
    quarantine : DataFrame
        What cleaning made of the others.
    """
    if rows.second is None:
        return ()
    differences = disagreements(rows, settings)
    second_at_fault = np.flatnonzero(~differences.ours)
    quarantined_prints = quarantine[quarantine["rule"] == ODD_PRINT]
    indices = differences.row[second_at_fault]
    odd = pd.DataFrame(
        {
            "symbol": [*quarantined_prints["symbol"], *names[rows.symbol[indices]]],
            "session": [*quarantined_prints["session"], *pd.to_datetime(rows.session[indices])],
        }
    )
    notices, wide = [], set()
    session: Any
    for session, symbols in odd.groupby("session")["symbol"]:
        delivered = int((rows.session == session.value).sum() + (quarantine["session"] == session).sum())
        count, held = len(symbols), int((quarantined_prints["session"] == session).sum())
        if count < max(MANY, MANY_SHARE * delivered):
            continue
        wide.add(session.value)
        message = (
            f"of {count} of {delivered} symbols ({count / delivered:.0%}), {symbols.iloc[0]} among them, the source "
            f"compared with says other prices: ask both for the session again; {held} of their rows are in quarantine"
        )
        notices.append(Notice(_ODD_SESSION, "many symbols", session, session, count / delivered, message))
    for position, index in zip(second_at_fault, indices, strict=True):
        if rows.session[index] in wide:
            continue
        session, field = pd.Timestamp(int(rows.session[index])), str(differences.field[position])
        own = f"{getattr(rows, field)[index]:g}" if field != "row" else f"close {rows.close[index]:g}"
        message = (
            f"{field} {own}, and {second_source_text(rows, int(index), field)} from the source compared with, "
            "whose price is the odd one: row kept"
        )
        symbol = str(names[rows.symbol[index]])
        notices.append(
            Notice("odd_print_elsewhere", symbol, session, session, float(differences.bps[position]), message)
        )
    return tuple(notices)


def action_log_returns(rows: Rows, names: npt.NDArray[np.object_], actions: ActionVersions | None) -> FloatArray:
    """Log return of each row's close that splits and dividends account for, shape (rows,); 0 where there are none.

    A split of r new shares for old moves a price by 1/r, a dividend D by 1 - D / C, C the close
    before; a value that is missing, or no less than the close, accounts for nothing.
    """
    explained = np.zeros(len(rows))
    if actions is None or actions.empty:
        return explained
    before = rows.previous(rows.close)
    number = pd.Index(names, dtype=object).get_indexer(pd.Index(actions["symbol"], dtype=object))
    start, index, stop = rows_from(rows.symbol, rows.session, number, nanoseconds(actions["ex_session"]))
    kinds, values = actions["kind"].to_numpy(dtype=object), actions["value"].to_numpy(dtype=np.float64)
    # A symbol's first row has nothing before it that the action could have moved; a delisting moves no price.
    moved = (start < index) & (index < stop) & ~np.isin(kinds, LEFT_BY)
    for row, kind, value in zip(index[moved].tolist(), kinds[moved], values[moved].tolist(), strict=True):
        kept = 1.0 / value if kind == "split" else 1.0 - value / before[row]
        explained[row] += np.log(kept) if 0.0 < kept < np.inf else 0.0
    return explained


def _robust_z(before: FloatArray, move: float) -> float:
    """Move over the median absolute return before it, scaled; about zero, where returns centre."""
    if len(before) < FEWEST_BEFORE:
        return float("inf")
    spread = NORMAL_MAD * np.median(np.abs(before))
    return float(abs(move) / spread) if spread > 0.0 else float("inf")


def _jump(rows: Rows, names: npt.NDArray[np.object_], index: int, move: float, z_score: float, ratio: float) -> Notice:
    session = pd.Timestamp(int(rows.session[index]))
    before, after = float(rows.close[index - 1]), float(rows.close[index])
    change = f"close {before:g} -> {after:g} ({after / before - 1.0:+.1%})"
    if abs(move - np.log(after / before)) > _ROUNDING:
        change += f", {np.expm1(move):+.1%} net of the actions on record"
    against = f"robust z {z_score:.0f} against its past" if np.isfinite(z_score) else "its past cannot excuse it"
    split = f"; near a {ratio:g} split" if ratio else ""
    return Notice(
        rule="possible_split" if ratio else "unexplained_jump",
        symbol=str(names[rows.symbol[index]]),
        first_session=session,
        last_session=session,
        value=move,
        message=f"{change}, {against}, not explained by the market's move{split}: for a decision, row kept",
    )


def near_split(rows: Rows, index: int, slack: float) -> float:
    """Ratio of the split that open or close resembles, below 1 for a reverse split; 0 for none."""
    for price in (rows.open[index], rows.close[index]):
        log_ratio = float(np.log(rows.close[index - 1] / price))
        for split in SIMPLE_SPLITS:
            if abs(log_ratio - np.log(split)) <= slack:
                return split
    return 0.0


def repeated_open_notices(rows: Rows, names: npt.NDArray[np.object_], settings: CleaningSettings) -> tuple[Notice, ...]:
    """Point out long stretches in which a symbol's open merely repeats the previous close.

    Nobody could have traded at such a print, so it must not become a fill. Per symbol the stretch
    is the one of largest excess of repeats over ``repeated_open_share`` (the maximum-sum interval;
    Bentley 1984); shorter ones than ``repeated_open_window_sessions`` are chance.
    """
    repeats = rows.open == rows.previous(rows.close)
    notices = []
    for symbol in np.unique(rows.symbol):
        start = int(np.searchsorted(rows.symbol, symbol, side="left"))
        stop = int(np.searchsorted(rows.symbol, symbol, side="right"))
        low, high = _densest(repeats[start:stop], settings.repeated_open_share)
        if high - low < settings.repeated_open_window_sessions:
            continue
        share = float(repeats[start + low : start + high].mean())
        first, last = (pd.Timestamp(int(rows.session[start + offset])) for offset in (low, high - 1))
        notices.append(repeated_open(str(names[symbol]), first, last, share, high - low))
    return tuple(notices)


def repeated_open(symbol: Symbol, first: pd.Timestamp, last: pd.Timestamp, share: float, sessions: int) -> Notice:
    """The notice of a long stretch of a symbol's sessions, on a share of which the open repeats the close before."""
    message = (
        f"open equals the previous close on {share:.1%} of {sessions} sessions, "
        f"{first.date()} to {last.date()}: not a price to fill at; execute at the close"
    )
    return Notice("repeated_open", symbol, first, last, share, message)


def _densest(repeats: BoolArray, share: float) -> tuple[int, int]:
    """Half-open interval in which repeats exceed ``share`` of the rows by most."""
    excess = np.concatenate([[0.0], np.cumsum(np.where(repeats, 1.0 - share, -share))])
    lowest = np.minimum.accumulate(excess)
    stop = int((excess - lowest).argmax())
    start = int(excess[: stop + 1].argmin())
    return start, stop
