"""What the page of a session and of a study say of stops and of premium."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nn_assets.evaluation.replay import Replay
from nn_assets.evaluation.track import BookTrack
from nn_assets.operations.session_page import regime_lines
from nn_assets.operations.study_page import _data_notices, _stops_and_premium
from nn_assets.reports.round_notices import premium_notices, stop_notices
from tests.portfolio.test_bad_inputs import decided, inputs_of, settings


def played(lost: float, *, hold_premium: bool) -> Any:
    """A session that lost so much beyond its stops, and holds eight names at p 0.55 beside a base rate of 0.53."""
    of = inputs_of(calibrated_probability=np.full(8, 0.55), base_rate=np.full(8, 0.53))
    return SimpleNamespace(
        decision=decided(of, settings("per_name", hold_premium=hold_premium)), loss_beyond_stops_usd=lost
    )


def test_the_notices_of_the_data_are_counted_by_rule_first_and_say_how_many_are_left_out() -> None:
    lines = [f"notice {number}" for number in range(60)]
    publication: Any = SimpleNamespace(details={"notices": lines, "noticed_by_rule": {"few": 10, "many": 50}})
    assert _data_notices(publication) == ["60 notices: many 50, few 10", *lines[:50], "and 10 more"]
    older: Any = SimpleNamespace(details={"notices": lines[:1]})
    assert _data_notices(older) == lines[:1]


def test_a_usual_regime_is_told_in_a_plain_line_and_a_rare_one_is_pointed_out() -> None:
    plain, notices = regime_lines({"name": "calm", "share": 0.49})
    assert plain == ["Regime: calm; it had 49% of the training and validation rows of the model in force."]
    assert notices == []
    plain, notices = regime_lines({"name": "turbulent", "share": 0.04})
    assert plain == []
    (notice,) = notices
    assert notice.startswith("Regime: turbulent; it had 4% of the training and validation rows of the model in force. ")
    assert regime_lines({}) == ([], [])


def test_a_session_says_what_was_lost_beyond_stops_and_nothing_where_nothing_was() -> None:
    assert stop_notices(played(0.0, hold_premium=False)) == []
    (notice,) = stop_notices(played(1234.5, hold_premium=False))
    assert "1,234.50 USD beyond the stops" in notice


def test_a_session_says_what_share_of_its_target_is_premium_where_it_is_held() -> None:
    assert premium_notices(played(0.0, hold_premium=False)) == []
    (notice,) = premium_notices(played(0.0, hold_premium=True))
    assert "60% of the target's gross is premium" in notice  # 0.03 of 0.05


@pytest.mark.parametrize("hold_premium", [False, True])
def test_a_study_says_both_over_all_its_sessions(hold_premium: bool) -> None:
    none = np.zeros(0)
    rounds = (played(1000.0, hold_premium=hold_premium), played(500.0, hold_premium=hold_premium))
    replay = Replay(rounds, BookTrack(none, none, none))
    result: Any = SimpleNamespace(study=SimpleNamespace(replays={"network": replay}))
    strategy: Any = SimpleNamespace(portfolio=settings("per_name", hold_premium=hold_premium))
    expected = [["Lost beyond stops", "1,500 USD, 0.15% of capital"]]
    premium = [["Premium of the positions", "60% of gross"]]
    assert _stops_and_premium(strategy, result) == expected + (premium if hold_premium else [])
