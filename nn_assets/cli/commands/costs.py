"""The cost model: shown, estimated on demand, and approved."""

from __future__ import annotations

from typing import Annotated

import typer

from nn_assets.cli.app import AsJson, From, StrategyName, To, Who, answer, app

costs_commands = typer.Typer(
    rich_markup_mode=None, help="The cost model: in force, estimated anew, approved.", no_args_is_help=True
)
app.add_typer(costs_commands, name="costs")


@costs_commands.command("show")
def costs_show(strategy: StrategyName, as_json: AsJson = False) -> None:
    """Each coefficient in force with its unit, source, interval and date, and the estimate that waits."""
    from nn_assets.cli import costs

    answer(as_json, lambda _: costs.show_costs(strategy))


@costs_commands.command("estimate")
def costs_estimate(strategy: StrategyName, as_json: AsJson = False) -> None:
    """Estimate the coefficients from the fills on record now, as the schedule does every month."""
    from nn_assets.cli import costs

    answer(as_json, lambda _: costs.estimate_now(strategy))


@costs_commands.command("shortfall")
def costs_shortfall(strategy: StrategyName, first: From = None, last: To = None, as_json: AsJson = False) -> None:
    """What fills cost against the prices decided at: by part, order size and time of day; real ones where there are."""
    from nn_assets.cli import costs

    answer(as_json, lambda _: costs.show_shortfall(strategy, first, last))


@costs_commands.command("approve")
def costs_approve(
    why: Annotated[str, typer.Option("--why", help="Why; kept in the ledger.")],
    strategy: StrategyName,
    who: Who = "operator",
    as_json: AsJson = False,
) -> None:
    """Put the estimate that waits in force, from the next session to come."""
    from nn_assets.cli import costs

    answer(as_json, lambda _: costs.approve_costs(strategy, who, why))
