"""``nn-assets explain``: its words, its numbers and its errors."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests.cli.conftest import LIVE, SYMBOLS, Command


def test_each_symbols_move_is_told_by_the_features_that_moved_it(give: Command) -> None:
    document = json.loads(give("explain", "--strategy", "mine", "--session", LIVE[1], "--json").out)
    assert (document["session"], document["refitted"]) == (LIVE[1], False)
    assert {one["symbol"] for one in document["symbols"]} == set(SYMBOLS.values())
    for one in document["symbols"]:
        moved = one["logit"] - one["logit_before"]
        assert sum(one["parts"].values()) == pytest.approx(moved, rel=0.01, abs=1e-4)
    text = give("explain", "--strategy", "mine", "--session", LIVE[1]).out
    assert text.startswith(f"mine, {LIVE[1]}: what moved the network's forecasts since ")
    largest = max(document["symbols"][0]["parts"].items(), key=lambda part: abs(part[1]))
    line = next(line for line in text.splitlines() if line.startswith(document["symbols"][0]["symbol"]))
    assert f": {largest[0]} {largest[1]:+.4f}" in line


def test_features_are_listed_by_what_they_were_worth(give: Command) -> None:
    document = json.loads(give("explain", "--strategy", "mine", "--worth", "--json").out)
    assert len(document["months"]) > 3
    assert document["months"] == [str(month) for month in pd.period_range(document["months"][0], LIVE[1][:7], freq="M")]
    rises = [row["rise"] for row in document["features"]]
    assert rises == sorted(rises, reverse=True)
    assert {row["feature"] for row in document["features"]} == {
        "log_return_1",
        "log_return_5",
        "momentum_1",
        "close_location",
    }
    for row in document["features"]:
        assert row["months"] == len(document["months"])
        assert row["t"] == pytest.approx(row["rise"] / row["standard_error"])
    assert all(row["standard_error"] > 0.0 for row in document["features"])
    text = give("explain", "--strategy", "mine", "--worth").out
    assert f"of {len(document['months'])} months, out of sample" in text
    assert text.splitlines()[1].startswith(f"{document['features'][0]['feature']}: {1e4 * rises[0]:+.2f}")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--symbol", "CONN"), 1, "did you mean CON"),
        (("--session", "2016-02-30"), 1, "YYYY-MM-DD"),
        (("--from", "2016-03"), 2, "--worth"),
        (("--worth", "--to", "1990-01"), 1, "a month from"),
        (("--worth", "--from", LIVE[1][:7], "--to", "2016-03"), 1, "swap the two"),
    ],
)
def test_a_wrong_question_is_answered_by_what_can_be_asked(
    give: Command, words: tuple[str, ...], status: int, message: str
) -> None:
    answer = give("explain", "--strategy", "mine", *words)
    assert answer.status == status
    assert message in answer.err
