"""What is asked of some months goes by the model in force on each session, and a failed measurement says where."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from nn_assets.learning.first_month import first_model_month
from nn_assets.learning.folds import Fold
from nn_assets.learning.refits import refits_of
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations import feature_worth, shift
from nn_assets.operations.asof.models import ModelsInForce
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.network_comparison import contestants, quick
from nn_assets.operations.shift import _called, leave_regimes_out
from nn_assets.settings import Strategy, WalkForwardSettings

SESSIONS = sessions_between("24/7", "2021-01-01", "2021-08-20")
JULY = int(SESSIONS.searchsorted(pd.Timestamp("2021-07-01")))


def in_force() -> ModelsInForce:
    """July begins with the model of June, and has two of its own; the second of them goes on."""
    july = [(pd.Timestamp(f"2021-07-{day:02d}"), name) for day, name in ((1, "a"), (11, "b"), (30, "c"))]
    return ModelsInForce("x", {"2021-07": july, "2021-08": [(pd.Timestamp("2021-08-01"), "c")]}, lambda _: "", set)


def test_a_shift_test_judges_each_session_by_the_model_in_force_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, slice]] = []
    view = SimpleNamespace(
        models=in_force(),
        sessions=SESSIONS,
        session=SESSIONS[-1],
        row=len(SESSIONS) - 1,
        cube=None,
        labels=None,
        market_history=SimpleNamespace(regimes=None),
    )
    history: Any = SimpleNamespace(view=lambda: view, axis=SESSIONS, stores=None, strategy=None)
    monkeypatch.setattr(shift, "load_model", lambda _, model_id: model_id)
    monkeypatch.setattr(shift, "fits_without", lambda _, used, *__: asked.extend(used))
    leave_regimes_out(history, ["2021-06", "2021-07", "2021-08"], lambda _: None)
    assert asked == [
        ("a", slice(JULY, JULY + 10)),
        ("b", slice(JULY + 10, JULY + 29)),
        ("c", slice(JULY + 29, JULY + 31)),
        ("c", slice(JULY + 31, len(SESSIONS))),
    ]


@pytest.mark.parametrize(
    ("days", "parts", "paced"),
    [(30, {}, 210), (30, {"training_days": 900}, 510), (400, {"training_days": 900}, 400), (700, {}, 700)],
)
def test_quick_sizes_stretch_a_walk_in_days_and_keep_its_first_month(
    days: int, parts: dict[str, int], paced: int
) -> None:
    """60 sessions of warm-up, then 90 or 900, 30 and 30 days: day 210 or 1020, a grid of 210 days or twice 510.

    Of refits every 400 days day 1200 is the first, three times 400.
    """
    settings = {
        "name": "coins",
        "source": {"kind": "simulator"},
        "market": {"calendar": "24/7", "history_starts": "2021-01-01"},
        "walk_forward": {"refit_every_days": days, **parts},
    }
    small = quick(of := Strategy.model_validate(settings))
    assert small.walk_forward.refit_every_days == paced
    assert small.walk_forward.refit_every_months == of.walk_forward.refit_every_months
    assert {name: getattr(small.walk_forward, name) for name in parts} == parts
    if days == 30:
        assert first_model_month(small) == first_model_month(of), "no month is lost that could be forecast"
    months = [str(month) for month in pd.period_range(first_model_month(small), periods=36, freq="M")]
    assert len(refits_of(small).of_months(months)) <= 1 + 3 * 365 // paced + 1


def test_quick_settings_are_checked_as_a_file_s_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("planted_edge", "index_daily"):
        of = find_strategy(name).strategy
        small = quick(of)
        untouched = set(Strategy.model_fields) - {"learning", "walk_forward"}
        assert all(getattr(small, field) == getattr(of, field) for field in untouched)
        assert small.behaviour("features", "label", "costs") == of.behaviour("features", "label", "costs")
        assert small.walk_forward.refit_every_months == 12
    searched = of.model_copy(update={"search": object()})
    assert quick(searched).search is None, "each network has the same settings, whatever a search chose of one"
    assert all(one.search is None for one in contestants(searched, ["mlp"]).values())
    broken = of.model_copy(update={"walk_forward": WalkForwardSettings.model_construct(refit_every_months=0)})
    monkeypatch.setattr("nn_assets.operations.network_comparison.QUICK_REFITS", 0)
    with pytest.raises(ValueError, match="refit_every_months"):
        quick(broken)


def test_an_importance_that_cannot_be_measured_leaves_its_traceback_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a model of nothing")

    monkeypatch.setattr(feature_worth, "_read_by", fail)
    rows, log = range(JULY, JULY + 5), logging.getLogger("tests.parts")
    monkeypatch.setattr("nn_assets.operations.explanation.loss_of", lambda _: ("log loss", "nats"))
    history = SimpleNamespace(strategy=None)
    kept = feature_worth.measured_importance(history, SESSIONS, ["a"] * len(SESSIONS), rows, None, log)  # type: ignore[arg-type]
    assert kept["absent"] == "ZeroDivisionError: a model of nothing"
    (record,) = [record for record in caplog.records if record.name == "tests.parts"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_models_that_begin_in_one_month_are_told_apart_by_their_days() -> None:
    def of(day: str) -> Fold:
        row = int(SESSIONS.searchsorted(pd.Timestamp(day)))
        return Fold(day[:7], slice(0, 1), slice(1, 2), slice(2, 3), row)

    named = [_called(of(day), SESSIONS) for day in ("2021-07-01", "2021-07-11", "2021-07-30")]
    assert named == ["2021-07", "2021-07-11", "2021-07-30"]
