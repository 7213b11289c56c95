"""Live sessions of perpetuals: what the files say of funding is what the ledger's cash paid, to the cent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.market.calendar.sessions import session_close, session_hours
from nn_assets.operations.decisions.fired import alert_of_assumed_funding
from nn_assets.operations.decisions.rounds import decide_session
from nn_assets.operations.exported_tables import read_of_ledger
from nn_assets.operations.history import open_history
from nn_assets.operations.session_page import write_daily_page
from tests.operations.homes import RUN, months_between, study, take_in
from tests.orchestration.conftest import FIRST_MONTH, LAST, LAST_MONTH, TINY, strategy_of, write_strategy

UNKNOWN = "2017-06-27"  # no rate of this session is ever delivered


def rates() -> pd.DataFrame:
    """8-hourly rates of each symbol; a restatement that comes days later is a version of its own."""
    draw, rows = np.random.default_rng(2), []
    before, end = session_close("XNYS", "2017-06-26"), session_close("XNYS", UNKNOWN)
    for symbol in TINY["market"]["symbols"]:
        every = pd.date_range("2017-06-01T08:00", "2017-07-02", freq="8h", tz="UTC")
        rows += [
            (symbol, at, round(draw.normal(2e-4, 3e-4), 8), at + pd.Timedelta(minutes=1))
            for at in every
            if not before < at <= end
        ]
    first = rows[70]
    rows.append((*first[:2], 0.05, first[3] + pd.Timedelta(days=3)))
    return pd.DataFrame(rows, columns=["symbol", "observed_at", "rate", "known_at"])


@pytest.fixture
def perpetuals(empty_home: Path) -> Path:
    file = write_strategy(empty_home, market={"asset_class": "perpetual"}, costs={"funding": "funding"})
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["series"] = [{"name": "funding", "path": "funding.csv", "stamps": "moments"}]
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    rates().to_csv(file.parent / "funding.csv", index=False)
    return empty_home


@pytest.mark.full
def test_the_ledger_s_cash_pays_the_file_s_rates_and_tells_what_was_assumed(perpetuals: Path) -> None:
    strategy = strategy_of()
    take_in(strategy)
    study(strategy, months_between(FIRST_MONTH, LAST_MONTH))
    with open_history(strategy) as history:
        for session in history.live_sessions:
            done = decide_session(history, session, RUN)
            alert_of_assumed_funding(history, done.round, RUN)
            if str(session.date()) == UNKNOWN:
                page = write_daily_page(history, done.round, done.frames, done.provenance, None).read_text("utf-8")
        states = (
            read_of_ledger(history.stores.ledger, strategy.name, "portfolio", None, None, None)
            .set_index("session")
            .sort_index()
        )
        fills = read_of_ledger(history.stores.ledger, strategy.name, "fills", None, None, None)
        closes = history.view().bars.pivot_table(index="session", columns="symbol", values="close")
        ordered = fills[fills["client_order_id"].notna() & ~fills["fill_id"].str.contains("stop")]
        again = decide_session(history, pd.Timestamp(LAST), RUN)
    assert again.already_decided
    hours = session_hours("XNYS", "2017-06-15", LAST).set_index("session")
    funding, held, carried = rates(), dict.fromkeys(strategy.market.symbols, 0.0), {}
    received = []
    for session in states.index:
        before = hours.index[hours.index.get_loc(session) - 1]
        start, opens, end = hours["closes"][before], hours["opens"][session], hours["closes"][session]
        known = (
            funding[funding["known_at"] <= end + pd.Timedelta(minutes=30)]
            .groupby(["symbol", "observed_at"])["rate"]
            .last()
        )
        paid = 0.0
        for symbol, quantity in held.items():
            own_rates = known[symbol]
            early = own_rates[(own_rates.index > start) & (own_rates.index <= opens)].sum()
            late = own_rates[(own_rates.index > opens) & (own_rates.index <= end)].sum()
            if str(session.date()) == UNKNOWN:
                early, late = 0.0, carried[symbol]
            carried[symbol] = early + late
            of_symbol = (ordered["symbol"] == symbol) & (ordered["session"] == session)
            after = quantity + ordered.loc[of_symbol, "quantity"].sum()
            paid -= closes[symbol][before] * (quantity * early + after * late)
            every = (fills["symbol"] == symbol) & (fills["session"] == session)
            held[symbol] = quantity + fills.loc[every, "quantity"].sum()
        received.append(paid)
    assert states["funding_usd"].to_numpy() == pytest.approx(received, abs=1e-6)
    assert np.abs(received[1:]).min() > 0.0
    spent = (fills["quantity"] * fills["price"] + fills["commission_usd"]).groupby(fills["session"]).sum()
    flows = states["financing_usd"] + states["funding_usd"] - spent.reindex(states.index, fill_value=0.0)
    assert states["cash_usd"].diff().iloc[1:].to_numpy() == pytest.approx(flows.iloc[1:].to_numpy(), abs=1e-6)
    assert "no funding rate of this session was known for" in page.lower()
    assert '<p class="small plain">Funding received less paid on this session' in page  # no notice: it is so every day
    alerts = [json.loads(line) for line in next(perpetuals.rglob("alerts.jsonl")).read_text("utf-8").splitlines()]
    assert [alert["session"] for alert in alerts if "no funding rate" in alert["cause"]] == [UNKNOWN]
