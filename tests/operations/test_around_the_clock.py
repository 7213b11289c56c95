"""Perpetuals that trade on every day of the year: refits on a grid of days, funding three times a day, 365 sessions.

One small home is studied and decided without Dagster; what it says is checked by calculations of its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import FoldError, SettingsError
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.refresh import RefreshCheck
from nn_assets.operations.asked import REFIT_TAG, effective_strategy
from nn_assets.operations.asof.models import models_in_force, refit_overdue
from nn_assets.operations.due import retraining_due
from nn_assets.operations.history import open_history
from nn_assets.operations.models import training
from nn_assets.operations.models.preparation import due_folds, due_refits
from nn_assets.operations.next_command import next_command
from nn_assets.operations.situation import headline_now
from nn_assets.orchestration.assets import learning
from nn_assets.settings import Strategy
from tests.operations import around_the_clock as small
from tests.operations import homes
from tests.orchestration.conftest import living_in, strategy_of
from tests.shared_homes import built_once, nothing_drawn

MONTHS = small.MONTHS
A_DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def studied_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.studied(tmp_path_factory)


@pytest.fixture(scope="module")
def decided_home(studied_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same home after its live sessions were decided."""

    def build(home: Path) -> None:
        shutil.copytree(studied_home, home)
        with living_in(home), nothing_drawn():
            with open_history(strategy_of(small.NAME)) as history:
                live = list(history.live_sessions)
            homes.decide(strategy_of(small.NAME), live)

    return built_once("around_the_clock_decided", tmp_path_factory, build)


@pytest.fixture
def home(decided_home: Path) -> Iterator[Path]:
    """That home, to be read."""
    with living_in(decided_home):
        yield decided_home


def of_home() -> Strategy:
    return strategy_of(small.NAME)


def grid(first: date, last: date) -> list[date]:
    """Every thirtieth day from the history's start on, by counting."""
    days, day = [], date(2021, 1, 1)
    while day <= last:
        days += [day] * (day >= first)
        day += timedelta(days=30)
    return days


def test_each_session_is_decided_by_the_newest_model_of_the_grid(home: Path) -> None:
    with open_history(of_home()) as history:
        in_force = models_in_force(history.stores.ledger, of_home())
        folds = {due.fold.used_from: due.address(of_home()) for due in due_folds(history, MONTHS)}
        axis = history.axis
    # 60 sessions of warm-up, then 60, 15 and 15 days: the 31st of May is the first on the grid with all of them
    refits = grid(date(2021, 1, 1) + timedelta(days=150), date(2021, 8, 31))
    assert [str(day) for day in refits] == ["2021-05-31", "2021-06-30", "2021-07-30", "2021-08-29"]
    assert [axis[row].date() for row in sorted(folds)] == refits
    for session in axis[axis >= "2021-06-01"]:
        (newest,) = [day for day in refits if day <= session.date()][-1:]
        assert in_force.on(session) == folds[axis.get_loc(pd.Timestamp(newest))]


def test_a_month_begins_with_the_model_that_it_reuses_and_names_its_refit(home: Path) -> None:
    with open_history(of_home()) as history:
        rows = history.stores.ledger.read("models", small.NAME)
    july = rows[rows["month"] == "2021-07"].sort_values("effective_session")
    assert [str(day.date()) for day in july["effective_session"]] == ["2021-07-01", "2021-07-30"]
    assert july["fitted"].tolist() == [False, True]
    assert [figures["refits"] for figures in july["figures"]] == [["2021-06-30"], ["2021-07-30"]]


def test_a_fold_of_the_grid_is_the_same_whatever_comes_after_its_first_day(home: Path, tmp_path: Path) -> None:
    """Cut at the last session before its use, the history gives the model's address to the bit."""
    with open_history(of_home()) as history:
        whole = {str(due.fold.used_from): due.address(of_home()) for due in due_folds(history, ["2021-07"])}
    cut = tmp_path / "cut"
    shutil.copytree(decided := home, cut)
    assert decided != cut
    with living_in(cut):
        small.write(cut, market={**small.MARKET, "history_ends": "2021-07-29", "live_starts": None})
        with open_history(of_home()) as history:
            assert due_refits(history, ["2021-07"]) == {"2021-07": ["2021-06-30", "2021-07-30"]}, "due by now"
            assert {str(due.fold.used_from): due.address(of_home()) for due in due_folds(history, ["2021-07"])} == whole
        small.write(cut, market={**small.MARKET, "history_ends": "2021-07-28", "live_starts": None})
        with open_history(of_home()) as history:
            assert due_refits(history, ["2021-07"]) == {"2021-07": ["2021-06-30"]}, "a session too early"


def test_every_dollar_of_funding_is_what_was_held_times_three_rates_a_day(home: Path) -> None:
    """Longs pay a positive rate and shorts receive it: quantity after fills, at the last close, by each payment."""
    with open_history(of_home()) as history:
        ledger, rates = history.stores.ledger, history.series_versions
        closes = history.view().bars.pivot(index="session", columns="symbol", values="close")
    fills, books = (ledger.read(table, small.NAME) for table in ("fills", "portfolio_states"))
    rates = rates.assign(paid_at=rates["observed_at"].dt.round("h"))
    held, sessions_held = pd.Series(0.0, index=small.SYMBOLS), 0
    for book in books.sort_values("session").itertuples():
        of_session = fills[fills["session"] == book.session]
        held = held.add(of_session.groupby("symbol")["quantity"].sum(), fill_value=0.0)
        midnight = book.session.tz_localize("UTC")
        paid = rates[(rates["paid_at"] > midnight) & (rates["paid_at"] <= midnight + A_DAY)]
        assert (paid.groupby("symbol").size() == 3).all()
        owed = {symbol: list(rows) for symbol, rows in paid.groupby("symbol")["value"]}
        expected = -sum(
            held[symbol] * closes.loc[book.session - A_DAY, symbol] * rate
            for symbol in held.index
            for rate in owed[symbol]
        )
        assert json.loads(book.book).get("session_funding_usd", 0.0) == pytest.approx(expected, abs=1e-6)
        sessions_held += bool((held != 0.0).any())
    assert sessions_held >= 3


def test_figures_are_annualised_by_365_sessions(home: Path) -> None:
    with open_history(of_home()) as history:
        assert history.sessions_per_year == 365
        study = history.stores.ledger.read("studies", small.NAME).sort_values("month").iloc[-1]
        closes = history.view().bars.pivot(index="session", columns="symbol", values="close")
    figures = study["figures"]
    kept = closes[study["first_session"] : study["last_session"]]
    kept = (kept / kept.iloc[0]).mean(axis=1)  # equal parts, bought once
    returns = kept.pct_change().dropna()
    assert figures["buy_and_hold_return_sessions"] == pytest.approx(len(returns), abs=2), "weekends are sessions"
    assert figures["buy_and_hold_volatility_per_year"] == pytest.approx(returns.std() * 365**0.5, rel=0.05)


def test_what_is_due_falls_on_the_grid_s_days_and_on_the_first_of_each_month(home: Path) -> None:
    strategy = of_home()
    endless = strategy.model_copy(update={"market": strategy.market.model_copy(update={"history_ends": None})})
    days = pd.date_range("2021-07-01 06:00", "2021-08-31 06:00", freq="D", tz="UTC")
    due = {str(day.date()): asked for day in days if not isinstance(asked := retraining_due(endless, day), str)}
    assert list(due) == ["2021-07-01", "2021-07-30", "2021-08-01", "2021-08-29"]
    assert due["2021-08-29"].partition == "2021-08-01"
    assert len({asked.run_key for asked in due.values()}) == 4
    (retraining,) = learning.WING.schedules.values()
    assert retraining.cron_for(endless) == "0 6 * * *"


def test_a_refit_that_nobody_made_is_the_next_command_asked_for(studied_home: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(studied_home, home)
    with living_in(home), open_history(of_home()) as history:
        ledger = history.stores.ledger
        assert refit_overdue(ledger, of_home(), pd.Timestamp("2021-09-27")) is None, "that of August 29 was made"
        assert refit_overdue(ledger, of_home(), pd.Timestamp("2021-09-28")) == "2021-09-28"
        assert refit_overdue(ledger, of_home(), pd.Timestamp("2021-05-31")) is None, "no month has a model yet"


def test_status_asks_for_a_refit_that_nobody_made_as_check_does(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_history(of_home()) as history:
        assert next_command(history) == f"nn-assets status --strategy {small.NAME}"
        assert "refit" not in str(headline_now(history))
        monkeypatch.setattr("nn_assets.operations.next_command.refit_overdue", lambda *_: "2021-08-29")
        study = f"nn-assets study --strategy {small.NAME} --from 2021-08 --to 2021-08"
        assert next_command(history) == study
        line = str(headline_now(history))
    assert "the refit of 2021-08-29 was not made: the model before it decides" in line
    assert study in line


@pytest.mark.full
def test_a_refit_left_out_is_named_until_a_study_makes_it(tmp_path: Path) -> None:
    """Studied two days before the grid's 29th of August, then left to go on without a study."""
    home = tmp_path / "home"

    def until(last: str) -> None:
        small.write(home, market={**small.MARKET, "history_ends": last, "live_starts": None})
        homes.take_in(of_home())

    def asked() -> tuple[str, bool]:
        with open_history(of_home()) as history:
            return next_command(history), "the refit of 2021-08-29 was not made" in str(headline_now(history))

    small.write(home)
    study = f"nn-assets study --strategy {small.NAME} --from 2021-08 --to 2021-08"
    with living_in(home), nothing_drawn():
        until("2021-08-27")
        homes.study(of_home(), MONTHS)
        until("2021-08-31")
        assert asked() == (study, True)
        homes.study(of_home(), ["2021-08"])
        command, named = asked()
    assert not named
    assert command != study


def test_a_pace_in_months_is_refused_for_a_walk_in_days(home: Path) -> None:
    with pytest.raises(SettingsError, match="leave --refit-every out"):
        effective_strategy(of_home(), {REFIT_TAG: "2"})


def test_a_month_before_the_first_model_is_refused_by_name(home: Path) -> None:
    with open_history(of_home()) as history, pytest.raises(FoldError, match="a month from 2021-06 on"):
        due_refits(history, ["2021-05"])


def test_forecasts_of_a_month_are_by_both_models_in_turn(home: Path) -> None:
    with open_history(of_home()) as history:
        stored = history.stores.lake.read_months(small.NAME, "forecasts", ["2021-06"])
        switch = history.axis.get_loc(pd.Timestamp("2021-06-30"))
        first, second = (due.address(of_home()) for due in due_folds(history, ["2021-06"]))
        assert history.axis[switch] == pd.Timestamp("2021-06-30")
    by = stored.groupby("session")["model_id"].unique().map(list)
    assert by[by.index < "2021-06-30"].map(lambda ids: ids == [first]).all()
    assert by["2021-06-30"] == [second]
    assert np.isfinite(stored["probability"]).all()


def test_a_refit_that_is_not_taken_leaves_the_model_before_it_in_force(
    studied_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where an earlier run had taken it: nothing is decided yet, and the month is another now."""
    home = tmp_path / "home"
    shutil.copytree(studied_home, home)
    check = training.check_refresh

    def refusing(candidate: FoldModel, *arguments: object) -> RefreshCheck:
        within = candidate.fold.month == "2021-07"
        return RefreshCheck(accepted=False, reason="refused here") if within else check(candidate, *arguments)

    with living_in(home):
        with open_history(of_home()) as history:
            before = models_in_force(history.stores.ledger, of_home()).by_month["2021-07"]
        monkeypatch.setattr(training, "check_refresh", refusing)
        homes.train(of_home(), ["2021-07"])
        with open_history(of_home()) as history:
            rows = history.stores.ledger.read("models", small.NAME)
            after = models_in_force(history.stores.ledger, of_home()).by_month["2021-07"]
    assert len(before) == 2
    assert after == before[:1]
    (figures,) = rows.loc[(rows["month"] == "2021-07") & (rows["model_id"] == after[0][1]), "figures"]
    assert figures["refits"] == ["2021-06-30", "2021-07-30"]


@pytest.mark.full
@pytest.mark.parametrize("late", [False, True])
def test_a_refit_takes_force_on_its_day_and_if_late_after_the_sessions_decided_meanwhile(
    studied_home: Path, tmp_path: Path, late: bool
) -> None:
    home = tmp_path / "home"
    shutil.copytree(studied_home, home)

    def until(last: str) -> None:
        small.write(home, market={**small.MARKET, "history_ends": last, "live_starts": "2021-09-25"})
        homes.take_in(of_home())

    with living_in(home), nothing_drawn():
        until("2021-09-26")
        homes.train(of_home(), ["2021-09"])
        homes.decide(of_home(), list(pd.date_range("2021-09-25", "2021-09-26")))
        until("2021-09-29" if late else "2021-09-27")
        homes.decide(of_home(), list(pd.date_range("2021-09-27", "2021-09-29" if late else "2021-09-27")))
        with open_history(of_home()) as history:
            old = models_in_force(history.stores.ledger, of_home()).on(pd.Timestamp("2021-09-27"))
        homes.train(of_home(), ["2021-09"])
        with open_history(of_home()) as history:
            after = models_in_force(history.stores.ledger, of_home())
            (_, refit) = due_folds(history, ["2021-09"])
            new = refit.address(of_home())
        until("2021-09-30")
        decided = homes.decide(of_home(), list(pd.date_range("2021-09-30" if late else "2021-09-28", "2021-09-30")))
    since = pd.Timestamp("2021-09-30" if late else "2021-09-28")
    assert [after.on(day) for day in pd.date_range("2021-09-01", since)] == [old] * (since.day - 1) + [new]
    assert len(decided) == (1 if late else 3)
