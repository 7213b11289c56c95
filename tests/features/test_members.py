"""What says something of the whole market is measured over the members of each session, and over no one else."""

from __future__ import annotations

import numpy as np
import pytest

from nn_assets.arrays import Cube
from nn_assets.features.catalogue import available_features, compute_features
from nn_assets.features.labels import Labels, make_labels
from nn_assets.features.selection import select_features
from nn_assets.features.stationarity import apply_transforms, decide_transforms
from nn_assets.settings import FeatureSettings, LabelSettings
from tests.features.panels import changed, columns_of, random_panel

BARS, JOINED = 500, 300
MEMBERS, FUTURE, STRANGER = [0, 1, 2, 3, 4], 5, 6
KEPT = [*MEMBERS, FUTURE]
PANEL = random_panel(BARS, 7)
RELATIVE = LabelSettings(kind="direction_relative", horizon_sessions=5)


def belongs() -> np.ndarray:
    """Five members all along, one that joins later, and one that never does."""
    mask = np.ones((BARS, 7), dtype=bool)
    mask[:JOINED, FUTURE] = False
    mask[:, STRANGER] = False
    return mask


def tripled(column: int, stop: int = BARS):
    """Every other session's prices and volumes of one symbol are three times what they were."""
    return changed(PANEL, lambda values: values.__setitem__((slice(0, stop, 2), column), 3 * values[:stop:2, column]))


def test_no_label_of_a_member_knows_of_a_symbol_that_is_none() -> None:
    plain = make_labels(PANEL, RELATIVE, candidates=belongs())
    loud = make_labels(tripled(STRANGER), RELATIVE, candidates=belongs())
    gone = make_labels(columns_of(PANEL, KEPT), RELATIVE, candidates=belongs()[:, KEPT])
    before = make_labels(tripled(FUTURE, JOINED), RELATIVE, candidates=belongs())
    for name in ("targets", "returns"):
        own = getattr(plain, name)[:, KEPT]
        assert own.tobytes() == getattr(loud, name)[:, KEPT].tobytes() == getattr(gone, name).tobytes()
        assert own[:JOINED].tobytes() == getattr(before, name)[:JOINED, KEPT].tobytes()
        assert np.isnan(getattr(plain, name)[:, STRANGER]).all()
    assert np.isfinite(plain.returns[20 : JOINED - 10, MEMBERS]).all()
    # The oracle: the middle one of five, of six the mean of the two in the middle.
    for row, among in ((100, MEMBERS), (JOINED + 50, KEPT)):
        forward = sorted(PANEL.close[row + 6, column] / PANEL.close[row + 1, column] - 1.0 for column in among)
        middle = (forward[(len(among) - 1) // 2] + forward[len(among) // 2]) / 2.0
        own = PANEL.close[row + 6, 0] / PANEL.close[row + 1, 0] - 1.0
        assert plain.returns[row, 0] == pytest.approx(own - middle, abs=1e-14)


def test_four_members_are_too_few_for_a_median_however_many_others_there_are() -> None:
    few = belongs()
    few[200, 4] = False
    labels = make_labels(PANEL, RELATIVE, candidates=few)
    assert np.isnan(labels.returns[200]).all()
    assert np.isfinite(labels.returns[199, MEMBERS]).all()


def test_a_field_that_only_others_have_makes_no_feature() -> None:
    def muted(values: np.ndarray) -> None:
        values[:, MEMBERS] = np.where(values[:, MEMBERS] > 1000.0, np.nan, values[:, MEMBERS])

    panel = changed(PANEL, muted)  # the members' volumes are unknown
    assert "volume_z_20" in available_features(panel)
    names = available_features(panel, candidates=belongs())
    assert "volume_z_20" not in names
    assert names == available_features(columns_of(panel, MEMBERS))
    assert compute_features(panel, candidates=belongs()).names == names


def test_no_feature_of_a_member_knows_of_a_symbol_that_is_none() -> None:
    plain = compute_features(PANEL, market_symbol="S0", candidates=belongs())
    loud = compute_features(tripled(STRANGER), market_symbol="S0", candidates=belongs())
    gone = compute_features(columns_of(PANEL, KEPT), market_symbol="S0", candidates=belongs()[:, KEPT])
    own = np.ascontiguousarray(plain.values[:, KEPT])
    assert own.tobytes() == np.ascontiguousarray(loud.values[:, KEPT]).tobytes() == gone.values.tobytes()


def study(columns: list[int], wild: bool = False) -> tuple[Cube, np.ndarray]:
    """Features of which the second repeats the first, but for one symbol, which says the contrary."""
    draw = np.random.default_rng(4)
    first, jitter, noise = (draw.normal(size=(BARS, 7)) for _ in range(3))
    values = np.stack([first, first + 0.5 * jitter, noise], axis=2)
    values[:, STRANGER, 1] = -40.0 * first[:, STRANGER] if wild else values[:, STRANGER, 1]
    sessions, symbols = PANEL.sessions, tuple(PANEL.symbols[column] for column in columns)
    cube = Cube(sessions, symbols, ("first", "repeat", "noise"), np.ascontiguousarray(values[:, columns]))
    return cube, (0.3 * first + draw.normal(size=(BARS, 7)))[:, columns]


@pytest.mark.parametrize("members", [MEMBERS, MEMBERS[:4]])  # five are ranked across, fewer in time
def test_no_choice_of_features_knows_of_a_symbol_that_is_none(members) -> None:
    settings = FeatureSettings(select=True, maximum_selected=3)
    selections = []
    for columns, wild in (([*members, STRANGER], False), ([*members, STRANGER], True), (members, False)):
        cube, returns = study(columns, wild)
        candidates = np.ones((BARS, len(columns)), dtype=bool)
        candidates[:, len(members) :] = False
        labels = Labels((returns > 0).astype(float), returns, np.arange(BARS) + 2).of_candidates(candidates)
        rows = slice(40, 460)
        verdicts = decide_transforms(cube.where(candidates), rows, settings)
        selections.append((verdicts, select_features(apply_transforms(cube, verdicts), labels, rows, settings, 2)))
    assert selections[0] == selections[1] == selections[2]


@pytest.mark.parametrize("members", [MEMBERS, MEMBERS[:3]])
def test_no_choice_of_features_knows_what_a_member_was_before_it_joined(members) -> None:
    settings, selections = FeatureSettings(select=True, maximum_selected=3), []
    columns, rows = [*members, FUTURE], slice(40, 460)
    candidates = belongs()[:, columns]
    for wild in (False, True):
        cube, returns = study(columns)
        values = np.array(cube.values)
        if wild:
            values[:JOINED, -1, 1] = -40.0 * values[:JOINED, -1, 0]
        altered = Cube(cube.sessions, cube.symbols, cube.names, values)
        labels = Labels((returns > 0).astype(float), returns, np.arange(BARS) + 2).of_candidates(candidates)
        selections.append(select_features(altered, labels, rows, settings, 2))
    assert selections[0] == selections[1]
    assert any(figure.incremental_rank_ic is not None for figure in selections[0].figures)


def test_without_a_universe_and_with_everyone_in_it_nothing_changes_to_the_bit() -> None:
    everyone = np.ones((BARS, 7), dtype=bool)
    plain = compute_features(PANEL, market_symbol="S0")
    assert compute_features(PANEL, market_symbol="S0", candidates=everyone).content_hash() == plain.content_hash()
    for label in (RELATIVE, LabelSettings()):
        alone, among = make_labels(PANEL, label), make_labels(PANEL, label, candidates=everyone)
        assert alone.targets.tobytes() == among.targets.tobytes()
        assert alone.returns.tobytes() == among.returns.tobytes()
        assert (alone.candidates is None, np.shares_memory(among.candidates, everyone)) == (True, True)
