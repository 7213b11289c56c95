"""Which strategy a command works on when ``--strategy`` is omitted."""

from __future__ import annotations

import typer

from nn_assets.cli.named import named_error
from nn_assets.operations.catalog import read_strategies
from nn_assets.operations.stores import open_stores
from nn_assets.store.home import address_to_read


def strategy_left_out(default: str) -> str:
    """The only strategy that the home has a file or data of; the default where it has none. A line says which.

    Raises
    ------
    BadParameter
        There are several.
    """
    try:
        readable, left_out = read_strategies()
        with address_to_read() as ledger, open_stores(ledger=ledger) as stores:
            with_data = set(stores.ledger.strategies("publications"))
    except Exception as error:
        if named_error(error) is None:
            raise
        return default  # the command itself says what is wrong
    names = {file.strategy.name: not file.is_bundled or file.strategy.name in with_data for file in readable}
    of_home = [name for name, is_of_home in {**names, **dict.fromkeys(left_out, True)}.items() if is_of_home]
    if len(of_home) > 1:
        raise typer.BadParameter(
            f"it is left out, and the home has {', '.join(of_home)}: name one, such as --strategy {of_home[-1]}"
        )
    name = of_home[0] if of_home else default
    others = [other for other in names if other != name]
    typer.echo(f"strategy {name}, since --strategy is left out; there are also {', '.join(others)}", err=True)
    return name
