"""The files of a desk's own system: the contract, and files that are cut off, doubled, renamed or out of date."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.brokers.file_drop import FileDropVenue, open_file_drop
from nn_assets.errors import SettingsError
from nn_assets.execution.own_venues import FileDropSettings
from nn_assets.execution.venue import VenueClosedError, VenueDownError, VenueRefusedError
from nn_assets.execution.venues import venue_of
from tests.brokers.desk import DeskSystem
from tests.contracts.venues import BEFORE, VenueContract, order


@pytest.fixture
def desk(tmp_path: Path) -> DeskSystem:
    return DeskSystem(tmp_path / "main")


@pytest.fixture
def venue(desk: DeskSystem, tmp_path: Path) -> FileDropVenue:
    return open_file_drop("main", FileDropSettings(folder=str(tmp_path)))


class TestFileDrop(VenueContract):
    refuses = order("../../etc/passwd", 10.0)

    @pytest.fixture
    def other_side(self, desk: DeskSystem) -> DeskSystem:
        return desk

    @pytest.fixture
    def venue(self, venue: FileDropVenue) -> FileDropVenue:
        return venue

    @pytest.fixture
    def down(self, tmp_path: Path) -> FileDropVenue:
        return FileDropVenue(tmp_path / "not mounted")


def test_an_order_goes_out_as_one_file_that_is_never_changed(venue, desk) -> None:
    venue.send(order("one", -12.5, kind="stop", price=50.25))
    (file,) = (desk.folder / "out" / "orders").iterdir()
    assert (file.name, file.read_text()) == (
        "one.csv",
        "client_order_id,symbol,quantity,kind,session,price\none,AAA,-12.5,stop,2017-06-02,50.25\nend,1\n",
    )
    stamp = file.stat().st_mtime_ns
    venue.send(order("one", -12.5, kind="stop", price=50.25))
    assert file.stat().st_mtime_ns == stamp
    with pytest.raises(VenueRefusedError):
        venue.send(order("two", 1.0, "A,B"))


def test_whoever_may_read_the_folder_may_read_the_orders(venue, desk) -> None:
    folder = desk.folder / "out" / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o750)
    venue.send(order("one", 5.0))
    assert (folder / "one.csv").stat().st_mode & 0o777 == 0o640


FILLS = "in/fills-2017-06-02.csv"


def cut(desk: DeskSystem) -> None:
    path = desk.folder / FILLS
    path.write_bytes(path.read_bytes()[:-12])


def cut_between_rows(desk: DeskSystem) -> None:
    path = desk.folder / FILLS
    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines() if not line.startswith("end")))


def copied(desk: DeskSystem) -> None:
    (desk.folder / "in" / "fills-2017-06-03.csv").write_bytes((desk.folder / FILLS).read_bytes())


def copied_by_a_person(desk: DeskSystem) -> None:
    (desk.folder / "in" / "fills-2017-06-02 (1).csv").write_bytes((desk.folder / FILLS).read_bytes())


def renamed(desk: DeskSystem) -> None:
    (desk.folder / FILLS).rename(desk.folder / "in" / "fills-2017-06-05.csv")


def doubled_within(desk: DeskSystem) -> None:
    header, row, _ = (desk.folder / FILLS).read_text().splitlines()
    (desk.folder / FILLS).write_text("\n".join([header, row, row, "end,2", ""]))


def of_other_columns(desk: DeskSystem) -> None:
    path = desk.folder / FILLS
    path.write_text(path.read_text().replace("quantity,price", "price,quantity"))


def without_number(desk: DeskSystem) -> None:
    path = desk.folder / FILLS
    path.write_text(path.read_text().replace(",50.0,", ",fifty,"))


def without_offset(desk: DeskSystem) -> None:
    path = desk.folder / FILLS
    path.write_text(path.read_text().replace("+00:00", ""))


def with_a_field_too_many(desk: DeskSystem) -> None:
    path = desk.folder / FILLS
    path.write_text(path.read_text().replace(",50.0,", ",50,0,"))


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        (cut, "half_written"),
        (cut_between_rows, "half_written"),
        (copied, "renamed"),
        (copied_by_a_person, "renamed"),
        (renamed, "renamed"),
        (doubled_within, "doubled"),
        (of_other_columns, "columns"),
        (without_number, "number"),
        (without_offset, "moment"),
        (with_a_field_too_many, "fields"),
    ],
)
def test_a_file_that_is_not_as_the_page_says_is_named_with_its_rule_and_no_fill_is_taken(
    venue, desk, fault, rule
) -> None:
    venue.send(order("one", 100.0))
    desk.fill("one", 30.0, 50.0)
    assert len(venue.fills(BEFORE)) == 1
    fault(desk)
    with pytest.raises(VenueDownError) as error:
        venue.fills(BEFORE)
    assert error.value.where["rule"] == rule
    assert isinstance(error.value, VenueClosedError) == (rule != "half_written")  # else a look later finds the same
    assert str(error.value.where["file"]).startswith(str(desk.folder / "in"))


def test_a_whole_day_copied_under_the_name_of_another_is_doubled(venue, desk) -> None:
    venue.send(order("one", 100.0))
    desk.fill("one", 30.0, 50.0)
    header, row, end = (desk.folder / FILLS).read_text().splitlines()
    moved = row.replace("2017-06-02T", "2017-06-03T")
    (desk.folder / "in" / "fills-2017-06-03.csv").write_text("\n".join([header, moved, end, ""]))
    with pytest.raises(VenueDownError, match="each fill once"):
        venue.fills(BEFORE)


def test_positions_and_cash_older_than_the_newest_fill_are_not_given(venue, desk) -> None:
    venue.send(order("one", 100.0))
    kept = {name: (desk.folder / "in" / f"{name}.csv").read_bytes() for name in ("positions", "cash")}
    desk.at += pd.Timedelta(hours=1)
    desk.fill("one", 30.0, 50.0)
    assert venue.positions() == {"AAA": 30.0}
    (desk.folder / "in" / "cash.csv").write_bytes(kept["cash"])
    with pytest.raises(VenueDownError) as error:
        venue.cash()
    assert error.value.where["rule"] == "out_of_date"
    assert not isinstance(error.value, VenueClosedError)


def test_an_order_that_the_desk_does_not_tell_of_works_until_it_is_filled_whole(venue, desk) -> None:
    venue.send(order("one", 100.0))
    desk.fill("one", 30.0, 50.0)
    (desk.folder / "in" / "orders.csv").unlink()
    assert [(row.status, row.filled_quantity) for row in venue.orders()] == [("working", 30.0)]
    desk.fill("one", 70.0, 50.0)
    (desk.folder / "in" / "orders.csv").unlink()
    assert [(row.status, row.filled_quantity) for row in venue.orders(["one"])] == [("filled", 100.0)]


def test_an_order_that_someone_else_gave_the_desk_is_told_too(venue, desk) -> None:
    desk.orders["by phone"] = ["", "CCC", "10", "working", "0", ""]
    desk.write()
    (row,) = venue.orders()
    assert (row.client_order_id, row.symbol, row.quantity) == ("", "CCC", 10.0)


def test_the_folder_is_stated_in_full(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="folder"):
        venue_of("file_drop", {"folder": "drop"})
    assert isinstance(venue_of("file_drop", {"folder": str(tmp_path)})("main"), FileDropVenue)


@pytest.mark.parametrize(
    ("column", "cell", "rule"),
    [
        ("commission_usd", "1e400", "number"),
        ("quantity", "3_0", "number"),
        ("price", "\u0665\u0660", "number"),  # 50 in Arabic digits
        ("fill_id", "a\0b", "characters"),
        ("fill_id", '"a\nb"', "characters"),
        ("at", "NaT", "moment"),
    ],
)
def test_a_cell_that_nothing_can_be_made_of_is_named_with_its_row_and_file(venue, desk, column, cell, rule) -> None:
    venue.send(order("one", 100.0))
    desk.fill("one", 30.0, 50.0)
    header, row, end = (desk.folder / FILLS).read_text().splitlines()
    fields = dict(zip(header.split(","), row.split(","), strict=True)) | {column: cell}
    (desk.folder / FILLS).write_text("\n".join([header, ",".join(fields.values()), end, ""]))
    with pytest.raises(VenueClosedError) as error:
        venue.fills(BEFORE)
    assert (error.value.where["rule"], error.value.where["row"]) == (rule, 2)


@pytest.mark.parametrize("as_of", ["", "NaT"])
def test_cash_that_says_no_moment_is_not_taken_for_new(venue, desk, as_of) -> None:
    venue.send(order("one", 100.0))
    desk.fill("one", 30.0, 50.0)
    (desk.folder / "in" / "cash.csv").write_text(f"cash_usd,as_of\n100,{as_of}\nend,1\n")
    with pytest.raises(VenueDownError) as error:
        venue.cash()
    assert error.value.where["rule"] == "moment"


def test_a_file_of_two_orders_in_out_is_named(venue, desk) -> None:
    venue.send(order("one", 100.0))
    path = desk.folder / "out" / "orders" / "one.csv"
    header, row, _ = path.read_text().splitlines()
    path.write_text("\n".join([header, row, row, "end,2", ""]))
    with pytest.raises(VenueDownError, match="2 rows"):
        venue.orders()


@pytest.mark.parametrize("wrong", [order("one", float("nan")), order("one", 5.0, kind="stop", price=float("inf"))])
def test_an_order_without_a_number_is_never_written(venue, desk, wrong) -> None:
    with pytest.raises(VenueRefusedError, match="numbers"):
        venue.send(wrong)
    assert not list(desk.folder.glob("out/**/*.csv"))


def test_mids_may_follow_and_are_read_where_they_are_stated(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    header = "fill_id,client_order_id,symbol,quantity,price,at,commission_usd,mid_price,later_mid_price"
    moment = "2017-06-02T13:30:00+00:00"
    rows = f"{header}\na,o,AAA,10,50,{moment},,49.9,50.2\nb,o,AAA,10,50,{moment},0.1,,\nend,2\n"
    (folder / "fills-2017-06-02.csv").write_text(rows)
    with_mids, bare = FileDropVenue(tmp_path).fills(pd.Timestamp("2017-06-01", tz="UTC"))
    assert (with_mids.commission_usd, with_mids.mid_price, with_mids.later_mid_price) == (None, 49.9, 50.2)
    assert (bare.commission_usd, bare.mid_price, bare.later_mid_price) == (0.1, None, None)
