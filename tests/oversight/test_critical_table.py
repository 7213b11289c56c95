"""The stored critical values: complete, made by the simulation beside them, and enough for the usual lengths."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.resources import files
from itertools import product

import numpy as np
import pytest

from nn_assets.errors import ControlError
from nn_assets.oversight import critical_table, critical_values, simulation
from nn_assets.oversight.critical_table import FILE, Key, stored_values
from nn_assets.oversight.critical_values import critical_value
from nn_assets.oversight.drift import DriftMonitor, drift_reference
from nn_assets.oversight.simulation import COEFFICIENTS, REFERENCES, simulated
from nn_assets.settings import OversightSettings
from tests.oversight.simulate_table import PACES, SESSIONS_PER_YEAR, WINDOWS, simulated_column, table_text
from tests.oversight.worlds import autoregressive, examined

USUAL_WINDOWS = (20, 21, 42, 60, 63, 120, 126)
USUAL_REFERENCES = (60, 120, 126, 250, 252, 500, 504)
# Two rounded by their first printing, and ones in full; a value that a span of any length would move.
REMADE = [
    (Key("ks", 60, 252, 1.0), 126, 0.9),
    (Key("ks", 20, 252, 4.0), 60, 0.5),
    (Key("ks", 63, 365, 1.0), 250, 0.0),
    (Key("ks", 126, 252, 4.0), 90, 0.98),
    (Key("ks", 21, 365, 2.0), 500, 0.75),
]
REMADE_HEIGHTS = [
    (Key("cusum", 60, 252, 0.5), 60, 0.5),
    (Key("cusum", 20, 252, 0.5), 60, 0.0),
    (Key("cusum", 42, 365, 1.0), 360, 0.3),
]


@pytest.fixture
def unsimulated(monkeypatch):
    """Let any simulation fail the test, and nothing be remembered from tests before it."""

    def refuse(*_args):
        raise AssertionError("simulated")

    critical_value.cache_clear()
    monkeypatch.setattr(critical_values, "simulated", refuse)


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("per_year", [252, 365])
@pytest.mark.parametrize("window", USUAL_WINDOWS)
def test_the_usual_lengths_are_looked_up_not_simulated(window, per_year):
    for reference, coefficient in product(USUAL_REFERENCES, (0.0, 0.37, 0.9, 0.99)):
        for rings in (4.0, 2.0, 1.0, 0.5, 0.25):
            assert 0.0 < critical_value("ks", window, reference, coefficient, per_year, rings) <= 1.0
        for rings in (0.5, 0.25):
            assert critical_value("cusum", window, reference, coefficient, per_year, rings) > 0.0


@pytest.mark.full
@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("per_year", [252, 365])
@pytest.mark.parametrize(("window", "length"), [(60, 500), (60, 126), (20, 60), (63, 252)])
def test_a_first_drift_report_simulates_no_critical_value(window, length, per_year):
    generator = np.random.default_rng(41)
    columns = [autoregressive(generator, np.array([0.0, 0.5, 0.5]), length + 150) for _ in range(6)]
    features = np.stack(columns, axis=1)
    features[:, :, 2] += 0.2 * np.arange(length + 150)[:, None]  # persistent however short the reference
    forecasts = 0.5 + 0.05 * autoregressive(generator, np.full(6, 0.97), length + 150)
    settings = OversightSettings(drift_window_sessions=window, drift_reference_sessions=length)
    reference = drift_reference(
        forecasts[:length], features[:length], ("a", "b", "c"), settings, sessions_per_year=per_year
    )
    report = examined(DriftMonitor(settings), length + 149, reference.forecast_ranks(forecasts), features, reference)
    assert {s.name for s in report.statistics} > {"a", "a:spread", "c:cusum"}


def test_another_window_is_still_simulated():
    assert 45 not in WINDOWS
    assert critical_value("ks", 45, 60, 0.0, 252, 4.0) == simulated("ks", 45, 60, 0.0, 252, 4.0)


def test_every_length_and_pace_is_stored_at_every_node_and_nothing_else():
    expected = {
        Key(statistic, window, per_year, rings)
        for statistic in PACES
        for window, per_year, rings in product(WINDOWS, SESSIONS_PER_YEAR, PACES[statistic])
    }
    assert set(stored_values()) == expected
    assert set(USUAL_WINDOWS) <= set(WINDOWS)
    for key, rows in stored_values().items():
        assert tuple(rows) == REFERENCES, key
        values = np.array(list(rows.values()))
        assert values.shape == (len(REFERENCES), len(COEFFICIENTS)), key
        assert np.isfinite(values).all(), key
        assert (values > 0.0).all(), key


def test_the_stored_values_rise_with_memory_and_with_the_seldomness_of_rings():
    for key, rows in stored_values().items():
        values = np.array(list(rows.values()))
        # A distance ends at 1, and a CUSUM at a window of the highest score: there nothing rises any more.
        assert (np.diff(values, axis=1) > -1e-12).all(), key
        often = Key(key.statistic, key.window, key.sessions_per_year, 2.0 * key.rings_per_year)
        if often in stored_values():
            assert (values >= np.array(list(stored_values()[often].values()))).all(), key


@pytest.mark.full
@pytest.mark.parametrize(("key", "reference", "coefficient"), REMADE)
def test_a_stored_distance_is_to_the_bit_what_the_simulation_gives(key, reference, coefficient):
    made = simulated("ks", key.window, reference, coefficient, key.sessions_per_year, key.rings_per_year)
    if (key.window, key.sessions_per_year) == (60, 252):
        made = round(made, 4)  # as first printed
    assert stored_values()[key][reference][COEFFICIENTS.index(coefficient)] == made


@pytest.mark.full
@pytest.mark.parametrize(("key", "reference", "coefficient"), REMADE_HEIGHTS)
def test_a_stored_height_is_what_the_simulation_gives(key, reference, coefficient):
    made = simulated("cusum", key.window, reference, coefficient, key.sessions_per_year, key.rings_per_year)
    if (key.window, key.sessions_per_year) == (60, 252):
        made = round(made, 2)  # as first printed
    # Normal scores may differ by a rounding between machines.
    assert stored_values()[key][reference][COEFFICIENTS.index(coefficient)] == pytest.approx(made, rel=1e-12)


def test_the_script_makes_a_column_as_it_is_stored():
    column = simulated_column(0.6, windows=(20,), references=(20,))
    assert len(column) == len(SESSIONS_PER_YEAR) * sum(map(len, PACES.values()))
    for (key, reference), value in column.items():
        stored = stored_values()[key][reference][COEFFICIENTS.index(0.6)]
        assert value == stored if key.statistic == "ks" else value == pytest.approx(stored, rel=1e-12)


def test_the_script_writes_what_is_read():
    columns = [
        {(key, reference): rows[reference][column] for key, rows in stored_values().items() for reference in rows}
        for column in range(len(COEFFICIENTS))
    ]
    written = table_text(columns)
    assert written == files("nn_assets.oversight").joinpath(FILE).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("term", "value"),
    [("_SEED", 1), ("_REPLICATIONS", 10), ("CUSUM_ALLOWANCE", 0.2), ("COEFFICIENTS", (0.0,)), ("REFERENCES", (20,))],
)
def test_values_simulated_on_other_terms_are_refused(monkeypatch, term, value):
    monkeypatch.setattr(simulation, term, value)
    with pytest.raises(ControlError, match=r"reinstall nn_assets.*tests\.oversight\.simulate_table"):
        stored_values.__wrapped__()


READING = """
import sys, time
from nn_assets.oversight.critical_table import stored_values
start = time.process_time()
stored_values()
print(time.process_time() - start, "scipy" in sys.modules)
"""


def test_the_values_are_read_in_a_moment_and_without_scipy():
    completed = subprocess.run([sys.executable, "-c", READING], capture_output=True, text=True, check=True)
    seconds, with_scipy = completed.stdout.split()
    assert float(seconds) < 0.05
    assert with_scipy == "False"


def test_the_file_is_small_and_travels_with_the_package(checkout):
    data = files("nn_assets.oversight").joinpath(FILE).read_bytes()
    assert len(data) < 1_000_000
    pyproject = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"oversight/{critical_table.FILE}" in pyproject["tool"]["setuptools"]["package-data"]["nn_assets"]
