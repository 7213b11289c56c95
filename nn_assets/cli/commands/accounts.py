"""Accounts at venues: what is sent, collected, compared, cancelled and accepted."""

from __future__ import annotations

from typing import Annotated

import typer

from nn_assets.cli.app import AsJson, Who, account_commands, answer

Account = Annotated[
    str | None, typer.Option("--account", "-a", help="Which account; may be left out where the home has one.")
]
StrategyOfAccount = Annotated[
    str | None,
    typer.Option("--strategy", "-s", help="The account that this strategy trades on, with all of its books."),
]


@account_commands.command("send")
def account_send(
    account: Account = None,
    strategy: StrategyOfAccount = None,
    alone: Annotated[
        bool, typer.Option("--now", help="Without waiting for books that have not decided the session yet.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send what the books decided, each order once, under the controls of now."""
    from nn_assets.cli import accounts

    answer(as_json, lambda _: accounts.send(accounts.name_of(account, strategy), alone=alone))


@account_commands.command("sync")
def account_sync(account: Account = None, strategy: StrategyOfAccount = None, as_json: AsJson = False) -> None:
    """Collect fills, compare, send what waits, and have the stops rest as the books hold."""
    from nn_assets.cli import accounts

    answer(as_json, lambda _: accounts.sync(accounts.name_of(account, strategy)))


@account_commands.command("reconcile")
def account_reconcile(account: Account = None, strategy: StrategyOfAccount = None, as_json: AsJson = False) -> None:
    """Collect fills, and compare positions, cash and open orders of the venue with the books."""
    from nn_assets.cli import accounts

    answer(as_json, lambda _: accounts.compare(accounts.name_of(account, strategy)))


@account_commands.command("cancel")
def account_cancel(
    orders: Annotated[
        list[str] | None, typer.Argument(help="Names of orders; all that may fill when left out.")
    ] = None,
    account: Account = None,
    strategy: StrategyOfAccount = None,
    as_json: AsJson = False,
) -> None:
    """Ask for the end of orders; it passes under a halt too."""
    from nn_assets.cli import accounts

    answer(as_json, lambda _: accounts.cancel(accounts.name_of(account, strategy), orders or ()))


@account_commands.command("accept")
def account_accept(
    why: Annotated[str, typer.Option("--why", help="Why; kept in the ledger.")],
    account: Account = None,
    strategy: StrategyOfAccount = None,
    who: Who = "operator",
    outside: Annotated[
        bool, typer.Option("--outside", help="What differs is no book's: another's money in the same account.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take what the venue says as the truth: the books are adjusted, on record, as their next sessions begin."""
    from nn_assets.cli import accounts

    answer(as_json, lambda _: accounts.take_over(accounts.name_of(account, strategy), who, why, outside=outside))


@account_commands.command("show")
def account_show(account: Account = None, strategy: StrategyOfAccount = None, as_json: AsJson = False) -> None:
    """What is on record of every account, or one: whether it agrees, and orders that may fill; no venue is asked."""
    from nn_assets.cli import accounts

    answer(as_json, lambda _: accounts.show(accounts.name_of(account, strategy)))
