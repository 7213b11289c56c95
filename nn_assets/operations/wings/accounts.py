"""The account of a strategy that trades at a venue, looked after within the session."""

from __future__ import annotations

from nn_assets.execution.venues import account_of
from nn_assets.operations.accounts.of_the_day import account_due, keep_account
from nn_assets.operations.names import ACCOUNT
from nn_assets.operations.wings import Job, Scheduled, Table, Wing
from nn_assets.settings import Strategy

_TABLE = Table(
    "venue_account",
    "The account at the venue: fills and ends of orders collected and given to the books, positions, cash and open "
    "orders compared with them, what waits sent under the controls of now, stops that rest as the books hold.",
    lambda history, making: keep_account(history, making.run_id),
    room="execution",
    kinds=("sql",),
    made_by=(keep_account,),
)


def _assets(strategy: Strategy) -> list[Table]:
    """``venue_account``; nothing of a strategy that fills within its round."""
    return [] if account_of(strategy) is None else [_TABLE]


WING = Wing(
    _assets,
    jobs=(Job(ACCOUNT, "Collect, compare and send: the account at the venue, within the session."),),
    schedules={ACCOUNT: Scheduled(ACCOUNT, lambda _: "*/10 * * * *", account_due)},
)
