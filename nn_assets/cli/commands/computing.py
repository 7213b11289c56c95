"""What takes data in and computes: the demo, the check of the data, rounds, studies, comparisons and searches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nn_assets.cli.app import DEFAULT_STRATEGY, AsJson, FromMonth, StrategyName, ToMonth, answer, app

if TYPE_CHECKING:
    from rich.console import Console


@app.command("demo")
def demo_command(
    short: Annotated[bool, typer.Option("--short", help="Few live sessions; the study is whole.")] = False,
    networks: Annotated[
        bool, typer.Option("--networks", help="Instead: every network beside the simple ones, at quick sizes.")
    ] = False,
    crypto: Annotated[
        bool, typer.Option("--crypto", help="Simulated perpetuals that trade on every day, in place of the two.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the whole path on the bundled data, through Dagster, and write a report."""
    if networks and (short or crypto):
        raise typer.BadParameter("--networks runs a comparison instead of the demo: --short and --crypto go without it")
    if networks:
        from nn_assets.cli import network_comparison

        answer(as_json, network_comparison.run_demo_networks)
        return
    from nn_assets.cli import demo

    names = demo.CRYPTO_STRATEGIES if crypto else demo.DEMO_STRATEGIES
    answer(as_json, lambda console: demo.run_demo(console, short=short, names=names))


@app.command("check")
def check_command(
    strategy: StrategyName = DEFAULT_STRATEGY,
    whole: Annotated[
        bool, typer.Option("--whole", help="Judge every bar once more, and say whether what is published equals it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take in the data alone, hold them against the gate, and say what came in and what to do next."""
    from nn_assets.cli import check

    answer(as_json, lambda _: check.check_data(strategy, whole=whole))


@app.command()
def run(
    strategy: StrategyName = DEFAULT_STRATEGY,
    session: Annotated[str | None, typer.Option("--session", help="YYYY-MM-DD; default: the last closed.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First of several sessions, in one run.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last of them; default: the last closed.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the daily round of a session, or of several in order: tables, fills, signals, targets, orders, drift."""
    from nn_assets.cli import runs

    answer(as_json, lambda _: runs.run_rounds(strategy, session, first, last))


@app.command()
def study(
    strategy: StrategyName = DEFAULT_STRATEGY,
    first: FromMonth = None,
    last: ToMonth = None,
    refit_every: Annotated[
        int | None, typer.Option("--refit-every", min=1, max=120, help="Months between fits.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the walk-forward study: models, out-of-sample forecasts, replay, figures, verdict."""
    from nn_assets.cli import runs

    def work(console: Console) -> dict[str, Any]:
        return runs.run_study(strategy, first, last, refit_every, lambda line: console.print(line, markup=False))

    answer(as_json, work)


@app.command("compare-networks")
def compare_networks_command(
    strategy: StrategyName = DEFAULT_STRATEGY,
    networks: Annotated[
        list[str] | None, typer.Option("--network", help="Again for another one; default: all that are registered.")
    ] = None,
    small: Annotated[bool, typer.Option("--quick", help="Sizes that take minutes, not the strategy's own.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare networks with the linear model, boosting and a momentum rule on the strategy's own folds."""
    from nn_assets.cli import network_comparison

    chosen = tuple(networks or ())
    answer(as_json, lambda console: network_comparison.run_comparison(console, strategy, chosen, small=small))


@app.command("search")
def search_command(
    strategy: StrategyName = DEFAULT_STRATEGY,
    first: FromMonth = None,
    last: ToMonth = None,
    as_json: AsJson = False,
) -> None:
    """Search hyper-parameters within the budget that the strategy states, each choice by rows before it is in force."""
    from nn_assets.cli import search

    answer(as_json, lambda _: search.run_search(strategy, first, last))
