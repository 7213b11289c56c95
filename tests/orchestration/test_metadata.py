"""Plain figures as Dagster shows them."""

from __future__ import annotations

import base64
from pathlib import Path

import dagster as dg
import pandas as pd

from nn_assets.operations.judged import Judged
from nn_assets.orchestration.metadata import check_result, shown
from nn_assets.reports.tables import Excerpt

FRAME = pd.DataFrame(
    {"day": pd.to_datetime(["2017-06-29", "2017-06-30"]), "value": [0.123456, 2.0], "name": ["a|b", "c"]}
)
HEAD = "| day | value | name |\n| --- | --- | --- |\n| 2017-06-29 | 0.1235 | a\\|b |"


def test_frames_are_tables_and_say_where_they_are_cut() -> None:
    metadata = shown(
        {"whole": FRAME, "cut": Excerpt(FRAME, 1), "empty": FRAME[:0], "many": pd.DataFrame({"row": range(60)})}
    )
    assert all(isinstance(value, dg.MarkdownMetadataValue) for value in metadata.values())
    assert metadata["whole"].value == f"{HEAD}\n| 2017-06-30 | 2 | c |"
    assert metadata["cut"].value == f"{HEAD}\n\n_1 of 2 rows_"
    assert metadata["empty"].value == "_none_"
    assert metadata["many"].value.endswith("| 49 |\n\n_50 of 60 rows_")


def test_plots_are_shown_and_pages_linked_where_the_ui_serves_them() -> None:
    metadata = shown({"plot": b"\x89PNG", "page": Path("/home/reports/tiny-study.html")})
    assert base64.b64encode(b"\x89PNG").decode() in metadata["plot"].value
    assert metadata["plot"].value.startswith("![plot](data:image/png;base64,")
    assert metadata["page"] == dg.MetadataValue.url("/reports/tiny-study.html")


def test_all_else_stays_as_it_is_in_its_order() -> None:
    metadata = {"rows": 3, "share": 0.5, "why": "because", "fitted": True, "files": ["a"]}
    assert list(shown(metadata).items()) == list(metadata.items())


def test_a_check_shows_its_figures_and_what_to_do_only_where_it_does_not_hold() -> None:
    key = dg.AssetKey(["tiny", "orders"])
    about = {"remedy": "do this", "figures": {"rows": FRAME}}
    held, broken = (check_result(Judged("name", passed, "found", **about), key) for passed in (True, False))  # type: ignore[arg-type]
    assert (list(held.metadata), list(broken.metadata)) == (["rows"], ["rows", "what_to_do"])
    assert held.asset_key == key
    warned = check_result(Judged("name", False, "found", warns=True))
    assert (warned.passed, warned.severity) == (False, dg.AssetCheckSeverity.WARN)
