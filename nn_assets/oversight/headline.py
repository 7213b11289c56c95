"""Whether a strategy trades, in one sentence: the first line of every command and page; what it leaves out, below."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from nn_assets.errors import shortened
from nn_assets.portfolio.breakers import (
    LOSSES,
    NO_ANSWER,
    NO_EQUITY,
    Breaker,
    Control,
    KillSwitch,
    breaker_control,
    kill_switch_control,
    read_kill_switch,
    trading_state_control,
)
from nn_assets.settings import PortfolioSettings
from nn_assets.settings.sections import NO_DIRECTION, STUDIED_AND_REPLAYED_ONLY


class TradingWord(IntEnum):
    """What a strategy does, from the best to the strictest."""

    TRADES = 0
    REDUCED = 1  # smaller than it would be, or nothing opens and grows
    DOES_NOT_TRADE = 2  # flat
    HALTED = 3  # nothing is decided, or no order is sent

    def __str__(self) -> str:
        return self.name.replace("_", " ")


_WORDS = {
    Control.NORMAL: TradingWord.TRADES,
    Control.REDUCED: TradingWord.REDUCED,
    Control.REDUCING: TradingWord.REDUCED,
    Control.FLAT: TradingWord.DOES_NOT_TRADE,
    Control.HALTED: TradingWord.HALTED,
}
_FIRST = {
    "stale_data": "mend the data",
    "unfinished_run": "compare the positions with the broker's and run nn-assets audit verify",
    NO_ANSWER: "read the session's page",
    NO_EQUITY: "close what is held at the broker (new capital is a strategy of another name) and wait until the book "
    "is worth something",
} | dict.fromkeys(LOSSES, "find the cause of the loss")
LONGEST = 200
"""Characters of a first line: read at a glance, and whole in the subject of a mail."""

NEEDS_A_PERSON = "A person is needed: "
"""Stands in a first line where something is to be done."""

_NO_ACTION, _ALL_BELOW = "No action needed", " (all below)"
_WHY, _TO_DO = "why    ", "to do  "
_CLAUSE, _QUOTES = re.compile(r"; |, | \(|: "), ('"', "`")
_LEAK = "leak alarm"
_NOTHING = "nothing is to be held after "
_ROUND = "nn-assets run "
_GOES_ON = re.compile(r"nn-assets (run|study)\b")
_STUDY_OF_MONTHS = re.compile(r"^(nn-assets study --strategy \S+) --from \S+ --to \S+$")
_GOES_ON_WITH_STUDY = re.compile(r"^(nn-assets study --strategy \S+) --from \S+ --to \S+ goes on from there$")


CHANGED_LEDGER = "changed ledger"
"""Cause of faults for which every round and study is refused: the ledger is not as it was appended."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong beside the controls, with what a person can do about it."""

    why: str
    remedy: str  # empty where nothing needs to be done
    word: TradingWord = TradingWord.TRADES  # what it leaves of trading
    cause: str = ""  # equal for faults that report the same: CHANGED_LEDGER, or what an error states; empty: none other


@dataclass(frozen=True)
class Situation:
    """What says whether a strategy trades.

    Attributes
    ----------
    session : str or None
        The last one decided.
    to_hold, symbols : int
        Positions to hold after it, of so many symbols.
    held, closing : int
        Positions that the book holds after it, and how many of them an order under way closes.
    next_round, next_fill : str
        The session after it, and at what of it orders fill.
    verdict : str or None
        Of the study in force at that decision.
    verdict_of : str or None
        The month, YYYY-MM, up to the end of which that study went; None where it is not known.
    study_of_others : str
        By which settings the newest study differs from those in force; empty where one is of these.
    verdict_allows : bool
        Whether the verdict lets positions be taken, or the settings do without one.
    late_verdict : str or None
        Which verdict came too late for that decision, and when; None where none did.
    alarm_released : bool
        Whether a person released the leak alarms of the newest look, and no study judged without them yet.
    verdict_since : str
        What the newest study says, where the verdict in force is a leak alarm and that study has none; else empty.
    alarm_stands : str
        The month of the newest study, where that is a leak alarm which nobody released; else empty.
    under_alarm : bool
        Whether a leak alarm stood at that decision, which stopped a verdict, or trading without one.
    without_verdict : bool
        Whether only the settings let positions be taken.
    breakers : tuple of Breaker
        Those latched after the session.
    releases : tuple of str
        Kinds of them that a person released, from the next session on.
    kill_switch : str
    trading_state, trading_reasons : str
        By drift, for the next session.
    halved : bool
        By drawdown.
    near_capacity : str
        What is left of sizes as assets approach the estimated capacity, and why; empty where all is.
    faults : tuple of Fault
        What is wrong at this moment; a session's own page knows of those of its bars alone.
    stopped : bool
        Whether every round and study is refused, or must not be started: no remedy asks for one then.
    no_direction : bool
        Whether the label is a volatility, so that nothing is ever decided.
    volatility_found : str
        What the newest study found of its forecasts, or what they are good for; empty without a study.
    within_the_session : bool
        Whether it decides within the session, so that nothing is ever decided live.
    """

    strategy: str
    settings: PortfolioSettings
    session: str | None = None
    to_hold: int = 0
    symbols: int = 0
    held: int = 0
    closing: int = 0
    next_round: str = ""
    next_fill: str = ""
    verdict: str | None = None
    verdict_of: str | None = None
    verdict_allows: bool = False
    without_verdict: bool = False
    under_alarm: bool = False
    study_of_others: str = ""
    late_verdict: str | None = None
    alarm_released: bool = False
    verdict_since: str = ""
    alarm_stands: str = ""
    breakers: tuple[Breaker, ...] = ()
    releases: tuple[str, ...] = ()
    kill_switch: str = str(KillSwitch.ACTIVE)
    trading_state: str = "CONTINUE"
    trading_reasons: str = ""
    halved: bool = False
    near_capacity: str = ""
    faults: tuple[Fault, ...] = ()
    stopped: bool = False
    no_direction: bool = False
    volatility_found: str = ""
    within_the_session: bool = False


@dataclass(frozen=True)
class Headline:
    """The word, the sentence of the strategy that says it first, and what that has no room for.

    Attributes
    ----------
    sentence : str
        The first line, of at most :data:`LONGEST` characters: whether it trades, why, and what needs a person.
    below : tuple of str
        Where that is not all: every cause and everything that needs a person, a line each.
    """

    word: TradingWord
    sentence: str
    below: tuple[str, ...] = ()

    @classmethod
    def saying(
        cls,
        strategy: str,
        word: TradingWord,
        whys: Sequence[str],
        remedies: Sequence[str],
        leave: tuple[str, str] = ("", ""),
    ) -> Self:
        """Made of its causes, the one that gives the word first.

        Parameters
        ----------
        remedies : sequence of str
            What a person is needed for, in order; empty where for nothing.
        leave : tuple of two str
            By whose leave it trades, in few words and in full; empty where by its verdict.
        """
        head, causes = f"{strategy} {word}: ", "; ".join(whys)
        person = f"{NEEDS_A_PERSON}{'; '.join(remedies)}" if remedies else _NO_ACTION
        whole = f"{head}{leave[1]}{causes}. {person}."
        if len(whole) <= LONGEST:
            return cls(word, whole)
        of_whys = [f"{_WHY}{leave[1] if not number else ''}{why}" for number, why in enumerate(whys)]
        below = (*of_whys, *(f"{_TO_DO}{remedy}" for remedy in remedies))
        head += leave[0]
        room = LONGEST - len(f"{head}. {NEEDS_A_PERSON}.")
        if remedies:
            person = NEEDS_A_PERSON + _first_to_do(remedies, max(room // 2, room - len(causes)))
        first = _whole_brackets(shortened(causes, LONGEST - len(f"{head}. {person}.")))
        return cls(word, f"{head}{first}. {person}.", below)

    @classmethod
    def of(cls, strategy: str, text: str) -> Self:
        """A strategy's lines with the word that they say first; HALTED where they say none."""
        sentence, *below = text.splitlines() or [""]
        rest = sentence.removeprefix(f"{strategy} ")
        word = next((word for word in TradingWord if rest.startswith(f"{word}:")), TradingWord.HALTED)
        return cls(word, sentence, tuple(line.strip() for line in below))

    def __str__(self) -> str:
        """All of it, the first line first."""
        return "\n  ".join([self.sentence, *self.below])

    @property
    def tone(self) -> TradingWord:
        """The word that gives the sentence its colour: a strategy that may trade but holds nothing is not green."""
        return TradingWord.DOES_NOT_TRADE if self.word is TradingWord.TRADES and _NOTHING in str(self) else self.word


def halted(strategy: str, why: str, remedy: str) -> Headline:
    """The lines of a strategy of which nothing else can be read."""
    return Headline.saying(strategy, TradingWord.HALTED, [why], [remedy])


def _whole_brackets(text: str) -> str:
    """A text that was cut, without a bracket that the cut left open."""
    cut = text.rfind(" (")
    return f"{text[:cut]} …" if cut > 0 and text.endswith("…") and ")" not in text[cut:] else text


def _first_to_do(remedies: Sequence[str], room: int) -> str:
    """What needs a person, or its first clauses: nothing of a command is cut off."""
    if len(whole := "; ".join(remedies)) <= room:
        return whole
    room -= len(_ALL_BELOW)
    first = remedies[0]
    ends = [match.start() for match in _CLAUSE.finditer(first)]
    ends = [end for end in ends if not any(first[:end].count(quote) % 2 for quote in _QUOTES)] + [len(first)]
    fits = [end for end in ends if end <= room]
    return f"{first[: fits[-1]]}{_ALL_BELOW}" if fits else "see below"


@dataclass(frozen=True)
class _Cause:
    word: TradingWord
    why: str
    remedy: str | None = None


def headline(situation: Situation) -> Headline:
    """Say whether a strategy trades, why, and what needs a person.

    The strictest cause gives the word and comes first.
    """
    of_controls = list(_of_controls(situation))
    causes = [*_of_faults(situation), *of_controls]
    if (
        situation.held
        and max((cause.word for cause in of_controls), default=TradingWord.TRADES) is TradingWord.DOES_NOT_TRADE
    ):
        causes.append(_Cause(TradingWord.DOES_NOT_TRADE, _still_held(situation)))
    causes.sort(key=lambda cause: -cause.word)
    word = causes[0].word if causes else TradingWord.TRADES
    if word is TradingWord.TRADES:
        causes = [_Cause(word, _held(situation)), *causes]
    remedies = _in_order(cause.remedy for cause in causes if cause.remedy)
    if situation.stopped:
        remedies = [remedy for remedy in remedies if not _GOES_ON.search(remedy)]
    whys = [cause.why for cause in causes]
    return Headline.saying(situation.strategy, word, whys, remedies, _by_whose_leave(word, situation))


def _held(situation: Situation) -> str:
    """How many positions a strategy that may trade is to hold."""
    if situation.to_hold == 0:
        yet = f"; {_still_held(situation)}" if situation.held else ""
        return f"{_NOTHING}{situation.session} (0 of {situation.symbols} symbols){yet}"
    return f"{situation.to_hold} of {situation.symbols} symbols to be held after {situation.session}"


def _still_held(situation: Situation) -> str:
    """What a book that is to be flat still holds, and when that is closed."""
    single = situation.held == 1
    text = f"{situation.held} position{'s' * (not single)} {'is' if single else 'are'} still held"
    if situation.to_hold:
        return f"{text}: the round of {situation.next_round} orders {'it' if single else 'them'} closed"
    if not situation.closing:
        return f"{text}, and no order closes {'it' if single else 'them'} yet"
    some = "" if situation.closing == situation.held else f" of {situation.closing} of them"
    return (
        f"{text}: the closing order{'s' * (not single)}{some} {'fills' if single else 'fill'} at {situation.next_fill}"
    )


def _in_order(remedies: Iterable[str]) -> list[str]:
    """Each remedy once, without those that another contains, and rounds last: they depend on all the others."""
    unique = list(dict.fromkeys(remedies))
    unique = [remedy for remedy in unique if not any(_says_too(other, remedy) for other in unique if other != remedy)]
    return sorted(unique, key=lambda remedy: remedy.startswith(_ROUND))


def _says_too(remedy: str, other: str) -> bool:
    """Whether a remedy ends with another, or begins with it and goes on; a study of all months has those of some.

    One that goes on from where another was killed runs every month before it that is missing.
    """
    on = _GOES_ON_WITH_STUDY.match(remedy)
    if on is not None and other == on[1]:
        return True
    if remedy.startswith(f"{other}, ") or remedy.endswith(f", then {other}"):
        return True
    study = _STUDY_OF_MONTHS.match(other)
    return study is not None and (remedy == study[1] or _says_too(remedy, study[1]))


def _by_whose_leave(word: TradingWord, situation: Situation) -> tuple[str, str]:
    """Name the setting by which a strategy trades although its verdict does not allow it; else empty."""
    if not situation.without_verdict or word not in {TradingWord.TRADES, TradingWord.REDUCED}:
        return "", ""
    verdict = "no verdict" if situation.verdict is None else f"the verdict {_verdict_text(situation)}"
    return "by trade_without_verdict: ", f"by trade_without_verdict, with {verdict}: "


def _verdict_text(situation: Situation) -> str:
    """The verdict in force, and as of when it counts: a later study counts sessions anew."""
    return f"{situation.verdict!r}" + (f" of {situation.verdict_of}" if situation.verdict_of else "")


def release_of(kind: str, strategy: str) -> str:
    """What a person does about a latched breaker."""
    first = _FIRST.get(kind, "find the cause")
    return f'{first}, then nn-assets control reset-breaker --strategy {strategy} --kind {kind} --reason "..."'


def _of_faults(situation: Situation) -> Iterator[_Cause]:
    yield from (_Cause(fault.word, fault.why, fault.remedy) for fault in situation.faults)


def _of_controls(situation: Situation) -> Iterator[_Cause]:
    yield from _of_switch(situation)
    yield from _of_breakers(situation)
    if situation.no_direction:
        if not any(fault.word > TradingWord.DOES_NOT_TRADE for fault in situation.faults):
            why = "; ".join(filter(None, [NO_DIRECTION, situation.volatility_found]))
            yield _Cause(TradingWord.DOES_NOT_TRADE, why)
    elif situation.within_the_session:
        yield _Cause(TradingWord.DOES_NOT_TRADE, STUDIED_AND_REPLAYED_ONLY)
    elif situation.session is None:
        yield _Cause(TradingWord.DOES_NOT_TRADE, "no session was decided yet")
    yield from _of_standing_alarm(situation)
    if situation.session is None:
        yield from _of_other_settings(situation)
        return
    yield from _of_verdict(situation)
    if situation.verdict is not None or situation.verdict_allows:  # else that it is flat for want of one names them
        yield from _of_other_settings(situation)
    yield from _of_state(situation)
    if situation.halved:
        yield _Cause(TradingWord.REDUCED, "sizes are halved in a drawdown")
    if situation.near_capacity:
        yield _Cause(TradingWord.REDUCED, situation.near_capacity)


def _of_switch(situation: Situation) -> Iterator[_Cause]:
    switch = read_kill_switch(situation.kill_switch)
    if switch is not KillSwitch.ACTIVE:
        again = f'nn-assets control kill-switch ACTIVE --strategy {situation.strategy} --reason "..." to trade again'
        yield _Cause(_WORDS[kill_switch_control(switch)], f"the kill switch is {switch}", again)


def _of_breakers(situation: Situation) -> Iterator[_Cause]:
    for breaker in situation.breakers:
        word = _WORDS[breaker_control([breaker.kind], situation.settings)]
        why = f"breaker {breaker.kind} is latched ({breaker.reason})"
        if breaker.kind in situation.releases:
            yield _Cause(word, f"{why} and released from the next session on")
        else:
            yield _Cause(word, why, release_of(breaker.kind, situation.strategy))


def _of_other_settings(situation: Situation) -> Iterator[_Cause]:
    """That there is no verdict of the settings in force, where there is a study of others."""
    if situation.study_of_others:
        since = "" if situation.verdict is None else " from the next session on"
        why = f"no verdict counts{since}, since the newest study is of other settings: {situation.study_of_others}"
        yield _Cause(TradingWord.TRADES, why, _study_or_back(situation))


def _study_or_back(situation: Situation) -> str:
    back = ", or set them back" if situation.study_of_others else ""
    return f"nn-assets study --strategy {situation.strategy}{back}"


def _of_verdict(situation: Situation) -> Iterator[_Cause]:
    late = f"{situation.late_verdict}, and counts from the next session on"
    if situation.verdict_allows:
        if situation.late_verdict is not None:
            yield _Cause(TradingWord.TRADES, late)
    elif situation.under_alarm and not (situation.verdict or "").startswith(_LEAK):
        why = "flat by a leak alarm of other settings, which stops every one on these data"
        since = "" if situation.alarm_stands else "; it stands no longer, which counts from the next session on"
        yield _Cause(TradingWord.DOES_NOT_TRADE, f"{why}{since}")
    elif situation.late_verdict is not None:
        was = "no study gave one in time" if situation.verdict is None else f"it was {_verdict_text(situation)}"
        yield _Cause(TradingWord.DOES_NOT_TRADE, f"flat by the verdict in force then: {was}; {late}")
    elif situation.verdict is None:
        others = situation.study_of_others
        newest = f" (the newest is of other settings: {others})" if others else ""
        yield _Cause(
            TradingWord.DOES_NOT_TRADE,
            f"flat, since no study gave a verdict in time{newest}",
            _study_or_back(situation),
        )
    elif situation.verdict.startswith(_LEAK):
        yield _of_leak_alarm(situation)
    else:
        yield _Cause(TradingWord.DOES_NOT_TRADE, f"flat by the verdict in force, {_verdict_text(situation)}")


def _of_leak_alarm(situation: Situation) -> _Cause:
    """Flat by a leak alarm: whether it is unreleased, was released, or a later study has none."""
    name, why = situation.strategy, f"flat by the verdict in force, {_verdict_text(situation)}"
    if situation.verdict_since:
        reason = f"{why}; the newest study says {situation.verdict_since}, which counts for sessions after that month"
        return _Cause(TradingWord.DOES_NOT_TRADE, reason)
    if situation.alarm_released:
        anew = f"nn-assets study --strategy {name}"
        return _Cause(TradingWord.DOES_NOT_TRADE, f"{why}; it was released, and no study was made since", anew)
    return _Cause(TradingWord.DOES_NOT_TRADE, why, _look_for_the_leak(name))


def _look_for_the_leak(strategy: str) -> str:
    return f'look for the leak; if there is none, nn-assets control release-alarm --strategy {strategy} --reason "..."'


def _of_standing_alarm(situation: Situation) -> Iterator[_Cause]:
    """A leak alarm that stands, where it is not what the book is flat by: no later session trades under it."""
    in_force = (situation.verdict or "").startswith(_LEAK)
    if in_force and not situation.verdict_allows:
        return
    if situation.alarm_stands:
        why = f"a leak alarm stands by the study of {situation.alarm_stands}: nothing trades after that month"
        yield _Cause(TradingWord.TRADES, why, _look_for_the_leak(situation.strategy))
    elif in_force and situation.alarm_released:
        why = "a leak alarm was released, and no study was made since"
        yield _Cause(TradingWord.TRADES, why, f"nn-assets study --strategy {situation.strategy}")
    elif in_force and not situation.verdict_since:
        yield _Cause(TradingWord.TRADES, "a leak alarm stands", _look_for_the_leak(situation.strategy))


def _of_state(situation: Situation) -> Iterator[_Cause]:
    word = _WORDS[trading_state_control(situation.trading_state, situation.settings)]
    if word is not TradingWord.TRADES:
        reasons = f" ({situation.trading_reasons})" if situation.trading_reasons else ""
        yield _Cause(word, f"drift says {situation.trading_state}{reasons}")
