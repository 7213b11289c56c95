"""Members that a fold lacks: what their ensembles forecast, and how far they are said to disagree."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.operations import compared_books, network_comparison
from nn_assets.operations.compared_books import _record, books_of
from nn_assets.operations.replay_pace import ReplayPace

AXIS = pd.date_range("2020-01-01", periods=4, freq="D")
SYMBOLS = ("A", "B")


def test_a_fold_that_lacks_a_member_has_none_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of three in the first fold, two in the second: what is not there is no forecast."""
    trained = {"m0": np.random.default_rng(1).uniform(size=(3, 2, 2)), "m1": np.full((2, 2, 2), 0.25)}
    settings = SimpleNamespace(settings=SimpleNamespace(ensemble=3))
    monkeypatch.setattr(
        network_comparison, "load_model", lambda _, name: SimpleNamespace(name=name, estimators=settings)
    )
    monkeypatch.setattr(network_comparison, "forecast_members", lambda model, *_: {"network": trained[model.name]})
    stretch = SimpleNamespace(rows=range(4), cut=SimpleNamespace(members=None, cube=None))
    history: Any = SimpleNamespace(axis=AXIS, symbols=SYMBOLS, stores=None, stretches=lambda _: [stretch])
    folds: Any = [SimpleNamespace(fold=SimpleNamespace(used_from=row)) for row in (0, 2)]
    forecasts, _ = network_comparison._forecasts(history, folds, {"mlp": ["m0", "m1"]})
    np.testing.assert_array_equal(forecasts["mlp"][:, :2], trained["m0"])
    np.testing.assert_array_equal(forecasts["mlp"][:2, 2:], trained["m1"])
    assert np.isnan(forecasts["mlp"][2, 2:]).all()


def test_a_record_has_the_mean_and_the_deviation_of_the_members_there_are() -> None:
    members = np.random.default_rng(2).uniform(size=(3, 4, 2))
    members[2, 1:] = np.nan
    members[1, 2:] = np.nan
    members[0, 3] = np.nan
    history: Any = SimpleNamespace(axis=AXIS, symbols=SYMBOLS)
    made = _record(history, "network", ["m"] * 4, members)["network"]
    expected = [members[:, 0].mean(axis=0), members[:2, 1].mean(axis=0), members[0, 2], [np.nan] * 2]
    np.testing.assert_allclose(made.probability, expected, rtol=1e-14)
    apart = np.abs(members[0, 1] - members[1, 1]) / np.sqrt(2.0)  # of two members
    expected = [members[:, 0].std(axis=0, ddof=1), apart, [0.0, 0.0], [np.nan] * 2]
    np.testing.assert_allclose(made.dispersion, expected, rtol=1e-12)
    whole = np.random.default_rng(3).uniform(size=(5, 4, 2))
    same = _record(history, "network", ["m"] * 4, whole)["network"]
    np.testing.assert_array_equal(same.probability, whole.mean(axis=0))  # to the bit where nobody is missing
    np.testing.assert_array_equal(same.dispersion, whole.std(axis=0, ddof=1))


def test_members_that_never_trained_are_not_replayed_and_the_share_told_is_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two of three members trained, and none of the other contestant: three replays, each a third of what is told."""
    heard: list[str] = []
    clock = iter(range(0, 10_000, 100))

    def pace(tell: Any, studies: int = 1) -> ReplayPace:
        return ReplayPace(tell, studies, clock=lambda: float(next(clock)))

    def replayed(*arguments: Any) -> Any:
        arguments[-1](10, 10)
        return SimpleNamespace(sharpe_net=float(len(arguments[-2])), sharpe_gross=0.0, absent={})

    monkeypatch.setattr(compared_books, "ReplayPace", pace)
    monkeypatch.setattr(compared_books, "_figures", replayed)
    members = np.random.default_rng(4).uniform(size=(3, 4, 2))
    members[1] = np.nan
    history: Any = SimpleNamespace(strategy=SimpleNamespace(of_no_direction=False))
    forecasts = {"mlp": members, "rnn": np.full((3, 4, 2), np.nan)}
    makers = dict.fromkeys(forecasts, ("network", ["m"] * 4))
    books = books_of(history, [], forecasts, makers, heard.append)
    assert (books["mlp"].sharpe_net, books["mlp"].of_members) == (3.0, (1.0, 1.0))
    assert books["rnn"].why == "no forecast"
    assert [line.split(";")[0] for line in heard] == [
        "replaying mlp and each of its 2 members",
        "replayed 33%",
        "replayed 67%",
    ]
    alone = books_of(history, [], forecasts, makers, heard.append, alone=False)
    assert (alone["mlp"].of_members, heard[3:]) == ((), ["replaying mlp"])
