"""An edge that turns its sign while the market is turbulent, and nothing else of it."""

from __future__ import annotations

import numpy as np

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.simulator.markets import MarketShape, simulate_market

SESSIONS = sessions_between("XNYS", "2012-01-03", "2012-12-31")


def test_the_planted_part_of_turbulent_sessions_alone_turns_its_sign() -> None:
    plain, turned = (
        simulate_market(3, SESSIONS, 5, 0.2, 0.9, MarketShape(turbulent_edge=edge, regime_leaves=(0.05, 0.05))).truth
        for edge in (1.0, -1.0)
    )
    turbulent = plain.turbulent
    assert 0.2 < turbulent.mean() < 0.8
    np.testing.assert_array_equal(turned.turbulent, turbulent)
    np.testing.assert_array_equal(turned.signal, plain.signal)
    np.testing.assert_array_equal(turned.expected_return[~turbulent], plain.expected_return[~turbulent])
    np.testing.assert_array_equal(turned.expected_return[turbulent], -plain.expected_return[turbulent])
    # a session's return has the part that was foretold the session before
    apart = (turned.log_return - plain.log_return)[1:]
    np.testing.assert_allclose(
        apart, np.where(turbulent[:-1, None], -2.0 * plain.expected_return[:-1], 0.0), atol=1e-12
    )
