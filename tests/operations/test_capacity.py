"""An estimate of capacity on record shrinks the sizes of later sessions, by the setting; the ladder on a home."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.operations.asof.capacity import (
    CAPACITY,
    capacity_in_force,
    estimates_of_capacity,
    only_of_other_settings,
)
from nn_assets.operations.asof.settings_on_record import hash_of_capacity
from nn_assets.operations.capacity import estimate_capacity, kept_capacity
from nn_assets.operations.decisions.records import recorded_context
from nn_assets.operations.decisions.rounds import play_live
from nn_assets.operations.history import open_history
from nn_assets.operations.situation import headline_now, situation_of
from nn_assets.operations.study import study_identity
from nn_assets.oversight.headline import headline
from nn_assets.portfolio.trace import steps_frame
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.operations.test_as_known import LAST_MONTH, strategy

ESTIMATED = "2016-08-23"


def by_capacity(share: float | None = 0.5) -> Strategy:
    of = strategy()
    return of.model_copy(update={"portfolio": of.portfolio.model_copy(update={"capacity_share": share})})


def estimated(capacity_usd: float | None, session: str, name: str, of: Strategy | None = None) -> None:
    row = {"control_id": name, "kind": CAPACITY, "state": "some", "who": "test", "reason": "test"}
    details = {"session": pd.Timestamp(session).isoformat(), "capacity_usd": capacity_usd}
    details |= {} if of is None else {"settings_hash": hash_of_capacity(of)}
    with Ledger() as ledger:
        ledger.append("controls", [{**row, "details": details}], run_id="test", strategy=strategy().name)


def test_an_estimate_counts_from_the_session_after_it_and_only_where_it_is_asked_for(own_home: Path) -> None:
    del own_home
    with open_history(by_capacity()) as history:
        assert "no size follows the capacity, which was never estimated" in str(headline_now(history))
        before = study_identity(history, LAST_MONTH)
    with open_history(strategy()) as history:
        plain = study_identity(history, LAST_MONTH)
    estimated(1_000_000.0, ESTIMATED, "first")
    estimated(None, "2016-08-26", "beyond")
    with Ledger() as ledger:
        assert [one["capacity_usd"] for one in estimates_of_capacity(ledger, strategy().name)] == [1e6, None]
        in_force = [
            capacity_in_force(ledger, of).on(pd.Timestamp(day))
            for of in (by_capacity(), strategy())
            for day in (ESTIMATED, "2016-08-24", "2016-08-26", "2016-08-29")
        ]
    assert in_force == [None, 1e6, 1e6, None, None, None, None, None]
    with open_history(by_capacity()) as history:
        assert study_identity(history, LAST_MONTH) != before
        view = history.view(pd.Timestamp("2016-08-24"))
        assert view.controls.capacity_usd is None  # it was decided before the estimate was on record
    with open_history(strategy()) as history:
        assert study_identity(history, LAST_MONTH) == plain


def test_a_session_decided_under_it_holds_half_and_its_trace_and_first_line_say_why(own_home: Path) -> None:
    del own_home
    day = pd.Timestamp("2016-08-24")
    with open_history(strategy()) as history:
        (row,) = history.stores.ledger.read("decisions", strategy().name, day, day, bookkeeping=True).to_dict("records")
    context = recorded_context(pd.Series(row))
    rounds = []
    for of, capacity in ((strategy(), None), (by_capacity(), 1_500_000.0)):
        with open_history(of) as history:
            changed = replace(context, controls=replace(context.controls, capacity_usd=capacity))
            rounds.append(play_live(history, history.view(day), changed)[1])
    full, half = (done.decision for done in rounds)
    assert np.abs(full.target_quantity).sum() > 0.0
    assert half.scale == full.scale / 2.0
    assert (np.abs(half.target_quantity) <= np.abs(full.unscaled_quantity) * half.scale + 1.0).all()
    assert np.array_equal(half.unscaled_quantity, full.unscaled_quantity)  # it acts last
    last = steps_frame(half).query("step == 8")["reason"].iloc[0]
    assert "capacity 0.5 (assets 1," in last
    assert "of at most 50% of 1,500,000 USD)" in last
    with open_history(by_capacity()) as history:
        read = {
            name: history.stores.ledger.read(name, strategy().name, day, day)
            for name in ("portfolio_states", "trading_states", "target_positions", "holdings", "orders")
        }
    situation = situation_of(
        by_capacity(),
        state=read["portfolio_states"].iloc[-1].to_dict(),
        trading=read["trading_states"].iloc[-1].to_dict(),
        targets=read["target_positions"],
        holdings=read["holdings"],
        orders=read["orders"],
        verdict=None,
        controls={"capacity_usd": 1_500_000.0},
        verdict_of=None,
        late=None,
        kill_switch="ACTIVE",
    )
    line = str(headline(situation))
    assert " REDUCED: " in line
    assert "sizes are 0.5 of what they would be, since assets of 1," in line


def test_an_estimate_of_other_settings_gives_way_and_is_named_while_there_is_no_other(own_home: Path) -> None:
    del own_home
    of, day = by_capacity(), pd.Timestamp("2016-08-29")
    others = of.model_copy(update={"label": of.label.model_copy(update={"horizon_sessions": 17})})
    estimated(1e6, ESTIMATED, "own", of)
    estimated(9e9, "2016-08-26", "another label's", others)
    with Ledger() as ledger:
        assert capacity_in_force(ledger, of).on(day) == 1e6
        assert capacity_in_force(ledger, of).newest == ["2016-08-23 00:00:00", 1e6]
        assert capacity_in_force(ledger, by_capacity(0.25)).on(day) == 1e6  # the share is none of what it depends on
        assert capacity_in_force(ledger, others).on(day) == 9e9
        third = of.model_copy(update={"label": of.label.model_copy(update={"horizon_sessions": 19})})
        assert capacity_in_force(ledger, third).on(day) == 9e9  # a bound of other settings is safer than none
        assert only_of_other_settings(ledger, third)
        assert not only_of_other_settings(ledger, of)


@pytest.mark.full
def test_the_ladder_of_a_home_is_put_on_record_once_and_shown(own_home: Path) -> None:
    del own_home
    lines: list[str] = []
    with open_history(strategy()) as history:
        made = [estimate_capacity(history, "test", lines.append, (0.5, 1.0, 8.0))[0] for _ in range(2)]
        assert made[0] == made[1]
        on_record = estimates_of_capacity(history.stores.ledger, strategy().name)
        assert len(on_record) == 1
        assert len(on_record[0]["sizes"]) == 3
    shown = kept_capacity(strategy().name)
    assert shown is not None
    assert shown["sentence"] == made[0].sentence
    assert lines[0].startswith("replaying 3 sizes over ")
