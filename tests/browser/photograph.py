"""``python -m tests.browser.photograph``: take the README's pictures again, of the home as it is.

Run it after the demo. Starts the UI as a user does, photographs the graph of one strategy, then the
demo's page, and ends the UI.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from nn_assets.store.home import home
from tests.browser.conftest import CHROMIUM_FLAGS, ServedUI, end, start_ui

PICTURES = Path(__file__).resolve().parent.parent.parent / "nn_assets" / "reports" / "pictures"
STRATEGY = "index_daily"
MARGIN = 24
ROWS = 10  # of the table of figures: forecasts, and what trading on them gave
COLOURS = 256  # of the palette: keeps a picture well below 300 kB

_SHOWN = """() => {
    const boxes = [...document.querySelectorAll('svg foreignObject')].map(each => each.getBoundingClientRect());
    const left = Math.min(...boxes.map(b => b.left)), top = Math.min(...boxes.map(b => b.top));
    const right = Math.max(...boxes.map(b => b.right)), bottom = Math.max(...boxes.map(b => b.bottom));
    return {x: left, y: top, width: right - left, height: bottom - top};
}"""


def _keep(name: str, png: bytes) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    small = Image.open(io.BytesIO(png)).convert("RGB").quantize(colors=COLOURS, dither=Image.Dither.NONE)
    small.save(PICTURES / name, format="PNG", optimize=True)


def graph_address(ui: str, strategy: str) -> str:
    """Where the UI shows the assets of one strategy, its group opened."""
    selection = quote(f'key:"{strategy}/*"', safe="*")
    expanded = quote(f"global@global:{strategy}", safe="")
    return f"{ui}/asset-groups~{selection}/?expanded={expanded}"


def photograph_graph(browser: Browser, ui: ServedUI) -> None:
    """The graph of one strategy, cut to its nodes."""
    page = browser.new_page(viewport={"width": 2300, "height": 1500})
    page.goto(ui.entrance)
    page.goto(graph_address(ui.address, STRATEGY))
    page.locator("svg").get_by_text("daily_report", exact=True).first.wait_for()
    page.wait_for_timeout(4000)  # the layout moves until the states are in
    box: dict[str, Any] = page.evaluate(_SHOWN)
    clip = {
        "x": box["x"] - MARGIN,
        "y": box["y"] - MARGIN,
        "width": box["width"] + 2 * MARGIN,
        "height": box["height"] + 2 * MARGIN,
    }
    _keep("asset_graph.png", page.screenshot(clip=clip))  # type: ignore[arg-type]
    page.close()


def photograph_report(browser: Browser) -> None:
    """The head of the demo's page: the verdicts, and the figures of the first strategy."""
    page = browser.new_page(viewport={"width": 1060, "height": 1600})
    page.goto((home() / "reports" / "demo.html").as_uri())
    last = page.locator("table.first").first.locator("tbody tr").nth(ROWS - 1).bounding_box()
    assert last is not None, "the page has a table of figures"
    height = last["y"] + last["height"]
    _keep("report.png", page.screenshot(clip={"x": 0, "y": 0, "width": 1060, "height": height}))
    page.close()


def main() -> int:
    """Take both pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium on this machine (Debian: apt-get install chromium)")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        served = start_ui(home(), Path(folder) / "ui.log")
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
                photograph_graph(browser, served)
                photograph_report(browser)
                browser.close()
        finally:
            end(served.process)
    for picture in sorted(PICTURES.glob("*.png")):
        print(f"{picture} {picture.stat().st_size // 1024} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
