"""What goes in and out as a table: exports, queries, a broker's fills, the ledger as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nn_assets.cli.app import DEFAULT_STRATEGY, AsJson, From, StrategyName, To, answer, app
from nn_assets.contracts.statements import EXAMPLE, RULES, columns_text
from nn_assets.operations.exported_names import DICTIONARY, TABLES
from nn_assets.store.ledger.query_files import query_names, query_parameters

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

IMPORTED = "\n\n".join(
    [
        "Append real fills to the ledger; the next estimation of costs uses them.",
        f"Columns {columns_text()}.",
        RULES,
        "\b\nExample:\n" + EXAMPLE,
    ]
)


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


@app.command("import-fills", help=IMPORTED)
def import_fills_command(
    file: Annotated[Path, typer.Argument(help="A CSV file of a broker's fills.")],
    strategy: StrategyName,
    as_json: AsJson = False,
) -> None:
    """As :data:`IMPORTED` says."""
    from nn_assets.operations.intake import fills

    answer(as_json, lambda _: fills.import_fills(strategy, file))


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
