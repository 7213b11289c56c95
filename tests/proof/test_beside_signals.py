"""The tables of the Markov scale, of novelty and of groups: what they switch acts, and their words follow the figures.

That the package's parts see what is planted is tested with them; here it is that the tables measure those parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from nn_assets.market.panel import FIELDS
from nn_assets.simulator.markets import MarketShape, simulate_market
from tests.proof import markov_scale, results, sector_groups, strange_rows, tables
from tests.proof.changing_markets import CHANGES, changing_market
from tests.proof.results import Result
from tests.proof.studied import sessions_of

TABLES = ("markov_scale", "strange_rows", "sector_groups")


def cells(text: str, starts: str) -> list[str]:
    """The cells of the first row of a table that starts so."""
    return next(line for line in text.splitlines() if line.startswith(f"| {starts} |")).strip("| ").split(" | ")


def test_regimes_are_those_of_a_markov_model_and_nothing_else_of_the_market_is_another() -> None:
    plain = changing_market(CHANGES[2], 1, 12, "2015-01-09", first=markov_scale.FIRST, traded=markov_scale.TRADED)
    market = markov_scale.with_regimes(plain)
    regimes, rows = market.scene.market.regimes, market.scene.rows
    assert {regimes.label(row) for row in rows if not regimes.no_markov(row)} <= {"calm", "turbulent"}
    assert regimes.markov is not None
    assert (regimes.markov.number[rows.start :] >= 0).all()  # a model, or why there is none, for every traded session
    assert plain.scene.market.regimes.markov is None
    for name in ("returns", "volatility", "adv_usd", "beta"):
        np.testing.assert_array_equal(getattr(market.scene.market, name), getattr(plain.scene.market, name))
    assert market.strategy.portfolio == plain.strategy.portfolio


def book(growth: float, drawdown: float, sharpe: float) -> dict[str, float]:
    return {"growth": growth, "drawdown": drawdown, "sharpe": sharpe}


def scaled(change: str, seed: int, force: int = 50) -> Result:
    """The scale saves a point of drawdown, which a constant one does as well."""
    books = {"with": book(0.01, 0.04, 0.5), "without": book(0.01, 0.05, 0.5), "constant": book(0.01, 0.04, 0.5)}
    figures = {"sessions": 100, "sessions_by_rule": 10, "sessions_in_force": force, "mean_scale": 0.75, "books": books}
    return Result({"change": change, "seed": seed, "names": 40}, figures, "code", 1.0)


def test_the_scale_and_its_timing_are_told_apart_and_the_first_line_says_both() -> None:
    text = markov_scale.summary([scaled(change, seed) for seed in range(1, 11) for change in CHANGES])
    assert text.splitlines()[0] == (
        "**In plain words: the scale saves drawdown in each of the markets. Beside a constant scale of the same mean, "
        "its timing saves nothing that can be told from chance in any of the markets.**"
    )
    assert cells(text, CHANGES[0]) == [
        *(CHANGES[0], "10", "50% (50% to 50%)", "0.75", "10%", "no scale"),
        *("+0.00% (+0.00% to +0.00%)", "+1.00% (+1.00% to +1.00%)", "+0.00 (+0.00 to +0.00)", "saves drawdown"),
    ]
    never = markov_scale.summary([scaled(CHANGES[1], seed, force=0) for seed in range(1, 11)])
    assert cells(never, CHANGES[1])[-1] == "never acted: saves and costs nothing"
    few = markov_scale.summary([scaled(CHANGES[1], seed) for seed in range(1, 10)])
    assert cells(few, CHANGES[1])[-1] == "cannot be told yet: too few seeds are measured"


@cache
def feed(shown: str) -> strange_rows.Feed:
    panel = {"names": 12, "sessions": 300, "seed": 2, "rank_ic": 0.0, "persistence": 0.95, "horizon": 10}
    made = strange_rows.Feed(panel, shown)
    made.traded = range(200, 300)  # type: ignore[misc]  # no model is needed to plant what is strange
    return made


@pytest.mark.parametrize(("shown", "share"), [("volumes of ten deviations", 0.02), ("frozen series", 0.10)])
def test_what_is_planted_strange_is_in_the_feed_alone_and_only_while_the_book_trades(shown: str, share: float) -> None:
    made = feed(shown)
    seen, strange = made.seen(), made.strange
    assert not strange[:200].any()
    assert 0.3 * share < strange[200:].mean() < 2.0 * share
    for name in FIELDS:
        values, true = getattr(seen, name), getattr(made.bars, name)
        np.testing.assert_array_equal(values[~strange], true[~strange])
        if shown == "frozen series":
            rows, names = np.nonzero(strange)
            np.testing.assert_array_equal(values[rows, names], values[rows - 1, names])
    if shown == "volumes of ten deviations":
        logs = np.log(made.bars.volume)
        above = (np.log(seen.volume) - logs) / logs.std(axis=0)
        np.testing.assert_allclose(above[strange], 10.0)
        np.testing.assert_array_equal(seen.close, made.bars.close)


def strangely(seed: int, clean: float = 0.0) -> Result:
    plain = {"strange": 0, "strange_unlike": 0, "others": 1000, "others_unlike": 10}
    sides: Mapping[str, Any] = {
        side: book(0.02, 0.03, 1.0) | {"size_on_strange": size} for side, size in (("with", 0.01), ("without", 0.04))
    }
    saved = sides["with"] | {"growth": 0.03}
    odd = plain | {"strange": 200, "strange_unlike": 150} | sides
    lost = sides["with"] | {"growth": 0.02 + clean}
    figures = {
        strange_rows.CLEAN: plain | sides | {"with": lost},
        strange_rows.VOLUMES: odd,
        strange_rows.FROZEN: odd | {"with": saved},
    }
    return Result(strange_rows.PLANTED | {"seed": seed}, figures, "code", 1.0)


def test_novelty_is_told_by_market_in_plain_words_and_figures() -> None:
    text = strange_rows.summary([strangely(seed, clean=-0.001) for seed in (1, 2, 3)])
    assert text.splitlines()[0] == (
        "**In plain words, a book with novelty, beside the same without it: costs equity (nothing strange); saves "
        "nothing that can be told from chance (volumes of ten deviations); saves equity (frozen series).**"
    )
    assert cells(text, strange_rows.CLEAN)[2:6] == ["none", "1.0%", "none", "none"]
    assert cells(text, strange_rows.FROZEN)[2:7] == ["75.0%", "1.0%", "4.00%", "1.00%", "+1.00% (+1.00% to +1.00%)"]


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_forecasts_of_a_sector_are_wrong_together_by_the_share_that_is_asked_and_right_all_the_same(
    shared: float,
) -> None:
    days = sessions_of({"sessions": 500})
    made = simulate_market(20, days, 1, 0.05, 0.95, MarketShape(sector_volatility=0.008))
    seen = sector_groups.forecast(made, 1, shared) - 0.5
    signal = made.truth.signal - made.truth.signal.mean(axis=1, keepdims=True)
    slope = (seen * signal).sum() / (signal * signal).sum()
    correlation = np.corrcoef(seen.ravel(), signal.ravel())[0, 1]
    assert correlation == pytest.approx(0.45, abs=0.1)  # fewer errors of its own are left in a cross-section of sectors
    wrong = seen - slope * signal
    sector = np.array([made.sectors[name] for name in made.symbols])
    same = (sector[:, None] == sector) & ~np.eye(len(sector), dtype=bool)
    # Less the mean of all names, of which a fifth is of the sector: (w - v) / (1 - v), v = w / 5 + (1 - w) / 20.
    level = shared / 5.0 + (1.0 - shared) / 20.0
    expected = (shared - level) / (1.0 - level)
    assert np.corrcoef(wrong.T)[same].mean() == pytest.approx(expected, abs=0.08)


def grouped(name: str, seed: int, groups: int, with_share: float) -> Result:
    sides = {
        side: book(0.0, 0.05, 0.1) | {"largest_share": share, "mean_largest_share": 0.2}
        for side, share in (("with", with_share), ("without", 0.5))
    }
    return Result({"market": name, "seed": seed}, {"groups": groups, "as_sectors": groups == 5} | sides, "code", 1.0)


def test_groups_are_told_by_what_is_held_in_one_true_sector() -> None:
    clear, alone, none = sector_groups.MARKETS
    text = sector_groups.summary(
        [grouped(name, seed, groups, share) for seed in (1, 2) for name, groups, share in
         ((clear, 5, 0.3), (alone, 5, 0.5), (none, 0, 0.5))]
    )  # fmt: skip
    assert text.splitlines()[0] == (
        "**In plain words, a book with groups by behaviour, beside one without any: holds less of one sector "
        f"({clear}); nothing that can be told from chance ({alone}); no groups: the same book ({none}).**"
    )
    assert cells(text, clear)[2:6] == ["2, 2", "50.0%", "30.0%", "-20.00% (-20.00% to -20.00%)"]


@pytest.mark.parametrize("table", TABLES)
def test_panels_of_other_code_are_measured_again_where_that_is_asked_and_no_panel_is_asked_twice(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert table in tables.NAMES
    monkeypatch.setattr(results, "code_of", lambda _: "another")
    panels = tables.panels_of(table)
    assert len({results.address(table, panel) for panel in panels}) == len(panels)
    assert results.missing(table, panels, stale=True) == list(panels)
    measured = len(results.kept(table))
    assert measured > 0
    assert len(results.missing(table, panels, stale=False)) == len(panels) - measured
