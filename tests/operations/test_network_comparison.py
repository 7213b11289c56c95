"""Networks compared in a home: on the folds of its strategy, counted as trials, and nothing of it takes force."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.errors import SettingsError
from nn_assets.evaluation.study import Terms, run_study
from nn_assets.evaluation.trials import trial_hash
from nn_assets.learning import model
from nn_assets.learning.networks import NETWORKS
from nn_assets.learning.networks.candlestick import CANDLE_FEATURES
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations import compared_books, network_comparison
from nn_assets.operations import study as studies
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.compared_books import books_of
from nn_assets.operations.history import History, open_history
from nn_assets.operations.models.preparation import due_folds, fold_data
from nn_assets.operations.network_comparison import (
    SIMPLE,
    NetworksCompared,
    compare_networks,
    contestants,
    facts_of,
    quick,
    simple_of,
    write_comparison_page,
)
from nn_assets.operations.pages import caveats_of
from nn_assets.settings import Strategy
from nn_assets.settings.beside_signals import NoveltySettings
from nn_assets.settings.search import SearchSettings
from tests.operations.homes import months_between
from tests.operations.test_as_known import FIRST_MONTH, LAST_MONTH, strategy


def test_contestants_differ_by_their_network_alone_and_the_first_holds_the_simple_ones() -> None:
    of = find_strategy("planted_edge").strategy
    made = contestants(of)
    assert tuple(made) == tuple(NETWORKS)
    assert made["candlestick"].learning.network_settings == {"image": "table"}  # its features are no candles
    names = [tuple(one.learning.baselines) for one in made.values()]
    assert names == [SIMPLE, *[("linear",)] * (len(made) - 1)]  # of a residual network, what it begins as
    same = [one.learning.model_dump(exclude={"network", "network_settings", "baselines"}) for one in made.values()]
    assert all(one == same[0] for one in same)
    assert len({trial_hash(one) for one in made.values()}) == len(made)  # a trial each
    simple = {name: {trial_hash(one, name) for one in made.values()} for name in SIMPLE}
    assert all(len(trials) == 1 for trials in simple.values())  # and the simple ones one each, whatever is beside them
    names = of.features.model_copy(update={"names": ("close_location", "rsi_14")})
    assert simple_of(of.model_copy(update={"features": names})) == ("linear", "boosting")
    small = quick(of)
    assert (small.learning.ensemble, small.learning.residual, small.walk_forward.refit_every_months) == (3, False, 12)
    assert small.learning.batch_size == of.learning.batch_size
    with pytest.raises(SettingsError, match=r"learning\.network"):
        contestants(of, ["perceptron_of_nobody"])


def _asking_for_more(of: Strategy) -> Strategy:
    portfolio = of.portfolio.model_copy(update={"volatility": "network"})
    return of.model_copy(update={"portfolio": portfolio, "novelty": NoveltySettings()})


def test_no_contestant_fits_an_ensemble_of_volatility_or_scores_of_novelty() -> None:
    of = find_strategy("planted_edge").strategy
    made = contestants(_asking_for_more(of), ["mlp"])["mlp"]
    assert (made.portfolio.volatility, made.novelty) == ("ewma", None)
    assert made == contestants(of, ["mlp"])["mlp"]  # so that its models are shared with a strategy without either


@pytest.mark.parametrize(("until", "first"), [(None, "2016-05-02"), ("2016-06-15", "2016-06-16")])
def test_no_session_that_a_choice_over_all_folds_has_seen_counts(until: str | None, first: str) -> None:
    axis = sessions_between("XNYS", "2016-01-04", "2016-08-31")
    prior = {} if until is None else {"prior": "chosen_over_all_folds", "knows_until": until}
    of = find_strategy("planted_edge").strategy
    of = of.model_copy(update={"learning": of.learning.model_copy(update=prior)})
    history = SimpleNamespace(axis=axis, strategy=of, stores=SimpleNamespace(ledger=None))
    rows = network_comparison._rows(history, ["2016-05", "2016-06"])  # type: ignore[arg-type]
    assert list(axis[rows]) == list(axis[axis >= first])


def test_every_caveat_of_the_strategy_is_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    sheets: list[dict[str, Any]] = []
    monkeypatch.setattr(network_comparison, "comparison_page", lambda drawn: sheets.extend(drawn) or "")
    monkeypatch.setattr(network_comparison, "write_page", lambda name, _: Path(name))
    small = quick(find_strategy("planted_edge").strategy)
    comparison: Any = None
    write_comparison_page([NetworksCompared(small, comparison, 1, ("2017-01", "2017-02"), {}, 0)], "any-networks.html")
    assert sum("3 members, fewer than 5" in caveat for caveat in sheets[0]["caveats"]) == 1
    assert sheets[0]["caveats"] == caveats_of(small)


def test_page_and_terminal_say_that_the_chart_reader_reads_a_table() -> None:
    of, comparison = quick(find_strategy("planted_edge").strategy), None
    reads = contestants(of, ["mlp", "candlestick"])
    table = [network_comparison.reads_table(one) for one in reads.values()]
    assert table == [False, True]
    candles = of.features.model_copy(update={"names": CANDLE_FEATURES, "select": False})
    drawn = contestants(of.model_copy(update={"features": candles}), ["candlestick"])["candlestick"]
    assert not network_comparison.reads_table(drawn)
    for said in (False, True):
        compared = NetworksCompared(of, comparison, 1, ("2017-01", "2017-02"), {}, 0, reads_table=said)  # type: ignore[arg-type]
        facts = dict(facts_of(compared))
        assert ("table of the strategy's features" in facts.get("Candlestick", "")) is said


def _begins_warm(home: Path) -> None:
    file = home / "strategies" / "known.yaml"
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["learning"]["warm_start"] = True
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")


def test_a_contestant_is_fitted_cold_under_the_address_that_is_looked_for(own_home: Path) -> None:
    _begins_warm(own_home)
    cold = contestants(strategy(), ["mlp"])["mlp"]
    with open_history(strategy()) as history:
        _, due, *_ = due_folds(history, months_between(FIRST_MONTH, LAST_MONTH))
    assert due.parent
    data = fold_data(replace(due, strategy=cold))
    assert data.parent_id == ""
    assert model._cut(data, cold).model_id == due.address(cold)
    assert fold_data(due).parent_id == due.parent  # of the strategy itself


@pytest.mark.full
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_a_home_is_compared_twice_to_the_same_figures_and_only_trials_are_added(own_home: Path, warm: bool) -> None:
    if warm:
        _begins_warm(own_home)
    with open_history(strategy()) as history:
        ledger = history.stores.ledger
        before = models_in_force(ledger, strategy()).by_month, history.stores.lake.months("known", FORECASTS)
        trials, heard = set(ledger.read("trials", "known")["trial_id"]), list[str]()
        made = compare_networks(history, ["rnn", "mlp"], "test", heard.append)
        tried = set(ledger.read("trials", "known")["trial_id"]) - trials
        assert (models_in_force(ledger, strategy()).by_month, history.stores.lake.months("known", FORECASTS)) == before
    # mlp, linear and boosting were tried before, by the strategy itself
    assert tried == {trial_hash(contestants(strategy(), ["rnn"])["rnn"], name) for name in ("network", "momentum")}
    assert made.trials == 2
    assert [one.name for one in made.comparison.contestants] == ["rnn", "mlp", *SIMPLE]
    assert made.comparison.sessions > 60
    assert all(np.isfinite(one.estimate) and len(one.of_members) == 2 for one in made.comparison.contestants)
    assert heard[0].endswith("8 of them to be fitted")
    assert set(made.books) == {"rnn", "mlp", *SIMPLE}
    assert all(one.sharpe_net is not None and len(one.of_members) == 2 for one in made.books.values())
    # of one that searches, the configuration that its file states is compared: no choice is asked for, nothing changes
    space = {"learning.lookback": {"choices": [3, 5]}, "learning.network": {"choices": ["mlp", "gru"]}}
    searching = strategy().model_copy(update={"search": SearchSettings.model_validate({"trials": 4, "space": space})})
    with open_history(searching) as history:
        again = compare_networks(history, ["rnn", "mlp"], "test", heard.append)
    assert "8 models for rnn, mlp, 0 of them to be fitted" in heard
    assert again.trials == 0
    assert [one.test for one in again.comparison.contestants] == [one.test for one in made.comparison.contestants]
    page = write_comparison_page([again], "known-networks.html").read_text(encoding="utf-8")
    assert again.comparison.verdict[1:] in page
    with open_history(_asking_for_more(strategy())) as history:
        beside = compare_networks(history, ["rnn", "mlp"], "test", heard.append)
    assert heard.count("8 models for rnn, mlp, 0 of them to be fitted") == 2  # no ensemble and no score was missing
    assert beside.trials == len(made.comparison.contestants)  # of another book, so other trials than those before
    assert again.searched
    assert not made.searched
    assert "every contestant has the configuration that the file states" in page
    assert again.books == made.books
    assert f"<td>{made.books['mlp'].sharpe_net:.2f}".replace("-", "\N{MINUS SIGN}") in page


@pytest.mark.full
def test_a_contestants_book_is_the_one_that_a_study_of_the_same_forecasts_replays(own_home: Path) -> None:
    """Two members as far apart as the study's ensemble disagreed; where no drift is watched."""
    months = months_between(FIRST_MONTH, LAST_MONTH)
    with open_history(strategy()) as history:
        material = studies.material_until(history, LAST_MONTH)
        unwatched = replace(material, known=lambda: (replace(one, references={}) for one in material.known()))
        played = run_study(strategy(), history.sessions_per_year, unwatched, Terms(trials=1)).figures.total
        names = ("network", "linear", "boosting")
        arrays = {name: (material.forecasts[name].probability, material.forecasts[name].dispersion) for name in names}
        members = {
            name: np.stack([mean + spread / np.sqrt(2.0), mean - spread / np.sqrt(2.0)])
            for name, (mean, spread) in arrays.items()
        }
        makers = {name: (name, material.model_by_row) for name in names}
        books = books_of(history, months, members, makers, lambda _: None, alone=False)
    for name in names:
        assert played[name].sharpe_net is not None
        assert books[name].sharpe_net == pytest.approx(played[name].sharpe_net, rel=1e-6), name
        assert books[name].sharpe_gross == pytest.approx(played[name].sharpe_gross, rel=1e-6), name
        assert books[name].of_members == ()


def _seen_until(of: Strategy, day: str) -> Strategy:
    """The strategy with hyper-parameters that are one choice over all folds until a day."""
    chosen = {"prior": "chosen_over_all_folds", "knows_until": pd.Timestamp(day).date()}
    return of.model_copy(update={"learning": of.learning.model_copy(update=chosen)})


@pytest.mark.full
def test_books_count_the_sessions_that_a_study_counts_where_a_choice_has_seen_some(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, counted = _seen_until(strategy(), "2016-07-15"), []
    monkeypatch.setattr(
        compared_books,
        "run_study",
        lambda *args, **named: counted.append(run_study(*args, **named)) or counted[-1],
    )
    with open_history(strategy()) as history:
        material = studies._material(history, LAST_MONTH)
        forecasts = {"linear": material.forecasts["linear"].probability[None]}
        chosen = History.of(history.stores, seen)
        books = books_of(
            chosen,
            months_between(FIRST_MONTH, LAST_MONTH),
            forecasts,
            {"linear": ("linear", material.model_by_row)},
            lambda _: None,
            alone=False,
        )
    (study,) = counted
    figures = study.figures.total["network"]
    after = np.asarray(study.track.sessions > pd.Timestamp("2016-07-15"))
    assert figures.return_sessions == np.isfinite(study.track.tracks["network"].net[after]).sum() > 20
    assert books["linear"].sharpe_net == figures.sharpe_net


def test_a_book_is_measured_by_the_terms_of_a_study_on_what_a_choice_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    axis, asked = sessions_between("XNYS", "2016-01-04", "2016-01-29"), []
    figures = SimpleNamespace(total={"network": SimpleNamespace(return_sessions=0)})
    monkeypatch.setattr(
        compared_books, "run_study", lambda *args, **_: asked.append(args[3]) or SimpleNamespace(figures=figures)
    )
    monkeypatch.setattr(compared_books, "calibrate_forecasts", lambda _, record, __: record)
    monkeypatch.setattr(compared_books, "material_of", lambda *_, **__: None)
    history = SimpleNamespace(axis=axis, symbols=("A",), sessions_per_year=252, stores=SimpleNamespace(ledger=None))
    plain = find_strategy("planted_edge").strategy
    for of, until in ((plain, None), (_seen_until(plain, "2016-01-15"), pd.Timestamp("2016-01-15 23:59:59.999999999"))):
        history.strategy = of
        members = np.full((2, len(axis), 1), 0.5)
        compared_books._figures(history, ["2016-01"], "mlp", [None] * len(axis), members, None)  # type: ignore[arg-type]
        assert asked.pop() == Terms(trials=1, in_sample_until=until)


def test_a_label_without_direction_has_no_book_and_says_so() -> None:
    history = SimpleNamespace(strategy=SimpleNamespace(of_no_direction=True))
    books = books_of(history, [], {"mlp": np.zeros((1, 2, 2))}, {}, print)  # type: ignore[arg-type]
    assert books["mlp"].why.startswith("no book: a volatility has no direction")
