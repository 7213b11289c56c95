"""The page of features, labels and networks is what the package declares, and says all of it."""

from __future__ import annotations

from pathlib import Path

from nn_assets.features.catalogue import CATALOGUE
from nn_assets.features.labels import LABELS
from nn_assets.learning.networks import NETWORKS
from nn_assets.operations.members import members_page


def page(checkout: Path) -> str:
    return (checkout / "docs" / "members.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_package_declares(checkout: Path) -> None:
    assert page(checkout) == members_page(), "write it anew: make docs"


def test_every_member_is_a_line_without_an_empty_formula_or_description(checkout: Path) -> None:
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in page(checkout).splitlines() if "|" in line}
    for name in (*CATALOGUE.own, *LABELS.own, *NETWORKS.own):
        assert len(lines[name].strip("| ").rpartition("|")[2].strip()) > 3, lines[name]
