"""Features by the version of their code: what a mended line feeds is made again by the next run, nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.arrays import Cube
from nn_assets.errors import PublicationError
from nn_assets.market.facts.bars import known_bars
from nn_assets.market.quality.cleaning import clean
from nn_assets.operations import derived
from nn_assets.operations.cut import PublishedCut
from nn_assets.operations.features import store_features
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.bars import audit_bars, publish_bars
from nn_assets.operations.intake.series import ingest_series
from nn_assets.store.lake.files import read_record
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.publication import Publication
from nn_assets.versions import definitions_behind, version_of
from nn_assets.versions.moved import counted_name
from tests.edited_package import Mend, mending
from tests.operations.homes import take_in
from tests.orchestration.conftest import NAME, living_in, strategy_of, write_strategy
from tests.test_versions import followed, ran

OF_BARS = ("log_return_1", "log_return_5", "close_location", "volume_z_20", "market_correlation_60")
NAMES = (*OF_BARS, "implied_over_realised")
FEATURES = {"names": list(NAMES), "market_symbol": "SIM01"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with features of bars and of a series."""
    home = tmp_path_factory.mktemp("features")
    file = write_strategy(home, features={**FEATURES, "series": {"implied_volatility": "fear"}})
    settings = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**settings, "series": [{"name": "fear", "path": "fear.csv", "lag_minutes": 15}]}))
    days = pd.bdate_range("2016-01-04", "2017-06-30")
    rows = [f"{day.date()},{15 + index % 7}" for index, day in enumerate(days)]
    (file.parent / "fear.csv").write_text("session,value\n" + "\n".join(rows) + "\n")
    with living_in(home):
        take_in(strategy_of())
        yield home


@pytest.fixture
def lived_in(home: Path, tmp_path: Path) -> Iterator[Path]:
    copied = tmp_path / "home"
    shutil.copytree(home, copied)
    with living_in(copied):
        yield copied


@pytest.fixture
def mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mend:
    return mending(tmp_path, monkeypatch)


def made() -> set[str]:
    """Names of the features that a run computes."""
    with open_history(strategy_of()) as history:
        return set(store_features(history)[2])


def cube() -> Cube:
    with open_history(strategy_of()) as history:
        return history.view().cube


MENDED = {
    "a comment": ("features/rolling.py", "def lagged(", "# a comment\ndef lagged(", set()),
    "a docstring": ("market/adjustment.py", '"""What splits and', '"""What all splits and', set()),
    "how prices are adjusted": (
        "market/adjustment.py",
        "def _running_product(",
        "@mended\ndef _running_product(",
        set(NAMES),
    ),
    "how a series is known": (
        "market/facts/series.py",
        "def known_series(",
        "@mended\ndef known_series(",
        {"implied_over_realised"},
    ),
    "one formula": (
        "features/catalogue/returns.py",
        "return close_location_value(panel)",
        "return 1.0 * close_location_value(panel)",
        {"close_location"},
    ),
    "what a partial function shares": (
        "features/catalogue/returns.py",
        "moved = log_return(panel, bars)",
        "moved = log_return(panel, bars) + 0.0",
        {"log_return_1", "log_return_5"},
    ),
    "a helper of some": (
        "features/rolling.py",
        "def rolling_covariance(",
        "@mended\ndef rolling_covariance(",
        {"market_correlation_60"},
    ),
    "cleaning, which gives other bars or the same": (
        "market/quality/row_rules.py",
        "def remedy_of(",
        "@mended\ndef remedy_of(",
        set(),
    ),
    "a network": ("learning/networks/mlp.py", "class Perceptron(", "@object\nclass Perceptron(", set()),
}


@pytest.mark.parametrize("case", MENDED.values(), ids=MENDED)
def test_a_mended_line_makes_exactly_the_features_stale_that_it_feeds_and_the_next_run_makes_those_again(
    lived_in: Path, mended: Mend, case: tuple[str, str, str, set[str]]
) -> None:
    before = np.array(cube().values)
    mended(*case[:3])
    stale = case[3]
    if stale:
        with pytest.raises(PublicationError) as refused:
            cube()
        assert all(name in refused.value.found for name in stale)
        assert not any(name in refused.value.found for name in set(NAMES) - stale)
        assert refused.value.remedy.endswith("nn-assets run and study do")
    assert made() == stale
    assert np.array_equal(cube().values, before, equal_nan=True)
    assert made() == set()


def test_a_new_feature_is_computed_alone_and_the_others_are_taken_over_to_the_bit(lived_in: Path) -> None:
    file = lived_in / "strategies" / f"{NAME}.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["features"]["names"].insert(1, "rsi_14")
    file.write_text(yaml.safe_dump(settings))
    before = cube()
    assert before.names == (NAMES[0], "rsi_14", *NAMES[1:])  # other settings: made anew each time, until stored
    assert made() == {"rsi_14"}
    assert np.array_equal(cube().values, before.values, equal_nan=True)
    settings["features"]["names"].remove("close_location")
    file.write_text(yaml.safe_dump(settings))
    assert made() == set()
    assert "close_location" not in cube().names


def test_a_feature_of_a_series_is_made_of_it_and_no_other_feature_is(lived_in: Path) -> None:
    file = lived_in / "strategies" / "fear.csv"
    file.write_text(file.read_text().replace("2017-06-28,", "2017-06-28,9"))
    with open_history(strategy_of()) as history:
        ingest_series(history, file.parent)
    assert made() == {"implied_over_realised"}


def test_other_settings_of_features_make_all_of_them_again(lived_in: Path) -> None:
    write = yaml.safe_load((file := lived_in / "strategies" / f"{NAME}.yaml").read_text())
    write["features"]["max_missing_bars_fraction"] = 0.0
    file.write_text(yaml.safe_dump(write))
    assert made() == set(NAMES)


def test_published_bars_carry_the_version_of_the_cleaning(lived_in: Path, mended: Mend) -> None:
    def published() -> Publication:
        with open_history(strategy_of()) as history:
            return publish_bars(history, audit_bars(history), "test")

    before = published()
    assert before.details["cleaned_by"] == version_of(clean, known_bars)
    mended("market/quality/row_rules.py", "def remedy_of(", "# a comment\ndef remedy_of(")
    assert published().file_name == before.file_name
    mended("market/quality/row_rules.py", "def remedy_of(", "@mended\ndef remedy_of(")
    after = published()
    assert after.details["cleaned_by"] != before.details["cleaned_by"]
    assert (after.ordinal, after.content_hash) == (before.ordinal + 1, before.content_hash)
    assert made() == set()  # they are of the same bars


def test_features_of_a_home_of_before_are_made_again_by_the_next_run(lived_in: Path) -> None:
    lake, before = Lake(), np.array(cube().values)
    record = lake.read_table(NAME, "features_record")
    lake.write_table(
        NAME, "features_record", record.drop(columns=["features", "names_code"]).assign(code_version="d" * 16)
    )
    with pytest.raises(PublicationError, match="other code behind all of them"):
        cube()
    assert made() == set(NAMES)
    assert np.array_equal(cube().values, before, equal_nan=True)
    pd.testing.assert_frame_equal(lake.read_table(NAME, "features_record"), record)


def test_stored_features_that_are_damaged_or_not_those_of_the_record_are_computed_again(lived_in: Path) -> None:
    lake = Lake()
    record, stored = lake.read_table(NAME, "features_record"), cube()
    values = np.array(stored.values)
    there, values[200, 1, 2] = values[200, 1, 2], 1e-12
    forged = lake.write_cube(NAME, "features", Cube(stored.sessions, stored.symbols, stored.names, values))
    lake.write_table(NAME, "features_record", record.assign(address=forged))
    assert made() == {stored.names[2]}
    pd.testing.assert_frame_equal(lake.read_table(NAME, "features_record"), record)
    folder = lake.folder(NAME, "features")
    axes = read_record(folder / f"{record['address'].iloc[0]}.axes.json")
    assert axes is not None
    file = folder / f"{axes['planes'][1]}.npy"
    file.write_bytes(file.read_bytes()[:-8])
    assert made() == {stored.names[1]}
    values[200, 1, 2] = there
    assert np.array_equal(cube().values, values, equal_nan=True)


def test_a_feature_that_the_catalogue_lost_is_stale(lived_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: entry for name, entry in derived.CATALOGUE.items() if name != "close_location"}
    monkeypatch.setattr(derived, "CATALOGUE", known)
    with pytest.raises(PublicationError, match="other code behind close_location"):
        cube()


def test_features_by_name_are_those_of_the_whole_cube(lived_in: Path) -> None:
    with open_history(strategy_of()) as history:
        cut = PublishedCut(history, history.last_session)
        whole = cut.compute_cube()
        for names in (NAMES[:1], ("implied_over_realised",), tuple(reversed(NAMES))):
            some = cut.compute_cube(names=names)
            assert some.names == names
            assert np.array_equal(some.values, whole.select(names).values, equal_nan=True)


def test_until_when_series_are_read_and_which_libraries_compute_count(
    lived_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begins() -> dict[str, str]:
        with open_history(strategy_of()) as history:
            return derived.values_from(history, NAMES, "bars")

    before, (file,) = begins(), (lived_in / "strategies").glob("*.yaml")
    written = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**written, "market": {**written["market"], "known_at_lag_minutes": 50}}))
    after = begins()
    assert {name for name in NAMES if before[name] != after[name]} == {"implied_over_realised"}
    monkeypatch.setattr(derived, "libraries", lambda *_: "numpy 99")
    assert all(begins()[name] != after[name] for name in NAMES)


READING = ("nn_assets.store.", "nn_assets.operations.facts:", "nn_assets.operations.stores:")
"""What gives back facts as they were stored."""

COUNTED_OTHERWISE = {
    "nn_assets.operations.asof.actions:read_action_versions": "gives back what was stored",
    "nn_assets.operations.asof.known_details:detail_features": "follows from the fields that each feature states",
    "nn_assets.operations.asof.series:read_series_versions": "gives back what was stored",
    "nn_assets.operations.asof.trading_halts:read_halt_versions": "gives back what was stored",
    "nn_assets.operations.asof.stored:versions_of": "gives back what was stored",
    "nn_assets.operations.asof.universe:read_membership_versions": "gives back what was stored",
    "nn_assets.market.facts.arrival:Mended": "the moments that it mends are part of what values are made from",
    "nn_assets.market.calendar.sessions:sessions_between": "the axis itself is compared",
    "nn_assets.market.calendar.sessions:sessions_per_year": "its figure is part of what values are made from",
    "nn_assets.operations.asof.universe:candidates_of": "decides which features there are: names_code",
    "nn_assets.operations.derived:feature_names": "decides which features there are: names_code",
    "nn_assets.operations.cut:Cut": "hands facts to the functions that features name, each in a line",
    "nn_assets.operations.cut:PublishedCut": "as Cut",
}


def test_all_that_ran_while_features_were_computed_is_behind_one_of_them_or_counts_otherwise(lived_in: Path) -> None:
    with open_history(strategy_of()) as history:
        cut = PublishedCut(history, history.last_session)
        seen = ran(cut.compute_cube)
    behind = {definition for name in NAMES for definition in definitions_behind(*derived.feature_roots(name))}
    assert len(seen & behind) > 30
    beside = {definition for definition in followed(seen) - behind if not definition.startswith(READING)}
    assert beside <= set(map(counted_name, COUNTED_OTHERWISE))
