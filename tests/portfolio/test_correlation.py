"""Equal risk where returns hardly change, or never do."""

from __future__ import annotations

import numpy as np

from nn_assets.portfolio.correlation import _FLAT, equal_risk


def test_a_name_that_falls_by_the_same_each_session_has_no_size_and_one_that_hardly_varies_has() -> None:
    swing = 0.01 * np.sqrt(_FLAT)  # small beside the level, and far above what rounding leaves
    returns = np.column_stack([np.full(60, -0.01), np.full(60, 0.01), 0.01 + swing * np.resize([1.0, -1.0], 60)])
    sizes = equal_risk(returns, np.ones(3, dtype=bool))
    np.testing.assert_array_equal(sizes[:2], 0.0)
    np.testing.assert_allclose(sizes[2], 1.0 / swing, rtol=1e-3)
