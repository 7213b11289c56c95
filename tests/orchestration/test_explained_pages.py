"""Explanations on the pages of a home lived in through Dagster: complete, those of `explain`, and read where needed."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations import explanation, feature_worth
from nn_assets.operations.explanation import importance_by_month, moved_forecasts
from nn_assets.operations.feature_worth import measured_importance
from nn_assets.operations.history import History, open_history
from nn_assets.operations.session_moves import LARGEST, MOST_MOVES, keep_moves, kept_moves
from nn_assets.operations.study_page import study_sheet, write_study_page
from nn_assets.store.ledger.ledger import Ledger
from tests.orchestration.conftest import FIRST_LIVE, LAST, NAME, living_in, strategy_of

SESSIONS = [str(day.date()) for day in sessions_between("XNYS", FIRST_LIVE, LAST)]
LOG = logging.getLogger(__name__)


@pytest.fixture
def lived_in(decided_home: Path, tmp_path: Path) -> Iterator[Path]:
    copied = Path(shutil.copytree(decided_home, tmp_path / "home"))
    with living_in(copied):
        yield copied


def moves_of(home: Path, session: str) -> dict:
    return json.loads((home / "reports" / f"{NAME}-{session}-moves.json").read_text())


def test_every_session_has_its_largest_targets_explained_and_the_parts_miss_less_than_a_hundredth_of_each_move(
    decided_home: Path,
) -> None:
    with living_in(decided_home):
        targets, signals = (Ledger().read(table, NAME) for table in ("target_positions", "signals"))
    explained = 0
    for number, session in enumerate(SESSIONS):
        kept = moves_of(decided_home, session)
        assert kept["absent"] == ""
        for row in kept["rows"]:
            explained += 1
            assert row["missed"] <= kept["complete"] == 0.01
            assert sum(row["parts"].values()) == pytest.approx(row["after"] - row["before"], rel=0.01, abs=1e-4)
        of_session = targets[targets["session"] == session].set_index("symbol")["target_weight"]
        largest = set(of_session[of_session != 0.0].abs().nlargest(LARGEST).index)
        shown = {row["symbol"]: row["why"] for row in kept["rows"]}
        assert largest <= set(shown)
        assert LARGEST <= len(shown) <= MOST_MOVES
        if number:
            now, before = (
                signals[signals["session"] == day].set_index("symbol")["direction"]
                for day in (session, SESSIONS[number - 1])
            )
            turned = set(now.index[(now * before.reindex(now.index)) < 0])
            assert {symbol for symbol, why in shown.items() if "direction changed" in why} == turned
    assert explained > 4 * len(SESSIONS)


def test_what_is_kept_is_what_explain_says_and_the_page_shows_it(decided_home: Path) -> None:
    session = SESSIONS[-1]
    kept = moves_of(decided_home, session)
    with living_in(decided_home), open_history(strategy_of()) as history:
        move = moved_forecasts(history, pd.Timestamp(session)).move
    for row in kept["rows"]:
        column = move.symbols.index(row["symbol"])
        parts = [row["parts"][feature] for feature in move.features]
        np.testing.assert_allclose(parts, move.parts[column], atol=1e-6)
    page = (decided_home / "reports" / f"{NAME}-{session}.html").read_text()
    assert "What moved the forecasts" in page
    shown = page[page.index("What moved the forecasts") :]
    first = kept["rows"][0]
    feature, largest = max(first["parts"].items(), key=lambda part: abs(part[1]))
    assert shown.index(feature) < shown.index("Orders")
    assert f"{largest:,.4f}".replace("-", "\N{MINUS SIGN}") in shown
    assert f"nn-assets explain --strategy {NAME} --session {session}" in shown


def test_with_nothing_held_the_largest_moves_of_forecasts_are_explained(lived_in: Path) -> None:
    """They were the first names by alphabet, all of them with equal calibrated forecasts."""
    before, session = SESSIONS[-2:]
    with open_history(strategy_of()) as history:
        frames = {
            table: history.stores.ledger.read(table, NAME, session, session)
            for table in ("target_positions", "signals")
        }
        frames["target_positions"] = frames["target_positions"].assign(target_weight=0.0)
        frames["signals"] = frames["signals"].assign(calibrated_probability=0.5, direction=0)
        were = history.stores.ledger.read("signals", NAME, before, before).set_index("symbol")["probability"]
        keep_moves(history, pd.Timestamp(session), frames, "another", LOG)
    moved = (frames["signals"].set_index("symbol")["probability"] - were).abs()
    rows = moves_of(lived_in, session)["rows"]
    assert [row["symbol"] for row in rows] == moved.nlargest(LARGEST).index.tolist()
    assert {row["why"] for row in rows} == {"no target, and moved most"}


def test_a_session_run_again_explains_nothing_again_and_what_fails_is_said_and_asked_again(
    lived_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = SESSIONS[-1]
    kept = moves_of(lived_in, session)

    def fails(*_: object) -> None:
        raise ImportError("no module named captum")

    monkeypatch.setattr(explanation, "moved_forecasts", fails)
    frames = {}
    with open_history(strategy_of()) as history:
        for table in ("target_positions", "signals"):
            frames[table] = history.stores.ledger.read(table, NAME, session, session)
        asked = history, pd.Timestamp(session), frames
        keep_moves(*asked, kept["decision"], LOG)  # the same decision: left
        assert kept_moves(history, pd.Timestamp(session)) == kept
        keep_moves(*asked, "another", LOG)
        failed = kept_moves(history, pd.Timestamp(session))
        assert failed is not None
        assert "no module named captum" in failed["absent"]
        monkeypatch.undo()
        monkeypatch.setenv("NN_ASSETS_HOME", str(lived_in))
        keep_moves(*asked, kept["decision"], LOG)
        assert kept_moves(history, pd.Timestamp(session)) == kept


def test_a_studys_page_says_what_each_feature_was_worth_and_a_month_is_measured_once(
    lived_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = json.loads((lived_in / "reports" / f"{NAME}-study.json").read_text())["importance"]
    assert kept["absent"] == ""
    assert list(kept["months"]) == ["2017-01", "2017-02", "2017-03", "2017-04", "2017-05", "2017-06"]
    with open_history(strategy_of()) as history:
        march = importance_by_month(history, ["2017-03"], feature_worth.REPEATS).table().set_index("feature")["rise"]
        rises = pd.Series(kept["months"]["2017-03"]["rises"])
        assert set(rises.index) <= {"log_return_1", "log_return_5", "close_location"}
        np.testing.assert_allclose(rises, march[rises.index], rtol=1e-12)  # so few rows that none is left out
        page = write_study_page(history).read_text()
        sentences: list[str] = []
        asked: list[str] = []
        measure = feature_worth._importance_of_month
        monkeypatch.setattr(
            feature_worth, "_importance_of_month", lambda *of: asked.append(of[1][0].month) or measure(*of)
        )
        study = history.axis, _model_by_row(history), _rows(kept)
        log = logging.getLogger("tests.importance")
        monkeypatch.setattr(log, "info", lambda words, *of: sentences.append(words % of))
        again = measured_importance(history, *study, kept, log)
    assert "What each feature was worth" in page
    assert again == kept
    assert asked == ["2017-06"]  # its last labels lie beyond the history: measured anew
    assert "5 as measured before" in sentences[0]


@pytest.mark.parametrize("restated", ["a bar", "a label", "the code", "a model"])
def test_a_month_whose_bars_labels_code_or_model_are_others_is_measured_again(
    lived_in: Path, monkeypatch: pytest.MonkeyPatch, restated: str
) -> None:
    kept = json.loads((lived_in / "reports" / f"{NAME}-study.json").read_text())["importance"]
    asked: list[str] = []

    def measured(_: object, parts: list[explanation.ModelPart]) -> dict[str, Any]:
        asked.append(parts[0].month)
        return {"parts": [], "whole": True, "sessions": 0, "rises": {}}

    monkeypatch.setattr(feature_worth, "_importance_of_month", measured)
    with open_history(strategy_of()) as history:
        view, models = history.view(), _model_by_row(history)
        row = int(history.axis.searchsorted(pd.Timestamp("2017-03-15")))
        cube, labels = view.cube, view.labels
        if restated == "a bar":
            values = np.array(cube.values)
            values[row, 0] *= 1.01
            cube = replace(cube, values=values)
        elif restated == "a label":
            targets = np.array(labels.targets)
            targets[row, 0] = 1.0 - targets[row, 0]
            labels = replace(labels, targets=targets)
        elif restated == "the code":
            monkeypatch.setattr(feature_worth, "version_of", lambda _: "another")
        else:
            models[row] = "another"
        seen = SimpleNamespace(cube=cube, labels=labels, row=view.row)
        other = SimpleNamespace(view=lambda: seen, strategy=history.strategy, stores=history.stores)
        measured_importance(other, history.axis, models, _rows(kept), kept, LOG)  # type: ignore[arg-type]
    months = list(kept["months"])
    # a transform reads 60 sessions back; the last month's labels are not all realised
    again = {"a bar": months[2:], "the code": months}.get(restated, ["2017-03", "2017-06"])
    assert asked == again


def _model_by_row(history: History) -> list[str | None]:
    view = history.view()
    return [view.models.on(day) if day >= pd.Timestamp("2017-01-01") else None for day in history.axis]


def _rows(kept: dict) -> range:
    parts = [part for month in kept["months"].values() for part in month["parts"]]
    return range(parts[0][1], parts[-1][2])


def test_a_study_of_before_has_no_importance_and_its_page_says_so(lived_in: Path) -> None:
    file = lived_in / "reports" / f"{NAME}-study.json"
    record = json.loads(file.read_text())
    del record["importance"]
    file.write_text(json.dumps(record))
    with open_history(strategy_of()) as history:
        assert study_sheet(history).importance is not None
        assert "Not measured: by the study shown here" in write_study_page(history).read_text()
