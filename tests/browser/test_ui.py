"""What an operator sees: the graph of a strategy's assets, their partitions, checks and plots."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from nn_assets.orchestration.assets.daily import DAILY
from tests.browser.conftest import (
    NAME,
    SESSIONS,
    ServedUI,
    descendants_of,
    end,
    members_of_session,
    start_ui,
    still_running,
    sync_api,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]

GROUPS = {
    "market": ("raw_bars", "validated_bars"),
    "features": ("features", "stationarity", "selected_features"),
    "learning": ("trained_model", "forecasts"),
    "evaluation": ("walk_forward_study", "model_evaluation"),
    "daily": tuple(DAILY),
    "costs": ("cost_model",),  # recalibrated once a month: nobody did in this home
}
# The graph draws its nodes first and learns their state after.
_COLOURED = """name => [...document.querySelectorAll('svg div')]
    .filter(each => each.textContent === name && each.children.length === 0)
    .some(each => /46, ?204/.test(getComputedStyle(each.parentElement).borderTopColor))"""


def _graph(ui: ServedUI) -> str:
    selection = quote(f'key:"{NAME}/*"', safe="*")
    expanded = quote(",".join(f"global@global:{group}" for group in GROUPS), safe="")
    return f"{ui.address}/asset-groups~{selection}/?expanded={expanded}"


def _asset(ui: ServedUI, name: str, view: str = "overview") -> str:
    return f"{ui.address}/assets/{NAME}/{name}?view={view}"


def _is_green(page: sync_api.Page, name: str) -> bool:
    """Whether the node of an asset is framed in the green that Dagster gives to what is materialised."""
    node = page.locator("svg").get_by_text(name, exact=True).first
    sync_api.expect(node).to_be_visible()
    frame = node.evaluate("name => getComputedStyle(name.parentElement).borderTopColor")
    red, green, blue = (int(part) for part in re.findall(r"\d+", frame)[:3])
    return green > red + 40 and green > blue + 40


def test_the_graph_shows_the_strategys_assets_and_which_are_materialised(ui: ServedUI, page: sync_api.Page) -> None:
    page.goto(_graph(ui))
    names = {name for inside in GROUPS.values() for name in inside}
    sync_api.expect(page.locator("svg").get_by_text("daily_report", exact=True).first).to_be_visible()
    page.wait_for_function(_COLOURED, arg="daily_report")
    materialised = {name for name in names if _is_green(page, name)}
    assert materialised == names - {"cost_model"}


def test_a_plot_opens_from_an_assets_page(ui: ServedUI, page: sync_api.Page) -> None:
    page.goto(_asset(ui, "walk_forward_study"))
    row = page.get_by_role("row").filter(has=page.get_by_text("equity", exact=True))
    row.get_by_text("[Show Markdown]").click()
    plot = page.locator("img[src^='data:image/png']").first
    sync_api.expect(plot).to_be_visible()
    drawn = plot.evaluate("image => ({loaded: image.complete, width: image.naturalWidth, shown: image.clientWidth})")
    assert drawn["loaded"]
    assert drawn["width"] > 600
    assert drawn["shown"] > 300


def test_the_sessions_decided_are_listed_as_partitions(ui: ServedUI, page: sync_api.Page) -> None:
    page.goto(_asset(ui, "target_positions", "partitions"))
    for session in SESSIONS:
        sync_api.expect(page.get_by_text(session, exact=True).first).to_be_visible()
    sync_api.expect(page.get_by_text(f"Materialized ({len(SESSIONS)})")).to_be_visible()
    sync_api.expect(page.get_by_text("Missing (0)")).to_be_visible()


def test_the_checks_of_the_gate_are_shown_with_what_they_found(ui: ServedUI, page: sync_api.Page) -> None:
    page.goto(_asset(ui, "validated_bars", "checks"))
    for check in ("schema", "freshness", "missing_sessions", "missing_symbols", "quarantined_share"):
        sync_api.expect(page.get_by_text(check, exact=True).first).to_be_visible()
    page.get_by_text("freshness", exact=True).first.click()
    sync_api.expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
    sync_api.expect(page.get_by_text(f"newest clean bar {SESSIONS[-1]}", exact=False).first).to_be_visible()


def test_why_a_position_has_its_size_is_on_its_page(ui: ServedUI, page: sync_api.Page) -> None:
    page.goto(_asset(ui, "target_positions"))
    for said in ("verdict", "table", "why"):
        sync_api.expect(page.get_by_role("cell", name=said, exact=True).first).to_be_visible()


def test_the_runs_that_made_them_are_there_and_succeeded(ui: ServedUI, page: sync_api.Page) -> None:
    page.goto(f"{ui.address}/runs")
    for job in (f"{NAME}__study", f"{NAME}__daily"):
        sync_api.expect(page.get_by_text(job, exact=True).first).to_be_visible()
    assert page.get_by_text("Success", exact=True).count() >= 2
    assert page.get_by_text("Failure", exact=True).count() == 0


def test_it_ends_on_sigterm_within_seconds_and_leaves_no_process(home: Path, tmp_path: Path) -> None:
    served = start_ui(home, tmp_path / "ui.log")
    try:
        family = descendants_of(served.process.pid)
        assert len(family) >= 2, "webserver and daemon run as its children"
        os.kill(served.process.pid, signal.SIGTERM)
        status = served.process.wait(15)
        deadline = time.monotonic() + 5.0
        while left := {*members_of_session(served.process.pid), *still_running(family)}:
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert left == set()
        assert status == 0
    finally:
        end(served.process)
