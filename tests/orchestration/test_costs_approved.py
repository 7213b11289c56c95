"""A large change of costs waits for a person, is said first, and prices no session before it was approved."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli.costs import approve_costs, estimate_now, show_costs, show_shortfall
from nn_assets.cli.status import report
from nn_assets.costs.estimation import CostEstimate
from nn_assets.errors import ControlError, NnAssetsError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.asof.costs import cost_model, costs_in_force, recorded_cost_model_ids
from nn_assets.operations.cost_estimation import record_cost_estimate
from nn_assets.operations.decisions.rederivation import rederive_decisions
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.fills import import_fills
from tests.first_lines import in_one_sentence
from tests.operations import homes
from tests.orchestration.conftest import CUT_LIVE, LAST, NAME, living_in, strategy_of, write_strategy
from tests.orchestration.test_imported_fills import broker_file, in_force


def estimated() -> CostEstimate:
    with open_history(strategy_of()) as history:
        return record_cost_estimate(history, "test")


def test_a_large_change_is_said_first_and_prices_what_comes_once_a_person_approved_it(
    decided: Path, tmp_path: Path
) -> None:
    before = in_force()
    with pytest.raises(ControlError, match="waits for approval"):
        approve_costs(NAME, "an operator", "nothing waits yet")
    import_fills(NAME, broker_file(tmp_path, half_spread_bps=5.0))
    assert estimated().status == "awaiting_approval"
    assert in_force() == before
    first_line = in_one_sentence(report(NAME)["text"])
    assert f"the estimate of costs of {LAST} waits for approval (half_spread +" in first_line
    assert f"nn-assets costs approve --strategy {NAME}" in first_line
    assert show_costs(NAME)["waiting"] is not None
    with pytest.raises(ControlError, match="--why"):
        approve_costs(NAME, "an operator", " ")

    assert approve_costs(NAME, "an operator", "the broker is dearer")["approves"]
    assert in_force() == pytest.approx(1.5e-4)  # of three times the settings' own
    with open_history(strategy_of()) as history:
        ledger = history.stores.ledger
        control = ledger.latest("controls", NAME).iloc[-1]
        assert (control["who"], control["reason"]) == ("an operator", "the broker is dearer")
        of_then = costs_in_force(ledger, NAME)
        assert of_then.on(pd.Timestamp(LAST)) is None  # decided under the model of before
        assert of_then.on(pd.Timestamp("2017-07-03")) == control["details"]["cost_model_id"]
    shown = show_costs(NAME)
    assert shown["waiting"] is None
    spread = shown["in_force"][0]
    assert (spread["coefficient"], spread["source"], spread["dated"]) == ("half_spread", "fitted", LAST)
    assert estimated().status == "in_force"  # the same fills again: no change from what was approved


def spreads_paid(session: pd.Timestamp) -> np.ndarray:
    """Half-spreads of the paper fills of a session, basis points."""
    with open_history(strategy_of()) as history:
        fills = history.stores.ledger.read("fills", NAME, session, session, where={"source": "paper"})
    return (1e4 * fills["half_spread_usd"] / (fills["quantity"].abs() * fills["price"])).to_numpy()


@pytest.mark.slow
def test_what_was_approved_at_its_bound_prices_the_next_decision_and_goes_on_being_said(
    cut_decided_home: Path, tmp_path: Path
) -> None:
    """Half a basis point is set and three are paid: six times it, like thirty where five are set."""
    home = Path(shutil.copytree(cut_decided_home, tmp_path / "home"))
    said = r"half_spread estimated [23]\.?\d* bps \(\S+ to \S+\), beyond the bound of 3 times the setting 0\.5 bps"
    with living_in(home):
        import_fills(NAME, broker_file(tmp_path, half_spread_bps=3.0))
        assert estimated().status == "awaiting_approval"
        assert re.search(said, show_costs(NAME)["text"])
        approve_costs(NAME, "an operator", "the broker is dearer")
        assert estimated().status == "in_force"  # the same fills again: it stays, and what they say is not forgotten
        assert re.search(said, show_costs(NAME)["text"])
        write_strategy(home)
        homes.take_in(strategy_of())
        last, following, *_ = sessions_between("XNYS", CUT_LIVE, LAST)
        homes.decide(strategy_of(), [following])
        assert spreads_paid(last) == pytest.approx(0.5, rel=0.3)
        assert spreads_paid(following) == pytest.approx(1.5, rel=0.3)  # give or take the paper broker's noise
        with open_history(strategy_of()) as history:
            decided = history.stores.ledger.read("decisions", NAME, last, following)
            of_each = [
                cost_model(history.stores.ledger, history.strategy, one)
                for one in recorded_cost_model_ids(decided).values()
            ]
        assert [model.half_spread.value for model in of_each] == pytest.approx([0.5e-4, 1.5e-4])


@pytest.mark.full
def test_decisions_of_before_an_approval_are_derived_again_as_they_were(decided: Path, tmp_path: Path) -> None:
    import_fills(NAME, broker_file(tmp_path, half_spread_bps=5.0))
    estimated()
    approve_costs(NAME, "an operator", "the broker is dearer")
    with open_history(strategy_of()) as history:
        rederived = rederive_decisions(history, "backtest_rederives_decisions")
    assert rederived.played
    assert rederived.differing == ()


@pytest.mark.full
def test_an_estimate_on_demand_is_a_run_on_record(decided: Path, tmp_path: Path) -> None:
    import_fills(NAME, broker_file(tmp_path, half_spread_bps=0.6))
    answer = estimate_now(NAME)
    assert answer["run_id"]
    assert answer["cost_model_id"] is not None
    assert "half_spread" in answer["text"]


def test_a_broker_file_that_states_the_later_mid_and_the_time_is_read_and_a_wrong_time_refused(
    decided: Path, tmp_path: Path
) -> None:
    file = broker_file(tmp_path, half_spread_bps=0.6, count=40)
    delivered = pd.read_csv(file)
    delivered["later_mid_price"] = 50.01
    delivered["filled_at"] = np.where(delivered.index < 30, delivered["session"] + "T14:45:00+00:00", "")
    delivered.to_csv(file, index=False)
    import_fills(NAME, file)
    with open_history(strategy_of()) as history:
        kept = history.stores.ledger.read("fills", NAME, where={"source": "imported"})
    assert set(kept["later_mid_price"]) == {50.01}
    assert kept["filled_at"].notna().sum() == 30
    assert set(kept["filled_at"].dropna().dt.strftime("%H:%M")) == {"14:45"}
    delivered.assign(fill_id="z" + delivered["fill_id"], filled_at="2016-01-01T14:45:00+00:00").to_csv(
        file, index=False
    )
    with pytest.raises(NnAssetsError, match="a moment of the fill's session in column filled_at"):
        import_fills(NAME, file)


def test_the_shortfall_of_real_fills_adds_up_by_order_size_and_hour(decided: Path, tmp_path: Path) -> None:
    """One order filled in two parts by a broker, one whole between them, the others of the session missed."""
    with open_history(strategy_of()) as history:
        ledger = history.stores.ledger
        orders = ledger.read("orders", NAME)
        accepted = orders[(orders["status"] == "accepted") & (orders["session"] < pd.Timestamp(LAST))]
        accepted = accepted[accepted.groupby("session")["symbol"].transform("size") > 2]  # with orders beside it
        order = accepted.iloc[0]
        between, *_ = accepted[accepted["session"] == order["session"]].iloc[1:].to_dict("records")
        others = accepted[accepted["session"] == order["session"]].iloc[2:]
        row = history.row(order["session"])
        session = history.axis[row + 1]
        panel = history.cut_for(history.last_session).market.panel
        close, *closes = (
            float(panel.close[row + 1, panel.symbols.index(symbol)]) for symbol in (order["symbol"], *others["symbol"])
        )
    side, other_side = (1.0 if one["side"] == "buy" else -1.0 for one in (order, between))
    quantities = side * float(order["quantity"]) * np.array([0.5, 0.25])
    price = float(order["reference_price"]) * (1.0 + side * np.array([0.001, 0.002]))
    day = f"{session:%Y-%m-%d}"
    parts = pd.DataFrame(
        {
            "fill_id": ["p1", "p2"],
            "client_order_id": order["client_order_id"],
            "symbol": order["symbol"],
            "session": day,
            "quantity": quantities,
            "price": price,
            "mid_price": price * (1.0 - side * 0.0004),
            "commission_usd": [1.0, 2.0],
            "filled_at": [f"{day}T13:45:00+00:00", f"{day}T15:05:00+00:00"],
        }
    )
    whole_one = {"fill_id": "b1", "client_order_id": between["client_order_id"], "symbol": between["symbol"]}
    whole_one |= {"quantity": other_side * between["quantity"], "price": between["reference_price"]}
    whole_one |= {"session": day, "mid_price": between["reference_price"], "commission_usd": 0.5}
    whole_one |= {"filled_at": f"{day}T14:35:00+00:00"}
    pd.concat([parts.iloc[:1], pd.DataFrame([whole_one]), parts.iloc[1:]]).to_csv(tmp_path / "broker.csv", index=False)
    import_fills(NAME, tmp_path / "broker.csv")
    answer = show_shortfall(NAME, day, day)
    assert answer["fills"] == "real"
    whole, reference = side * float(order["quantity"]), float(order["reference_price"])
    lost = float((quantities * price).sum()) - quantities.sum() * reference + 3.5
    lost += (whole - quantities.sum()) * (close - reference)
    of_others = np.where(others["side"] == "buy", 1.0, -1.0) * others["quantity"]
    unfilled = float((of_others * (np.array(closes) - others["reference_price"])).sum())
    assert len(others)
    assert unfilled != 0.0
    every, *groups = answer["rows"]
    assert every["total_usd"] == pytest.approx(lost + unfilled, abs=1e-6)
    worth = float((others["quantity"] * others["reference_price"]).sum())
    worth += between["quantity"] * between["reference_price"]
    assert every["ordered_usd"] == pytest.approx(abs(whole) * reference + worth)
    hours = {row["label"]: row for row in groups if row["group"] == "time of day"}
    assert list(hours) == ["09:00", "10:00", "11:00", "not filled"]
    assert hours["not filled"]["opportunity_usd"] == pytest.approx(unfilled)
    assert hours["09:00"]["commission_usd"] == 1.0
    assert hours["09:00"]["opportunity_usd"] == 0.0
    assert sum(row["total_usd"] for row in hours.values()) == pytest.approx(lost + unfilled, abs=1e-6)
    later = show_shortfall(NAME, f"{session + pd.Timedelta(days=1):%Y-%m-%d}", None)
    assert later["fills"] == "paper"  # nobody told what became of the orders of later sessions
    on_paper = show_shortfall(NAME, None, f"{history.axis[row]:%Y-%m-%d}")
    assert on_paper["fills"] == "paper"
