"""What a command says last, or first, so that a person knows where to go on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from nn_assets.cli import runs
from tests.cli.conftest import LIVE, STRATEGY, call, write_bars


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
    following = f"nn-assets run --strategy mine --session {LIVE[2]}"
    shown = call(finished_home, "study", "-s", "mine").out.splitlines()
    assert page.is_file()
    assert shown[-2:] == [f"page  {page}", f"next  {following}"]
    document = call(finished_home, "study", "-s", "mine", "--json").document
    assert (document["page"], document["next"]) == (str(page), following)


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
    assert (answer.out.splitlines()[0] == first) == before
    assert ("decided flat" in answer.out) == before


def test_status_before_there_are_data_says_what_to_do_first(tmp_path) -> None:
    home = tmp_path / "home"
    write_bars(home / "strategies" / "bars")
    (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    first = call(home, "status", "-s", "mine").out.splitlines()[0]
    assert first == (
        "mine DOES NOT TRADE: no data were taken in yet; no session was decided yet. A person is needed: "
        "nn-assets check --strategy mine."
    )


def test_status_of_a_path_that_is_not_there_says_first_to_correct_it(tmp_path) -> None:
    """It was "nn-assets check", which can only fail."""
    home = tmp_path / "home"
    (home / "strategies").mkdir(parents=True)
    (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    first = call(home, "status", "-s", "mine").out.splitlines()[0]
    assert first == (
        "mine DOES NOT TRADE: no data were taken in yet; no session was decided yet. A person is needed: "
        f"correct source.path: nothing at {home / 'strategies' / 'bars'}; then nn-assets check --strategy mine."
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
