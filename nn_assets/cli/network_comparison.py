"""The command compare-networks, and the demo's --networks: every network beside the simple ones, on the same folds."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from nn_assets.learning.networks import NETWORKS
from nn_assets.operations.catalog import find_strategy
from nn_assets.operations.history import open_history
from nn_assets.operations.names import TABLES
from nn_assets.operations.network_comparison import (
    NetworksCompared,
    books_said,
    compare_networks,
    facts_of,
    quick,
    write_comparison_page,
)
from nn_assets.orchestration.running import execute
from nn_assets.reports.comparison_page import book_lines, comparison_lines
from nn_assets.reports.tables import counted_as

_DEMO_STRATEGIES = ("planted_edge", "index_daily")
_DEMO_PAGE = "demo-networks.html"


def run_comparison(console: Console, name: str, networks: Sequence[str] = (), *, small: bool = False) -> dict[str, Any]:
    """Compare networks with the simple ones on a strategy's folds, write the page, and give verdict and table.

    Parameters
    ----------
    networks : sequence of str
        All that are registered when empty.
    small : bool
        With sizes that take minutes, instead of the strategy's own.
    """
    began = time.monotonic()
    compared = _compared(console, name, networks, small=small)
    page = str(write_comparison_page([compared], f"{name}-networks.html"))
    text = [*_lines(compared), f"report  {page}", f"time    {time.monotonic() - began:.0f} s"]
    return {**_document(compared), "report": page, "text": "\n".join([_headline(compared), *text])}


def run_demo_networks(console: Console) -> dict[str, Any]:
    """Compare all networks with the simple ones on both bundled strategies, at quick sizes."""
    began = time.monotonic()
    compared = [_compared(console, name, tuple(NETWORKS.own), small=True) for name in _DEMO_STRATEGIES]
    page = str(write_comparison_page(compared, _DEMO_PAGE))
    took = time.monotonic() - began
    tables = [line for one in compared for line in ("", one.strategy.name, *_lines(one))]
    text = [*map(_headline, compared), *tables, f"report  {page}", f"time    {took:.0f} s"]
    documents = {one.strategy.name: _document(one) for one in compared}
    return {"strategies": documents, "report": page, "seconds": round(took, 1), "text": "\n".join(text)}


def _compared(console: Console, name: str, networks: Sequence[str], *, small: bool) -> NetworksCompared:
    """One comparison, of bars taken in first where none are published."""
    strategy = find_strategy(name).strategy
    with open_history(strategy) as history:
        published = history.stores.publications.current(strategy.name) is not None
    # of what is published the features alone are made, where other code made them; of nothing everything
    console.print(f"{name}: {'features' if published else 'bars and features'}", markup=False)
    execute(strategy, TABLES, assets=("features",) if published else ())
    judged = quick(strategy) if small else strategy
    with open_history(judged) as history, history.stores.alone(name):
        models = history.stores.models
        before = len(models.model_ids())
        try:
            compared = compare_networks(
                history,
                networks,
                f"compare-networks:{name}",
                lambda line: console.print(f"{name}: {line}", markup=False),
                members_replayed=not small,
            )
        except KeyboardInterrupt as interrupt:
            kept = len(models.model_ids()) - before
            raise KeyboardInterrupt(f"{kept} model{'s' * (kept != 1)} kept") from interrupt
    return replace(compared, searched=strategy.search is not None)  # also where quick sizes left it out before


def _headline(compared: NetworksCompared) -> str:
    return f"{compared.strategy.name}: {counted_as(compared.comparison.verdict, compared.strategy.rows_called)}"


def _lines(compared: NetworksCompared) -> list[str]:
    """Table of a comparison, how it was made, and where the time went."""
    fits = ", ".join(f"{network} {seconds:.0f} s" for network, seconds in compared.seconds.items())
    facts = "; ".join(f"{what.lower()} {value}" for what, value in facts_of(compared))
    books = book_lines(compared.books, books_said(compared))
    return [*comparison_lines(compared.comparison), *books, f"  {facts}", f"  fits: {fits}"]


def _document(compared: NetworksCompared) -> dict[str, Any]:
    """A comparison as JSON values."""
    comparison = compared.comparison
    return {
        "strategy": compared.strategy.name,
        "verdict": counted_as(comparison.verdict, compared.strategy.rows_called),
        "winners": list(comparison.winners),
        "statistic": comparison.statistic,
        "sessions": comparison.sessions,
        "not_compared": list(comparison.left_out),
        "contestants": {
            one.name: {
                "simple": one.simple,
                "estimate": one.test.estimate,
                "standard_error": one.test.standard_error,
                "members": [value if math.isfinite(value) else None for value in one.of_members],
            }
            for one in comparison.contestants
        },
        "pairs": [
            {
                "network": pair.network,
                "rival": pair.rival,
                "sessions": pair.test.sessions,
                "difference": pair.test.estimate,
                "t": pair.test.t_statistic,
                "p": pair.test.p_value,
                "finding": pair.finding,
            }
            for pair in comparison.pairs
        ],
        "books": {
            name: {
                "sharpe_net": book.sharpe_net,
                "sharpe_gross": book.sharpe_gross,
                "members_sharpe_net": list(book.of_members),
                "why": book.why or None,
            }
            for name, book in compared.books.items()
        },
        "trials": compared.trials,
    }
