"""A home whose paper orders are filled by urgency: live, replayed and derived again, to the bit and to the cent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.decisions.lookahead import facts_apart
from nn_assets.operations.decisions.rederivation import rederive_decisions
from nn_assets.operations.exported_tables import read_of_ledger
from nn_assets.operations.history import open_history
from nn_assets.operations.session_page import write_daily_page
from tests.operations import homes
from tests.orchestration.conftest import FIRST_LIVE, FIRST_MONTH, LAST, LAST_MONTH, strategy_of, write_strategy

SESSIONS = list(sessions_between("XNYS", FIRST_LIVE, LAST))


@pytest.mark.full
def test_fills_by_urgency_are_one_in_the_live_round_the_study_and_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)
    write_strategy(
        tmp_path,
        execution={"paper_fills": "by_urgency", "participation_cap_fraction": 0.0005},
        costs={"maker_fee_bps": -0.2},
    )
    strategy = strategy_of()
    homes.take_in(strategy)
    study = homes.study(strategy, homes.months_between(FIRST_MONTH[:7], LAST_MONTH[:7])).study
    replayed = {done.session: done for done in study.replays["network"].rounds}
    decided = homes.decide(strategy, SESSIONS)
    for live in decided:
        assert facts_apart(live.round, replayed[live.round.session]) == []
    with open_history(strategy) as history:
        again = rederive_decisions(history, homes.RUN, whole=True)
        assert (again.differing, again.played) == ((), len(SESSIONS))
        pages = [
            write_daily_page(history, done.round, done.frames, done.provenance, None).read_text("utf-8")
            for done in decided
        ]
        ledger = history.stores.ledger
        fills, orders, states = (
            read_of_ledger(ledger, strategy.name, name, None, None, None) for name in ("fills", "orders", "portfolio")
        )
    rested = fills["impact_usd"].isna()
    assert rested.any()
    assert not rested.all()
    assert (fills.loc[rested, "commission_usd"] < 0.0).all()  # a rebate on every one of them, and on no other
    assert (fills.loc[~rested, "commission_usd"] > 0.0).all()
    of_order = orders.set_index("client_order_id")
    assert set(of_order.loc[fills.loc[rested, "client_order_id"], "urgency"]) == {"passive"}
    assert {"passive", "close"} <= set(of_order["urgency"])
    assert any("limit_not_reached: " in page for page in pages)
    # By the ledger alone: cash moves by fills, fees, interest and fees of what is held.
    states = states.set_index("session").sort_index()
    spent = (fills["quantity"] * fills["price"] + fills["commission_usd"]).groupby(fills["session"]).sum()
    flows = states[["financing_usd", "dividends_usd", "cash_in_lieu_usd", "delistings_usd"]].sum(axis=1)
    moved = flows - spent.reindex(states.index, fill_value=0.0)
    np.testing.assert_allclose(states["cash_usd"].diff().iloc[1:], moved.iloc[1:], atol=0.005)
