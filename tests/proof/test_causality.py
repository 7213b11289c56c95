"""The table of causality: clean on the code as it is, and each kind of leak shows in it where it should."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube
from nn_assets.evaluation import replay as replays
from nn_assets.features.catalogue import STANDARD
from nn_assets.market.facts.bars import known_bars
from nn_assets.market.facts.series import KnownSeries
from tests.proof import causality, whole_path
from tests.proof.results import Result
from tests.proof.whole_path import Facts, WholePath

CUT, LAST = pd.Timestamp("2016-05-18"), pd.Timestamp("2016-05-24")


@pytest.fixture(scope="module", autouse=True)
def _two_models() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_path, "REFITS", ("2016-01", "2016-04"))
        yield


@pytest.fixture(scope="module")
def plain() -> Facts:
    return whole_path.facts(1)


@pytest.fixture(scope="module")
def whole(plain: Facts) -> WholePath:
    return whole_path.whole_path(plain, plain.moment(plain.sessions[-1]), LAST)


@pytest.mark.parametrize("kind", [pytest.param("noise", marks=pytest.mark.full), "restated"])
def test_nothing_differs_and_everything_is_compared(plain: Facts, whole: WholePath, kind: str) -> None:
    figures = causality.against(whole, plain, CUT, kind, 1)
    assert figures["disturbed"] > 100
    assert causality.passes(figures["things"])
    named = set(figures["things"])
    assert {f"feature {name}" for name in whole.cube.names} <= named
    for part in ("label", "market", "regime", "model 2016-01", "forecast network", "signal", "position", "order"):
        assert any(name.startswith(part) for name in named), part
    assert set(whole.cube.names) == set(STANDARD)


def test_what_is_compared_is_no_row_of_zeros(whole: WholePath) -> None:
    there = whole.until(int(whole.cube.sessions.get_loc(CUT)))
    for construction in ("programme", "per_name"):
        targets = there[f"position target ({construction})"]
        assert (targets != 0.0).mean() > 0.1, construction
    assert len(np.unique(there["forecast network calibrated"][np.isfinite(there["forecast network calibrated"])])) > 20


def test_the_networks_of_bundled_strategies_are_those_that_ship() -> None:
    lstm, residual = (whole_path.strategy_of(network=name).learning for name in causality.BUNDLED)
    assert (lstm.network, lstm.lookback, lstm.hidden, lstm.layers, lstm.residual) == ("lstm", 10, 64, 2, False)
    assert (residual.network, residual.lookback, residual.hidden, residual.layers) == ("mlp", 10, 16, 1)
    assert residual.residual
    assert {panel.get("network") for panel in causality.panels()} == {None, *causality.BUNDLED}


def test_every_disturbance_leaves_the_past_and_touches_the_rest(plain: Facts) -> None:
    for kind in causality.DISTURBANCES:
        made, touched = causality.disturb(plain, CUT, kind, 1)
        assert touched > 100
        before = plain.bars[plain.bars["session"] <= CUT]
        if kind == "restated":
            known = known_bars(made.bars, plain.moment(CUT))
            assert len(made.bars) > len(plain.bars)
            assert len(known_bars(made.bars, plain.moment(plain.sessions[-1]))) == len(plain.bars)
            pd.testing.assert_frame_equal(
                known.sort_values(["symbol", "session"], ignore_index=True),
                before.sort_values(["symbol", "session"], ignore_index=True)[list(known)],
            )
        else:
            kept = made.bars[made.bars["session"] <= CUT]
            pd.testing.assert_frame_equal(kept.reset_index(drop=True), before.reset_index(drop=True))
            assert not made.bars.equals(plain.bars)
            observed = made.series[made.series["session"] <= CUT]
            of_past = plain.series[plain.series["session"] <= CUT]
            pd.testing.assert_frame_equal(observed.reset_index(drop=True), of_past.reset_index(drop=True))
        assert not made.series.equals(plain.series)


@contextmanager
def whole_frame_normalised() -> Iterator[None]:
    real = whole_path.compute_features

    def leaking(*arguments: object, **named: object) -> Cube:
        cube = real(*arguments, **named)  # type: ignore[arg-type]
        values = np.array(cube.values)
        values -= np.nanmean(values, axis=0)
        return Cube(cube.sessions, cube.symbols, cube.names, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_path, "compute_features", leaking)
        yield


@contextmanager
def newest_versions_read() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            whole_path, "known_bars", lambda versions, _: known_bars(versions, pd.Timestamp("2030-01-01", tz="UTC"))
        )
        yield


@contextmanager
def newest_observations_read() -> Iterator[None]:
    real = whole_path.known_series

    def leaking(versions: pd.DataFrame, *arguments: object, **named: object) -> KnownSeries:
        known = versions.assign(known_at=versions["observed_at"])
        return real(known, *arguments, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_path, "known_series", leaking)
        yield


@contextmanager
def outcomes_known_at_once() -> Iterator[None]:
    real = replays.outcome_statistics

    def leaking(probability: np.ndarray, returns: np.ndarray, realised: np.ndarray, *rest: object) -> object:
        return real(probability, returns, np.arange(len(realised)), *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replays, "outcome_statistics", leaking)
        yield


@pytest.mark.full
@pytest.mark.parametrize(
    ("leak", "kind", "shows", "clean"),
    [
        (whole_frame_normalised, "noise", ("feature ", "model 2016-01 scaler", "forecast network"), "label return"),
        (newest_versions_read, "restated", ("feature ", "label return", "market volatility"), "nothing"),
        (
            newest_observations_read,
            "restated",
            ("feature implied_over_realised", "feature funding_rate_per_day", "feature funding_rate_change"),
            "feature log_return_1",
        ),
        pytest.param(
            outcomes_known_at_once,
            "noise",
            ("signal mean_win",),
            "forecast network probability",
            marks=pytest.mark.full,
        ),
    ],
)
def test_a_leak_shows_where_it_is(
    leak: Callable[[], AbstractContextManager[None]],
    kind: str,
    shows: tuple[str, ...],
    clean: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whole_path, "FIRST", "2015-03-02")
    plain, cut, last = whole_path.facts(2), pd.Timestamp("2016-01-25"), pd.Timestamp("2016-02-05")
    with leak():
        leaking = whole_path.whole_path(plain, plain.moment(plain.sessions[-1]), last)
        things = causality.against(leaking, plain, cut, kind, 1)["things"]
    assert not causality.passes(things)
    for name in shows:
        assert any(differing for thing, (_, differing) in things.items() if thing.startswith(name)), name
    assert things.get(clean, [1, 0])[1] == 0


@pytest.mark.full
def test_history_that_ends_with_a_month_before_a_refit_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_path, "FIRST", "2015-03-02")
    monkeypatch.setattr(whole_path, "REFITS", ("2016-01", "2016-02"))
    plain, cut = whole_path.facts(2), pd.Timestamp("2016-01-29")
    grown = whole_path.whole_path(plain, plain.moment(plain.sessions[-1]), cut)
    things = causality.against(grown, plain, cut, "cut", 1)["things"]
    # So short a history has no regime by volatility and too few outcomes for a position.
    assert not any(differing for _, differing in things.values())
    assert sum(count for count, _ in things.values()) > 10_000


def test_nothing_compared_is_no_pass() -> None:
    missing, there = np.array([np.nan, np.nan]), np.array([1.0, np.nan])
    assert causality.compared({"x": missing}, {"x": missing}) == {"x": [0, 0]}
    assert not causality.passes({"x": [0, 0]})
    assert not causality.passes({})
    assert causality.passes(causality.compared({"x": there}, {"x": there.copy()}))
    assert causality.compared({"x": there}, {"x": missing}) == {"x": [1, 1]}
    assert causality.compared({"x": there}, {"x": np.array([1.0 + 2**-52, np.nan])}) == {"x": [1, 1]}
    assert causality.compared({"x": there}, {"x": np.array([1.0, 5.0])}) == {"x": [1, 1]}
    assert causality.compared({"x": there}, {"y": there}) == {"x": [2, 2], "y": [2, 2]}
    assert causality.compared({"x": there}, {"x": there[:1]}) == {"x": [2, 2]}


def made(kind: str, cut: str, **things: list[int]) -> Result:
    return Result({"disturbance": kind, "cut": cut, "seed": 1}, {"disturbed": 50, "things": things}, "code", 1.0)


def test_the_summary_counts_and_names_what_differs() -> None:
    clean = [made(kind, cut, close=[10, 0], target=[4, 0]) for kind in ("cut", "noise") for cut in ("a", "b")]
    text = causality.summary(clean)
    assert "Nothing differs, and of every thing something was compared." in text
    assert "| close | 0 of 20 | 0 of 20 |" in text
    assert "| target | 0 of 8 | 0 of 8 |" in text
    assert "touched 50 bars and observations or more" in text
    assert "| small MLP | 4 | 0 of 56 |" in text
    wrong = causality.summary([*clean[:3], made("noise", "b", close=[10, 3], target=[0, 0])])
    assert "Nothing differs" not in wrong
    assert "- close, noise, b, small MLP: 3 of 10 differ" in wrong
    assert "- target, noise, b, small MLP: nothing to compare, which is no pass" in wrong
    assert "| close | 0 of 20 | 3 of 20 |" in wrong
