"""The commands that derive a decision again, assess the controls and estimate the capacity, on a newcomer's home."""

from __future__ import annotations

from pathlib import Path

import pytest

from nn_assets.operations import capacity
from tests.cli.conftest import LIVE, Command


@pytest.mark.full
def test_a_decided_session_is_derived_again_by_its_day(give: Command) -> None:
    answer = give("replay", "--strategy", "mine", "--session", LIVE[1], "--json")
    assert answer.status == 0
    document = answer.document
    assert (document["equal"], document["differences"], document["refused"]) == (True, [], "")
    undecided = give("replay", "--strategy", "mine", "--session", LIVE[2], "--json")
    assert undecided.status == 1
    assert "was not decided" in undecided.document["message"]


@pytest.mark.full
def test_the_controls_are_assessed_by_the_operator_s_own_words(give_own: Command, own_home: Path) -> None:
    reason = "the vendor is down"
    assert give_own("control", "kill-switch", "HALTED", "-s", "mine", "--reason", reason, "--who", "bob").status == 0
    document = give_own("assess", "--strategy", "mine", "--json").document
    (switch,) = [control for control in document["controls"] if control["name"] == "kill switch"]
    assert [(event["who"], event["why"]) for event in switch["fired"]] == [("bob", reason)]
    assert "breaker drawdown" in document["untested"]
    assert reason in Path(document["page"]).read_text()
    assert Path(document["file"]).parent == own_home / "reports"
    assert give_own("assess", "--strategy", "mine", "--year", "2011").status == 1
    assert give_own("assess", "--strategy", "mine", "--year", "2016", "--from", "2016-01-01").status == 2


@pytest.mark.full
def test_the_capacity_is_on_the_study_s_page(give_own: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "LADDER", (1.0, 8.0))
    answer = give_own("capacity", "--strategy", "mine", "--json")
    assert answer.status == 0, answer.out
    document = answer.document
    assert document["multiples"] == [1.0, 8.0]
    assert "<figcaption" in Path(document["page"]).read_text()
    assert "Beyond the line a further dollar earns less" in Path(document["page"]).read_text()
    again = give_own("capacity", "--strategy", "mine")
    assert "no size follows it: portfolio.capacity_share is not set" in again.out
