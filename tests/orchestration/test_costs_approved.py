"""A large change of costs waits for a person, is said first, and prices no session before it was approved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.cli.costs import approve_costs, show_costs
from nn_assets.cli.status import report
from nn_assets.costs.estimation import CostEstimate
from nn_assets.errors import ControlError, NnAssetsError
from nn_assets.operations.asof.costs import costs_in_force
from nn_assets.operations.cost_estimation import record_cost_estimate
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.fills import import_fills
from tests.orchestration.conftest import LAST, NAME, strategy_of
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
    first_line = report(NAME)["text"].splitlines()[0]
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
    assert "waits for approval" not in report(NAME)["text"]
    shown = show_costs(NAME)
    assert shown["waiting"] is None
    spread = shown["in_force"][0]
    assert (spread["coefficient"], spread["source"], spread["dated"]) == ("half_spread", "fitted", LAST)
    assert estimated().status == "in_force"  # the same fills again: no change from what was approved


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
