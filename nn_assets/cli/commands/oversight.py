"""What a person watches and stops: status, audits, controls, and the UI."""

from __future__ import annotations

from typing import Annotated

import typer

from nn_assets.cli.app import (
    DEFAULT_STRATEGY,
    AsJson,
    Reason,
    StrategyName,
    Who,
    answer,
    app,
    audit_commands,
    control_commands,
)


@app.command("status")
def status_command(
    strategy: Annotated[
        str | None, typer.Option("--strategy", "-s", help="Only this strategy; default: all of them.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Whether each strategy trades, why, and what needs a person; then data, decisions, runs, and what is missing."""
    from nn_assets.cli import status

    answer(as_json, lambda _: status.report(strategy))


@audit_commands.command("verify")
def audit_verify(
    head: Annotated[
        str | None, typer.Option("--head", help="sequence:hash of an earlier verification, to notice a cut tail.")
    ] = None,
    since_last: Annotated[
        bool, typer.Option("--since-last", help="Only what was added since the last verification on record.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash chain over every row of the ledger: there is one, of all strategies."""
    from nn_assets.cli import ledger

    answer(as_json, lambda _: ledger.verify_audit(head, since_last=since_last))


@audit_commands.command("decisions")
def audit_decisions(
    strategy: StrategyName = DEFAULT_STRATEGY,
    since_last: Annotated[
        bool, typer.Option("--since-last", help="Only what no run derived again before, by this code.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Derive every decision of the settings in force again, and compare the targets with those on record."""
    from nn_assets.cli import rederivation

    answer(as_json, lambda _: rederivation.audit_decisions(strategy, since_last=since_last))


@control_commands.command("kill-switch")
def kill_switch(
    state: Annotated[str, typer.Argument(help="ACTIVE, REDUCING or HALTED.")],
    reason: Reason,
    who: Who = "operator",
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", "-s", help="Which strategy; without it HALTED and REDUCING are set for all."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set the kill switch.

    HALTED: nothing is sent or filled, not even a stop, and what works in an account at a venue is cancelled at once;
    REDUCING: positions may only shrink or close; ACTIVE: trades.
    """
    from nn_assets.operations.accounts.halting import halt_or_release

    answer(as_json, lambda _: halt_or_release(strategy, state, who, reason))


@control_commands.command("reset-breaker")
def reset_breaker(
    reason: Reason,
    strategy: StrategyName,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Which breaker; repeat for several; may be left out where only one is latched."),
    ] = None,
    who: Who = "operator",
    as_json: AsJson = False,
) -> None:
    """Release latched breakers by kind; that of a loss starts a new high-water mark at the next session."""
    from nn_assets.cli import controls

    answer(as_json, lambda _: controls.reset_breaker(strategy, who, reason, kind or ()))


@control_commands.command("release-alarm")
def release_alarm(reason: Reason, strategy: StrategyName, who: Who = "operator", as_json: AsJson = False) -> None:
    """Release a standing leak alarm for these data; the next study judges without it, and every report repeats it."""
    from nn_assets.cli import controls

    answer(as_json, lambda _: controls.release_leak_alarm(strategy, who, reason))


@control_commands.command("clock")
def control_clock(
    now: Annotated[str, typer.Option("--now", help="The UTC time by another clock, such as 2026-03-02T14:05.")],
    reason: Reason,
    who: Who = "operator",
    as_json: AsJson = False,
) -> None:
    """Treat timestamps written by a clock that ran ahead as earlier than now; nothing stored is changed."""
    from nn_assets.cli import controls

    answer(as_json, lambda _: controls.mend_clock(now, who, reason))


@app.command("ui")
def ui_command(
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port on the loopback address.")] = 3000,
) -> None:
    """Serve Dagster's pages, and run its daemon, for the one browser that opens the address printed first."""
    from nn_assets.cli import ui

    answer(False, lambda _: ui.serve_ui(port))
