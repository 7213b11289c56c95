"""What a strategy's financing is, in words."""

from __future__ import annotations

from nn_assets.costs.financing import assumed_funding_warning, financing_text
from nn_assets.settings import Strategy

MARKET = {"history_starts": "2014-01-02"}
SERIES = [{"name": "rates", "path": "rates.csv", "stamps": "moments", "lag_minutes": 1}]


def strategy(**settings: object) -> Strategy:
    return Strategy.model_validate({"name": "a", "market": MARKET, **settings})


def test_funding_that_no_book_pays_is_said_with_what_to_write() -> None:
    read = strategy(series=SERIES, features={"series": {"funding_rate": "rates"}})
    asked = strategy(series=[{"name": "f", "kind": "ccxt_funding", "exchange": "kraken", "symbols": ["A"]}])
    for candidate, name in ((read, "rates"), (asked, "f")):
        assert f"no book pays the rates of series {name}" in financing_text(candidate)
        assert f"market.asset_class: perpetual and costs.funding: {name}" in financing_text(candidate)
    assert "series" not in financing_text(strategy())
    assert "0.30% a year" in financing_text(strategy())


def test_of_perpetuals_it_names_the_series_and_what_was_assumed() -> None:
    paid = strategy(market={**MARKET, "asset_class": "perpetual"}, series=SERIES, costs={"funding": "rates"})
    assert "perpetual: shorts pay 0.00% a year to borrow" in financing_text(paid)
    assert "longs pay and shorts receive the funding of series rates" in financing_text(paid)
    cause, remedy = assumed_funding_warning(paid, ("AAA",))
    assert "AAA, which is held" in cause
    assert "last 5 sessions" in cause
    assert "series rates" in remedy


def test_what_is_held_on_margin_takes_no_cash() -> None:
    taken = "positions take no cash, all of the equity earns the cash rate"
    paid = strategy(market={**MARKET, "asset_class": "perpetual"}, series=SERIES, costs={"funding": "rates"})
    assert taken in financing_text(paid)
    assert taken not in financing_text(strategy(market={**MARKET, "asset_class": "equity"}))


def test_of_several_funding_series_the_first_is_named() -> None:
    asked = [{"name": name, "kind": "ccxt_funding", "exchange": "kraken", "symbols": ["A"]} for name in ("f", "g")]
    assert "no book pays the rates of series f:" in financing_text(strategy(series=asked))
