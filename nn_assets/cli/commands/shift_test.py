"""``nn-assets shift-test``: simple estimators fitted without a regime and tested on it, shown on the study's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nn_assets.cli.app import DEFAULT_STRATEGY, AsJson, FromMonth, StrategyName, ToMonth, answer, app

if TYPE_CHECKING:
    from rich.console import Console


@app.command("shift-test")
def shift_test(
    strategy: StrategyName = DEFAULT_STRATEGY, first: FromMonth = None, last: ToMonth = None, as_json: AsJson = False
) -> None:
    """Fit the simple estimators without each regime and test them on it; the study's page shows what they came to."""

    def work(console: Console) -> dict[str, Any]:
        return _tested(strategy, first, last, console)

    answer(as_json, work)


def _tested(name: str, first: str | None, last: str | None, console: Console) -> dict[str, Any]:
    import pandas as pd

    from nn_assets.cli.runs import months_asked
    from nn_assets.operations.catalog import find_strategy
    from nn_assets.operations.history import open_history
    from nn_assets.operations.shift import FEWEST_SESSIONS, leave_regimes_out
    from nn_assets.operations.study_page import keep_left_out, study_sheet, write_study_page

    strategy = find_strategy(name).strategy
    with open_history(strategy) as history, history.stores.alone(name):
        study_sheet(history)  # refused before anything is fitted where there is no study to show it beside
        low, high = months_asked(strategy, first, last, history.last_session.strftime("%Y-%m"))
        months = [str(month) for month in pd.period_range(low, high, freq="M")]
        result = leave_regimes_out(history, months, lambda line: console.print(line, markup=False))
        none = f"no regime has {FEWEST_SESSIONS} sessions among those studied: nothing was fitted"
        lines = list(result.lines) or [none]
        keep_left_out(history, lines)
        page = write_study_page(history)
    head = f"{name} {low} to {high}: {result.fits} fits of the simple estimators without a regime"
    return {
        "strategy": name,
        "from": low,
        "to": high,
        "fits": result.fits,
        "results": [
            {
                "regime": one.regime,
                "estimator": one.estimator,
                "sessions": one.sessions,
                "without": one.without.estimate,
                "t": one.without.t_statistic,
                "whole": one.whole,
                "elsewhere": one.elsewhere,
            }
            for one in result.found
        ],
        "page": str(page),
        "text": "\n".join([head, *lines, f"page  {page}"]),
    }
