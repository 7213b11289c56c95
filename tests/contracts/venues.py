"""What every account at a venue keeps; a new member brings the account, and a hand on the other side of it."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Protocol

import pandas as pd
import pytest

from nn_assets.execution.venue import OrderAtVenue, Venue, VenueDownError, VenueOrder, VenueRefusedError

SESSION = pd.Timestamp("2017-06-02")
OPENED = pd.Timestamp("2017-06-02 13:30", tz="UTC")
BEFORE = OPENED - pd.Timedelta(hours=1)
CASH = 100_000.0


class OtherSide(Protocol):
    """The venue itself, as a test moves it: a server on this machine, or the desk's own system."""

    def fill(self, client_order_id: str, quantity: float, price: float) -> None:
        """Fill a part of a working order, signed, at ``OPENED``, for no commission that the venue states."""
        ...

    def heed(self) -> None:
        """Act on what was asked: cancellations, where the venue takes its time."""
        ...


def order(name: str, quantity: float, symbol: str = "AAA", **other: object) -> VenueOrder:
    """An order at the open, for ``SESSION``."""
    kind = other.pop("kind", "at_open")
    return VenueOrder(name, symbol, quantity, kind, SESSION, **other)  # type: ignore[arg-type]


class VenueContract:
    """Tests that a member inherits, with the fixtures ``venue`` (flat, ``CASH`` in it), ``other_side`` and ``down``."""

    refuses: VenueOrder | None = None
    """An order that the venue does not take; None where it takes whatever it is sent."""

    @pytest.fixture
    def venue(self) -> Venue:
        raise NotImplementedError

    @pytest.fixture
    def other_side(self) -> OtherSide:
        raise NotImplementedError

    @pytest.fixture
    def down(self) -> Venue:
        """The same member on a venue that cannot be reached."""
        raise NotImplementedError

    @staticmethod
    def known(venue: Venue, name: str) -> OrderAtVenue | None:
        """The order of an id, asked for by it; that it is there once is held."""
        rows = [row for row in venue.orders([name]) if row.client_order_id == name]
        assert len(rows) <= 1
        return rows[0] if rows else None

    def test_before_anything_is_sent_there_is_cash_and_nothing_else(self, venue: Venue) -> None:
        assert (list(venue.orders()), list(venue.fills(BEFORE)), dict(venue.positions())) == ([], [], {})
        assert venue.cash() == CASH

    def test_what_is_sent_works_as_it_was_sent_whoever_asks(self, venue: Venue) -> None:
        venue.send(order("one", 100.0))
        venue.send(order("two", -40.0, "BBB"))
        rows = {row.client_order_id: row for row in venue.orders()}
        assert {name: (row.symbol, row.quantity, row.status) for name, row in rows.items()} == {
            "one": ("AAA", 100.0, "working"),
            "two": ("BBB", -40.0, "working"),
        }
        assert self.known(venue, "one") == rows["one"]

    def test_an_id_is_taken_once(self, venue: Venue, other_side: OtherSide) -> None:
        for _ in (1, 2, 3):
            with suppress(VenueRefusedError):
                venue.send(order("one", 100.0))
        assert [row.client_order_id for row in venue.orders()] == ["one"]
        other_side.fill("one", 100.0, 50.0)
        with suppress(VenueRefusedError):
            venue.send(order("one", 100.0))
        assert venue.positions() == {"AAA": 100.0}
        assert list(venue.orders()) == []

    def test_an_id_is_no_second_order_of_another_size_either(self, venue: Venue) -> None:
        venue.send(order("one", 100.0))
        with pytest.raises(VenueRefusedError):
            venue.send(order("one", 70.0))
        row = self.known(venue, "one")
        assert row is not None
        assert row.quantity == 100.0

    def test_a_refused_order_is_an_error_with_a_reason_and_is_not_there(self, venue: Venue) -> None:
        if self.refuses is None:
            pytest.skip("it takes whatever it is sent")
        with pytest.raises(VenueRefusedError) as refused:
            venue.send(self.refuses)
        assert refused.value.where["reason"]
        assert self.known(venue, self.refuses.client_order_id) is None
        assert venue.positions() == {}

    def test_a_part_that_was_filled_before_a_cancel_stays(self, venue: Venue, other_side: OtherSide) -> None:
        venue.send(order("one", 100.0))
        other_side.fill("one", 30.0, 50.0)
        row = self.known(venue, "one")
        assert row is not None
        assert (row.status, row.filled_quantity) == ("working", 30.0)
        venue.cancel("one")
        other_side.heed()
        row = self.known(venue, "one")
        assert row is not None
        assert (row.status, row.quantity, row.filled_quantity) == ("cancelled", 100.0, 30.0)
        assert [fill.quantity for fill in venue.fills(BEFORE)] == [30.0]
        assert venue.positions() == {"AAA": 30.0}

    def test_a_cancel_of_what_has_ended_or_was_never_there_is_passed_over(
        self, venue: Venue, other_side: OtherSide
    ) -> None:
        venue.send(order("one", 100.0))
        other_side.fill("one", 100.0, 50.0)
        venue.cancel("one")
        venue.cancel("never sent")
        other_side.heed()
        row = self.known(venue, "one")
        assert row is not None
        assert row.status == "filled"

    def test_fills_are_given_again_under_the_same_ids(self, venue: Venue, other_side: OtherSide) -> None:
        venue.send(order("one", 100.0))
        other_side.fill("one", 30.0, 50.0)
        first = list(venue.fills(BEFORE))
        other_side.fill("one", 70.0, 51.0)
        second = {fill.fill_id: fill for fill in venue.fills(BEFORE)}
        assert second[first[0].fill_id] == first[0]
        assert sorted(fill.quantity for fill in second.values()) == [30.0, 70.0]
        assert {fill.client_order_id for fill in second.values()} == {"one"}
        assert all(fill.at.tz is not None and fill.at >= OPENED for fill in second.values())
        assert list(venue.fills(OPENED + pd.Timedelta(days=2))) == []

    def test_quantities_are_signed(self, venue: Venue, other_side: OtherSide) -> None:
        venue.send(order("one", 100.0))
        venue.send(order("two", -40.0, "BBB"))
        other_side.fill("one", 100.0, 50.0)
        other_side.fill("two", -40.0, 20.0)
        assert sorted((fill.symbol, fill.quantity) for fill in venue.fills(BEFORE)) == [("AAA", 100.0), ("BBB", -40.0)]
        assert venue.positions() == {"AAA": 100.0, "BBB": -40.0}
        row = self.known(venue, "two")
        assert row is not None
        assert (row.quantity, row.filled_quantity) == (-40.0, -40.0)

    def test_an_id_that_it_does_not_know_is_left_out(self, venue: Venue) -> None:
        venue.send(order("one", 100.0))
        assert [row.client_order_id for row in venue.orders(["one", "never sent"])] == ["one"]

    def test_positions_and_cash_are_the_sum_of_the_fills(self, venue: Venue, other_side: OtherSide) -> None:
        orders = (("one", "AAA", (30.0, 70.0)), ("two", "BBB", (-40.0,)), ("three", "AAA", (-100.0,)))
        for name, symbol, parts in orders:
            venue.send(order(name, sum(parts), symbol))
        for name, _, parts in orders:
            for number, part in enumerate(parts):
                other_side.fill(name, part, 50.0 + number)
        fills = list(venue.fills(BEFORE))
        held: dict[str, float] = {}
        for fill in fills:
            held[fill.symbol] = held.get(fill.symbol, 0.0) + fill.quantity
        assert venue.positions() == {symbol: quantity for symbol, quantity in held.items() if quantity}
        paid = math.fsum(fill.quantity * fill.price + (fill.commission_usd or 0.0) for fill in fills)
        assert venue.cash() == pytest.approx(CASH - paid, abs=0.005)

    def test_a_venue_that_is_down_says_so_whatever_it_is_asked(self, down: Venue) -> None:
        for ask in (
            lambda: down.send(order("one", 100.0)),
            lambda: down.cancel("one"),
            lambda: down.orders(["one"]),
            lambda: down.fills(BEFORE),
            down.positions,
            down.cash,
        ):
            with pytest.raises(VenueDownError):
                ask()
