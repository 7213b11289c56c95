"""What every label is held to, whoever brought it: a new one brings settings that name it, and its loop written out.

The loop shares nothing with what it checks: it reads single prices, and knows no array of the package.
"""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.features.labels import label_kind, make_labels
from nn_assets.features.labels.contract import require_sound_label
from nn_assets.market.panel import Panel
from nn_assets.settings import LabelSettings
from tests.features.panels import changed, random_panel

BARS, SYMBOLS, GAP = 70, 7, (38, 2)


def _thinned() -> Panel:
    return changed(random_panel(bars=BARS, symbols=SYMBOLS), lambda values: values.__setitem__(GAP, np.nan))


class LabelContract:
    """A member gives ``label`` for an execution, and ``own_return`` of a row and column."""

    @pytest.fixture(params=["next_open", "next_close"])
    def execution(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def label(self, execution: str) -> LabelSettings:
        raise NotImplementedError

    def own_return(
        self, forward: list[list[float | None]], row: int, column: int, cash: float, label: LabelSettings
    ) -> float | None:
        """By hand: ``forward`` has the simple return from fill to horizon of each row and candidate, or None."""
        raise NotImplementedError

    def test_it_keeps_the_contract_that_plugins_are_held_to(self, label: LabelSettings) -> None:
        require_sound_label(label)

    @pytest.mark.parametrize("everyone", [True, False])
    def test_targets_are_the_sign_of_the_loop_written_out(self, label: LabelSettings, everyone: bool) -> None:
        panel = _thinned()
        candidates = None if everyone else np.random.default_rng(4).random((BARS, SYMBOLS)) > 0.15
        cash = np.linspace(0.0, 0.001, BARS)
        labels = make_labels(panel, label, cash, candidates, 0.05)
        price = panel.open if label.execution == "next_open" else panel.close
        lag, span = 1, 1 + label.horizon_sessions
        forward: list[list[float | None]] = []
        for row in range(BARS):
            line: list[float | None] = []
            for column in range(SYMBOLS):
                known = row + span < BARS and (candidates is None or bool(candidates[row, column]))
                simple = price[row + span, column] / price[row + lag, column] - 1.0 if known else np.nan
                line.append(None if np.isnan(simple) else float(simple))
            forward.append(line)
        both = set()
        for row in range(20, BARS):
            for column in range(SYMBOLS):
                own = None
                if (row, column) != GAP and forward[row][column] is not None:
                    own = self.own_return(forward, row, column, float(cash[row]), label)
                if own is None:
                    assert np.isnan(labels.targets[row, column])
                    assert np.isnan(labels.returns[row, column])
                    continue
                assert labels.returns[row, column] == pytest.approx(own, abs=1e-13)
                assert labels.targets[row, column] == float(labels.returns[row, column] > 0.0)
                both.add(float(own > 0.0))
        assert both == {0.0, 1.0}

    def test_what_every_name_does_alike_changes_a_label_unless_it_is_relative(self, label: LabelSettings) -> None:
        panel, row = _thinned(), 64
        rising = changed(panel, lambda values: values.__setitem__(slice(row, None), 3.0 * values[row:]))
        before, after = (make_labels(each, label).targets[row - 2] for each in (panel, rising))
        assert np.isfinite(before).all()
        assert np.array_equal(before, after) is label_kind(label).relative
