"""What a round need not do again is not done again, and is said so; what changed is looked at again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.decisions import rederivation
from nn_assets.operations.decisions.rederivation import Rederived, rederive_decisions
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import open_history
from nn_assets.operations.intake import data_docs
from nn_assets.operations.intake.bars import audit_bars
from nn_assets.operations.intake.data_docs import review_bars
from nn_assets.operations.models import stored
from nn_assets.operations.models.stored import REFERENCES
from nn_assets.reports.expectations import SuiteResult
from tests.orchestration.conftest import (
    FIRST_LIVE,
    LAST,
    NAME,
    living_in,
    strategy_of,
    subprocess_environment,
    write_strategy,
)

pytestmark = pytest.mark.slow

LIVE = list(sessions_between("XNYS", FIRST_LIVE, LAST))


def decide(*sessions: pd.Timestamp) -> None:
    with open_history(strategy_of()) as history:
        for session in sessions:
            decide_session(history, session, "test")


def rederived(*, whole: bool = False) -> Rederived:
    with open_history(strategy_of()) as history:
        return rederive_decisions(history, "test", whole=whole)


def verifications() -> int:
    with open_history(strategy_of()) as history:
        return history.stores.ledger.count("verifications")


@pytest.fixture(scope="module")
def verified_home(studied_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which three sessions were decided, and each decision derived again."""
    home = tmp_path_factory.mktemp("verified") / "home"
    shutil.copytree(studied_home, home)
    with living_in(home):
        decide(*LIVE[:3])
        assert rederived() == Rederived(3, 0, ())
    return home


@pytest.fixture
def verified(verified_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of that home, lived in."""
    home = tmp_path / "home"
    shutil.copytree(verified_home, home)
    with living_in(home):
        yield home


@pytest.mark.full
def test_each_decision_is_derived_again_once_and_the_whole_on_demand(verified: Path) -> None:
    assert rederived() == Rederived(0, 3, ())
    assert verifications() == 1  # looking at nothing is not put on record
    decide(*LIVE[3:5])
    assert rederived() == Rederived(2, 3, ())
    assert rederived(whole=True) == Rederived(5, 0, ())


@pytest.mark.full
def test_other_code_or_other_settings_look_at_all_of_it_again(verified: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(rederivation, "version_of", lambda *_: "other")
        assert rederived() == Rederived(3, 0, ())
        assert rederived() == Rederived(0, 3, ())
    assert rederived() == Rederived(3, 0, ())
    write_strategy(verified, portfolio={"single_name_limit": 0.02})
    expected = "portfolio.single_name_limit"
    result = rederived()
    assert (result.played, result.before, result.otherwise) == (0, 0, 3)
    assert expected in result.sentence
    decide(LIVE[3])
    result = rederived()
    assert (result.played, result.before, result.otherwise) == (1, 0, 3)
    assert expected in result.sentence


@pytest.mark.full
def test_a_record_appended_for_a_verified_session_is_looked_at_and_named_until_it_is_mended(verified: Path) -> None:
    decide(LIVE[3])
    assert rederived() == Rederived(1, 3, ())
    with open_history(strategy_of()) as history:
        ledger = history.stores.ledger
        row = ledger.read("target_positions", NAME, LIVE[2], LIVE[2]).iloc[0].to_dict()
        row["target_quantity"] += 1.0
        ledger.append("target_positions", [row], run_id="test", strategy=NAME, reason="forged")
    for _ in range(2):
        result = rederived()
        assert (result.played, result.before, len(result.differing)) == (2, 2, 1)
        assert str(LIVE[2].date()) in result.differing[0]


@pytest.mark.full
def test_a_fact_that_arrives_for_a_verified_session_has_it_looked_at_again(verified: Path) -> None:
    decide(LIVE[3])
    assert rederived() == Rederived(1, 3, ())
    now = pd.Timestamp.now(tz="UTC").as_unit("ns")
    with open_history(strategy_of()) as history:
        raw = history.raw_versions
        bar = raw[(raw["symbol"] == "SIM02") & (raw["session"] == LIVE[1])]
        late = bar.assign(close=bar["close"] * 1.05, high=bar["high"] * 1.06, known_at=now, ingested_at=now)
        history.stores.lake.append_segment(NAME, RAW_BARS, late)
    assert rederived() == Rederived(3, 1, ())


@pytest.mark.full
def test_drift_references_are_made_once_and_read_back_to_the_bit_and_a_damaged_one_is_made_again(
    studied: Path, monkeypatch
) -> None:
    with open_history(strategy_of()) as history:
        made = decide_session(history, LIVE[0], "test").frames["drift"]
    files = sorted((studied / "lake" / NAME / REFERENCES).glob("*.json"))
    assert files
    with monkeypatch.context() as patch:
        patch.setattr(stored, "model_references", lambda *_, **__: pytest.fail("made again"))
        with open_history(strategy_of()) as history:
            again = decide_session(history, LIVE[0], "test").frames["drift"]
    pd.testing.assert_frame_equal(made, again, check_exact=True)
    before = files[0].read_bytes()
    files[0].write_bytes(before.replace(b'"window": 60', b'"window": 61').replace(b"0x1.", b"0x1.1", 1))
    assert files[0].read_bytes() != before
    with open_history(strategy_of()) as history:
        decide_session(history, LIVE[0], "test")
    assert files[0].read_bytes() == before


def review() -> tuple[SuiteResult, ...]:
    with open_history(strategy_of()) as history:
        return review_bars(history, audit_bars(history))


def test_the_same_data_set_is_not_reviewed_twice_and_a_page_that_is_gone_is_written_again(
    studied: Path, monkeypatch
) -> None:
    first = review()
    page = (studied / "reports" / f"{NAME}-data-docs.html").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(data_docs, "validate_overview", lambda *_: pytest.fail("reviewed again"))
        again = review()
    assert [(check.name, check.passed, check.violations) for check in again] == [
        (check.name, check.passed, check.violations) for check in first
    ]
    assert all("judged before" in check.detail for check in again)
    (studied / "reports" / f"{NAME}-data-docs.html").unlink()
    assert not any("judged before" in check.detail for check in review())
    assert (studied / "reports" / f"{NAME}-data-docs.html").read_bytes() == page
    monkeypatch.setattr(data_docs, "version_of", lambda *_: "other")
    assert not any("judged before" in check.detail for check in review())


_ROUND = f"""
import sys
from nn_assets.cli.runs import run_rounds
run_rounds({NAME!r}, {FIRST_LIVE!r})
heavy = ("great_expectations", "sklearn", "statsmodels")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.full
def test_a_round_with_nothing_new_to_publish_imports_no_great_expectations(studied: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ROUND], env=subprocess_environment(studied), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "[]"
