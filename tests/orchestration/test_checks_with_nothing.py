"""A check that had nothing to compare says so and is no pass; one that cannot fail is none."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube
from nn_assets.features.stationarity import decide_transforms
from nn_assets.operations.decisions import stored_checks
from nn_assets.operations.decisions.round_checks import check_sessions
from nn_assets.operations.decisions.stored_checks import StoredCheck, features_have_values
from nn_assets.operations.history import open_history
from nn_assets.operations.judged import Judged
from nn_assets.operations.models.preparation import confirmation
from nn_assets.orchestration.metadata import WHAT_TO_DO, check_result
from nn_assets.settings import FeatureSettings, PortfolioSettings
from nn_assets.store.ledger.ledger import Ledger
from tests.orchestration.conftest import LAST, NAME, strategy_of

JUDGES = {check.name: check.judge for check in vars(stored_checks).values() if isinstance(check, StoredCheck)}


def outcome_of(name: str) -> tuple[bool | None, str]:
    with open_history(strategy_of()) as history:
        return JUDGES[name](history)


def test_nothing_to_compare_is_no_pass_and_a_warning() -> None:
    unknown = check_result(Judged("name", None, "no session was decided", "do this"))
    assert (unknown.passed, unknown.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert unknown.description == "nothing to compare: no session was decided"
    held = check_result(Judged("name", True, "all equal", "do this"))
    assert (held.passed, held.description) == (True, "all equal")
    broken = check_result(Judged("name", False, "one differs", "do this"))
    assert broken.severity is dg.AssetCheckSeverity.ERROR
    assert [WHAT_TO_DO in result.metadata for result in (unknown, held, broken)] == [False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["study_and_live_agree", "backtest_rederives_decisions"])
def test_before_the_first_decision_there_is_nothing_to_compare(studied: Path, name: str) -> None:
    del studied
    assert outcome_of(name)[0] is None


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("name", ["study_and_live_agree", "backtest_rederives_decisions", "features_have_values"])
def test_after_decisions_the_same_checks_pass(decided: Path, name: str) -> None:
    del decided
    assert outcome_of(name)[0] is True


@pytest.mark.slow
def test_recalibration_on_paper_fills_is_judged_by_what_it_recovered(studied: Path) -> None:
    del studied
    assert outcome_of("paper_fills_recover_the_coefficients")[0] is None
    for number, (recovered, held) in enumerate([(None, None), (True, True), (False, False)]):
        row = {
            "cost_model_id": f"c{number}", "session": pd.Timestamp(LAST), "source": "paper", "in_force": False,
            "coefficients": {}, "figures": {"recovered": recovered, "reason": "told", "fills": 40},
        }  # fmt: skip
        with Ledger() as ledger:
            ledger.append("cost_models", [row], run_id="test", strategy=NAME)
        assert outcome_of("paper_fills_recover_the_coefficients")[0] is held


def test_the_checks_of_a_round_over_no_session_pass_nothing() -> None:
    judged = check_sessions([], PortfolioSettings())
    assert len(judged) == 3
    for check in judged:
        assert check.held is None
        assert check.description.startswith("nothing to compare")


def verdicts(values: np.ndarray) -> dict[str, pd.DataFrame]:
    import json

    sessions = pd.bdate_range("2015-01-01", periods=len(values))
    symbols = tuple(f"S{number}" for number in range(values.shape[1]))
    report = decide_transforms(Cube(sessions, symbols, ("f",), values[:, :, None]), slice(0, None), FeatureSettings())
    return {"2017-01": pd.DataFrame({"model_id": ["m"], "report": [json.dumps(report.to_dict())]})}


def test_kpss_confirms_noise_doubts_a_broken_mean_and_has_nothing_to_say_of_no_feature() -> None:
    noise = np.random.default_rng(1).normal(size=(600, 6))
    assert confirmation(verdicts(noise)).held
    shifted = noise.copy()
    shifted[300:] += 0.4  # the unit root is still rejected, the level is not one
    doubted = confirmation(verdicts(shifted))
    assert (doubted.held, doubted.warns) == (False, True)
    assert "not f on 0% of symbols" in doubted.found
    constant = confirmation(verdicts(np.ones((600, 6))))
    assert constant.held is None
    assert constant.description.startswith("nothing to compare")


def test_every_check_can_fail() -> None:
    """None of those that could not: infinite features are missing ones already, costs never fall by construction."""
    assert not {"values_are_finite_or_missing", "costs_never_fall_with_size"} & set(JUDGES)


def test_a_feature_without_a_value_lately_is_named_and_one_without_a_session_is_nothing_to_compare() -> None:
    days = pd.bdate_range("2017-01-02", periods=30)
    values = np.ones((30, 2, 2))
    values[12:, 0, 1] = values[5:, 1, 1] = np.nan  # the second had its last value 18 sessions before the end
    assert features_have_values(Cube(days, ("A", "B"), ("one", "two"), values)) == (
        True, f"{38 / 80:.2%} of the last 20 sessions' values are missing",
    )  # fmt: skip
    values[:12, 0, 1] = np.nan
    held, message = features_have_values(Cube(days, ("A", "B"), ("one", "two"), values))
    assert (held, message) == (False, "no value of two; 50.00% of the last 20 sessions' values are missing")
    assert features_have_values(Cube(days[:0], ("A", "B"), ("one", "two"), values[:0]))[0] is None
