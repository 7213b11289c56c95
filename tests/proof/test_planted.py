"""The table of the bundled simulated strategy: what makes its panels, and what it says of made-up results."""

from __future__ import annotations

from typing import Any

import pytest

from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.strategy_files import make_strategy
from tests.proof import planted
from tests.proof.results import Result


@pytest.mark.full
def test_a_panel_is_the_strategy_as_it_ships_but_for_its_seed() -> None:
    panels = planted.panels()
    assert [panel["seed"] for panel in panels] == list(range(1, 21))
    shipped = find_strategy("planted_edge").strategy
    made = make_strategy(planted.settings_of(shipped.source.seed))  # type: ignore[union-attr]
    assert made.model_copy(update={"name": "planted_edge"}).content_hash() == shipped.content_hash()
    assert len({panel["settings"] for panel in panels}) == 20


def result(seed: int, verdict: str, gross: float, sharpe: float | None, alarms: list[str]) -> Result:
    of_each: dict[str, Any] = {
        "rank_ic": 0.03,
        "rank_ic_t": 3.0,
        "sharpe_gross": 1.0,
        "sharpe_net": sharpe,
        "return_per_year": 0.01,
        "gross": gross,
        "traded": 0.9,
    }
    figures = {"verdict": verdict, "alarms": alarms, "estimators": {"network": of_each, "linear": of_each}}
    return Result({"seed": seed}, figures, "", 1.0)


def test_the_table_counts_verdicts_alarms_and_gross_exposure() -> None:
    text = planted.summary(
        [
            result(1, "edge found", 0.5, 0.8, []),
            result(2, "signal found", 0.4, 0.2, []),
            result(3, "cannot tell", 0.3, None, []),
            result(4, "leak alarm", 0.2, 0.0, ["network rank IC"]),
        ]
    )
    # Clopper-Pearson at 95%, from a table: 2 of 4 gives 0.0676 to 0.9324, 1 of 4 gives 0.0063 to 0.8059.
    assert "| signal found, edge found among them (asked: at least 18 of 20) | 2 of 4, 50.0% (6.8% to 93.2%) |" in text
    for one in ("edge found", "cannot tell", "leak alarm", "a leak alarm (asked: none)"):
        assert f"| {one} | 1 of 4, 25.0% (0.6% to 80.6%) |" in text
    assert "35.0% on average over seeds, 20.0% to 50.0%" in text
    assert "| network | +0.0300 ± 0.0000 | +3.00 ± 0.00 | +1.00 ± 0.00 | +0.25 ±" in text
