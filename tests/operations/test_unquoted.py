"""Positions without a bar are counted by sessions, and the remedy is a line that the actions file takes."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from nn_assets.operations.bar_faults import Lacking, Unquoted, delisting_line, unquoted
from nn_assets.settings import Strategy
from nn_assets.sources.tables.actions_file import ActionsFile

STRATEGY = Strategy.model_validate({"name": "s", "market": {"history_starts": "2014-01-02"}})


def test_sessions_are_counted_over_a_holiday_and_a_weekend() -> None:
    book = json.dumps({"marked_session": {"AAQ": "2017-11-22", "BBQ": "2017-11-24", "NEW": "NaT"}})
    positions = unquoted(STRATEGY, pd.Timestamp("2017-11-28"), book)
    assert [(position.symbol, str(position.since.date()), position.sessions) for position in positions] == [
        ("AAQ", "2017-11-24", 3), ("BBQ", "2017-11-27", 2),
    ]  # fmt: skip
    assert unquoted(STRATEGY, pd.Timestamp("2017-11-28"), "{}") == []


def test_the_line_that_the_remedy_names_is_one_that_the_actions_file_takes(tmp_path: Path) -> None:
    text = delisting_line(STRATEGY, Unquoted("AAQ", pd.Timestamp("2017-11-27"), 4))
    line = next(word for word in text.split() if word.startswith("AAQ,"))
    for cash in ("12.5", "0"):
        file = tmp_path / "actions.csv"
        file.write_text("symbol,ex_session,kind,value\n" + line.replace("CASH", cash) + "\n", encoding="utf-8")
        read = ActionsFile(file).actions()
        assert read[["symbol", "kind", "value"]].to_numpy().tolist() == [["AAQ", "delisting", float(cash)]]


def test_symbols_without_a_bar_are_counted_and_the_first_few_named() -> None:
    names = tuple(f"S{number:02d}" for number in range(15))
    sentence = Lacking(pd.Timestamp("2017-11-27"), names, 500).cause
    first = ", ".join(names[:5])
    assert sentence == f"15 of 500 symbols have no bar of 2017-11-27 and were decided without: {first}, and 10 more"
    alone = Lacking(pd.Timestamp("2017-11-27"), ("S00",), 2).cause
    assert alone == "1 of 2 symbols has no bar of 2017-11-27 and was decided without: S00"


def test_of_a_contract_the_line_is_that_of_its_settlement(tmp_path: Path) -> None:
    market = {"history_starts": "2014-01-02", "asset_class": "binary"}
    strategy = Strategy.model_validate({"name": "s", "market": market, "label": {"kind": "settlement"}})
    text = delisting_line(strategy, Unquoted("CUT", pd.Timestamp("2017-11-27"), 4))
    line = next(word for word in text.split() if word.startswith("CUT,"))
    file = tmp_path / "actions.csv"
    file.write_text("symbol,ex_session,kind,value\n" + line + "\n", encoding="utf-8")
    assert ActionsFile(file).actions()[["kind", "value"]].to_numpy().tolist() == [["settlement", 1.0]]
    assert "(or 0)" in text
