"""What is told while nothing else would be seen: months that a study must also run, a vendor asked again."""

from __future__ import annotations

import pytest

from nn_assets.cli import runs as headless
from nn_assets.errors import RunFailed
from tests.cli.conftest import STRATEGY, call, write_bars
from tests.sources.vendor import Answer, running

SECRET = "s3cr3tFINDME"


@pytest.fixture
def begun(monkeypatch) -> list[tuple[str, str]]:
    """The ranges of months with which a study would have begun; it stops there."""
    ranges: list[tuple[str, str]] = []

    def stop(*_: object, first: str, last: str, **__: object) -> str:
        ranges.append((first, last))
        raise RunFailed(expected="x", found="y", remedy="z")

    monkeypatch.setattr(headless, "execute", stop)
    return ranges


def test_a_study_says_first_which_earlier_months_it_must_also_run(tmp_path, begun) -> None:
    home = tmp_path / "home"
    write_bars(home / "strategies" / "bars")
    (home / "strategies" / "mine.yaml").write_text(STRATEGY, encoding="utf-8")
    answer = call(home, "study", "-s", "mine", "--from", "2016-04", "--json")
    assert begun == [("2016-01-01", "2016-04-01")]
    assert "3 months (2016-01, 2016-02, 2016-03) had no forecasts yet" in answer.err
    assert "so 3 months from 2016-01 on run before 2016-04" in answer.err
    assert answer.document["error"] == "RunFailed"
    shown = call(home, "study", "-s", "mine", "--from", "2016-04")
    assert "3 months (2016-01, 2016-02, 2016-03)" in shown.out
    assert "months" not in call(home, "study", "-s", "mine", "--json").err


def test_a_study_on_a_whole_record_says_nothing_of_earlier_months(finished_home, begun) -> None:
    answer = call(finished_home, "study", "-s", "mine", "--from", "2016-04", "--json")
    assert begun == [("2016-04-01", "2016-04-01")]
    assert answer.err == ""


def test_a_gap_in_the_record_is_told_with_the_months_that_run_again(own_home, begun) -> None:
    (gone,) = [file for file in (own_home / "lake" / "mine" / "forecasts").rglob("*2016-02*") if file.exists()][:1]
    gone.rename(own_home / "elsewhere")
    answer = call(own_home, "study", "-s", "mine", "--from", "2016-04", "--json")
    assert begun == [("2016-02-01", "2016-04-01")]
    assert "1 month (2016-02) had no forecasts yet, so 2 months from 2016-02 on run before 2016-04" in answer.err


@pytest.mark.full
def test_a_vendor_asked_again_is_told_in_the_run_that_waits(tmp_path, monkeypatch) -> None:
    file = tmp_path / "home" / "strategies" / "mine.yaml"
    file.parent.mkdir(parents=True)
    monkeypatch.setenv("MINE_KEY", SECRET)
    answers = [Answer({"message": f"see {SECRET}"}, 503)]
    with running(lambda _: answers.pop() if answers else Answer({"message": "no"}, 401)) as vendor:
        file.write_text(
            "name: mine\n"
            f"source: {{kind: massive, key_env: MINE_KEY, base_url: '{vendor.url}'}}\n"
            "market: {symbols: [A], history_starts: 2015-01-02, history_ends: 2016-05-27}\n",
            encoding="utf-8",
        )
        answer = call(tmp_path / "home", "check", "-s", "mine", "--json")
    assert answer.status == 1
    assert "rule authorised" in answer.document["message"]
    (notice,) = [line for line in answer.err.splitlines() if "asking again" in line]
    assert notice.strip() == "mine: massive: HTTP 503; asking again in 1 s, attempt 2 of 7"
    assert SECRET not in answer.out + answer.err
