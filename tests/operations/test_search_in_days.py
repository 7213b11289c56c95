"""A search whose walk is in days: what each choice saw, which models it is in force for, and what is searched when."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.errors import FoldError, ModelError
from nn_assets.features.labels import Labels
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.folds import Fold
from nn_assets.operations.asof.choices import choices_on_record, search_start, search_text, unseen_from, with_choice
from nn_assets.operations.clock import as_of_session
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import open_history
from nn_assets.operations.models.calibration import _held_out_rows
from nn_assets.operations.models.preparation import due_folds, fold_after, use_begins
from nn_assets.operations.search import choosing, judging
from nn_assets.operations.search.budget import chosen, spend
from nn_assets.operations.search.choosing import search_months
from nn_assets.operations.search.judging import Evidence, FoldJudge
from nn_assets.settings import Strategy
from tests.operations import around_the_clock as small
from tests.operations import homes
from tests.operations.searched import Kept, around_the_clock, corrupted, market, seen_before
from tests.orchestration.conftest import living_in, strategy_of

LOOKBACK = {"learning.lookback": {"choices": [1, 4]}}
DAY = "2011-12-29"  # 360 days after the history's first, the third search
SPACE = {"learning.hidden": {"low": 4, "high": 6}}
SEARCH: dict[str, object] = {"trials": 3, "every_days": 60, "folds": 2, "space": SPACE}


def test_searches_fall_on_every_sixtieth_day_from_the_first_refit_on() -> None:
    """60 days of warm-up, then 120, 30 and 60: the 270th day of the history is the first on the grid after them."""
    strategy = around_the_clock(LOOKBACK)
    first = pd.Timestamp("2011-01-03") + pd.Timedelta(days=270)
    days = [str((first + pd.Timedelta(days=60 * number)).date()) for number in range(4)]
    for day in pd.date_range(first, days[-1], freq="D"):
        (newest,) = [since for since in days if pd.Timestamp(since) <= day][-1:]
        assert search_start(strategy, str(day.date())) == newest
    assert search_start(strategy, "2011-12") == days[1] == "2011-11-29"  # in force as the month begins
    with pytest.raises(FoldError, match="a day from 2011-09-30 on"):
        search_start(strategy, "2011-09-29")
    assert unseen_from(strategy, "2012-01-05") == pd.Timestamp(days[1])
    over_all = around_the_clock(LOOKBACK, scope="all_folds")
    assert search_start(over_all, "2012-12-31") == days[0]


def test_a_choice_in_force_from_a_day_saw_no_label_that_is_realised_on_it_and_no_later_bar() -> None:
    strategy = around_the_clock(LOOKBACK, trials=3, folds=1)
    cube, labels = market(3, 0.4, last="2012-02-29", calendar="24/7")
    first = int(cube.sessions.searchsorted(np.datetime64(DAY)))
    healthy = seen_before(DAY, cube, labels, strategy)
    later = seen_before(DAY, *corrupted(cube, labels, first), strategy)
    earlier = seen_before(DAY, *corrupted(cube, labels, first - 1), strategy)
    assert healthy.address == later.address != earlier.address
    assert healthy.saw_until == str(cube.sessions[first - 1].date()) == "2011-12-28"
    assert strategy.search is not None
    answers = [
        spend(strategy.search, {"learning.lookback": 1}, [], "2", FoldJudge(evidence), Kept())
        for evidence in (healthy, later)
    ]
    assert answers[0] == answers[1]
    best = chosen(answers[0])
    assert best is not None
    assert best.parameters == {"learning.lookback": 4}


def test_folds_lie_a_calibration_apart_and_each_judges_its_features_on_its_own_training_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With slices of ten days several folds begin in one month, which does not make them one."""
    plain = around_the_clock(LOOKBACK, folds=3)
    strategy = plain.model_copy(
        update={"walk_forward": plain.walk_forward.model_copy(update={"calibration_days": 10, "training_days": 40})}
    )
    cube, labels = market(3, 0.4, last="2011-12-29", calendar="24/7")
    evidence = seen_before(DAY, cube, labels, strategy)
    assert [str(cube.sessions[fold.used_from - 1].date()) for fold in evidence.folds] == [
        "2011-12-28",
        "2011-12-18",
        "2011-12-08",
    ]
    assert {fold.month for fold in evidence.folds} == {"2011-12"}
    slices = [range(*fold.calibration.indices(len(cube.sessions))) for fold in evidence.folds]
    assert not set(slices[0]) & set(slices[1])
    assert slices[1].stop <= slices[0].start
    monkeypatch.setattr(judging, "judged_features", lambda _cube, _candidates, training, _strategy: training)
    judge = FoldJudge(evidence)
    judged: list[object] = [judge._data(strategy, fold).stationarity for fold in evidence.folds]
    assert judged == [fold.training for fold in evidence.folds]


def test_what_was_seen_within_the_session_is_said_to_the_bar() -> None:
    """One choice over all folds is in-sample up to it: a day alone would leave the day's later bars out of that."""
    hours = pd.date_range("2011-12-20", periods=72, freq="h")
    cube, _ = market(3, 0.4, symbols=3, last="2011-03-15", calendar="24/7")
    cube = replace(cube, sessions=hours, values=cube.values[:72])
    labels = Labels(cube.values[:, :, 0], cube.values[:, :, 0], np.arange(72) + 2)
    fold = Fold("2011-12", slice(0, 20), slice(22, 40), slice(42, 69), 72)
    evidence = Evidence(around_the_clock(LOOKBACK), cube, labels, (fold,), 8760.0)
    assert evidence.saw_until == "2011-12-22 22:00"
    assert replace(evidence, folds=(replace(fold, calibration=slice(42, 47)),)).saw_until == "2011-12-22"  # midnight


class _Known:
    """A judge that fits nothing: the wider the better."""

    steps = 1

    def __init__(self, evidence: Evidence, _: object) -> None:
        self.evidence = evidence

    def __call__(self, trials: Mapping[int, Mapping[str, Any]], step: int) -> dict[int, float]:
        return {number: float(parameters["learning.hidden"]) for number, parameters in trials.items()}


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home on every day of the year, whose strategy searches nothing so far."""
    return small.studied(tmp_path_factory)


def of_home() -> Strategy:
    return strategy_of(small.NAME)


def searching(studied: Path, home: Path, ends: str) -> Path:
    """A copy of it that ends on a day, and whose strategy searches."""
    shutil.copytree(studied, home)
    small.write(home, search=SEARCH, market={**small.MARKET, "history_ends": ends, "live_starts": None})
    return home


def test_each_refit_is_fitted_with_the_choice_in_force_on_its_day(
    studied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refits fall on May 31, June 30, July 30 and August 29; searches on the first and the third of them."""
    monkeypatch.setattr(choosing, "FoldJudge", _Known)
    with living_in(searching(studied, tmp_path / "home", small.LAST)), open_history(of_home()) as history:
        strategy, ledger = history.strategy, history.stores.ledger
        missing = "none of 2021-05-31 .* --from 2021-06 --to 2021-06"
        with pytest.raises(ModelError, match=missing):
            list(due_folds(history, ["2021-06"]))
        made = search_months(history, ["2021-06", "2021-07"], "run", lambda _: None)
        assert [(choice.since, choice.saw_until) for choice in made] == [
            ("2021-05-31", "2021-05-30"),
            ("2021-07-30", "2021-07-29"),
        ]
        assert search_months(history, ["2021-08"], "again", lambda _: None) == made[1:]
        of_searches = ["month" in of for of in ledger.read("trials", small.NAME)["configuration"]]
        assert sum(of_searches) == 2 * (3 + 1)  # each trial, and each choice
        assert str(search_text(ledger, strategy)).startswith("6 of 6 trials in 2 searches; from 2021-07-30: ")
        by_day = {
            str(history.axis[due.fold.used_from].date()): due.strategy.learning.hidden
            for due in due_folds(history, ["2021-06", "2021-07", "2021-08"])
        }
        first, second = (dict(choice.parameters)["learning.hidden"] for choice in made)
        assert by_day == {"2021-05-31": first, "2021-06-30": first, "2021-07-30": second, "2021-08-29": second}
        # no calibration reads what the choice of the first model was made by: of its slice nothing, of the next all
        folds = [due.fold for due in due_folds(history, ["2021-06"])]
        models = [cast("FoldModel", SimpleNamespace(fold=fold)) for fold in folds]
        rows = [_held_out_rows(history, model, len(history.axis)) for model in models]
        assert rows[0].start >= rows[0].stop
        assert rows[1] == folds[1].calibration
        # a refresh is fitted with the choice in force when it is fitted, which is before its first session
        refreshed = [fold_after(history, pd.Timestamp(day)) for day in ("2021-07-29", "2021-07-30")]
        assert [due.strategy for due in refreshed] == [
            with_choice(ledger, strategy, day) for day in ("2021-07-29", "2021-07-30")
        ]
        assert use_begins(history, refreshed[0].fold) == "2021-07-30"
        assert sorted(choices_on_record(ledger, strategy)) == ["2021-05-31", "2021-07-30"]


@pytest.mark.parametrize(
    ("ends", "searched"), [("2021-07-28", ["2021-05-31"]), ("2021-07-29", ["2021-05-31", "2021-07-30"])]
)
def test_a_search_is_due_once_the_session_before_its_choice_is_there(
    studied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, searched: list[str]
) -> None:
    monkeypatch.setattr(choosing, "FoldJudge", _Known)
    with living_in(searching(studied, tmp_path / "home", ends)), open_history(of_home()) as history:
        made = search_months(history, ["2021-07"], "run", lambda _: None)
    assert [choice.since for choice in made] == searched


@pytest.mark.parametrize(("code", "fitted_again"), [("as it was", [2]), ("mended", [0, 1, 2])])
def test_a_search_that_was_killed_goes_on_with_the_trials_of_the_same_code_alone(
    studied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, fitted_again: list[int]
) -> None:
    """By the first code the wider is the better; the mended one says the opposite, and figures of both never meet."""
    fitted: list[int] = []

    class Killed(_Known):
        sign, most = 1.0, 2

        def __call__(self, trials: Mapping[int, Mapping[str, Any]], step: int) -> dict[int, float]:
            if len(fitted) == self.most:
                raise KeyboardInterrupt
            fitted.extend(trials)
            return {number: self.sign * worth for number, worth in super().__call__(trials, step).items()}

    class GoesOn(Killed):
        sign, most = 1.0 if code == "as it was" else -1.0, 9

    home = searching(studied, tmp_path / "home", small.LAST)
    file = home / "strategies" / f"{small.NAME}.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["search"] |= {"at_once": 1, "space": {"learning.hidden": {"low": 4, "high": 400}}}
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with living_in(home), open_history(of_home()) as history:
        monkeypatch.setattr(choosing, "version_of", lambda _: "as it was")
        monkeypatch.setattr(choosing, "FoldJudge", Killed)
        with pytest.raises(KeyboardInterrupt):
            search_months(history, ["2021-06"], "killed", lambda _: None)
        assert fitted == [0, 1]
        fitted.clear()
        monkeypatch.setattr(choosing, "version_of", lambda _: code)
        monkeypatch.setattr(choosing, "FoldJudge", GoesOn)
        (choice,) = search_months(history, ["2021-06"], "going on", lambda _: None)
        rows = history.stores.ledger.read("trials", small.NAME, bookkeeping=True)
    assert fitted == fitted_again
    by_code = rows[rows["code_version"] == rows.set_index("sequence")["code_version"].sort_index().iloc[-1]]
    worth = {
        of["number"]: GoesOn.sign * of["parameters"]["learning.hidden"]
        for of in by_code["configuration"]
        if of.get("parameters")
    }
    assert sorted(worth) == [0, 1, 2]
    assert (choice.number, choice.value) == max(worth.items(), key=lambda trial: trial[1])


def test_a_bar_restated_on_the_day_itself_is_not_seen_by_the_choice_in_force_from_it(
    studied: Path, tmp_path: Path
) -> None:
    """The session before decides at its own close; what is known after it, the choice's own session alone sees."""
    day, bar = pd.Timestamp("2021-07-30"), pd.Timestamp("2021-07-20")
    seen, known = [], []
    home = searching(studied, tmp_path / "home", small.LAST)
    for minutes in (None, 1, -1):  # after that close; no restatement at first
        with living_in(home):
            if minutes is not None:
                with open_history(of_home()) as history:
                    row = history.raw_versions
                    row = row[(row["symbol"] == "SIM01") & (row["session"] == bar)].head(1).reset_index(drop=True)
                    closes = as_of_session(history.strategy.market, day - pd.Timedelta(days=1))
                    row[["open", "high", "low", "close"]] *= 1.01 if minutes > 0 else 0.99
                    row = row.assign(known_at=closes + pd.Timedelta(minutes=minutes))
                    history.stores.lake.append_segment(small.NAME, RAW_BARS, row)
                homes.publish(of_home())
            with open_history(of_home()) as history:
                seen.append(Evidence.of(history, str(day.date())).address)
                known.append(history.cut_for(day).panel.close[history.row(bar), 0])
    assert known[1] == pytest.approx(1.01 * known[0], rel=1e-12)
    assert seen[1] == seen[0]
    assert seen[2] != seen[0]  # a minute before that close it is
