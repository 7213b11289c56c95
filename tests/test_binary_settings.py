"""A market of binary contracts, by its settings: what it needs, what it refuses, and that others' hashes stay."""

from __future__ import annotations

from typing import Any

import pytest

from nn_assets.errors import SettingsError
from nn_assets.settings import Strategy
from nn_assets.settings.reading import parse_strategy


def text_of(market: str = "", label: str = "{kind: settlement}", rest: str = "") -> str:
    return f"name: events\nmarket: {{history_starts: 2020-01-01, asset_class: binary{market}}}\nlabel: {label}\n{rest}"


def test_it_needs_its_label_alone_and_brings_the_rest() -> None:
    strategy = parse_strategy(text_of(", contracts: {CUT: {event: FED, settles_by: 2020-06-10}, HOLD: {event: FED}}"))
    assert strategy.market.binary
    assert strategy.cleaning.binary_prices
    assert strategy.portfolio.construction == "per_name"
    assert strategy.costs.borrow_fee_annual_fraction == 0.0
    assert strategy.prior_outcomes_at_base_rate == 0.0
    assert str(strategy.market.contracts["CUT"].settles_by) == "2020-06-10"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (text_of(label="{kind: direction}"), "label.kind: settlement, not direction"),
        (text_of(rest="portfolio: {construction: programme}"), "portfolio.construction left out"),
        (text_of(rest="portfolio: {hold_premium: true}"), "portfolio.hold_premium left out"),
        (text_of(rest="portfolio: {net_limit: 0.5}"), "portfolio.net_limit of portfolio.gross_limit 1.0 or more"),
        (text_of(rest="portfolio: {gross_limit: 2.0, net_limit: 2.0}"), "a contract is paid for in full"),
        (text_of(rest="portfolio: {volatility: har}"), "portfolio.volatility left out"),
        (text_of(", compare_with: {kind: files, path: other.csv}"), "no market.compare_with"),
        (text_of(", symbols: [CUT], contracts: {CUTS: {event: FED}}"), "market.contracts names CUTS"),
        (text_of().replace("asset_class: binary", "asset_class: equity"), "label.kind settlement: for contracts"),
        (
            text_of(", contracts: {CUT: {}}", "{}").replace("asset_class: binary", "asset_class: index"),
            "market.contracts are those of event contracts, and market.asset_class is index",
        ),
        (
            "name: s\nmarket: {history_starts: 2020-01-01}\ncosts: {contract_fee_fraction: 0.07}",
            "costs.contract_fee_fraction: for contracts",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_strategy(text)
    assert message in " ".join(str(refused.value).split())


def test_a_strategy_that_states_none_of_it_keeps_its_hash_and_its_record() -> None:
    plain: dict[str, Any] = {"name": "s", "market": {"history_starts": "2014-01-02"}}
    strategy = Strategy.model_validate(plain)
    new = {"market": {"contracts": {}}, "cleaning": {"binary_prices": False}, "costs": {"contract_fee_fraction": 0.0}}
    spelled = Strategy.model_validate({**plain, **new, "market": {**plain["market"], **new["market"]}})
    assert spelled.content_hash() == strategy.content_hash()
    counted = strategy.behaviour()
    assert "contracts" not in counted["market"]
    assert "binary_prices" not in counted["cleaning"]
    assert "contract_fee_fraction" not in counted["costs"]
    binary = Strategy.model_validate({**plain, "market": {**plain["market"], "asset_class": "binary"}, "label": {
        "kind": "settlement"}})  # fmt: skip
    assert binary.content_hash() != strategy.content_hash()


def test_a_broker_of_ones_own_is_refused(tmp_path: Any) -> None:
    (tmp_path / "mine.py").write_text('register_broker("venue_of_mine")\n', encoding="utf-8")
    text = text_of(rest=f"plugins: [{tmp_path / 'mine.py'}]\nexecution: {{broker: venue_of_mine}}\n")
    with pytest.raises(SettingsError, match=r"execution\.broker: paper, not venue_of_mine"):
        parse_strategy(text)
