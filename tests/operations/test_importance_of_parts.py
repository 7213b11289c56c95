"""A model put in force within a month is asked for its own part of the month, and for no more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.learning.explanation import importance
from nn_assets.operations import explanation
from nn_assets.operations.asof.models import ModelsInForce
from nn_assets.operations.explanation import importance_by_month, parts_in_force
from tests.learning.tiny import fitted, tiny_market, tiny_strategy

CUBE, LABELS = tiny_market()
SINCE = pd.Timestamp("2012-08-13")
AUGUST = slice(*CUBE.sessions.searchsorted(pd.DatetimeIndex(["2012-08-01", "2012-09-01"])))
SPLIT = int(CUBE.sessions.searchsorted(SINCE))
MODELS = {"first": fitted("mlp"), "second": fitted("lstm")}


def in_force(august: list[tuple[pd.Timestamp, str]]) -> ModelsInForce:
    july = [(pd.Timestamp("2012-07-02"), "first")]
    return ModelsInForce("tiny", {"2012-07": july, "2012-08": august}, lambda _: "", set)


TWO = in_force([(pd.Timestamp("2012-08-01"), "first"), (SINCE, "second")])


def history_with(models: ModelsInForce) -> Any:
    view = SimpleNamespace(models=models, sessions=CUBE.sessions, cube=CUBE, labels=LABELS, session=CUBE.sessions[-1])
    return SimpleNamespace(view=lambda: view, stores=None, strategy=tiny_strategy())


def test_a_month_is_cut_where_another_model_comes_into_force_and_begins_where_the_first_one_does() -> None:
    july, early, late = parts_in_force(TWO, CUBE.sessions, ["2012-07", "2012-08", "2012-09"])
    assert (july.month, july.model_id, july.rows.stop) == ("2012-07", "first", AUGUST.start)
    assert (early.model_id, early.rows) == ("first", slice(AUGUST.start, SPLIT))
    assert (late.model_id, late.rows) == ("second", slice(SPLIT, AUGUST.stop))
    (only,) = parts_in_force(in_force([(SINCE, "second")]), CUBE.sessions, ["2012-08"])
    assert (only.model_id, only.rows) == ("second", slice(SPLIT, AUGUST.stop))


def test_each_session_is_measured_by_the_model_in_force_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanation, "load_model", lambda _, model_id: MODELS[model_id])
    monthly = importance_by_month(history_with(TWO), ["2012-08"])
    assert monthly.months == ("2012-08",)
    expected = [
        importance(MODELS["first"], CUBE, LABELS, slice(AUGUST.start, SPLIT)).rise,
        importance(MODELS["second"], CUBE, LABELS, slice(SPLIT, AUGUST.stop)).rise,
    ]
    assert [one.rise.tobytes() for one in monthly.of_each] == [rise.tobytes() for rise in expected]
    table = monthly.table().set_index("feature")
    assert (table["months"] == 1).all()
    together = np.concatenate(expected).mean(axis=0)
    np.testing.assert_allclose(table["rise"][list(CUBE.names)], together, rtol=1e-12)
