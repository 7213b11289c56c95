"""What novelty leaves of a confidence, and an unlike day in a strategy's first line; cheap, on one tiny model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nn_assets.arrays import Cube
from nn_assets.contracts import NOVELTY, validate
from nn_assets.operations.history import Stretch
from nn_assets.operations.models.novelty import confidence_shares, novelty_of_forecasts, p_values_of
from nn_assets.operations.models.unlike_days import day_novelty, novelty_details, novelty_notices
from nn_assets.operations.situation import unlike_day
from nn_assets.oversight.headline import Situation, TradingWord, headline
from nn_assets.settings import PortfolioSettings
from nn_assets.signals.novelty import DayNovelty
from tests.learning.test_novelty import asking, model
from tests.learning.tiny import NAMES, SYMBOLS, tiny_market, tiny_strategy

STRANGE = 5  # rows after the model's first use


def history(values: Any = None) -> Any:
    """What the functions ask of a history: one cut, one model."""
    cube, _ = tiny_market()
    cut = SimpleNamespace(cube=cube if values is None else Cube(cube.sessions, SYMBOLS, NAMES, values))

    def stretches(rows: list[int]) -> Iterator[Stretch]:
        if rows:
            yield Stretch(0, range(rows[0], rows[-1] + 1), cut)  # type: ignore[arg-type]

    def view(session: Any) -> Any:
        row = int(cube.sessions.get_loc(session))
        return SimpleNamespace(row=row, cube=cut.cube.until(session), symbols=SYMBOLS, members=None)

    return SimpleNamespace(
        strategy=asking(tiny_strategy(maximum_epochs=1)),
        stores=SimpleNamespace(once=lambda *_: model()),
        stretches=stretches,
        view=view,
        sessions_per_year=252,
    )


def strange() -> np.ndarray:
    """Every name far out on one session, and one name on the session after."""
    values = tiny_market()[0].values.copy()
    row = model().fold.used_from + STRANGE
    values[row] += np.array([6.0, -6.0, 6.0, -6.0])
    values[row + 1, 1, 2] = 7.0
    return values


def shares(of: Any, sessions: int = 20) -> np.ndarray:
    first = model().fold.used_from
    return confidence_shares(of, range(first, first + sessions), [model().model_id] * sessions, SYMBOLS)


def test_strange_rows_keep_a_part_of_their_confidence_and_all_others_their_own() -> None:
    before, after = shares(history()), shares(history(strange()))
    assert (after[STRANGE] < 0.3).all()
    assert after[STRANGE + 1, 1] < 0.3
    ordinary = np.ones(after.shape, dtype=bool)
    ordinary[STRANGE], ordinary[STRANGE + 1, 1] = False, False
    np.testing.assert_array_equal(after[ordinary], before[ordinary])
    assert np.mean(before == 1.0) > 0.9


def test_the_p_value_behind_every_forecast_is_a_table() -> None:
    of, first = history(strange()), model().fold.used_from
    of.axis = tiny_market()[0].sessions
    rows = [(of.axis[first + day], symbol) for day in (STRANGE - 1, STRANGE, STRANGE + 1) for symbol in SYMBOLS[::-1]]
    forecasts = pd.DataFrame(rows, columns=["session", "symbol"]).assign(model_id=model().model_id)
    table = validate(novelty_of_forecasts(of, forecasts), NOVELTY)
    assert list(zip(table["session"], table["symbol"], strict=True)) == rows
    for row in table.itertuples():  # each judged by itself
        cube = of.view(row.session).cube
        alone = p_values_of(model(), cube, slice(len(cube.sessions) - 1, len(cube.sessions)), (row.symbol,))
        assert row.p_value == alone[0, 0]
    lowest = table.groupby("session")["p_value"].max()
    assert lowest.iloc[1] < 0.01 < lowest.iloc[0]
    of.stores = SimpleNamespace(once=lambda *_: replace(model(), novelty=None))
    assert novelty_of_forecasts(of, forecasts)["p_value"].isna().all()
    assert novelty_of_forecasts(of, forecasts.iloc[:0]).empty


def test_a_session_alone_has_the_shares_that_it_has_among_others() -> None:
    of, row = history(strange()), model().fold.used_from + STRANGE
    (alone,) = confidence_shares(of, range(row, row + 1), [model().model_id], SYMBOLS)
    np.testing.assert_array_equal(alone, shares(of)[STRANGE])
    assert (confidence_shares(of, range(row, row + 2), [None, None], SYMBOLS) == 1.0).all()


def test_an_unlike_day_is_on_record_on_the_page_and_in_the_first_line() -> None:
    of = history(strange())
    sessions = tiny_market()[0].sessions
    day = sessions[model().fold.used_from + STRANGE]
    details = novelty_details(of, day, model().model_id)
    (fault,) = unlike_day(details)
    assert fault.word is TradingWord.TRADES
    assert fault.why.startswith("an unlike day, p 0.00")
    assert "3 of 3 rows are unlike" in fault.why
    situation = Situation("s", PortfolioSettings(), session=str(day.date()), verdict_allows=True, faults=(fault,))
    assert "an unlike day" in str(headline(situation))
    (notice,) = novelty_notices(of, details, model().model_id)
    assert notice.startswith("An unlike day")
    # the page says what is on record, whatever would be computed by now
    on_record = {"novelty": {**details["novelty"], "unlike": 2, "unlike_day": False, "symbols": ["SIM01"]}}
    (notice,) = novelty_notices(of, on_record, model().model_id)
    assert notice.startswith("2 of 3 rows are unlike any that the model was fitted on, first of all SIM01.")
    assert novelty_notices(of, {"novelty": {**details["novelty"], "unlike": 0}}, model().model_id) == []
    (notice,) = novelty_notices(of, {}, model().model_id)
    assert notice == "No row is judged unlike: no features of the session, or of those before it, could be scored."
    before = day_novelty(of, sessions[model().fold.used_from + STRANGE - 1], model().model_id)
    assert before is not None
    assert not before.unlike_day
    assert unlike_day({}) == ()


def test_a_model_without_scores_changes_no_confidence_and_the_page_says_why() -> None:
    of, day = history(strange()), tiny_market()[0].sessions[model().fold.used_from + STRANGE]
    for figures, why in (
        ({}, "it was fitted without"),
        ({"novelty": {"none": "199 training rows, at least 250 are needed"}}, "199 training rows"),
    ):
        without = replace(model(), novelty=None, figures=figures)
        of.stores = SimpleNamespace(once=lambda *_, without=without: without)
        assert (shares(of) == 1.0).all()
        assert novelty_details(of, day, model().model_id) == {}
        (notice,) = novelty_notices(of, {}, model().model_id)
        assert why in notice


def test_where_the_sessions_before_have_no_scores_rows_are_judged_and_the_day_is_not() -> None:
    row, values = model().fold.used_from + STRANGE, strange()
    values[: row + 1][-21:-1] = np.nan
    of, day = history(values), tiny_market()[0].sessions[row]
    details = novelty_details(of, day, model().model_id)
    assert details["novelty"]["p_value"] is None
    assert (details["novelty"]["unlike"], details["novelty"]["unlike_day"]) == (3, False)
    assert DayNovelty.from_record(json.loads(json.dumps(details["novelty"]))).to_record() == details["novelty"]
    assert unlike_day(details) == ()
    (notice,) = novelty_notices(of, details, model().model_id)
    assert notice.startswith("3 of 3 rows are unlike")
    assert "the day as a whole is not judged: the 20 sessions before it have no scores" in notice
    assert "fitted without" not in notice
    values[row] = np.nan
    nothing = day_novelty(history(values), day, model().model_id)
    assert nothing is not None
    assert (nothing.rows, nothing.score, nothing.p_value) == (0, None, None)
    assert nothing.sentence.startswith("no row is judged")


@pytest.mark.parametrize("stretch", [0, 3])
def test_what_comes_later_changes_no_session(stretch: int) -> None:
    row = model().fold.used_from + STRANGE + stretch
    values = strange()
    values[row + 1 :] = np.nan
    known = STRANGE + stretch + 1  # the factor of each row, for it acts on the book
    np.testing.assert_array_equal(shares(history(values))[:known], shares(history(strange()))[:known])
    day = tiny_market()[0].sessions[row]
    assert day_novelty(history(values), day, model().model_id) == day_novelty(history(strange()), day, model().model_id)
