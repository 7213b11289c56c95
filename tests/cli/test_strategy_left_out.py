"""``--strategy`` left out: the only strategy of the home, said on standard error; of several one must be named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import STRATEGY, call


def with_strategies(home: Path, *names: str) -> Path:
    (home / "strategies").mkdir(parents=True)
    for name in names:
        text = STRATEGY.replace("name: mine\n", f"name: {name}\n")
        (home / "strategies" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return home


@pytest.mark.parametrize(
    ("own", "taken", "others"),
    [((), "index_daily", "planted_edge"), (("mine",), "mine", "index_daily, planted_edge")],
)
def test_the_only_one_is_taken_and_named_with_the_others(tmp_path, own, taken, others) -> None:
    answer = call(with_strategies(tmp_path / "home", *own), "query", "trial_count", "--json")
    assert answer.status == 0
    assert answer.document["ok"] is True
    assert answer.err == f"strategy {taken}, since --strategy is left out; there are also {others}\n"


def test_one_with_data_in_the_home_is_taken_and_nothing_is_said_where_it_is_named(give) -> None:
    assert give("query", "trial_count").err.startswith("strategy mine, since --strategy is left out; there are also ")
    assert give("query", "trial_count", "-s", "mine").err == ""


def test_of_several_one_must_be_named(tmp_path) -> None:
    home = with_strategies(tmp_path / "home", "mine", "yours")
    answer = call(home, "check")
    assert answer.status == 2
    assert "it is left out, and the home has mine, yours: name one, such as --strategy yours" in " ".join(
        answer.err.replace("│", " ").split()
    )
    assert not (home / "lake").exists()
    assert call(home, "query", "trial_count", "-s", "index_daily").status == 0
