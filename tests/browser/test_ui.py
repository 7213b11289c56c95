"""What an operator sees: the graph of a strategy's assets, their partitions, checks and plots."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from nn_assets.orchestration.assets.daily import ROUND_ASSETS
from tests.browser.conftest import (
    NAME,
    SESSIONS,
    ServedUI,
    descendants_of,
    still_running,
    sync_api,
)
from tests.browser.photograph import graph_address

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]

ASSETS = {
    "raw_bars",
    "validated_bars",
    "features",
    "stationarity",
    "selected_features",
    "trained_model",
    "forecasts",
    "walk_forward_study",
    "model_evaluation",
    *ROUND_ASSETS,
    "cost_model",  # recalibrated once a month: nobody did in this home
}
# Names whose node is framed in the green that Dagster gives to what is materialised.
_GREEN_NODES = """() => [...document.querySelectorAll('svg div')]
    .filter(name => name.children.length === 0 && name.textContent)
    .filter(name => {
        const [red, green, blue] = getComputedStyle(name.parentElement).borderTopColor.match(/[0-9]+/g).map(Number);
        return green > red + 40 && green > blue + 40;
    })
    .map(name => name.textContent)"""


def _asset(ui: ServedUI, name: str, view: str = "overview") -> str:
    return f"{ui.address}/assets/{NAME}/{name}?view={view}"


def test_it_opens_on_the_strategies(ui: ServedUI, own_page: sync_api.Page) -> None:
    own_page.goto(ui.address)
    assert own_page.url == f"{ui.address}/asset-groups"
    sync_api.expect(own_page.get_by_text(NAME, exact=True).first).to_be_visible()


def test_the_index_of_reports_opens_with_the_token(ui: ServedUI, page: sync_api.Page) -> None:
    page.goto(f"{ui.address}/reports/?token={ui.token}")
    assert page.url == f"{ui.address}/reports/"
    sync_api.expect(page.locator(f"section#{NAME}")).to_be_visible()


def test_the_graph_shows_the_strategys_assets_and_which_are_materialised(ui: ServedUI, own_page: sync_api.Page) -> None:
    own_page.goto(graph_address(ui.address, NAME))
    for name in ASSETS:
        sync_api.expect(own_page.locator("svg").get_by_text(name, exact=True).first).to_be_visible()
    # The graph draws its nodes first and learns their state after.
    own_page.wait_for_function(f"count => ({_GREEN_NODES})().length >= count", arg=len(ASSETS) - 1)
    assert set(own_page.evaluate(_GREEN_NODES)) == ASSETS - {"cost_model"}


def test_a_plot_opens_from_an_assets_page(ui: ServedUI, own_page: sync_api.Page) -> None:
    own_page.goto(_asset(ui, "walk_forward_study"))
    row = own_page.get_by_role("row").filter(has=own_page.get_by_text("equity", exact=True))
    row.get_by_text("[Show Markdown]").click()
    plot = own_page.locator("img[src^='data:image/png']").first
    sync_api.expect(plot).to_be_visible()
    drawn = plot.evaluate("image => ({loaded: image.complete, width: image.naturalWidth, shown: image.clientWidth})")
    assert drawn["loaded"]
    assert drawn["width"] > 600
    assert drawn["shown"] > 300


def test_the_sessions_decided_are_listed_as_partitions(ui: ServedUI, own_page: sync_api.Page) -> None:
    own_page.goto(_asset(ui, "target_positions", "partitions"))
    for session in SESSIONS:
        sync_api.expect(own_page.get_by_text(session, exact=True).first).to_be_visible()
    sync_api.expect(own_page.get_by_text(f"Materialized ({len(SESSIONS)})")).to_be_visible()
    sync_api.expect(own_page.get_by_text("Missing (0)")).to_be_visible()


def test_the_checks_of_the_gate_are_shown_with_what_they_found(ui: ServedUI, own_page: sync_api.Page) -> None:
    own_page.goto(_asset(ui, "validated_bars", "checks"))
    for check in ("schema", "freshness", "missing_sessions", "missing_symbols", "quarantined_share"):
        sync_api.expect(own_page.get_by_text(check, exact=True).first).to_be_visible()
    own_page.get_by_text("freshness", exact=True).first.click()
    sync_api.expect(own_page.get_by_text("Passed", exact=True).first).to_be_visible()
    sync_api.expect(own_page.get_by_text(f"newest clean bar {SESSIONS[-1]}", exact=False).first).to_be_visible()


def test_why_a_position_has_its_size_is_on_its_page(ui: ServedUI, own_page: sync_api.Page) -> None:
    own_page.goto(_asset(ui, "target_positions"))
    for cell in ("verdict", "table", "why"):
        sync_api.expect(own_page.get_by_role("cell", name=cell, exact=True).first).to_be_visible()


def test_the_runs_that_made_them_are_there_and_succeeded(ui: ServedUI, own_page: sync_api.Page) -> None:
    own_page.goto(f"{ui.address}/runs")
    for job in (f"{NAME}__study", f"{NAME}__daily"):
        sync_api.expect(own_page.get_by_text(job, exact=True).first).to_be_visible()
    assert own_page.get_by_text("Success", exact=True).count() >= 2
    assert own_page.get_by_text("Failure", exact=True).count() == 0


@pytest.mark.parametrize(
    ("asset", "view", "title"),
    [
        ("walk_forward_study", "overview", f"{NAME}: out-of-sample study"),
        ("daily_report", f"partitions&partition={SESSIONS[-1]}", f"{NAME}, {SESSIONS[-1]}"),
        ("validated_bars", "overview", f"{NAME}: the data set"),
    ],
)
def test_a_report_opens_from_its_assets_page(
    ui: ServedUI, own_page: sync_api.Page, asset: str, view: str, title: str
) -> None:
    own_page.goto(_asset(ui, asset, view))
    with own_page.context.expect_page() as opened:
        own_page.locator("a[href^='/reports/']").first.click()
    report = opened.value
    sync_api.expect(report).to_have_title(title)
    report.close()


def test_the_index_leads_to_every_page_that_was_written(ui: ServedUI, own_page: sync_api.Page) -> None:
    own_page.goto(f"{ui.address}/reports/")
    faults: list[str] = []
    own_page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    section = own_page.locator(f"section#{NAME}")
    links = [link.get_attribute("href") or "" for link in section.get_by_role("link").all()]
    written = {f"/reports/{NAME}-{page}.html" for page in ("study", "data-docs", *SESSIONS)}
    assert set(links) == {*written, f"/controls/kill-switch?strategy={NAME}"}
    for link in links:
        answer = own_page.goto(ui.address + link)
        assert answer is not None
        assert answer.status == 200
        sync_api.expect(own_page.get_by_role("heading", level=1)).to_be_visible()
    assert faults == []


@pytest.mark.ends_ui
def test_it_ends_on_sigterm_within_seconds_and_leaves_no_process(ui: ServedUI, own_page: sync_api.Page) -> None:
    own_page.goto(f"{ui.address}/runs")  # a page that stays open holds connections
    sync_api.expect(own_page.get_by_text(f"{NAME}__study", exact=True).first).to_be_visible()
    family = descendants_of(ui.process.pid)
    assert len(family) >= 2, "webserver and daemon run as its children"
    os.kill(ui.process.pid, signal.SIGTERM)
    assert ui.process.wait(60) == 0
    deadline = time.monotonic() + 5.0
    while (left := still_running(family)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
