"""What a command says last, or first, so that a person knows where to go on."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from nn_assets.cli import runs
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.next_command import next_command
from tests.cli.conftest import LIVE, STRATEGY, call, write_bars
from tests.first_lines import in_one_sentence
from tests.orchestration.conftest import living_in


@pytest.fixture
def nothing_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on record stands; no job is run."""
    bars = {"delivered_rows": 4, "added": 4, "revised": 0}
    monkeypatch.setattr(runs, "execute", lambda *_, **__: SimpleNamespace(run_id="r", all_events=[]))
    monkeypatch.setattr(runs, "metadata_by_asset", lambda _: {"raw_bars": bars, "validated_bars": {"quarantined": 1}})
    monkeypatch.setattr(runs, "materialized_metadata", lambda _: [])


@pytest.mark.usefixtures("nothing_run")
def test_a_study_ends_with_its_page_and_the_next_command(finished_home) -> None:
    page = finished_home / "reports" / "mine-study.html"
    following = f"nn-assets run --strategy mine --from {LIVE[2]}"
    shown = call(finished_home, "study", "-s", "mine").out.splitlines()
    assert page.is_file()
    assert shown[-2:] == [f"page  {page}", f"next  {following}"]
    document = call(finished_home, "study", "-s", "mine", "--json").document
    assert (document["page"], document["next"]) == (str(page), following)


STUDY = "nn-assets study --strategy mine"
NEXT = {
    "one session waits": ((), f"nn-assets run --strategy mine --from {LIVE[2]}"),
    "the verdict counts now": (
        (("without_verdict: true", "without_verdict: false"),),
        f"nn-assets run --strategy mine --from {LIVE[2]}",
    ),
    "a study of other limits, as the setting does without a verdict": (
        (("minimum_outcomes: 20", "minimum_outcomes: 21"),),
        STUDY,
    ),
    "models of other settings": ((("momentum_1, ", ""),), STUDY),
    "a month without a model": ((("vault_starts: 2016-05-02", "vault_starts: 2016-05-20"),), f"{STUDY} --from 2016-05"),
    "nothing studied": ((), STUDY),
    "nothing studied, and no live start": ((("  live_starts: 2016-04-27\n", ""),), STUDY),
    "too short a history": (
        (("  live_starts: 2016-04-27\n", ""), ("training_months: 6", "training_months: 36")),
        "bring bars from 2012-10-01 or earlier on, set market.history_starts there, then nn-assets check",
    ),
}


@pytest.mark.parametrize("case", NEXT)
def test_check_names_next_what_status_asks_for_first(own_home, case) -> None:
    """It was another command, or none, in six of these homes."""
    changes, following = NEXT[case]
    file = own_home / "strategies" / "mine.yaml"
    for before, after in changes:
        assert before in file.read_text(encoding="utf-8")
        file.write_text(file.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    if "nothing" in case or "short" in case:
        for of_ledger in own_home.glob("ledger.sqlite*"):
            of_ledger.unlink()
        shutil.rmtree(own_home / "lake" / "mine" / "forecasts")
    with living_in(own_home), open_history(find_strategy("mine").strategy) as history:
        named = next_command(history)
    assert named.startswith(following)
    first = in_one_sentence(call(own_home, "status", "-s", "mine").out)
    assert first.partition("A person is needed: ")[2].startswith(named), first


@pytest.mark.usefixtures("nothing_run")
@pytest.mark.parametrize("before", [True, False])
def test_a_session_decided_before_the_first_study_says_first_that_it_is_flat_and_what_to_do(
    finished_home, monkeypatch, before
) -> None:
    monkeypatch.setattr(runs, "comes_after_a_study", lambda *_: before)
    answer = call(finished_home, "run", "-s", "mine", "--session", LIVE[1])
    assert answer.status == 0, answer.err
    first = (
        "mine: this session was decided flat for good, since no study came before: give nn-assets study --strategy "
        "mine now, for the sessions that follow"
    )
    assert (in_one_sentence(answer.out) == first) == before
    assert ("decided flat" in answer.out) == before


def test_status_before_there_are_data_says_what_to_do_first(tmp_path) -> None:
    home = tmp_path / "home"
    write_bars(home / "strategies" / "bars")
    (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    first = in_one_sentence(call(home, "status", "-s", "mine").out)
    assert first == (
        "mine DOES NOT TRADE: no data were taken in yet; no session was decided yet. A person is needed: "
        "nn-assets check --strategy mine."
    )


def test_status_of_a_path_that_is_not_there_says_first_to_correct_it(tmp_path) -> None:
    """It was "nn-assets check", which can only fail."""
    home = tmp_path / "home"
    (home / "strategies").mkdir(parents=True)
    (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    first = in_one_sentence(call(home, "status", "-s", "mine").out)
    assert first == (
        "mine DOES NOT TRADE: no data were taken in yet; no session was decided yet. A person is needed: "
        f"correct source.path: nothing at {home / 'strategies' / 'bars'}; nn-assets check --strategy mine."
    )


def test_the_name_that_was_meant_comes_before_the_files_that_cannot_be_read(tmp_path) -> None:
    strategies = tmp_path / "home" / "strategies"
    strategies.mkdir(parents=True)
    (strategies / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    (strategies / "broken.yaml").write_text("name: [\n", encoding="utf-8")
    message = call(tmp_path / "home", "check", "-s", "mien", "--json").document["message"]
    assert message.index("did you mean mine?") < message.index("broken.yaml")
    assert message.count("did you mean") == 1


def test_a_sessions_page_has_no_names_of_columns(finished_home) -> None:
    page = (finished_home / "reports" / f"mine-{LIVE[1]}.html").read_text(encoding="utf-8")
    for name in ("data_hash", "model_id", "code_version", "settings_hash", "content_hash", "next_open", "reason_code"):
        assert name not in page, name
    for words in ("<dt>Data</dt>", "<dt>Model</dt>", "<dt>Code</dt>", "<dt>Settings</dt>", "<td>next open</td>"):
        assert words in page, words
