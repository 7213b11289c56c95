"""What is told in few words ends after a whole line, clause or word, and says how much more there is."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from nn_assets.errors import SettingsError, shortened
from nn_assets.operations.failures import checks_of_other_assets, failed_step_text, statement_in
from nn_assets.operations.models.training import _fit_missing
from nn_assets.operations.outcomes import FailedCheck, kept_text
from nn_assets.settings import Strategy

CLAUSES = [f"check_{number}: {number} of 40 symbols lack it, limit {number}.0%" for number in range(30)]
WORDS = re.compile(r"\S+")


@pytest.mark.parametrize("most", [100, 220, 400, 1_000])
def test_a_sentence_of_many_clauses_keeps_whole_ones_and_counts_the_others(most: int) -> None:
    short = shortened("; ".join(CLAUSES), most)
    *kept, more = short.split("; ")
    assert len(short) <= most
    assert kept == CLAUSES[: len(kept)]
    assert more == f"and {len(CLAUSES) - len(kept)} more"
    assert len("; ".join(CLAUSES[: len(kept) + 1])) + len("; and 29 more") > most


@pytest.mark.parametrize("text", ["short", "", "; ".join(CLAUSES)[:400]])
def test_what_has_room_stays_as_it_is(text: str) -> None:
    assert shortened(text, 400) == text
    assert kept_text(text) == text


@pytest.mark.parametrize("lead", ["", "expected so; "])
def test_a_long_clause_ends_after_a_whole_word(lead: str) -> None:
    text = lead + "found " + " ".join(f"number{number}" for number in range(400))
    short = shortened(text, 400)
    assert 380 < len(short) <= 400
    head, ellipsis = short[:-2], short[-2:]
    assert ellipsis == " …"
    assert text.startswith(head + " ")
    assert len(shortened("x" * 2_000, 400)) <= 400


def test_a_message_with_places_is_kept_in_whole_lines_and_counts_the_others() -> None:
    lines = [f"  - SYM{number:03d} 2018-01-04: rule, close {number}" for number in range(300)]
    message = "\n".join(["GateHalted: expected so; found 300 rows. Remedy: mend them", *lines])
    first, *kept, more = kept_text(message).splitlines()
    assert len(kept_text(message)) <= 1_000
    assert first == message.splitlines()[0]
    assert kept == lines[: len(kept)]
    assert len(kept) > 10
    assert more == f"  - and {len(lines) - len(kept)} more"


def test_a_first_line_without_room_ends_after_a_whole_word() -> None:
    message = "RuntimeError: " + " ".join(f"number{number}" for number in range(400)) + "\n  - a place"
    kept = kept_text(message)
    assert len(kept) <= 1_000
    assert set(WORDS.findall(kept)) <= {*WORDS.findall(message), "…"}


def test_of_a_gate_that_halts_the_checks_are_told_and_of_any_other_step_all_it_says() -> None:
    clauses = "; ".join(CLAUSES)
    halted = f"GateHalted: [rule check_0] expected so; found {clauses}. Remedy: mend; them\n  - AAA 2018-01-04"
    sentence = failed_step_text(halted)
    assert sentence.startswith(f"the gate halted: {CLAUSES[0]}; ")
    assert sentence.endswith(" more")
    assert len(sentence) < 260
    other = "SourceError: expected a; found b"
    assert failed_step_text(f"{other}. Remedy: c\n  - a place") == other


def test_what_the_failed_step_checked_itself_is_not_told_beside_it() -> None:
    own, other = FailedCheck("validated_bars.freshness", "old"), FailedCheck("orders.once", "twice")
    assert checks_of_other_assets("mine__validated_bars", [own, other]) == [other]
    assert checks_of_other_assets(None, [own, other]) == [own, other]


def test_a_single_model_that_was_fitted_a_moment_ago_is_not_told_twice() -> None:
    messages: list[str] = []
    strategy = Strategy.model_validate({"name": "mine", "market": {"history_starts": "2016-01-04"}})
    history: Any = SimpleNamespace(strategy=strategy)
    _fit_missing(history, [], 1, messages.append)
    assert messages == []
    _fit_missing(history, [], 25, messages.append)
    assert messages == ["25 models due, 25 already in the store"]


@pytest.mark.parametrize("where", [{}, {"strategy": "s", "file": "a [copy] of s.yaml"}])
def test_a_failed_step_states_what_its_error_states_with_whatever_place_and_remedy(where: dict[str, str]) -> None:
    error = SettingsError(expected="market.calendar XNYS; as decided", found="XLON", remedy="r", **where)
    assert statement_in(failed_step_text(f"SettingsError: {error}")) == error.statement
    assert statement_in(f"the tick failed: {error.statement}") == ""
    assert statement_in(f"KeyError: {error.statement.replace('found', 'got')}") == ""
