"""A strategy that searches its hyper-parameters: what is on record, what is fitted by it, and what counts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli.search import run_search
from nn_assets.errors import ModelError, SettingsError
from nn_assets.estimators import TRADED
from nn_assets.learning.fold_model import FoldModel
from nn_assets.learning.model import FoldData, fit_without
from nn_assets.operations import session_page, shift
from nn_assets.operations.asof.choices import (
    CHOICE,
    NESTED,
    as_fitted,
    choices_on_record,
    in_sample_until,
    search_text,
    with_choice,
)
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.asof.trials import ground_of, trials_made
from nn_assets.operations.history import History, open_history
from nn_assets.operations.models.calibration import calibrate_forecasts, calibration_of
from nn_assets.operations.models.forecasts import forecasts_of_months
from nn_assets.operations.models.preparation import due_folds
from nn_assets.operations.models.stored import load_model
from nn_assets.operations.search import choosing, judging
from nn_assets.operations.search.choosing import search_months
from nn_assets.operations.session_page import _missing_notices
from nn_assets.orchestration.build import all_definitions
from nn_assets.session.missing_bars import sessions_read
from nn_assets.settings import Strategy
from tests.contracts.wings import WingContract
from tests.operations import homes
from tests.orchestration.conftest import NAME, living_in, run_assets, strategy_of, write_strategy

SEARCH: dict[str, object] = {
    "trials": 3,
    "every_months": 3,
    "folds": 1,
    "space": {"learning.lookback": {"choices": [2, 4]}, "learning.hidden": {"low": 4, "high": 6}},
}
MONTHS = ["2017-01", "2017-02"]


@pytest.fixture(scope="module")
def searched(studied_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The studied home, whose strategy searches from now on, after its first search."""
    home = Path(shutil.copytree(studied_home, tmp_path_factory.mktemp("searched") / "home"))
    write_strategy(home, search=SEARCH)
    with living_in(home), open_history(strategy_of()) as history:
        search_months(history, MONTHS, "run", lambda _: None)
    return home


class _Known:
    """A judge that fits nothing."""

    def __init__(self, steps: int, *, finite: bool = True) -> None:
        self.steps, self.finite = steps, finite

    def __call__(self, trials: Mapping[int, object], step: int) -> dict[int, float | None]:
        return dict.fromkeys(trials, step + 1.0 if self.finite else None)


def _counted(history: History) -> set[str]:
    data = history.covering(history.last_session).content_hash
    ground = ground_of(NAME, data, history.view().bars)
    return set(trials_made(history.stores.ledger, ground)["trial_id"])


def test_trials_of_another_code_are_another_study_of_the_journal(
    searched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def opened(_: Path, name: str, *__: object) -> None:
        names.append(name)
        raise KeyboardInterrupt

    monkeypatch.setattr(choosing, "TrialFile", opened)
    with living_in(searched), open_history(strategy_of()) as history:
        for code in ("one", "two"):
            monkeypatch.setattr(choosing, "version_of", lambda _, code=code: code)
            with pytest.raises(KeyboardInterrupt):
                choosing._Search(history, MONTHS[0], "run", lambda _: None).choice()
    assert len(set(names)) == 2


def test_a_strategy_that_searches_has_one_more_asset_and_job_and_others_have_not(
    searched: Path, studied_home: Path
) -> None:
    graphs, jobs = [], []
    for home in (studied_home, searched):
        with living_in(home):
            definitions = all_definitions(only=NAME)
        nodes = definitions.resolve_asset_graph().asset_nodes
        graphs.append({asset.key.path[-1]: asset.parent_keys for asset in nodes})
        jobs.append({job.name for job in definitions.jobs or ()})
    assert set(graphs[1]) - set(graphs[0]) == {"hyperparameters"}
    changed = {name for name in graphs[0] if graphs[0][name] != graphs[1][name]}
    assert changed == {"stationarity"}
    assert {key.path[-1] for key in graphs[1]["stationarity"]} == {"features", "hyperparameters"}
    assert jobs[1] - jobs[0] == {f"{NAME}__search"}


def test_every_trial_and_the_choice_are_on_the_ledger_with_what_they_saw_and_none_counts(searched: Path) -> None:
    with living_in(searched), open_history(strategy_of()) as history:
        ledger = history.stores.ledger
        rows = ledger.read("trials", NAME)
        trials = rows[rows["trial_id"].str.startswith(NESTED)]
        assert sorted(row["number"] for row in trials["configuration"]) == [0, 1, 2]
        assert all(row["seeds"] == [7] and row["month"] == "2017-01" for row in trials["configuration"])
        assert {figures["saw_until"] for figures in trials["figures"]} == {"2016-12-30"}
        assert rows["trial_id"].str.startswith(CHOICE).sum() == 1
        choice = choices_on_record(ledger, strategy_of())["2017-01"]
        finite = [figures["net_sharpe"] for figures in trials["figures"] if figures["state"] == "complete"]
        assert choice.value == max(finite)
        so_far = [figures["net_sharpe_so_far"] for figures in trials["figures"] if figures["state"] == "complete"]
        assert [values[-1] for values in so_far] == finite  # over all folds, as each before is over those until then
        assert (choice.finished, choice.saw_until) == (3, "2016-12-30")
        assert len(_counted(history)) == 3  # the network, the linear model and boosting, as its study counted them
        text = search_text(ledger, strategy_of())
        assert text is not None
        assert text.startswith("3 of 3 trials in 1 search")
        assert in_sample_until(ledger, strategy_of()) is None


def test_a_choice_on_record_stays_as_long_as_it_saw_what_would_be_seen_now(searched: Path) -> None:
    lines: list[str] = []
    with living_in(searched), open_history(strategy_of()) as history:
        search_months(history, MONTHS, "again", lines.append)
    assert lines == []


def test_a_month_without_a_choice_names_the_command_that_makes_it(searched: Path) -> None:
    remedy = "nn-assets search --strategy tiny --from 2017-04 --to 2017-04"
    with living_in(searched), open_history(strategy_of()) as history, pytest.raises(ModelError, match=remedy):
        list(due_folds(history, ["2017-05"]))


@pytest.fixture(scope="module")
def trained(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The searched home, with the models and forecasts of its months."""
    home = Path(shutil.copytree(searched, tmp_path_factory.mktemp("trained") / "home"))
    with living_in(home):
        homes.train(strategy_of(), MONTHS)
    return home


def test_models_are_fitted_with_the_choice_in_force(trained: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    with living_in(home), open_history(strategy_of()) as history:
        ledger = history.stores.ledger
        chosen = with_choice(ledger, strategy_of(), "2017-01")
        own_hash = strategy_of().content_hash()
        (in_force,) = models_in_force(ledger, strategy_of()).by_month["2017-01"]
        model = load_model(history.stores, in_force[1])
    assert (model.lookback, model.estimators.settings.hidden) == (chosen.learning.lookback, chosen.learning.hidden)
    assert model.lookback in (2, 4)  # the file states 5
    as_chosen = {"lookback": model.lookback, "hidden": model.estimators.settings.hidden}
    write_strategy(home, learning=as_chosen)
    with living_in(home), open_history(strategy_of()) as history:
        (due,) = due_folds(history, ["2017-01"])
        assert due.address(strategy_of()) == model.model_id  # what a file that states the choice would give
    assert model.estimators.settings.ensemble == 2
    assert chosen.content_hash() != own_hash


def test_no_calibration_reads_a_row_that_the_choice_of_its_model_was_made_on(trained: Path, tmp_path: Path) -> None:
    """The slices that a search judges end where its month begins: what is held out of its first model is among them."""
    with living_in(trained), open_history(strategy_of()) as history:
        first, second = (int(history.axis.searchsorted(pd.Timestamp(month))) for month in MONTHS)
        made = calibrate_forecasts(history, forecasts_of_months(history, MONTHS), [TRADED])
        before, after = (calibration_of(history, made.rows(slice(row + 1)), TRADED) for row in (first, second))
        (choice,) = choices_on_record(history.stores.ledger, strategy_of()).values()
        known = history.cut_for(history.axis[second - 1]).labels.until(second - 1).targets[first:second]
    assert choice.saw_until >= str(history.axis[first - 1].date())
    assert (before.outcomes, before.slope, before.usual_dispersion) == (0, 0.0, None)
    calibrated = made[TRADED].calibrated[first:second]
    np.testing.assert_array_equal(calibrated[np.isfinite(calibrated)], before.base_rate)
    raw = made[TRADED].probability[first:second]
    assert after.outcomes == (np.isfinite(raw) & np.isfinite(known)).sum() > 0  # by a choice that had not seen them
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    write_strategy(home, learning={"lookback": 4})  # without a search, what its first model was held out on counts
    with living_in(home):
        homes.train(strategy_of(), MONTHS[:1])
        with open_history(strategy_of()) as history:
            record = forecasts_of_months(history, MONTHS[:1])
            assert calibration_of(history, record.rows(slice(first + 1)), TRADED).outcomes > 0


def test_a_shift_test_fits_what_the_search_chose(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[tuple[FoldModel, FoldData]] = []

    def taken(
        _: Strategy, used: list[tuple[FoldModel, slice]], data: Callable[[FoldModel], FoldData], *__: object
    ) -> None:
        fits.extend((model, data(model)) for model, _ in used)

    monkeypatch.setattr(shift, "fits_without", taken)
    with living_in(trained), open_history(strategy_of()) as history:
        strategy = history.strategy
        shift.leave_regimes_out(history, MONTHS[:1], lambda _: None)
        ((model, data),) = fits
        again = fit_without(data, strategy, np.zeros(data.cube.session_count, dtype=np.bool_))
    assert model.lookback != strategy.learning.lookback
    assert again.lookback == model.lookback
    for ours, theirs in zip(again.estimators.members["linear"], model.estimators.members["linear"], strict=True):
        np.testing.assert_array_equal(ours.coefficients, theirs.coefficients)  # nothing left out: the same model


def test_the_bars_that_a_page_says_a_signal_reads_are_those_of_the_choice(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with living_in(trained), open_history(strategy_of()) as history:
        ledger = history.stores.ledger
        chosen = with_choice(ledger, strategy_of(), "2017-01")
        for day in ("2017-01-10", "2017-02-21"):
            assert as_fitted(ledger, strategy_of(), pd.Timestamp(day)) == chosen
        assert as_fitted(ledger, strategy_of(), pd.Timestamp("2017-05-10")) == strategy_of()  # nothing is chosen yet
        view = history.view(pd.Timestamp("2017-02-21"))
        # where windows step over missing bars, so short a lookback is lost in what they may step over
        monkeypatch.setattr(
            session_page, "sessions_read", lambda names, lookback, _: sessions_read(names, lookback, 0.0)
        )
        reach = sessions_read(view.cube.names, chosen.learning.lookback, 0.0)
        assert sessions_read(view.cube.names, strategy_of().learning.lookback, 0.0) > reach
        close = np.array(view.panel.close)
        signals = SimpleNamespace(calibrated_probability=np.where(np.arange(len(view.symbols)) == 0, np.nan, 0.5))
        seen = SimpleNamespace(
            **{name: getattr(view, name) for name in ("cube", "members", "symbols", "halted")},
            panel=SimpleNamespace(close=close),
        )
        asked: Any = SimpleNamespace(view=lambda _: seen, strategy=strategy_of(), stores=history.stores)
        done: Any = SimpleNamespace(session=view.session, signals=signals)
        close[-reach - 1, 0] = np.nan  # which the lookback of the file would reach
        assert _missing_notices(asked, done) == []
        close[-reach, 0] = np.nan
        (notice,) = _missing_notices(asked, done)
    assert f"within the {reach} sessions" in notice


def test_a_search_made_again_is_counted_beside_that_whose_choice_is_in_force(
    searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every trial on the ledger is in the sentence: those on other data, under other settings, and of one under way."""
    home = Path(shutil.copytree(searched, tmp_path / "home"))
    monkeypatch.setattr(choosing, "FoldJudge", lambda evidence, _: _Known(len(evidence.folds)))
    texts = []
    with living_in(home), open_history(strategy_of()) as history:
        monkeypatch.setattr(judging.Evidence, "address", property(lambda _: "f" * 16))  # as after restated bars
        search_months(history, MONTHS, "again", lambda _: None)
        texts.append(search_text(history.stores.ledger, strategy_of()))
    write_strategy(home, search={**SEARCH, "trials": 2})
    with living_in(home), open_history(strategy_of()) as history:
        texts.append(search_text(history.stores.ledger, strategy_of()))
        search_months(history, MONTHS, "fewer", lambda _: None)
        texts.append(search_text(history.stores.ledger, strategy_of()))
        monkeypatch.setattr(choosing._Search, "_chosen", _killed)
        with pytest.raises(KeyboardInterrupt):
            search_months(history, ["2017-04"], "killed", lambda _: None)
        texts.append(search_text(history.stores.ledger, strategy_of()))
        rows = history.stores.ledger.read("trials", NAME)
    begun = [str(text).split(";")[0].split(", no")[0] for text in texts]
    assert begun == [
        "3 of 3 trials in 1 search and 3 in 1 search made before on other data or settings",
        "0 of 2 trials and 6 in 2 searches made before on other data or settings",
        "2 of 2 trials in 1 search and 6 in 2 searches made before on other data or settings",
        "2 of 2 trials in 1 search, 2 in one under way and 6 in 2 searches made before on other data or settings",
    ]
    assert rows["trial_id"].str.startswith(NESTED).sum() == 10


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_one_choice_over_all_folds_marks_the_record_up_to_what_it_has_seen_and_its_trials_count(
    searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "FoldJudge", lambda evidence, _: _Known(len(evidence.folds)))
    home = Path(shutil.copytree(searched, tmp_path / "home"))
    write_strategy(home, search={**SEARCH, "trials": 2, "scope": "all_folds"})
    with living_in(home), open_history(strategy_of()) as history:
        before = _counted(history)
        (choice,) = search_months(history, ["2017-01", "2017-05"], "run", lambda _: None)
        ledger = history.stores.ledger
        assert (choice.since, choice.value) == ("2017-01", 7.0)  # its figure over all of seven folds
        assert choice.saw_until == "2017-06-30"
        assert in_sample_until(ledger, strategy_of()) == pd.Timestamp("2017-06-30")
        assert len(_counted(history) - before) == 2
        text = search_text(ledger, strategy_of())
        assert text is not None
        assert "one choice over all folds: in-sample up to 2017-06-30" in text


def test_where_no_trial_has_a_figure_the_own_configuration_stays_in_force_and_every_reader_is_told(
    searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "FoldJudge", lambda evidence, _: _Known(len(evidence.folds), finite=False))
    home = Path(shutil.copytree(searched, tmp_path / "home"))
    write_strategy(home, search={**SEARCH, "seed": 8})
    lines: list[str] = []
    with living_in(home), open_history(strategy_of()) as history:
        (choice,) = search_months(history, MONTHS, "run", lines.append)
        assert (choice.value, dict(choice.parameters), choice.failed) == (None, {}, 3)
        assert with_choice(history.stores.ledger, strategy_of(), "2017-02") == strategy_of()
        text = search_text(history.stores.ledger, strategy_of())
    assert text is not None
    for line in (text, lines[-1]):
        assert "the strategy's own configuration stays: " in line
        assert "none among 3" in line


def test_a_strategy_that_states_no_search_is_told_what_to_state(studied_home: Path) -> None:
    with living_in(studied_home), pytest.raises(SettingsError, match=r"state search\.trials and search\.space"):
        run_search(NAME, None, None)


@pytest.mark.full
class TestSearchWing(WingContract):
    """The search was made as the home was; its asset takes it over."""

    name = "search"

    @pytest.fixture
    def home(self, searched: Path) -> Iterator[Path]:
        with living_in(searched):
            assert run_assets(
                strategy_of(), "search", ("hyperparameters",), f"{MONTHS[0]}-01", f"{MONTHS[-1]}-01"
            ).success
            yield searched
