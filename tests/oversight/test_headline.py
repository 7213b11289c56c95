"""One sentence says whether a strategy trades; the strictest cause gives the word, and no cause is left out."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace

import pytest

from nn_assets.oversight.headline import Fault, Headline, Situation, TradingWord, headline
from nn_assets.portfolio.breakers import BREAKERS, Breaker
from nn_assets.settings import PortfolioSettings
from tests.faults.results import FOLDER
from tests.first_lines import in_one_sentence

TRADING = Situation(
    strategy="mine",
    settings=PortfolioSettings(),
    session="2018-01-03",
    to_hold=3,
    symbols=4,
    next_round="2018-01-04",
    next_fill="the open of 2018-01-04",
    verdict="edge found",
    verdict_allows=True,
)
STALE = Breaker("stale_data", "60% of the symbols have no close")

SITUATIONS: dict[str, tuple[dict[str, object], str]] = {
    "all is well": ({}, "mine TRADES: 3 of 4 symbols to be held after 2018-01-03. No action needed."),
    "by the settings alone": (
        {"without_verdict": True, "verdict": "signal found"},
        (
            "mine TRADES: by trade_without_verdict, with the verdict 'signal found': 3 of 4 symbols to be held after "
            "2018-01-03. No action needed."
        ),
    ),
    "without any verdict, in a drawdown": (
        {"without_verdict": True, "verdict": None, "halved": True},
        "mine REDUCED: by trade_without_verdict, with no verdict: sizes are halved in a drawdown. No action",
    ),
    "without any verdict of these settings": (
        {"without_verdict": True, "verdict": None, "study_of_others": "costs.x 1 then, 2 now"},
        (
            "mine TRADES: by trade_without_verdict, with no verdict: 3 of 4 symbols to be held after 2018-01-03; no "
            "verdict counts, since the newest study is of other settings: costs.x 1 then, 2 now. A person is needed: "
            "nn-assets study --strategy mine, or set them back."
        ),
    ),
    "by the settings alone, before an alarm counts": (
        {"without_verdict": True, "verdict": "signal found", "alarm_stands": "2018-01"},
        (
            "mine TRADES: by trade_without_verdict, with the verdict 'signal found': 3 of 4 symbols to be held after "
            "2018-01-03; a leak alarm stands by the study of 2018-01: nothing trades after that month. A person "
            'is needed: look for the leak; if there is none, nn-assets control release-alarm --strategy mine --reason "'
        ),
    ),
    "decided under an alarm by the settings alone, as versions before did": (
        {"without_verdict": True, "verdict": "leak alarm"},
        (
            "mine TRADES: by trade_without_verdict, with the verdict 'leak alarm': 3 of 4 symbols to be held after "
            "2018-01-03; a leak alarm stands. A person is needed: look for the leak; if there is none, nn-assets "
            'control release-alarm --strategy mine --reason "...".'
        ),
    ),
    "an alarm of other settings": (
        {"verdict": "edge found", "verdict_allows": False, "under_alarm": True, "alarm_stands": "2017-12"},
        (
            "mine DOES NOT TRADE: flat by a leak alarm of other settings, which stops every one on these data; a leak "
            "alarm stands by the study of 2017-12: nothing trades after that month. A person is needed: look for"
        ),
    ),
    "an alarm of other settings, released since": (
        {"verdict": None, "verdict_allows": False, "under_alarm": True},
        (
            "mine DOES NOT TRADE: flat by a leak alarm of other settings, which stops every one on these data; it "
            "stands no longer, which counts from the next session on"
        ),
    ),
    "an alarm before the first session": (
        {"session": None, "alarm_stands": "2017-12"},
        (
            "mine DOES NOT TRADE: no session was decided yet; a leak alarm stands by the study of 2017-12: nothing "
            "trades after that month. A person is needed: look for the leak"
        ),
    ),
    "settings changed after a verdict that lets it trade": (
        {"study_of_others": "costs.x 1 then, 2 now"},
        (
            "mine TRADES: 3 of 4 symbols to be held after 2018-01-03; no verdict counts from the next session on, "
            "since the newest study is of other settings: costs.x 1 then, 2 now. A person is needed: "
            "nn-assets study --strategy mine, or set them back."
        ),
    ),
    "settings changed after a verdict that keeps it flat": (
        {"verdict": "no edge", "verdict_allows": False, "to_hold": 0, "study_of_others": "costs.x 1 then, 2 now"},
        (
            "mine DOES NOT TRADE: flat by the verdict in force, 'no edge'; no verdict counts from the next session on, "
            "since the newest study is of other settings: costs.x 1 then, 2 now. A person is needed: "
            "nn-assets study --strategy mine, or set them back."
        ),
    ),
    "settings changed, and traded without verdict": (
        {"without_verdict": True, "verdict": "no edge", "study_of_others": "costs.x 1 then, 2 now"},
        (
            "mine TRADES: by trade_without_verdict, with the verdict 'no edge': 3 of 4 symbols to be held after "
            "2018-01-03; no verdict counts from the next session on, since the newest study is of other settings: "
            "costs.x 1 then, 2 now. A person is needed: nn-assets study --strategy mine, or set them back."
        ),
    ),
    "no study of these settings in time": (
        {"verdict": None, "verdict_allows": False, "study_of_others": "costs.x 1 then, 2 now"},
        (
            "mine DOES NOT TRADE: flat, since no study gave a verdict in time (the newest is of other settings: "
            "costs.x 1 then, 2 now). A person is needed: nn-assets study --strategy mine, or set them back."
        ),
    ),
    "to be flat, and held until the next round": (
        {"verdict": "no edge", "verdict_allows": False, "held": 3},
        (
            "mine DOES NOT TRADE: flat by the verdict in force, 'no edge'; 3 positions are still held: the round of "
            "2018-01-04 orders them closed. No action needed."
        ),
    ),
    "to be flat, and held until the orders fill": (
        {"verdict": "no edge", "verdict_allows": False, "to_hold": 0, "held": 1, "closing": 1},
        (
            "mine DOES NOT TRADE: flat by the verdict in force, 'no edge'; 1 position is still held: the closing order "
            "fills at the open of 2018-01-04. No action needed."
        ),
    ),
    "to be flat, and held beside an order that was denied": (
        {"verdict": "no edge", "verdict_allows": False, "to_hold": 0, "held": 3, "closing": 2},
        (
            "mine DOES NOT TRADE: flat by the verdict in force, 'no edge'; 3 positions are still held: the closing "
            "orders of 2 of them fill at the open of 2018-01-04."
        ),
    ),
    "to be flat, and no order leaves": (
        {"trading_state": "PAUSE_STRATEGY", "to_hold": 0, "held": 2},
        "mine DOES NOT TRADE: drift says PAUSE_STRATEGY; 2 positions are still held, and no order closes them yet. No",
    ),
    "held, and every round refused": (
        {"kill_switch": "HALTED", "held": 3},
        "mine HALTED: the kill switch is HALTED. A person is needed: nn-assets control kill-switch ACTIVE",
    ),
    "held, and a round missed": (
        {"held": 3, "faults": (Fault("1 session not decided", "nn-assets run", TradingWord.DOES_NOT_TRADE),)},
        "mine DOES NOT TRADE: 1 session not decided. A person is needed: nn-assets run.",
    ),
    "without any verdict, and flat": (
        {"without_verdict": True, "trading_state": "PAUSE_STRATEGY"},
        "mine DOES NOT TRADE: drift says PAUSE_STRATEGY. No action needed.",
    ),
    "flat by verdict": (
        {"verdict": "cannot tell: 12 more sessions needed", "verdict_allows": False, "to_hold": 0},
        ("mine DOES NOT TRADE: flat by the verdict in force, 'cannot tell: 12 more sessions needed'. "
        "No action needed."),
    ),
    "flat by the verdict of a month": (
        {"verdict": "cannot tell: 12 more sessions needed", "verdict_of": "2017-12", "verdict_allows": False},
        ("mine DOES NOT TRADE: flat by the verdict in force, 'cannot tell: 12 more sessions needed' of 2017-12. "
        "No action needed."),
    ),
    "traded without the verdict of a month": (
        {"without_verdict": True, "verdict": "no edge", "verdict_of": "2017-12"},
        ("mine TRADES: by trade_without_verdict, with the verdict 'no edge' of 2017-12: 3 of 4 symbols to be held "
        "after 2018-01-03. No action needed."),
    ),
    "a leak": (
        {"verdict": "leak alarm", "verdict_allows": False},
        ("mine DOES NOT TRADE: flat by the verdict in force, 'leak alarm'. A person is needed: look for the leak; "
        'if there is none, nn-assets control release-alarm --strategy mine --reason "...".'),
    ),
    "no study": (
        {"verdict": None, "verdict_allows": False},
        ("mine DOES NOT TRADE: flat, since no study gave a verdict in time. "
        "A person is needed: nn-assets study --strategy mine."),
    ),
    "a first study that came late": (
        {"verdict": None, "verdict_allows": False, "late_verdict": "'edge found' came later"},
        ("mine DOES NOT TRADE: flat by the verdict in force then: no study gave one in time; 'edge found' came later, "
        "and counts from the next session on. No action needed."),
    ),
    "a verdict that another replaced too late": (
        {"verdict": "leak alarm", "verdict_allows": False, "late_verdict": "'edge found' came later"},
        ("mine DOES NOT TRADE: flat by the verdict in force then: it was 'leak alarm'; 'edge found' came later, "
        "and counts from the next session on. No action needed."),
    ),
    "a verdict that allowed it then": (
        {"late_verdict": "'leak alarm' came later"},
        ("mine TRADES: 3 of 4 symbols to be held after 2018-01-03; 'leak alarm' came later, and counts from the next "
        "session on. No action needed."),
    ),
    "nothing decided": ({"session": None}, "mine DOES NOT TRADE: no session was decided yet. No action needed."),
    "drift": (
        {"trading_state": "REDUCE_SIZE", "trading_reasons": "prediction drift (+3)"},
        "mine REDUCED: drift says REDUCE_SIZE (prediction drift (+3)). No action needed.",
    ),
    "paused": ({"trading_state": "PAUSE_STRATEGY"}, "mine DOES NOT TRADE: drift says PAUSE_STRATEGY. No action"),
    "a drawdown": ({"halved": True}, "mine REDUCED: sizes are halved in a drawdown. No action needed."),
    "reducing": ({"kill_switch": "REDUCING"}, "mine REDUCED: the kill switch is REDUCING. A person is needed: nn-"),
    "halted": ({"kill_switch": "HALTED"}, "mine HALTED: the kill switch is HALTED. A person is needed: nn-"),
    "unreadable": ({"kill_switch": "on?"}, "mine HALTED: the kill switch is HALTED."),
    "a breaker": (
        {"breakers": (STALE,)},
        ("mine HALTED: breaker stale_data is latched (60% of the symbols have no close). A person is needed: mend the "
        'data, then nn-assets control reset-breaker --strategy mine --kind stale_data --reason "...".'),
    ),
    "a breaker that a person released": (
        {"breakers": (STALE,), "releases": ("stale_data",)},
        ("mine HALTED: breaker stale_data is latched (60% of the symbols have no close) and released from the next "
        "session on. No action needed."),
    ),
    "an alarm": (
        {"breakers": (Breaker("no_answer", "it gave up"),)},
        ("mine TRADES: 3 of 4 symbols to be held after 2018-01-03; breaker no_answer is latched (it gave up). "
        "A person is needed: read the session's page, then"),
    ),
    "an unknown state": ({"trading_state": "?"}, "mine HALTED: drift says ?."),
    "a failed check": (
        {"faults": (Fault("check orders.x failed: y", "do this"),)},
        ("mine TRADES: 3 of 4 symbols to be held after 2018-01-03; check orders.x failed: y. "
        "A person is needed: do this."),
    ),
    "allowed to trade, and nothing to hold": (
        {"to_hold": 0},
        "mine TRADES: nothing is to be held after 2018-01-03 (0 of 4 symbols). No action needed.",
    ),
    "a setting that is refused, by which no study counts": (
        {
            "session": None,
            "verdict": None,
            "study_of_others": "market.live_starts 1 then, 2 now",
            "stopped": True,
            "faults": (
                Fault("market.live_starts 2", "set it back to 1", TradingWord.HALTED),
                Fault("a run failed", "mend it, then nn-assets run --strategy mine"),
            ),
        },
        ("mine HALTED: market.live_starts 2; no session was decided yet; a run failed; no verdict counts, since the "
        "newest study is of other settings: market.live_starts 1 then, 2 now. "
        "A person is needed: set it back to 1."),
    ),
    "a halt before the first study": (
        {
            "session": None,
            "faults": (
                Fault("the gate halted", "mend the data, then nn-assets study --strategy mine", TradingWord.HALTED),
                Fault("2 sessions not decided", "nn-assets study --strategy mine"),
            ),
        },
        ("mine HALTED: the gate halted; no session was decided yet; 2 sessions not decided. "
        "A person is needed: mend the data, then nn-assets study --strategy mine."),
    ),
    "no model and no study of the settings in force": (
        {
            "study_of_others": "x 1 then, 2 now",
            "faults": (
                Fault("no model", "nn-assets study --strategy mine --from 2018-01 --to 2018-01", TradingWord.HALTED),
            ),
        },
        ("mine HALTED: no model; no verdict counts from the next session on, since the newest study is of other "
        "settings: x 1 then, 2 now. A person is needed: nn-assets study --strategy mine, or set them back."),
    ),
    "a round that waits, and no study of the settings in force": (
        {
            "verdict": None,
            "verdict_allows": False,
            "faults": (Fault("1 session not decided", "nn-assets run --strategy mine --from 2018-01-04"),),
        },
        ("mine DOES NOT TRADE: flat, since no study gave a verdict in time; 1 session not decided. A person is needed: "
        "nn-assets study --strategy mine; nn-assets run --strategy mine --from 2018-01-04."),
    ),
    "flat by verdict while the gate halts": (
        {"verdict_allows": False, "faults": (Fault("the gate halted", "mend the data", TradingWord.HALTED),)},
        ("mine HALTED: the gate halted; flat by the verdict in force, 'edge found'. "
        "A person is needed: mend the data."),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SITUATIONS)
def test_a_situation_is_told_in_one_sentence(case: str) -> None:
    changes, sentence = SITUATIONS[case]
    result = headline(replace(TRADING, **changes))  # type: ignore[arg-type]
    assert in_one_sentence(result).startswith(sentence)
    assert result.sentence.startswith(f"mine {result.word}: ")
    assert "\n" not in result.sentence
    assert len(result.sentence) <= 200
    assert result.sentence.startswith(f"mine {result.word}: by trade_without_verdict") == (
        "by trade_without" in sentence
    )
    assert ("A person is needed: " in result.sentence) == ("A person is needed: " in in_one_sentence(result))


def test_the_word_never_softens_by_one_more_cause_and_every_cause_and_remedy_is_told() -> None:
    causes: list[tuple[dict[str, object], str]] = [
        ({"kill_switch": "REDUCING"}, "the kill switch is REDUCING"),
        ({"breakers": (STALE,)}, "breaker stale_data"),
        ({"verdict_allows": False}, "flat by the verdict"),
        ({"trading_state": "REDUCE_SIZE"}, "drift says REDUCE_SIZE"),
        ({"halved": True}, "halved in a drawdown"),
        ({"faults": (Fault("the daemon was never heard", "nn-assets ui starts the daemon"),)}, "the daemon was never"),
    ]
    words = {}
    for count in range(len(causes) + 1):
        for chosen in itertools.combinations(range(len(causes)), count):
            changes = {key: value for index in chosen for key, value in causes[index][0].items()}
            result = headline(replace(TRADING, **changes))  # type: ignore[arg-type]
            assert all(causes[index][1] in str(result) for index in chosen)
            assert len(result.sentence) <= 200
            words[chosen] = result.word
            assert all(words[tuple(set(chosen) - {index})] <= result.word for index in chosen if len(chosen) > 1)


@pytest.mark.parametrize(("to_hold", "tone"), [(0, TradingWord.DOES_NOT_TRADE), (1, TradingWord.TRADES)])
def test_what_may_trade_and_holds_nothing_is_not_green(to_hold: int, tone: TradingWord) -> None:
    result = headline(replace(TRADING, to_hold=to_hold))
    assert result.word is TradingWord.TRADES
    assert result.tone is tone
    assert Headline.of("mine", result.sentence).tone is tone
    assert headline(replace(TRADING, to_hold=to_hold, halved=True)).tone is TradingWord.REDUCED


@pytest.mark.parametrize("kind", BREAKERS)
def test_every_breaker_names_its_release(kind: str) -> None:
    result = headline(replace(TRADING, breakers=(Breaker(kind, "why"),)))
    assert f"reset-breaker --strategy mine --kind {kind}" in str(result)
    assert (result.word is TradingWord.TRADES) == (kind == "no_answer")


SAID = sorted(
    {
        row["says"]
        for file in ("faulted.jsonl", "killed.jsonl")
        for row in map(json.loads, (FOLDER / file).read_text(encoding="utf-8").splitlines())
        if re.match(r"tiny [A-Z ]+: ", row.get("says") or "")
    }
)


@pytest.mark.parametrize("number", range(len(SAID)))
def test_what_was_said_under_measured_faults_begins_with_a_short_line_and_loses_nothing(number: int) -> None:
    said = in_one_sentence(SAID[number], longest=None)
    head, _, rest = said.partition(": ")
    causes, _, remedies = rest.removesuffix(". No action needed.").partition(". A person is needed: ")
    word = TradingWord[head.removeprefix("tiny ").replace(" ", "_")]
    made = Headline.saying("tiny", word, causes.split("; "), remedies.rstrip(".").split("; ") if remedies else [])
    assert len(made.sentence) <= 200
    assert made.sentence.startswith(f"{head}: ")
    assert in_one_sentence(made) == said
    assert ("A person is needed: " in made.sentence) == bool(remedies)


def test_no_command_is_cut_and_a_cause_without_room_ends_after_a_word() -> None:
    command = 'nn-assets account accept --account main --who WHO --why "..."'
    made = Headline.saying(
        "mine",
        TradingWord.REDUCED,
        [f"the books differ ({', '.join(f'SYM{number:03d}' for number in range(60))})"],
        [f"look at the venue, or have the books take it over: {command}", "nn-assets run --strategy mine"],
        ("by trade_without_verdict: ", "by trade_without_verdict, with no verdict: "),
    )
    assert made.sentence == (
        "mine REDUCED: by trade_without_verdict: the books differ …. A person is needed: "
        "look at the venue, or have the books take it over (all below)."
    )
    assert len(made.below) == 3
    assert made.below[1].endswith(command)
    assert Headline.of("mine", str(made)) == made


def test_the_tone_of_a_book_that_is_to_hold_nothing_is_not_green_however_much_else_is_said() -> None:
    faults = tuple(Fault(f"check {number} failed: why it did", "") for number in range(40))
    result = headline(replace(TRADING, to_hold=0, faults=faults))
    assert (result.word, result.tone) == (TradingWord.TRADES, TradingWord.DOES_NOT_TRADE)
    assert len(result.below) == 41
