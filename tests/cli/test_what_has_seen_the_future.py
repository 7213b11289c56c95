"""Hyper-parameters and weights that have seen the days they are to forecast: refused, or counted for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from nn_assets.errors import SettingsError
from nn_assets.operations.catalog import find_strategy
from tests.cli.conftest import STRATEGY, call
from tests.orchestration.conftest import living_in

# The first month that can have a model is 2016-01.
SECTION = "learning:\n"


def home_with(folder: Path, settings: str) -> Path:
    home = folder / "home"
    (home / "strategies").mkdir(parents=True)
    lines = "".join(f"  {line}\n" for line in settings.splitlines())
    (home / "strategies" / "mine.yaml").write_text(STRATEGY.replace(SECTION, SECTION + lines), encoding="utf-8")
    return home


@pytest.mark.full
@pytest.mark.parametrize("prior", ["pretrained", "searched"])
@pytest.mark.parametrize("words", [("check",), ("run",), ("study",)])
def test_what_has_seen_days_that_it_forecasts_is_refused_before_data_are_taken_in(
    tmp_path: Path, prior: str, words: tuple[str, ...]
) -> None:
    home = home_with(tmp_path, f"prior: {prior}\nknows_until: 2016-03-31")
    answer = call(home, *words, "-s", "mine", "--json")
    assert answer.status == 1
    assert answer.document["error"] == "SettingsError"
    message = answer.document["message"]
    file, line = home / "strategies" / "mine.yaml", STRATEGY[: STRATEGY.index(SECTION)].count("\n") + 3
    assert f"[file {file}, line {line}, key learning.knows_until, value 2016-03-31]" in message
    assert "learning.knows_until before 2016-01" in message
    assert f"learning.prior {prior} that has seen days up to 2016-03-31" in message
    assert not (home / "lake").exists()


@pytest.mark.parametrize(
    "settings",
    [
        "prior: searched\nknows_until: 2015-12-31",
        "prior: pretrained\nknows_until: 2010-06-30",
        "prior: chosen_over_all_folds\nknows_until: 2016-03-31",
        "prior: none",
    ],
)
def test_what_ends_before_the_first_month_forecast_or_says_that_it_does_not_is_read(
    tmp_path: Path, settings: str
) -> None:
    with living_in(home_with(tmp_path, settings)):
        assert find_strategy("mine").strategy.learning.prior == settings.split()[1]


@pytest.mark.parametrize("last", ["2015-12-31", "2016-01-01"])
def test_the_first_day_of_the_first_month_is_the_first_too_late(tmp_path: Path, last: str) -> None:
    with living_in(home_with(tmp_path, f"prior: searched\nknows_until: {last}")):
        if last < "2016":
            assert find_strategy("mine")
        else:
            with pytest.raises(SettingsError, match="first month that is forecast"):
                find_strategy("mine")
