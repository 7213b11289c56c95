"""The bundled example on five-minute bars of two pairs against Bitcoin, from an exchange's files to a verdict.

The data are real and twenty days long: nobody knows whether there is an edge in them, and none is claimed. Known is
what a study may say of so little, what it may not read, and what its book may hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.cli.check import check_data
from nn_assets.errors import ShortFoldError
from nn_assets.evaluation.figure_set import Figures
from nn_assets.evaluation.study import judge_months
from nn_assets.operations import compared_books, network_comparison
from nn_assets.operations import study as studies
from nn_assets.operations.asof.trials import ground_of
from nn_assets.operations.catalog import find_strategy, with_example
from nn_assets.operations.compared_books import books_of
from nn_assets.operations.history import open_history
from nn_assets.operations.next_command import history_too_short
from nn_assets.operations.study import StudyResult
from nn_assets.operations.study_page import keep_study, study_plots, write_study_page
from nn_assets.settings import Strategy
from tests.operations.homes import study
from tests.operations.within_the_session import take_in_all
from tests.orchestration.conftest import living_in
from tests.shared_homes import nothing_drawn

NAME, MONTH = "crypto_5m", "2018-01"
PAIRS = ("ADA_BTC", "ETH_BTC")
CUT = pd.Timestamp("2018-01-28")  # the last two days of the history are left out, or are garbage
SMALL: dict[str, dict[str, Any]] = {
    "features": {"names": ["log_return_1", "close_location", "volume_z_20"]},
    "learning": {"ensemble": 1, "maximum_epochs": 2, "lookback": 4, "processes": 1},
    "walk_forward": {"refit_every_days": 5, "minimum_training_rows": 200},
}


CHEAP = {"half_spread_bps": 0.01, "commission_bps": 0.01}  # so that there are decisions to compare


@pytest.fixture(scope="module")
def crypto_data(shared_data: Path) -> Path:
    folder = shared_data / "crypto_freqtrade"
    if not folder.is_dir():
        pytest.skip(f"no crypto data at {folder}")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with living_in(tmp_path):
        yield tmp_path


def example(home: Path, data: Path, *, every_bars: int = 1, **sections: dict[str, Any]) -> Strategy:
    """The example in a home, with other values for some keys; its data are read where they are."""
    with_example(NAME)
    file = home / "strategies" / f"{NAME}.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["intraday"]["decisions"]["every_bars"] = every_bars
    for section, values in sections.items():
        settings[section] |= values
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    (home / "strategies" / "crypto_freqtrade").symlink_to(data)
    return find_strategy(NAME).strategy


def studied(home: Path, data: Path, **changes: Any) -> StudyResult:
    """A study of the example at small sizes and next to no costs, deciding every half hour."""
    with living_in(home), nothing_drawn():
        strategy = example(home, data, every_bars=6, **{**SMALL, "costs": CHEAP, **changes})
        take_in_all(strategy)
        return study(strategy, [MONTH])


@pytest.fixture(scope="module")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="module")
def small(crypto_data: Path, small_home: Path) -> StudyResult:
    return studied(small_home, crypto_data)


def test_the_example_is_studied_on_few_decisions_of_the_real_bars(small: StudyResult) -> None:
    assert small.metadata["horizon"] == "2 hours: 4 bars"
    # Warm-up (thirty hours) and parts (nine days) take eleven days; the grid of five gives fifteen, from the 11th on.
    rounds = small.study.replays["network"].rounds
    assert [play.session for play in rounds] == list(pd.date_range("2018-01-26", "2018-01-29 23:30", freq="30min"))
    assert small.last.month == MONTH
    assert small.last.verdict.phrase.startswith("cannot tell")
    assert not small.last.verdict.allows_trading
    by_row = small.material.model_by_row
    assert not any(by_row[: len(by_row) - len(rounds)])  # the month's sessions before the first refit have no model


@pytest.mark.parametrize(
    ("until", "counted"),
    [pytest.param(None, 192, marks=pytest.mark.full, id="nothing seen"), pytest.param("2018-01-27", 96, id="two days")],
)
def test_the_books_of_a_comparison_count_the_sessions_that_the_study_counts(
    small: StudyResult, small_home: Path, monkeypatch: pytest.MonkeyPatch, until: str | None, counted: int
) -> None:
    """Forty-eight decisions a day from the first refit on, of the days after what one choice over all has seen."""
    seen: list[Figures] = []
    figures_of = compared_books._figures

    def watched(*arguments: Any) -> Figures:
        seen.append(figures_of(*arguments))
        return seen[-1]

    monkeypatch.setattr(compared_books, "_figures", watched)
    prior = {} if until is None else {"prior": "chosen_over_all_folds", "knows_until": pd.Timestamp(until).date()}
    made = small.material.forecasts["network"].probability[None]
    with living_in(small_home):
        strategy = find_strategy(NAME).strategy
    strategy = strategy.model_copy(update={"learning": strategy.learning.model_copy(update=prior)})
    with living_in(small_home), open_history(strategy) as history:
        books = books_of(
            history, [MONTH], {"mlp": made}, {"mlp": ("network", small.material.model_by_row)}, print, alone=False
        )
        rows = network_comparison._rows(history, [MONTH])
        ground = ground_of(NAME, history.covering(history.last_session).content_hash, history.view().bars)
        (judged,) = judge_months(
            strategy, history.sessions_per_year, small.study, [MONTH], studies._terms(history, ground, [MONTH])
        )
    assert judged.figures.total["network"].return_sessions == counted
    assert (seen[0].return_sessions, int(rows.sum())) == (counted, counted)
    assert books["mlp"].sharpe_net == seen[0].sharpe_net


@pytest.mark.full
def test_a_network_without_simple_ones_beside_it_is_studied_and_its_page_says_so(crypto_data: Path, home: Path) -> None:
    result = studied(home, crypto_data, learning={**SMALL["learning"], "baselines": [], "residual": False})
    assert list(result.study.figures.total) == ["network", "buy_and_hold"]
    with open_history(find_strategy(NAME).strategy) as history:
        keep_study(history, result, study_plots(result))
        page = write_study_page(history).read_text(encoding="utf-8")
    assert "learning.baselines leaves out the linear model and boosting: a study does not judge the network" in page


def closes_of(data: Path) -> pd.DataFrame:
    """Closes by bar and pair, read by hand."""
    frames = {name: pd.read_feather(data / f"{name}-5m.feather").set_index("date")["close"] for name in PAIRS}
    return pd.DataFrame(frames).tz_localize(None)


@pytest.mark.full
def test_the_example_as_it_is_bundled_reaches_a_verdict_and_replays_every_bar(crypto_data: Path, home: Path) -> None:
    strategy = example(home, crypto_data)
    answer = check_data(NAME)
    assert "a horizon of 2 hours: 24 bars\n" in answer["text"]
    assert f"first model {MONTH}" in answer["text"]
    take_in_all(strategy)
    result = study(strategy, [MONTH])
    folds = {due for due in result.material.model_by_row if due}
    assert len(folds) >= 4  # refits of the 21st, 23rd, 25th, 27th and 29th; one that is no better is not taken
    assert all(2 * len(rows) >= 1000 for rows in result.material.training.values())
    rounds = result.study.replays["network"].rounds
    assert [play.session for play in rounds] == list(pd.date_range("2018-01-21", "2018-01-29 23:55", freq="5min"))
    assert result.metadata["horizon"] == "2 hours: 24 bars"
    assert result.last.month == MONTH
    assert result.last.verdict.phrase.split(":")[0] in {"cannot tell", "no edge found"}
    assert not result.last.verdict.allows_trading
    # Equity is in bitcoin: what was bought and sold at the closes of the files, less fees, on ten bitcoin.
    closes, traded = closes_of(crypto_data).ffill(), 0
    for name in ("network", "linear", "boosting"):
        cash, held = 10.0, np.zeros(len(PAIRS))
        for play in result.study.replays[name].rounds:
            for batch in play.fills:
                traded += len(batch.quantity)
                np.add.at(held, batch.symbol, batch.quantity)
                cash -= float(batch.quantity @ batch.price + batch.commission_usd.sum())
        worth = cash + float(held @ closes.loc[rounds[-1].session].to_numpy())
        final = result.study.replays[name].rounds[-1].state.equity_usd
        assert final == pytest.approx(worth, abs=10.0 * 0.05 * 9 / 365)  # what shorts paid to borrow, at most
    assert traded > 0
    with open_history(strategy) as history:
        keep_study(history, result, study_plots(result))
        page = write_study_page(history).read_text(encoding="utf-8")
    assert "2 hours: 24 bars" in page
    assert "24 sessions" not in page


def garbage(data: Path, folder: Path) -> Path:
    """The same files with nonsense from the cut on; prices half as high again and volumes tripled."""
    folder.mkdir()
    for name in PAIRS:
        bars = pd.read_feather(data / f"{name}-5m.feather")
        late = bars["date"] >= CUT.tz_localize("UTC")
        bars.loc[late, ["open", "high", "low", "close"]] *= 1.5
        bars.loc[late, "volume"] *= 3.0
        bars.to_feather(folder / f"{name}-5m.feather")
    return folder


@pytest.mark.full
def test_a_history_of_days_is_refused_before_its_first_refit_and_each_later_end_is_a_look_of_its_own(
    crypto_data: Path, home: Path
) -> None:
    strategy = example(home, crypto_data, every_bars=6, **{**SMALL, "market": {"history_ends": "2018-01-24"}})
    take_in_all(strategy)
    with open_history(strategy) as history:
        short = history_too_short(history)
    assert short is not None
    assert short.why.startswith("a first model can be used from 2018-01-26")
    assert short.command.startswith("bring bars from 2018-01-09 or earlier on")
    with pytest.raises(ShortFoldError, match="every session before the first refit, 2018-01-26; found history to 2018"):
        study(strategy, [MONTH])
    file, looks = home / "strategies" / f"{NAME}.yaml", []
    for ends in ("2018-01-28", "2018-01-29"):
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        settings["market"]["history_ends"] = ends
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        strategy = find_strategy(NAME).strategy
        take_in_all(strategy)
        with nothing_drawn():
            looks.append(study(strategy, [MONTH]).last.verdict.look)
            assert study(strategy, [MONTH]).last.verdict.look == looks[-1]  # again on the same bars
    assert looks == [1, 2]


def decisions_of(result: StudyResult) -> dict[str, np.ndarray]:
    """What was forecast, wanted and ordered before the cut, by estimator; models as well."""
    rows = np.flatnonzero(np.asarray(result.study.track.sessions < CUT))
    made: dict[str, np.ndarray] = {"models": np.array(result.material.model_by_row, dtype=object)[rows]}
    for name, replayed in result.study.replays.items():
        before = [play for play in replayed.rounds if play.session < CUT]
        made[f"{name} probability"] = result.material.forecasts[name].probability[rows]
        made[f"{name} calibrated"] = result.material.forecasts[name].calibrated[rows]
        made[f"{name} weights"] = np.array([play.decision.target_weight for play in before])
        made[f"{name} equity"] = np.array([play.state.equity_usd for play in before])
    return made


@pytest.mark.parametrize("change", ["cut", pytest.param("garbage", marks=pytest.mark.full)])
def test_no_decision_changes_where_the_last_two_days_are_cut_or_garbage(
    change: str, small: StudyResult, crypto_data: Path, tmp_path: Path
) -> None:
    if change == "cut":
        result = studied(tmp_path, crypto_data, market={"history_ends": "2018-01-27"})
        assert result.study.track.sessions[-1] < CUT
    else:
        result = studied(tmp_path, garbage(crypto_data, tmp_path / "garbage"))
    whole, other = decisions_of(small), decisions_of(result)
    assert len(whole["network weights"]) == 2 * 48
    assert all(
        np.isfinite(values).sum() == 2 * 2 * 48 for name, values in whole.items() if name.endswith("probability")
    )
    assert any(np.any(values) for name, values in whole.items() if name.endswith("weights"))
    for name, values in whole.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)
