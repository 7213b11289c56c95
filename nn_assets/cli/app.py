"""``nn-assets``: checks of the data, the daily round, studies, exports, status, audit, controls, the demo and the UI.

Every command but ``ui`` takes ``--json``: one JSON document on standard output, everything else on standard
error. Exit status 0 is success, 1 a named failure, 2 a wrong call, 130 an interrupt.

The one module here that imports parts of the package within functions: what a command needs is imported when the
command is given, so that help and a wrong call answer at once.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nn_assets.cli.named import named_error
from nn_assets.errors import RunFailed
from nn_assets.operations.exported_names import DICTIONARY, TABLES
from nn_assets.store.home import require_home
from nn_assets.store.ledger.query_files import query_names, query_parameters

if TYPE_CHECKING:
    from rich.console import Console


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(f"nn-assets {version('nn_assets')}")  # noqa: T201
        raise typer.Exit


app = typer.Typer(
    rich_markup_mode=None,  # frames and colours cost more than the command they frame
    help="Validated data, walk-forward networks, sized positions and oversight, on Dagster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _of_all_commands(
    version: Annotated[
        bool, typer.Option("--version", help="The version, and nothing else.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    del version


audit_commands = typer.Typer(
    rich_markup_mode=None, help="The ledger's hash chain, and decisions derived again.", no_args_is_help=True
)
control_commands = typer.Typer(
    rich_markup_mode=None, help="Kill switch, breakers, leak alarms and the clock.", no_args_is_help=True
)
app.add_typer(audit_commands, name="audit")
app.add_typer(control_commands, name="control")


def _named_or_only(context: typer.Context, name: str) -> str:
    """The strategy named; without ``--strategy`` the only one in the home, which a line then names."""
    source = context.get_parameter_source("strategy")
    if context.resilient_parsing or source is None or source.name != "DEFAULT":
        return name
    from nn_assets.cli.left_out import strategy_left_out

    return strategy_left_out(name)


StrategyName = Annotated[
    str,
    typer.Option(
        "--strategy",
        "-s",
        help="Which strategy; may be left out where the home has one.",
        callback=_named_or_only,
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
From = Annotated[str | None, typer.Option("--from", help="First session, YYYY-MM-DD.")]
To = Annotated[str | None, typer.Option("--to", help="Last session, YYYY-MM-DD.")]
FromMonth = Annotated[str | None, typer.Option("--from", help="First month, YYYY-MM; default: the first of all.")]
ToMonth = Annotated[str | None, typer.Option("--to", help="Last month, YYYY-MM; default: the newest.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the ledger.")]
Who = Annotated[str, typer.Option("--who", help="Who says so; kept in the ledger.", envvar="USER")]

DEFAULT_STRATEGY = "index_daily"
_INTERRUPTED = 130
_NEEDED = {
    name: [parameter for parameter in query_parameters(name) if parameter != "strategy"] for name in query_names()
}
_EXPORTED = (
    f"One of: {', '.join(TABLES)}; a table that a plug-in of the strategy stores; or {DICTIONARY}, what the columns of "
    "all of them are."
)
_VALUES = "PARAMETER=VALUE; again for another symbol or session. Needed: " + "; ".join(
    f"{name}: {', '.join(needed) or 'none'}" for name, needed in _NEEDED.items()
)


def answer(as_json: bool, work: Callable[[Console], dict[str, Any]]) -> None:
    """Print what a command's ``work`` returns, as its ``text`` or as JSON.

    A named error, a full disk, or an ``ok`` that is false becomes exit status 1, an interrupt 130, as shells have it.

    Parameters
    ----------
    as_json : bool
        Whether one JSON document goes to standard output, and all else to standard error.
    work : callable
        Takes the console; gives the document, with ``text`` for people.
    """
    from rich.console import Console

    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    try:
        require_home()
        document = work(console)
    except Exception as error:
        named = named_error(error)
        if named is None:
            raise
        message = f"{named.kind}: {named}"
        run = {"run_id": named.where["run"]} if isinstance(named, RunFailed) and "run" in named.where else {}
        document = {"ok": False, "error": named.kind, "message": str(named), **run}
        print(json.dumps(document) if as_json else message, file=sys.stdout if as_json else sys.stderr)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interrupt:
        message = ", ".join(["interrupted", *map(str, interrupt.args)])
        document = {"ok": False, "error": "Interrupted", "message": message}
        print(json.dumps(document) if as_json else message, file=sys.stdout if as_json else sys.stderr)
        raise typer.Exit(_INTERRUPTED) from interrupt
    except SystemExit as ended:  # a plug-in's or a library's: no command ends so, and none ends in silence
        message = f"ended by code that called sys.exit({ended.code!r}), a plug-in or a library, before it was done"
        document = {"ok": False, "error": "Ended", "message": message}
        print(json.dumps(document) if as_json else message, file=sys.stdout if as_json else sys.stderr)
        raise typer.Exit(1) from ended
    ok = bool(document.get("ok", True))
    text = document.pop("text", "")
    if as_json:
        print(json.dumps({"ok": ok, **document}, default=str))  # noqa: T201
    elif text:
        console.print(text, markup=False)
    if not ok:
        raise typer.Exit(1)


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


@app.command("export")
def export_command(
    table: Annotated[str, typer.Argument(help=_EXPORTED)],
    out: Annotated[Path, typer.Option("--out", help="A .csv, .parquet or .json file; of the dictionary .md.")],
    strategy: StrategyName = DEFAULT_STRATEGY,
    first: From = None,
    last: To = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Only what was known at this UTC time.")] = None,
    adjusted: Annotated[
        str | None, typer.Option("--adjusted", help="Of bars: backward or forward, for splits and dividends.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a table to a file."""
    from nn_assets.cli import export

    answer(as_json, lambda _: export.export_table(table, out, strategy, first, last, as_of, adjusted))


@app.command("query")
def query_command(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(query_names())}.")],
    value: Annotated[list[str] | None, typer.Option("--value", help=_VALUES)] = None,
    strategy: StrategyName = DEFAULT_STRATEGY,
    as_json: AsJson = False,
) -> None:
    """Run one of the operator's queries in sql/queries, and print what it finds."""
    from nn_assets.cli import ledger

    answer(as_json, lambda _: ledger.run_query(name, strategy, value or []))


@app.command("import-fills")
def import_fills_command(
    file: Annotated[Path, typer.Argument(help="A CSV file of a broker's fills.")],
    strategy: StrategyName,
    as_json: AsJson = False,
) -> None:
    """Append real fills to the ledger; the next estimation of costs uses them."""
    from nn_assets.operations.intake import fills

    answer(as_json, lambda _: fills.import_fills(strategy, file))


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
    """Recompute the hash chain over every row of the ledger."""
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


@app.command("migrate")
def migrate_command(
    to_env: Annotated[
        str, typer.Option("--to-env", help="Environment variable that holds the new database's address.")
    ] = "NN_ASSETS_DATABASE_URL",
    as_json: AsJson = False,
) -> None:
    """Copy the home's embedded ledger to PostgreSQL, chain and all, or leave both as they are."""
    from nn_assets.cli import migrate

    answer(as_json, lambda _: migrate.migrate(to_env))


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

    HALTED: nothing is sent or filled, not even a stop; REDUCING: positions may only shrink or close; ACTIVE: trades.
    """
    from nn_assets.cli import controls

    answer(as_json, lambda _: controls.set_kill_switch(strategy, state, who, reason))


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


def main() -> None:
    """Console entry point."""
    # Importing and reading make many objects that stay: a fifth of a run went into looking for garbage among them.
    gc.set_threshold(100_000, 20, 50)
    try:
        _main()
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            # Everything is stored and closed. Taking the libraries down would make who pressed Ctrl-C wait for seconds.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_INTERRUPTED)
        raise


def _main() -> None:
    """Run a command; a wrong call, too, is one JSON document where ``--json`` is asked for."""
    if "--json" not in sys.argv[1:]:
        app()
        return
    try:
        exit_status = app(standalone_mode=False)
    except typer.TyperException as error:
        document = {"ok": False, "error": "WrongCall", "message": error.format_message()}
        print(json.dumps(document))  # noqa: T201
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(_INTERRUPTED)
    sys.exit(exit_status)
