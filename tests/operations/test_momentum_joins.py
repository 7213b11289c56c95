"""Homes in which the momentum rule is asked for later than the network: they go on, and lack it until then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from nn_assets.evaluation.trials import trial_hash
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.history import open_history
from nn_assets.operations.models.stored import load_model
from tests.operations.homes import months_between, study, take_in
from tests.operations.test_as_known import CUT, FIRST_MONTH, LAST_MONTH, strategy, write_home
from tests.orchestration.conftest import living_in

WITH_RULE = ("linear", "boosting", "momentum")


def _edit(home: Path, baselines: tuple[str, ...], **market: object) -> None:
    file = home / "strategies" / "known.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["learning"]["baselines"] = list(baselines)
    settings["market"] |= market
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")


@pytest.mark.full
def test_a_strategy_at_work_keeps_its_models_and_trials_and_has_one_more_of_those(own_home: Path) -> None:
    with open_history(strategy()) as history:
        before, plain = models_in_force(history.stores.ledger, strategy()).by_month, strategy()
    _edit(own_home, WITH_RULE)
    with open_history(strategy()) as history:
        assert models_in_force(history.stores.ledger, strategy()).by_month == before
    for estimator in ("network", "linear", "boosting"):
        assert trial_hash(strategy(), estimator) == trial_hash(plain, estimator)
    assert trial_hash(strategy(), "momentum") not in {trial_hash(plain, name) for name in ("network", "linear")}
    assert strategy().content_hash() != plain.content_hash()  # a study of its own


@pytest.mark.full
def test_months_of_before_lack_the_rule_and_the_study_says_so(tmp_path: Path) -> None:
    write_home(tmp_path, CUT, late=False)
    with living_in(tmp_path):
        take_in(strategy())
        _edit(tmp_path, ("linear", "boosting"), live_starts=None)
        study(strategy(), months_between(FIRST_MONTH, LAST_MONTH))
        _edit(tmp_path, WITH_RULE)
        done = study(strategy(), ["2016-07", LAST_MONTH])
        with open_history(strategy()) as history:
            in_force = models_in_force(history.stores.ledger, strategy()).by_month
            trials = set(history.stores.ledger.read("trials", "known")["trial_id"])
            by_month = {
                month: load_model(history.stores, rows[-1][1]).estimators.names for month, rows in in_force.items()
            }
    assert len(trials) == 4
    assert by_month[FIRST_MONTH] == ("network", "linear", "boosting")
    assert by_month["2016-07"] == ("network", "linear", "boosting", "momentum")
    track = done.study.track
    there = np.isfinite(track.forecasts["momentum"]).any(axis=1)
    assert set(track.months[there]) == {"2016-07", LAST_MONTH}
    assert done.study.figures.total["momentum"].accuracy is not None
    forecast = np.isfinite(track.forecasts["network"]).any(axis=1)
    without = f"has no forecast of {int((forecast & ~there).sum())} of {int(forecast.sum())} sessions"
    assert any(line.startswith(f"the momentum rule {without}") for line in done.study.figures.remarks)
    book, early = track.tracks["momentum"], track.months == FIRST_MONTH
    assert np.isfinite(book.net[early]).all()  # flat, which is a result
    assert not book.turnover[early].any()
