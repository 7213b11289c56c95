"""Ranks, and features of a strategy's own series, through a home: what they are made of counts, and nothing later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.errors import SettingsError
from nn_assets.operations.cut import PublishedCut
from nn_assets.operations.features import store_features
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.universe import ingest_universe
from nn_assets.operations.plugins import fault_of_names, prepare
from nn_assets.settings import Strategy
from tests.operations.homes import take_in
from tests.orchestration.conftest import NAME, living_in, strategy_of, write_strategy
from tests.plugins.texts import naming, written

RANK, BETA, MOOD = "rank_in_universe_return_5", "beta_to_value", "zscore_of_mood"
NAMES = ("log_return_1", RANK, BETA, "factor_residual_return", MOOD)
JOINED = "2017-03-01"
MEMBERS = "ticker,start_date,end_date\n" + "".join(
    f"SIM0{number},{JOINED if number == 6 else '2010-01-04'},\n" for number in range(1, 7)
)
SERIES = ("mood", "market", "value")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Six symbols, one of them a member from March on; three series of the whole market, a session late."""
    home = tmp_path_factory.mktemp("ranked")
    file = write_strategy(
        home,
        features={
            "names": list(NAMES),
            "series": dict(zip(SERIES, SERIES, strict=True)),
            "factors": ["market", "value"],
        },
    )
    series = [{"name": name, "path": f"{name}.csv", "lag_minutes": 15} for name in SERIES]
    settings = {**yaml.safe_load(file.read_text()), "series": series, "universe": {"path": "members.csv"}}
    file.write_text(yaml.safe_dump(settings))
    (file.parent / "members.csv").write_text(MEMBERS)
    days = pd.bdate_range("2016-01-04", "2017-06-30")
    draw = np.random.default_rng(2)
    for name in SERIES:
        rows = [f"{day.date()},{value:.6f}" for day, value in zip(days, draw.normal(0.0, 0.01, len(days)), strict=True)]
        (file.parent / f"{name}.csv").write_text("session,value\n" + "\n".join(rows) + "\n")
    with living_in(home):
        take_in(strategy_of())
        yield home


def test_members_of_the_session_are_ranked_and_a_later_list_makes_the_ranks_alone_again(home: Path) -> None:
    with open_history(strategy_of()) as history:
        cube, members = history.view().cube, history.view().members
        assert members is not None
        assert cube.names == NAMES
        row = history.row(pd.Timestamp("2017-02-01"))
        ranks = cube.feature(RANK)
        assert sorted(ranks[row, members[row]]) == [-0.5, -0.25, 0.0, 0.25, 0.5]
        assert len(set(ranks[row + 60].tolist())) == 6
        assert np.isfinite(cube.values[row + 60]).all()
        for day in ("2016-12-30", "2017-05-02"):  # as a decision of that day has it
            early = PublishedCut(history, history.last_session).compute_cube(pd.Timestamp(day))
            assert early.values.tobytes() == np.ascontiguousarray(cube.values[: early.session_count]).tobytes()
        assert store_features(history)[2] == ()
    file = home / "strategies" / "members.csv"
    file.write_text(MEMBERS.replace("SIM05,2010-01-04,", "SIM05,2010-01-04,2017-06-28"))  # stays so
    with open_history(strategy_of()) as history:
        ingest_universe(history, file.parent)
    with open_history(strategy_of()) as history:
        again, _, computed = store_features(history)
    assert computed == (RANK,)
    assert again.feature(RANK)[:row].tobytes() == ranks[:row].tobytes()


def test_other_factors_make_the_features_of_factors_alone_again(home: Path) -> None:
    file = home / "strategies" / f"{NAME}.yaml"
    text = file.read_text()
    settings = yaml.safe_load(text)
    settings["features"]["factors"] = list(SERIES)
    file.write_text(yaml.safe_dump(settings))
    try:
        with open_history(strategy_of()) as history:
            assert store_features(history)[2] == (BETA, "factor_residual_return")
    finally:
        file.write_text(text)
        with open_history(strategy_of()) as history:
            store_features(history)


SERIES_SECTION = "[{name: fear, path: fear.csv, lag_minutes: 15}]"


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("{series: {moood: fear}}", "name level_of_moood or change_of_moood or zscore_of_moood among features.names"),
        ("{series: {sentimnt: fear}}", "did you mean sentiment"),
        ("{series: {mood: fear}, names: [level_of_mod]}", "did you mean mood"),
        ("{series: {mood: fear}, names: [levelof_mood]}", "did you mean level_of_mood"),
        ("{names: [zscore_of_mood]}", "features.series of nothing"),
        ("{series: {mood: fear}, names: [beta_to_mood]}", "features.factors of nothing"),
    ],
)
def test_a_role_that_no_series_fills_and_a_series_that_none_reads_are_named_without_running_anything(
    tmp_path: Path, features: str, message: str
) -> None:
    strategy = naming(written(tmp_path), features=features, series=SERIES_SECTION)
    with pytest.raises(SettingsError, match=message):
        prepare(strategy)
    fault = fault_of_names(strategy)
    assert fault is not None
    assert message in str(fault)


def test_factors_are_series_each_once_and_a_strategy_without_any_keeps_its_hash(tmp_path: Path) -> None:
    file = written(tmp_path)
    plain = naming(file, features="{series: {market: fear, sentiment: fear}}", series=SERIES_SECTION)
    assert "factors" not in plain.behaviour()["features"]
    settings = plain.model_dump(mode="json")
    assert "factors" not in settings["features"]
    settings["features"]["factors"] = ["market"]
    with_factors = Strategy.model_validate(settings)
    assert with_factors.content_hash() != plain.content_hash()
    prepare(with_factors)
    for factors, message in ((["markt"], "did you mean market"), (["market", "market"], "market twice")):
        settings["features"]["factors"] = factors
        with pytest.raises(ValueError, match=message):
            Strategy.model_validate(settings)
