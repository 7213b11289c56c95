"""Rows of the tables: each figure in its place, each size with the step that decided it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nn_assets.evaluation.figures import study_figures
from nn_assets.reports.tables import counted_as, figure_table, fold_table, markdown_table, sized_positions, why_frame
from tests.evaluation.tracks import made_record
from tests.reports.pages import STEPS, made_steps, made_targets


def test_the_network_stands_first_and_missing_figures_have_reasons() -> None:
    figures = study_figures(made_record(300), horizon_sessions=5, sessions_per_year=252)
    table = figure_table(figures)
    assert table.columns == ("network", "linear model", "gradient boosting", "buy and hold")
    rows = {label: cells for label, _, cells in table.rows}
    assert rows["AUC"][0].text == f"{figures.total['network'].auc:.4f}"
    assert rows["AUC"][3].text == "\N{EN DASH}"
    assert "no forecasts" in rows["AUC"][3].why
    assert any("buy and hold" in gap and "AUC" in gap for gap in table.gaps)


def test_a_record_of_decisions_is_told_in_decisions() -> None:
    figures = study_figures(made_record(300), horizon_sessions=5, sessions_per_year=252)
    in_decisions = repr((figure_table(figures, "decisions"), fold_table(figures, "decisions")))
    assert "session" not in in_decisions.lower()
    assert (
        in_decisions.lower().replace("decision", "session")
        == repr((figure_table(figures), fold_table(figures))).lower()
    )


def test_only_the_words_for_rows_are_changed_in_a_sentence() -> None:
    sentence = "2 comparisons on daily rank IC over 1 session; 63 sessions, gate.max_stale_sessions"
    expected = "2 comparisons on each decision's rank IC over 1 decision; 63 decisions, gate.max_stale_sessions"
    assert counted_as(sentence, "decisions") == expected
    assert counted_as(sentence, "sessions") == sentence


def test_only_the_best_of_a_row_is_marked() -> None:
    figures = study_figures(made_record(300), horizon_sessions=5, sessions_per_year=252)
    rows = {label: cells for label, _, cells in figure_table(figures).rows}
    sharpes = [one.sharpe_net for one in figures.total.values()]
    assert [cell.best for cell in rows["Sharpe, net"]] == [value == max(sharpes) for value in sharpes]
    drawdowns = [one.max_drawdown for one in figures.total.values()]
    assert [cell.best for cell in rows["Largest drawdown"]] == [value == min(drawdowns) for value in drawdowns]


BELOW = {
    "AUC": {"auc": 0.499},
    "Accuracy": {"accuracy": 0.562, "base_accuracy": 0.563},
    "Rank IC": {"rank_ic": -0.001},
    "Brier": {"brier": 0.2502, "base_brier": 0.2501},
    "Sharpe, net": {"sharpe_net": -0.1},
    "Return a year": {"return_per_year": -0.01},
}


@pytest.mark.parametrize("label", BELOW)
def test_what_is_no_better_than_its_bar_is_never_the_best(label: str) -> None:
    figures = study_figures(made_record(300), horizon_sessions=5, sessions_per_year=252)
    low = {name: replace(one, **BELOW[label]) for name, one in figures.total.items()}
    rows = {name: cells for name, _, cells in figure_table(replace(figures, total=low)).rows}
    assert not any(cell.best for cell in rows[label])
    key, *_ = BELOW[label]
    alone = low | {"linear": replace(low["linear"], **{key: 0.24 if key == "brier" else 0.9})}
    rows = {name: cells for name, _, cells in figure_table(replace(figures, total=alone)).rows}
    assert [cell.best for cell in rows[label]] == [False, True, False, False]


def test_a_figure_that_another_of_its_row_beats_is_never_the_best() -> None:
    """A Brier score of 0.2434 was marked beside 0.2433, whose own base rate was harder to beat."""
    figures = study_figures(made_record(300), horizon_sessions=5, sessions_per_year=252)
    briers = {"network": (0.2433, 0.2432), "linear": (0.2435, 0.2432), "boosting": (0.2434, 0.2436)}
    total = {
        name: replace(one, brier=briers[name][0], base_brier=briers[name][1]) if name in briers else one
        for name, one in figures.total.items()
    }
    rows = {name: cells for name, _, cells in figure_table(replace(figures, total=total)).rows}
    assert not any(cell.best for cell in rows["Brier"])


def test_no_brier_score_above_that_of_a_coin_is_the_best() -> None:
    figures = study_figures(made_record(300), horizon_sessions=5, sessions_per_year=252)
    total = {name: replace(one, brier=0.2534, base_brier=0.2536) for name, one in figures.total.items()}
    total["linear"] = replace(total["linear"], brier=0.2533)
    rows = {name: cells for name, _, cells in figure_table(replace(figures, total=total)).rows}
    assert not any(cell.best for cell in rows["Brier"])


def test_every_model_month_has_a_row() -> None:
    figures = study_figures(made_record(400), horizon_sessions=5, sessions_per_year=252)
    header, rows = fold_table(figures)
    assert [row[0] for row in rows] == list(figures.folds)
    assert all(len(row) == len(header) for row in rows)
    assert sum(int(row[1]) for row in rows) == 400


def test_the_largest_position_comes_first_with_the_step_that_decided_it() -> None:
    sized = sized_positions(made_targets(), STEPS)
    assert [one.symbol for one in sized] == ["SIM01", "SIM02", "SIM03"]
    assert sized[0].why.startswith("SIM01 worth its cost")
    assert sized[1].why.startswith("SIM02 controls")
    assert sized[2].why.startswith("SIM03 edge over volatility")
    assert [step.step for step in sized[0].steps] == list(range(1, 9))
    assert [step.changed for step in sized[1].steps] == [False, False, True, False, False, False, True, False]


def test_a_symbol_that_stays_flat_says_what_its_edge_was() -> None:
    steps = made_steps({"SIM03": (0.0,) * 8})
    (flat,) = sized_positions(made_targets().query("symbol == 'SIM03'").assign(current_quantity=0.0), steps)
    assert flat.is_flat
    assert flat.why == "SIM03 edge after costs | 0.0%; SIM03 half Kelly | 0.0%"
    idle = steps.assign(reason=steps["reason"].where(~steps["step"].isin([2, 3]), "nothing proposed"))
    (silent,) = sized_positions(made_targets().query("symbol == 'SIM03'").assign(current_quantity=0.0), idle)
    assert silent.why == "SIM03 probability | 0.0%"


def test_a_position_without_a_trace_says_so() -> None:
    assert "no trace" in sized_positions(made_targets(), STEPS.iloc[:0])[0].why


def test_of_many_symbols_what_is_held_or_changes_comes_first_with_what_bound_it() -> None:
    names = [f"S{number:03d}" for number in range(160)]
    targets = pd.DataFrame(
        {
            "symbol": names,
            "reference_price": 50.0,
            "current_quantity": [10.0 if name == "S120" else 0.0 for name in names],
            "target_quantity": [7.0 if name == "S150" else 0.0 for name in names],
            "target_weight": [0.02 if name == "S150" else 0.0 for name in names],
            "stop_price": np.nan,
        }
    )
    steps = made_steps(dict.fromkeys(("S120", "S150"), (0.0, 0.0, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02)))
    positions = sized_positions(targets, steps, {"S150": ("net, gross", 6)})
    assert [one.symbol for one in positions][:3] == ["S150", "S120", "S000"]
    shown = str(markdown_table(why_frame(positions)))
    head, _, first, second, *_ = shown.splitlines()
    assert head == "| symbol | now held | to hold | weight | bound by | why |"
    assert first.startswith("| S150 | 0 | 7 | 0.02 | net, gross | S150 limits")
    assert second.startswith("| S120 | 10 | 0 | 0 | half Kelly |")
    assert "_50 of 160 rows_" in shown
