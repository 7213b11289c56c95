"""The page on adding a vendor: its file, its test and its strategy, from a folder outside the package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets import plugins
from nn_assets.errors import SettingsError
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.strategy_files import load_strategy
from nn_assets.sources.registry import SOURCES
from nn_assets.sources.simulated import SimulatedSource
from tests.cli.conftest import call
from tests.orchestration.conftest import living_in
from tests.shared_homes import nothing_drawn
from tests.sources.secrets import SECRET
from tests.sources.vendor import Answer, Request, running

CHECKOUT = Path(__file__).parents[2]
NUMBERS = ["open", "high", "low", "close", "volume"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The blocks of the page as the files that their first lines name; no kind of theirs outlives the test."""
    page = (CHECKOUT / "docs" / "extending" / "vendor.md").read_text(encoding="utf-8")
    for text in re.findall(r"^```(?:python|yaml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        file = tmp_path / text.partition("\n")[0].removeprefix("# ")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(SOURCES, "_added", {})
    monkeypatch.setattr("nn_assets.settings.sources._named_elsewhere", set())
    yield tmp_path
    plugins.forget()


def market() -> pd.DataFrame:
    source = SimulatedSource("XNYS", pd.Timestamp("2017-01-03").date(), pd.Timestamp("2017-12-29").date(), seed=5)
    bars = source.bars(("SIM01", "SIM02"))
    return bars.assign(symbol=bars["symbol"].map({"SIM01": "ABC", "SIM02": "XYZ"}))


def test_a_vendor_outside_the_package_comes_to_published_bars_by_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {path: path.stat().st_mtime_ns for path in (CHECKOUT / "nn_assets").rglob("*.py")}
    bars = market()

    def serve(request: Request) -> Answer:
        symbol = request.path.rpartition("/")[2]
        own = bars[(bars["symbol"] == symbol) & bars["session"].between(request.query["from"], request.query["to"])]
        rows = own[NUMBERS].assign(day=own["session"].dt.strftime("%Y-%m-%d")).to_dict("records")
        return Answer({"symbol": symbol, "bars": rows})

    shutil.copy(folder / "example_data.py", folder / "strategies")
    monkeypatch.setenv("EXAMPLE_DATA_KEY", SECRET)
    file = folder / "strategies" / "own.yaml"
    text = file.read_text(encoding="utf-8")
    with running(serve) as vendor, living_in(folder), nothing_drawn():
        file.write_text(text.replace("market:", f"  base_url: {vendor.url}\nmarket:"), encoding="utf-8")
        answer = call(folder, "check", "--strategy", "own", "--json")
        assert answer.status == 0, answer.err
        assert all(request.headers["authorization"] == f"Bearer {SECRET}" for request in vendor.asked)
        with open_history(find_strategy("own").strategy) as history:
            assert history.publication is not None
            published = history.stores.publications.bars(history.publication)
    assert set(published["source"]) == {"example_data"}
    columns = ["symbol", "session", *NUMBERS]
    pd.testing.assert_frame_equal(published[columns], bars[columns])
    assert {path: path.stat().st_mtime_ns for path in (CHECKOUT / "nn_assets").rglob("*.py")} == package


def test_a_strategy_that_does_not_name_the_file_does_not_have_its_kind(folder: Path) -> None:
    file = folder / "strategies" / "own.yaml"
    shutil.copy(folder / "example_data.py", folder / "strategies")
    other = file.with_name("other.yaml")
    other.write_text(
        file.read_text("utf-8").replace("plugins: [example_data.py]", "").replace("name: own", "name: other"), "utf-8"
    )
    assert load_strategy(file).source.kind == "example_data"
    with pytest.raises(SettingsError, match=r"line 4.*example_data"):
        load_strategy(other)


def test_a_key_that_the_kind_of_a_plug_in_lacks_is_refused_with_the_nearest(folder: Path) -> None:
    file = folder / "strategies" / "own.yaml"
    shutil.copy(folder / "example_data.py", folder / "strategies")
    file.write_text(file.read_text("utf-8").replace("key_env:", "key_envv:"), "utf-8")
    with pytest.raises(SettingsError, match="did you mean key_env"):
        load_strategy(file)


@pytest.mark.full
def test_the_test_that_the_page_shows_passes(folder: Path) -> None:
    paths = os.pathsep.join([str(CHECKOUT), str(folder)])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "test_example_data.py"]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
