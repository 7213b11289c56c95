"""``nn-assets``: checks of the data, the daily round, studies, exports, status, audit, controls, the demo and the UI.

Every command but ``ui`` takes ``--json``: one JSON document on standard output, everything else on standard
error. Exit status 0 is success, 1 a named failure, 2 a wrong call, 130 an interrupt.

Here are what all commands share: the program itself, the options that several take, and how an answer is given. The
commands register themselves in ``commands/``.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nn_assets.cli.named import named_error
from nn_assets.errors import RunFailed
from nn_assets.store.home import require_home

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
account_commands = typer.Typer(
    rich_markup_mode=None, help="Accounts at venues: send, collect, compare, accept.", no_args_is_help=True
)
app.add_typer(account_commands, name="account")


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
