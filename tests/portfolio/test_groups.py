"""Groups by behaviour against the simulator's own sectors, and as limits of a book."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from math import comb

import numpy as np
import pytest
from pydantic import ValidationError

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.portfolio.constraints import exceeded
from nn_assets.portfolio.decide import decide
from nn_assets.portfolio.groups import UNASSIGNED, Groups, behaviour_groups, silhouettes
from nn_assets.portfolio.limits import book_limits
from nn_assets.settings import PortfolioSettings, Strategy
from nn_assets.simulator.markets import MarketShape, SimulatedMarket, simulate_market
from tests.portfolio.facts import COSTS, facts


def adjusted_rand(one: list[str], other: list[str]) -> float:
    """Hubert and Arabie (1985), eq. 5: 1 for the same grouping, 0 by chance."""
    pairs = sum(comb(count, 2) for count in Counter(zip(one, other, strict=True)).values())
    of_one, of_other = (sum(comb(count, 2) for count in Counter(labels).values()) for labels in (one, other))
    chance = of_one * of_other / comb(len(one), 2)
    return (pairs - chance) / ((of_one + of_other) / 2 - chance)


@cache
def market(sector_volatility: float, seed: int = 1) -> SimulatedMarket:
    """Twenty names in five sectors, thirty months."""
    sessions = sessions_between("XNYS", "2012-01-03", "2022-12-30")[:630]
    return simulate_market(20, sessions, seed, 0.0, 0.95, MarketShape(sector_volatility=sector_volatility))


def returns(made: SimulatedMarket) -> np.ndarray:
    return np.expm1(made.truth.log_return)


def grouped(made: SimulatedMarket) -> Groups:
    return behaviour_groups(made.symbols, returns(made))


def test_the_sectors_of_a_market_are_found_by_how_names_move() -> None:
    made = market(0.008)
    groups = grouped(made)
    assert adjusted_rand([made.sectors[name] for name in made.symbols], list(groups.names)) == 1.0
    assert len(groups.members) == 5
    for name, members in groups.members.items():
        assert name in members


def test_a_group_has_the_name_of_its_most_central_member() -> None:
    made = market(0.008)
    excess = returns(made) - returns(made).mean(axis=1, keepdims=True)
    distance = np.sqrt((1.0 - np.corrcoef(excess.T)) / 2.0)
    number_of = {name: index for index, name in enumerate(made.symbols)}
    for name, members in grouped(made).members.items():
        own = [number_of[member] for member in members]
        assert min(members, key=lambda member: distance[number_of[member], own].sum()) == name


def test_names_that_move_on_their_own_are_in_no_group() -> None:
    groups = grouped(market(0.0))
    assert set(groups.names) == {""}
    assert not groups.members
    assert np.isnan(groups.silhouette)


def test_names_with_too_little_history_or_no_movement_are_unassigned_and_change_nothing() -> None:
    made = market(0.008)
    more = np.column_stack([returns(made), np.full(630, np.nan), np.zeros(630)])
    more[-119:, 20] = 0.01 * np.random.default_rng(1).normal(size=119)
    groups = behaviour_groups((*made.symbols, "YOUNG", "FLAT"), more)
    assert groups.names == (*grouped(made).names, UNASSIGNED, UNASSIGNED)
    assert groups.members[UNASSIGNED] == ["YOUNG", "FLAT"]
    member = np.ones(more.shape, dtype=bool)
    member[:, 3] = False
    without = behaviour_groups((*made.symbols, "YOUNG", "FLAT"), more, member)
    assert without.names[3] == UNASSIGNED


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_handful_of_names_is_not_grouped(count: int) -> None:
    made = market(0.008)
    assert set(behaviour_groups(made.symbols[:count], returns(made)[:, :count]).names) <= {""}


def test_names_of_a_short_training_part_are_one_group_which_says_why_it_is_none() -> None:
    made = market(0.008)
    short = behaviour_groups(made.symbols, returns(made)[:86])
    assert set(short.names) == {UNASSIGNED}
    assert short.text == "none: too few returns (86, 120 needed); all names are one group, unassigned"
    alone = returns(market(0.0))
    assert behaviour_groups(made.symbols, alone).text == "none: names do not move in groups"
    young = behaviour_groups(
        (*made.symbols, "YOUNG"), np.column_stack([alone, np.r_[np.full(600, np.nan), alone[-30:, 0]]])
    )
    assert young.names == (*[""] * 20, UNASSIGNED)
    assert young.text == (
        "none: names do not move in groups; unassigned, one group (fewer than 120 returns, or none that vary): YOUNG"
    )
    assert behaviour_groups(made.symbols[:3], alone[:, :3]).text == "none: 3 names have 120 returns that vary, 4 needed"
    assert grouped(made).text.startswith("like SIM")


def test_the_unassigned_are_held_together_by_the_limit() -> None:
    """Twenty names that all lean one way, on 86 sessions: their gross is the limit's, of 120 or more it is more."""
    made, gross = market(0.0), {}
    for sessions in (86, 400):
        of = replace(
            facts(20, calibrated_probability=np.full(20, 0.6)),
            groups=behaviour_groups(made.symbols, returns(made)[:sessions]).names,
        )
        chosen = PortfolioSettings(construction="per_name", sector_limit=0.3)
        gross[sessions] = float(np.abs(decide(of, chosen, COSTS).target_weight).sum())
    assert 0.25 < gross[86] <= 0.3 + 1e-9
    assert gross[400] > 0.5


@pytest.mark.parametrize(
    ("calendar", "walk", "most"),
    [
        ("24/7", {"refit_every_days": 30}, 84),
        ("24/7", {"refit_every_days": 30, "training_days": 125}, 119),
        ("24/7", {"refit_every_days": 30, "training_days": 126}, None),
        ("24/7", {"refit_every_days": 30, "window": "expanding"}, None),
        ("24/7", {"training_months": 3}, 87),
        ("XNYS", {"refit_every_days": 30, "training_days": 174}, 119),
        ("XNYS", {"refit_every_days": 30, "training_days": 180}, None),
        ("XNYS", {}, None),
    ],
)
def test_groups_of_a_walk_whose_training_part_never_holds_the_returns_are_refused(
    calendar: str, walk: dict[str, object], most: int | None
) -> None:
    text = {
        "name": "s",
        "market": {"calendar": calendar, "history_starts": "2015-01-01", "live_starts": "2022-01-01"},
        "walk_forward": walk,
        "portfolio": {"groups": "behaviour"},
        "label": {"horizon_sessions": 5},
    }
    if most is None:
        assert Strategy.model_validate(text).portfolio.groups == "behaviour"
        return
    with pytest.raises(ValidationError, match=rf"never holds more than {most} \(6 sessions are purged\).*lengthen"):
        Strategy.model_validate(text)
    text["portfolio"] = {}
    assert Strategy.model_validate(text).portfolio.groups == "sectors"


def test_silhouettes_are_those_of_the_definition() -> None:
    random = np.random.default_rng(2)
    points, label = random.normal(size=(12, 2)), np.array([1, 1, 1, 2, 2, 2, 2, 5, 5, 5, 5, 7])
    distance = np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))
    expected = []
    for index, own in enumerate(label):
        inside = [distance[index, other] for other in range(12) if label[other] == own and other != index]
        outside = [np.mean(distance[index, label == kind]) for kind in set(label.tolist()) - {int(own)}]
        a, b = (np.mean(inside) if inside else 0.0), min(outside)
        expected.append((b - a) / max(a, b) if inside else 0.0)
    np.testing.assert_allclose(silhouettes(distance, label), expected)


def test_a_group_is_held_to_the_sector_limit_and_a_stated_sector_goes_before_it() -> None:
    symbols, free = ("A", "B", "C", "D"), np.ones(4)
    settings = PortfolioSettings(sectors={"D": "energy"}, sector_limit=0.3)

    def sums(groups: tuple[str, ...] | None) -> dict[str, list[float]]:
        limits = book_limits(
            symbols, settings, lower=-free, upper=free, reach=free, distance=np.zeros(4), market_beta=np.zeros(4),
            equity_usd=1e6, groups=groups,
        )  # fmt: skip
        assert all(limit.limit == 0.3 for limit in limits.sizes if limit.name[:5] in {"group", "secto"})
        return {
            limit.name: limit.coefficient.tolist() for limit in limits.sizes if limit.name[:5] in {"group", "secto"}
        }

    assert sums(None) == {"sector energy": [0, 0, 0, 1]}
    assert sums(("A", "A", "", "A")) == {"group A": [1, 1, 0, 0], "sector energy": [0, 0, 0, 1]}
    limits = book_limits(
        symbols, settings, lower=-free, upper=free, reach=free, distance=np.zeros(4), market_beta=np.zeros(4),
        equity_usd=1e6, groups=("A", "A", "", "A"),
    )  # fmt: skip
    assert exceeded(np.array([0.2, -0.15, 0.5, 0.1]), limits) == ("group A",)
    assert exceeded(np.array([0.2, -0.1, 0.5, 0.1]), replace(limits, nets=())) == ()


def test_a_strategy_without_groups_keeps_its_hash() -> None:
    assert "groups" not in PortfolioSettings().counted()
    assert PortfolioSettings(groups="behaviour").counted()["groups"] == "behaviour"
