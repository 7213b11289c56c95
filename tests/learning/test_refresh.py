"""A refit takes force only when it is not worse than the model in force, on rows that judged neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss

from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.inference import forecast
from nn_assets.learning.refresh import check_refresh
from tests.learning.tiny import fit_model, tiny_fold, tiny_market, tiny_strategy


@pytest.fixture(scope="module")
def pair() -> tuple[FoldModel, FoldModel]:
    cube, labels = tiny_market(last="2013-03-28")
    strategy = tiny_strategy()
    old = fit_model(cube, labels, tiny_fold(cube, strategy, "2012-07"), strategy)
    new = fit_model(cube, labels, tiny_fold(cube, strategy, "2012-12"), strategy)
    return old, new


def spoiled(model: FoldModel) -> FoldModel:
    """The same model, whose logits stray forty times as far as on its own validation slice: grossly overconfident."""
    kept = model.validation_forecasts
    logits = np.log(kept["probability"] / (1.0 - kept["probability"]))
    return replace(model, validation_forecasts=kept.assign(probability=1.0 / (1.0 + np.exp(-logits / 40.0))))


def turned_round(model: FoldModel) -> FoldModel:
    """The same model with every weight of its members' last layer negated: it ranks the wrong way."""
    networks = model.estimators.members["network"]
    last = max(name for name in networks[0].state if name.endswith("weight")).rsplit(".", 1)[0]
    members = tuple(
        replace(
            member,
            state={name: np.array(-value if name.startswith(last) else value) for name, value in member.state.items()},
        )
        for member in networks
    )
    return replace(
        model,
        model_id="turned",
        estimators=replace(model.estimators, members={**model.estimators.members, "network": members}),
    )


def test_a_sound_refit_is_taken(pair: tuple[FoldModel, FoldModel]) -> None:
    cube, labels = tiny_market(last="2013-03-28")
    old, new = pair
    check = check_refresh(new, old, cube, labels, tolerance=0.5, horizon_sessions=3)
    assert check.accepted
    assert check.candidate_loss is not None
    assert "not worse than" in check.reason


@pytest.mark.full
def test_a_spoiled_refit_is_not_taken(pair: tuple[FoldModel, FoldModel]) -> None:
    cube, labels = tiny_market(last="2013-03-28")
    old, new = pair
    check = check_refresh(spoiled(new), old, cube, labels, tolerance=0.05, horizon_sessions=3)
    assert not check.accepted
    assert check.candidate_loss > check.incumbent_loss * 1.05  # type: ignore[operator]


def test_what_comes_after_the_candidates_use_begins_changes_nothing(pair: tuple[FoldModel, FoldModel]) -> None:
    old, new = pair
    long_cube, long_labels = tiny_market(last="2013-03-28")
    cut = new.fold.used_from
    short_cube, short_labels = tiny_market(last=str(long_cube.sessions[cut - 1].date()))
    one = check_refresh(new, old, long_cube, long_labels, tolerance=0.05, horizon_sessions=3)
    other = check_refresh(new, old, short_cube, short_labels, tolerance=0.05, horizon_sessions=3)
    assert one == other
    assert np.isfinite(one.candidate_loss)  # type: ignore[arg-type]


def test_a_model_is_never_compared_with_itself(pair: tuple[FoldModel, FoldModel]) -> None:
    cube, labels = tiny_market()
    assert check_refresh(pair[0], pair[0], cube, labels, tolerance=0.0, horizon_sessions=3).accepted


def test_the_losses_are_those_of_one_calibration_for_both_on_the_newest_slice(
    pair: tuple[FoldModel, FoldModel],
) -> None:
    cube, labels = tiny_market(last="2013-03-28")
    old, new = pair
    rows = new.fold.calibration
    assert rows.start >= old.fold.used_from  # the incumbent was trained on none of them
    outcome = labels.targets[rows].ravel()
    scores = []
    for model in (new, old):
        kept = model.validation_forecasts.query("estimator == 'network'")["probability"].to_numpy()
        made = forecast(model, cube, rows, before_use=True)["network"].probability.ravel()
        of_validation = np.log(kept / (1 - kept))
        scores.append((np.log(made / (1 - made)) - of_validation.mean()) / of_validation.std())
    fitted = LogisticRegression(C=np.inf).fit(scores[1][:, None], outcome)
    losses = [sklearn_log_loss(outcome, fitted.predict_proba(score[:, None])[:, 1]) for score in scores]
    check = check_refresh(new, old, cube, labels, tolerance=0.05, horizon_sessions=3)
    # The prior of one effective outcome shrinks the slope a little.
    assert [check.candidate_loss, check.incumbent_loss] == pytest.approx(losses, abs=2e-3)


def test_nothing_is_judged_on_rows_from_before_the_incumbents_use(pair: tuple[FoldModel, FoldModel]) -> None:
    """They are what it was trained on, and it would win on them."""
    cube, labels = tiny_market(last="2013-03-28")
    old, new = pair
    check = check_refresh(old, new, cube, labels, tolerance=0.0, horizon_sessions=3)
    assert check.accepted
    assert (check.candidate_loss, check.incumbent_loss) == (None, None)
    assert check.reason == "nothing to compare: no rows on which both could be judged"
    rows = new.fold.calibration
    middle = (rows.start + rows.stop) // 2
    later = replace(old, fold=replace(old.fold, used_from=middle))
    shorter = replace(new, fold=replace(new.fold, calibration=slice(middle, rows.stop)))
    actual, expected = (
        check_refresh(candidate, incumbent, cube, labels, tolerance=0.05, horizon_sessions=3)
        for candidate, incumbent in ((new, later), (shorter, old))
    )
    assert expected.candidate_loss is not None
    assert actual == expected


def test_a_refit_that_ranks_the_wrong_way_is_not_taken(pair: tuple[FoldModel, FoldModel]) -> None:
    cube, labels = tiny_market(last="2013-03-28")
    old, new = pair
    assert not check_refresh(turned_round(new), old, cube, labels, tolerance=0.05, horizon_sessions=3).accepted
