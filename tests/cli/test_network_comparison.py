"""``nn-assets compare-networks``: the verdict first, a line for each contestant, a page, and JSON without NaN."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command, call


@pytest.mark.full
def test_the_first_line_of_the_answer_is_the_verdict_and_the_page_says_the_same(give_own: Command) -> None:
    text = give_own("compare-networks", "--strategy", "mine", "--network", "mlp", "--network", "rnn").out
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("mine: none of 2 networks beats"))
    assert "linear, boosting and momentum" in lines[start]
    assert [line.split()[0] for line in lines[start + 2 : start + 7]] == [
        "mlp",
        "rnn",
        "linear",
        "boosting",
        "momentum",
    ]
    page = Path(next(line for line in lines if line.startswith("report")).split()[1])
    assert lines[start].removeprefix("mine: ")[1:] in page.read_text(encoding="utf-8")
    document = json.loads(
        give_own("compare-networks", "--strategy", "mine", "--network", "mlp", "--network", "rnn", "--json").out
    )
    assert document["ok"]
    assert document["trials"] == 0  # told before
    assert len(document["pairs"]) == 6
    assert not document["winners"]


@pytest.mark.full
def test_a_network_that_is_not_there_is_refused_by_name(give_own: Command) -> None:
    answer = give_own("compare-networks", "--strategy", "mine", "--network", "oracle")
    assert answer.status == 1
    assert "oracle" in answer.err
    assert "lstm" in answer.err


@pytest.mark.parametrize("words", [("--crypto",), ("--short",), ("--short", "--crypto")])
def test_a_demo_of_networks_drops_no_other_option_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("nn_assets.cli.network_comparison.run_demo_networks", lambda _: {"text": "compared"})
    answer = call(tmp_path, "demo", "--networks", *words)
    assert answer.status == 2
    assert "--short and --crypto" in answer.err
    assert "compared" not in answer.out
