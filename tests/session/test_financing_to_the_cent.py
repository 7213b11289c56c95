"""Cash and equity of forty sessions against accounts kept by hand in decimals, and against what the page says."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from decimal import Decimal

import pytest

from nn_assets.costs.model import cost_model_from
from nn_assets.evaluation.replay import Replay, replay
from nn_assets.market.panel import Panel
from nn_assets.reports.round_notices import financing_facts
from nn_assets.session.market_view import market_view
from nn_assets.settings import Strategy
from tests.evaluation.test_replay_actions import quoted_raw
from tests.session.worlds import SYMBOLS, World, world

ROWS = range(100, 141)
SPLITS = {(115, "AAA"): 2.0}
DIVIDENDS = {(108, "AAA"): 0.90, (112, "BBB"): 0.35, (120, "CCC"): 1.10, (126, "AAA"): 0.40, (131, "DDD"): 0.75}
RATES = {date(2014, 1, 2): Decimal("0.021"), date(2014, 6, 26): Decimal("0.034")}
BORROW, MARGIN = Decimal("0.045"), Decimal("0.015")
CENT = Decimal("0.005")
AMOUNTS = re.compile(r"([a-z ]+?) ([+-][\d,]+\.\d\d) USD")


def leveraged(execution: str, paper_fills: str) -> Strategy:
    wide = dict.fromkeys(("single_name_limit", "sector_limit", "risk_per_signal_fraction", "risk_total_fraction"), 1.0)
    losses = {f"{name}_limit_fraction": 0.9 for name in ("drawdown", "weekly_loss", "session_loss")}
    return Strategy.model_validate(
        {
            "name": "world",
            "market": {"history_starts": "2014-01-02", "cash_rates": {day: float(rate) for day, rate in RATES.items()}},
            "label": {"horizon_sessions": 3, "execution": execution},
            "portfolio": {
                **wide,
                **losses,
                "minimum_outcomes": 20,
                "shrink_prior_outcomes": 0.0,
                "kelly_fraction": 1.0,
                "gross_limit": 4.0,
                "net_limit": 4.0,
                "beta_limit": 9.0,
                "adv_limit_fraction": 1.0,
            },
            "costs": {
                "half_spread_bps": 1.0,
                "commission_bps": 1.0,
                "maker_fee_bps": -0.5,
                "borrow_fee_annual_fraction": float(BORROW),
                "margin_spread_annual_fraction": float(MARGIN),
            },
            "execution": {"paper_fills": paper_fills},
        }
    )


def exact(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def played(of: World, raw: Panel) -> Replay:
    scene = of.scene(ROWS, market_view(raw, of.strategy.portfolio))
    return replay(of.strategy, cost_model_from(of.strategy.costs), 252, [scene])


@pytest.mark.parametrize(
    ("execution", "paper_fills"),
    [("next_open", "at_bar"), pytest.param("next_close", "by_urgency", marks=pytest.mark.full)],
)
def test_interest_fees_and_dividends_are_those_of_accounts_kept_by_hand(execution: str, paper_fills: str) -> None:
    of = world(leveraged(execution, paper_fills))
    raw = quoted_raw(of.panel, SPLITS, DIVIDENDS)
    cash, shares, there = Decimal(1_000_000), dict.fromkeys(SYMBOLS, Decimal(0)), Counter[str]()
    before: dict[str, Decimal] = {}
    for done in played(of, raw).rounds:
        row = raw.row(done.session)
        rate = next(rate for day, rate in sorted(RATES.items(), reverse=True) if day <= done.session.date())
        # Actions first, as the session begins, on what was held into it; then the interest and the fees of the night.
        split = {name: Decimal(int(SPLITS.get((row, name), 1))) for name in SYMBOLS}
        dividend = {name: Decimal(str(DIVIDENDS.get((row, name), 0))) for name in SYMBOLS}
        shares = {name: shares[name] * split[name] for name in SYMBOLS}
        parts = {"dividends": sum((shares[name] * dividend[name] for name in SYMBOLS), Decimal(0))}
        cash += parts["dividends"]
        worth = [shares[name] * (before.get(name, Decimal(0)) / split[name] - dividend[name]) for name in SYMBOLS]
        parts |= {
            "interest on cash": cash * rate / 252,
            "margin interest": min(cash, Decimal(0)) * MARGIN / 252,
            "borrow fee of shorts": sum((min(value, Decimal(0)) for value in worth), Decimal(0)) * BORROW / 252,
        }
        cash += sum(part for name, part in parts.items() if name != "dividends")
        for batch in done.fills:
            for index in range(len(batch)):
                quantity = exact(batch.quantity[index])
                shares[SYMBOLS[batch.symbol[index]]] += quantity
                cash -= quantity * exact(batch.price[index]) + exact(batch.commission_usd[index])
        before = {name: exact(raw.close[row, column]) for column, name in enumerate(SYMBOLS)}
        equity = cash + sum(shares[name] * before[name] for name in SYMBOLS)
        assert abs(exact(done.state.cash_usd) - cash) < CENT
        assert abs(exact(done.state.equity_usd) - equity) < CENT
        page = " ".join(financing_facts(done)).replace("Received less paid on this session:", ";")
        on_page = {name.strip(): Decimal(value.replace(",", "")) for name, value in AMOUNTS.findall(page)}
        for name, part in parts.items():
            assert abs(on_page.get(name, Decimal(0)) - part) <= 2 * CENT, (done.session, name, page)
            there[name] += abs(part) > Decimal("0.01")
        assert set(on_page) <= set(parts)
    assert len(ROWS) - 2 <= there["interest on cash"]
    assert min(there["margin interest"], there["borrow fee of shorts"]) >= 5, there
    assert there["dividends"] >= 3, there
