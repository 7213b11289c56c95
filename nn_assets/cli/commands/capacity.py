"""``nn-assets capacity``: the record replayed at several sizes, and the capital beyond which more earns less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nn_assets.cli.app import DEFAULT_STRATEGY, AsJson, StrategyName, answer, app

if TYPE_CHECKING:
    from rich.console import Console


@app.command("capacity")
def capacity_command(strategy: StrategyName = DEFAULT_STRATEGY, as_json: AsJson = False) -> None:
    """Replay the record at 1/8 to 64 times the capital, and say beyond which capital a further dollar earns nothing."""
    answer(as_json, lambda console: _estimated(strategy, console))


def _estimated(name: str, console: Console) -> dict[str, Any]:
    from nn_assets.cli.ledger import lined_up
    from nn_assets.operations.asof.capacity import estimates_of_capacity
    from nn_assets.operations.capacity import estimate_capacity
    from nn_assets.operations.catalog import find_strategy
    from nn_assets.operations.history import open_history
    from nn_assets.operations.study_page import write_study_page_where_kept

    strategy = find_strategy(name).strategy
    with open_history(strategy) as history, history.stores.alone(name):
        capacity, figures = estimate_capacity(history, "capacity", lambda line: console.print(line, markup=False))
        details = estimates_of_capacity(history.stores.ledger, name)[-1]
        page = write_study_page_where_kept(history)
    share = strategy.portfolio.capacity_share
    rule = (
        "no size follows it: portfolio.capacity_share is not set"
        if share is None
        else f"from the next session on sizes are made for at most {share:.0%} of it, in halves"
    )
    lines = [f"{name}: capacity {capacity.sentence}", lined_up(figures["sizes"]), rule]
    return {
        "strategy": name,
        **details,
        "page": None if page is None else str(page),
        "text": "\n".join([*lines, *([] if page is None else [f"page  {page}"])]),
    }
