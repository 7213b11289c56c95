"""The label of a binary contract: whether it settles at 1 within the horizon, known no earlier and no later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.features.labels import make_labels
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.panel import FIELDS, Panel, panel_from_bars
from nn_assets.settings import LabelSettings

BARS, HORIZON = 60, 4
SETTLES = {"YES": (40, 1.0), "NO": (45, 0.0), "OPEN": None}


def contracts(bars: int = BARS, value: float = 1.0) -> Panel:
    sessions = sessions_between("24/7", "2024-01-01", "2024-06-30")[:bars]
    draw = np.random.default_rng(4)
    price = np.clip(0.5 + np.cumsum(draw.normal(0.0, 0.02, (BARS, len(SETTLES))), axis=0), 0.05, 0.95)[:bars]
    long = pd.concat(
        [
            pd.DataFrame({"symbol": name, "session": sessions, **dict.fromkeys(FIELDS[:4], price[:, column])}).assign(
                volume=1e5, open=price[:, column] * 0.99
            )
            for column, name in enumerate(SETTLES)
        ]
    )
    at = {name: settle for name, settle in SETTLES.items() if settle is not None and settle[0] < bars}
    actions = pd.DataFrame(
        [
            (name, sessions[row], "settlement", value if name == "YES" else paid)
            for name, (row, paid) in at.items()
        ],
        columns=["symbol", "ex_session", "kind", "value"],
    )  # fmt: skip
    return panel_from_bars(long, sessions, tuple(SETTLES), actions)


@pytest.mark.parametrize("execution", ["next_open", "next_close"])
def test_a_row_has_one_where_its_fill_lies_before_a_settlement_within_the_horizon(execution: str) -> None:
    panel = contracts()
    labels = make_labels(panel, LabelSettings(kind="settlement", horizon_sessions=HORIZON, execution=execution))
    price = panel.open if execution == "next_open" else panel.close
    for column, settle in enumerate(SETTLES.values()):
        for row in range(25, BARS):
            there = settle is not None and row + 1 < settle[0] <= row + 1 + HORIZON
            assert np.isfinite(labels.targets[row, column]) == there, (row, column)
            if settle is not None and there:
                assert labels.targets[row, column] == settle[1]
                assert labels.returns[row, column] == pytest.approx(settle[1] / price[row + 1, column] - 1.0)
    assert labels.realised_row[30] == 30 + 1 + HORIZON  # by then it is settled


def test_what_is_known_at_a_row_is_known_without_the_future_and_whatever_the_future_says() -> None:
    label = LabelSettings(kind="settlement", horizon_sessions=HORIZON)
    whole, restated = make_labels(contracts(), label), make_labels(contracts(value=0.0), label)
    assert not np.array_equal(whole.targets[:, 0], restated.targets[:, 0], equal_nan=True)
    for row in (38, 39, 40, 44, 50):
        cut = make_labels(contracts(bars=row + 1), label)
        np.testing.assert_array_equal(whole.until(row).targets, cut.targets)
        if row < 40:  # before the session that it settles on no value of it is in anything known
            np.testing.assert_array_equal(restated.until(row).targets, cut.targets)


def test_a_market_without_a_settlement_has_no_label() -> None:
    panel = contracts()
    labels = make_labels(replace(panel, adjustment=None), LabelSettings(kind="settlement", horizon_sessions=HORIZON))
    assert np.isnan(labels.targets).all()
