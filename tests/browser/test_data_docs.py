"""The Data Docs as an operator opens them: from disk, without a network, whole and readable."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import NAME, SESSIONS, sync_api

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_data_docs_open_from_disk_and_ask_for_nothing_else(home: Path, page: sync_api.Page) -> None:
    file = home / "reports" / f"{NAME}-data-docs.html"
    asked: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert faults == []
    sync_api.expect(page.get_by_role("heading", level=1)).to_have_text(f"{NAME}: the data set")
    sync_api.expect(page.locator(".facts")).to_contain_text(SESSIONS[-1])
    verdicts = page.locator("td.state")
    assert verdicts.all_inner_texts() == ["yes", "yes", "yes", "yes"]
    ticks = page.locator(".gx .fa-check-circle")
    assert ticks.count() == 6
    drawn = ticks.first.evaluate("mark => getComputedStyle(mark, '::before').content")
    assert drawn == '"\N{HEAVY CHECK MARK}"'


@pytest.mark.parametrize("width", [390, 1100])
def test_no_page_is_wider_than_its_screen(home: Path, page: sync_api.Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto((home / "reports" / f"{NAME}-data-docs.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
