"""Files of a home that follow from others, all damaged at once: commands name one, and what they say to do works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import LIVE, Command
from tests.store.test_every_file_damaged import DAMAGE

STUDY = ("study", "--strategy", "mine")
NEXT = ("run", "--strategy", "mine", "--session", LIVE[2])
FACTS = ("raw_bars", "publication")  # what arrived, and when it was published
AS_NEEDED = ("decision_code", "drift_references", "forecast_lists")  # a round makes its own


def files_of(home: Path) -> dict[str, bytes]:
    """What is kept in the lake and among the models, but for locks, references and the stamps of files read."""
    paths = (path for root in ("lake", "models") for path in (home / root).rglob("*") if path.is_file())
    kept = (path for path in paths if path.name != ".lock" and ".damaged-" not in str(path))
    return {str(path.relative_to(home)): path.read_bytes() for path in kept if path.name != "files_read.json"}


def followed(home: Path) -> list[str]:
    facts = (*FACTS, "position_steps")  # the steps of a decided session are sealed by the ledger
    return [name for name in files_of(home) if not name.startswith(tuple(f"lake/mine/{table}/" for table in facts))]


def told_by(content: bytes, name: str) -> object:
    """What a file holds; of a pointer, without what it took the place of."""
    return json.loads(content).get("address", content) if "/months/" in name or "current.json" in name else content


@pytest.mark.full
def test_a_month_of_forecasts_that_is_gone_stops_the_round(own_home: Path, give_own: Command) -> None:
    """Decided without it, the next session would be calibrated on fewer outcomes, and in silence."""
    before = files_of(own_home)
    (own_home / "lake/mine/forecasts/months/2016-01.json").unlink()
    stopped = give_own(*NEXT)
    assert stopped.status == 1
    assert "2016-01.json" in stopped.err
    remedy = "nn-assets study --strategy mine --from 2016-01 --to 2016-01"
    assert remedy in stopped.err
    assert give_own(*remedy.split()[1:]).status == 0
    assert give_own(*NEXT).status == 0
    assert before.items() <= files_of(own_home).items()


@pytest.mark.full
@pytest.mark.parametrize("what", ["content", "pointer"])
def test_damaged_months_of_forecasts_are_named_with_their_strategy_and_the_study_named_mends_them(
    own_home: Path, give_own: Command, what: str
) -> None:
    before, lost = files_of(own_home), ("2016-02", "2016-03")
    pointers = {month: own_home / f"lake/mine/forecasts/months/{month}.json" for month in lost}
    for pointer in pointers.values():
        address = json.loads(pointer.read_text())["address"]
        content = own_home / f"lake/mine/forecasts/{address}.parquet"
        file = pointer if what == "pointer" else content
        file.write_bytes(DAMAGE["truncated"](file.read_bytes()))
    stopped = give_own(*NEXT, "--json")
    assert stopped.status == 1
    message = stopped.document["message"]
    assert "strategy mine, table forecasts, months 2016-02, 2016-03, file" in message
    remedy = "nn-assets study --strategy mine --from 2016-02 --to 2016-03"
    assert f"{remedy} makes the damaged months of forecasts again from the stored facts: 2016-02, 2016-03" in message
    assert "months 2016-02, 2016-03" in give_own("status", "-s", "mine").out.splitlines()[0]
    assert give_own(*remedy.split()[1:]).status == 0
    assert give_own(*NEXT).status == 0
    after = files_of(own_home)
    assert all(told_by(content, name) == told_by(after[name], name) for name, content in before.items())


@pytest.mark.full
@pytest.mark.parametrize("how", DAMAGE)
def test_whatever_follows_from_the_facts_is_made_again_by_a_study(own_home: Path, give_own: Command, how: str) -> None:
    before = files_of(own_home)
    for name in followed(own_home):
        file, content = own_home / name, DAMAGE[how](before[name])
        file.unlink() if content is None else file.write_bytes(content)
    export = ("export", "forecasts", "--strategy", "mine", "--out", own_home.parent / "forecasts.csv")
    answers = {words[0]: give_own(*words) for words in (("status",), export, NEXT)}
    first = answers["status"].out.splitlines()[0]
    assert answers["status"].status == 1  # a person is needed, and the first line says for what
    assert first.startswith("mine HALTED: ")
    assert "nn-assets study" in first
    for command in ("export", "run"):
        assert answers[command].status == 1, command
        assert "nn-assets study" in answers[command].err, answers[command].err
    assert give_own(*STUDY).status == 0
    after = files_of(own_home)
    again = [name for name in before if name.split("/")[2] not in AS_NEEDED]
    assert {name: told_by(after[name], name) for name in again} == {name: told_by(before[name], name) for name in again}
    assert give_own(*NEXT).status == 0
