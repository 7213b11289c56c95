"""A small strategy on simulated perpetuals that trade on every day of the year, refitted every 30 days."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nn_assets.cli.controls import release_leak_alarm
from tests.operations import homes
from tests.orchestration.conftest import living_in, strategy_of, write_strategy
from tests.shared_homes import built_once, nothing_drawn

NAME = "around_the_clock"
FIRST_LIVE, LAST = "2021-08-28", "2021-08-31"
FIRST_MONTH, LAST_MONTH = "2021-06", "2021-08"
MONTHS = homes.months_between(FIRST_MONTH, LAST_MONTH)
SYMBOLS = [f"SIM{number:02d}" for number in range(1, 7)]

MARKET: dict[str, object] = {
    "calendar": "24/7",
    "asset_class": "perpetual",
    "symbols": SYMBOLS,
    "history_starts": "2021-01-01",
    "history_ends": LAST,
    "live_starts": FIRST_LIVE,
}

IN_DAYS: dict[str, object] = {
    "training_months": None,
    "validation_months": None,
    "calibration_months": None,
    "refit_every_months": None,
    "refit_every_days": 30,
    "training_days": 60,
    "validation_days": 15,
    "calibration_days": 15,
    "minimum_training_rows": 200,
}


def write(home: Path, **sections: dict[str, object]) -> Path:
    """Write the strategy into a home."""
    file = write_strategy(
        home,
        NAME,
        **{
            "source": {"planted_rank_ic": 0.5},
            "learning": {"maximum_epochs": 12, "learning_rate": 0.01},
            "market": MARKET,
            "features": {
                "names": ["log_return_1", "close_location", "funding_rate_per_day"],
                "series": {"funding_rate": "funding"},
                "panel_pass_share": 0.5,
            },
            "walk_forward": IN_DAYS,
            "costs": {"half_spread_bps": 0.5, "commission_bps": 0.2, "funding": "funding"},
            **sections,
        },
    )
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    settings["series"] = [{"name": "funding", "kind": "simulator_funding", "symbols": SYMBOLS}]
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return file


def studied(factory: pytest.TempPathFactory) -> Path:
    """A home that took everything in and studied three months; to be read, or copied."""

    def build(home: Path) -> None:
        write(home)
        with living_in(home), nothing_drawn():
            homes.take_in(strategy_of(NAME))
            homes.study(strategy_of(NAME), MONTHS)
            # An edge that large rings an alarm, under which nothing would be held.
            release_leak_alarm(NAME, "ann", "the edge is planted")
            homes.study(strategy_of(NAME), MONTHS)

    return built_once("around_the_clock", factory, build)
