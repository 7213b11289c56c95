"""A statement of fills that the venue gave already: it counts once, and what it says otherwise is refused by name."""

from __future__ import annotations

import pandas as pd
import pytest

from nn_assets.contracts import FILLS, framed
from nn_assets.errors import SourceError
from nn_assets.operations.accounts.collecting import collect
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.statements import require_fills_of_the_venue, without_double_fills
from tests.operations.account_books import NOON, TRADED, Desk, a_strategy


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Book one buys 100 and two sells 40: the venue fills 20 at 50.01 and 40 at 50.03, of which one gets 33 and 67."""
    desk = Desk.of(tmp_path_factory.mktemp("desk"), "one", "two")
    desk.decided("one", {"AAA": 100})
    desk.decided("two", {"AAA": -40})
    send_orders(desk.driver())
    (name,) = desk.venue.taken
    desk.venue.fill(name, 20.0, 50.01, commission_usd=0.05)
    desk.venue.fill(name, 40.0, 50.03, commission_usd=0.09)
    desk.moment = NOON
    with desk.driver().alone():
        collect(desk.driver())
    return desk


def fills(source: str, order: str, *rows: tuple[float, float, float | None], mid: float | None = None) -> pd.DataFrame:
    return framed(
        FILLS,
        len(rows),
        fill_id=[f"{source}-{order[:8]}-{number}" for number in range(len(rows))],
        client_order_id=order,
        session=TRADED,
        symbol="AAA",
        quantity=[quantity for quantity, _, _ in rows],
        price=[price for _, price, _ in rows],
        mid_price=mid,
        half_spread_usd=None,
        commission_usd=[commission for _, _, commission in rows],
        impact_usd=None,
        source=source,
        known_at=NOON,
        filled_at=None,
        later_mid_price=None,
    )


BOOKED = ((33.0, 50.01, 0.03), (67.0, 50.03, 0.07))


@pytest.mark.parametrize("named_by", ["the account's order", "the book's order"])
def test_a_statement_replaces_what_the_venue_gave_and_brings_its_mids(desk: Desk, named_by: str) -> None:
    (order,) = desk.venue.taken
    whole = named_by == "the account's order"
    rows = ((20.0, 50.01, None), (40.0, 50.03, 0.14)) if whole else BOOKED
    statement = fills("imported", order if whole else "one-2024-03-04-AAA", *rows, mid=50.0)
    require_fills_of_the_venue(desk.stores.ledger, a_strategy("one"), statement, "statement.csv")
    both = pd.concat([fills("venue", "one-2024-03-04-AAA", *BOOKED), statement])
    joined = without_double_fills(desk.stores.ledger, a_strategy("one"), both.reset_index(drop=True))
    assert set(joined["source"]) == {"imported"}
    assert set(joined["client_order_id"]) == {"one-2024-03-04-AAA"}
    assert joined["mid_price"].tolist() == [50.0, 50.0]
    assert joined["quantity"].sum() == pytest.approx(100.0)
    paid = joined["commission_usd"].tolist()
    # By hand: what is not stated is a third of what the venue had book one pay; of 0.14 USD one got 100 of 140 shares.
    assert paid == pytest.approx([0.10 / 3, 0.10] if whole else [0.03, 0.07])


@pytest.mark.parametrize(
    ("order", "rows", "says"),
    [
        ("sent", ((20.0, 50.01, None),), "20 at 50.01"),
        ("sent", ((60.0, 50.50, None),), "60 at 50.5"),
        ("one-2024-03-04-AAA", ((100.0, 50.50, None),), "100 at 50.5"),
        ("by hand", ((100.0, 50.02, None),), "it gave none; found 100 at 50.02"),
    ],
)
def test_what_the_venue_does_not_say_is_refused_by_name_and_does_not_count(desk: Desk, order, rows, says) -> None:
    name = next(iter(desk.venue.taken)) if order == "sent" else order
    statement, ledger = fills("imported", name, *rows), desk.stores.ledger
    with pytest.raises(SourceError, match=says) as refused:
        require_fills_of_the_venue(ledger, a_strategy("one"), statement, "statement.csv")
    assert name in str(refused.value)
    require_fills_of_the_venue(
        ledger, a_strategy("one"), statement.assign(session=pd.Timestamp("2024-03-04")), "old.csv"
    )
    if order != "by hand":  # on record from before such a statement was refused
        both = pd.concat([fills("venue", "one-2024-03-04-AAA", *BOOKED), statement]).reset_index(drop=True)
        assert list(without_double_fills(ledger, a_strategy("one"), both)["source"]) == ["venue", "venue"]
