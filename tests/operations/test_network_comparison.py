"""Networks compared in a home: on the folds of its strategy, counted as trials, and nothing of it takes force."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nn_assets.errors import SettingsError
from nn_assets.evaluation.trials import trial_hash
from nn_assets.learning.networks import NETWORKS
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations import network_comparison
from nn_assets.operations.asof.forecasts import FORECASTS
from nn_assets.operations.asof.models import models_in_force
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.network_comparison import (
    SIMPLE,
    compare_networks,
    contestants,
    quick,
    simple_of,
    write_comparison_page,
)
from tests.operations.test_as_known import strategy


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


@pytest.mark.parametrize(("until", "first"), [(None, "2016-05-02"), ("2016-06-15", "2016-06-16")])
def test_no_session_that_a_choice_over_all_folds_has_seen_counts(until: str | None, first: str) -> None:
    axis = sessions_between("XNYS", "2016-01-04", "2016-08-31")
    learning = SimpleNamespace(knows_until=until)
    history = SimpleNamespace(axis=axis, strategy=SimpleNamespace(learning=learning))
    rows = network_comparison._rows(history, ["2016-05", "2016-06"])  # type: ignore[arg-type]
    assert list(axis[rows]) == list(axis[axis >= first])


@pytest.mark.full
def test_a_home_is_compared_twice_to_the_same_figures_and_only_trials_are_added(own_home: Path) -> None:
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
    with open_history(strategy()) as history:
        again = compare_networks(history, ["rnn", "mlp"], "test", heard.append)
    assert "8 models for rnn, mlp, 0 of them to be fitted" in heard
    assert again.trials == 0
    assert [one.test for one in again.comparison.contestants] == [one.test for one in made.comparison.contestants]
    page = write_comparison_page([again], "known-networks.html").read_text(encoding="utf-8")
    assert again.comparison.verdict[1:] in page
