"""What every table's contract keeps: a table that is added is tested by being listed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.contracts import conform, empty, framed, validate, violations
from nn_assets.contracts.contract import Contract
from nn_assets.contracts.ledger import AUDIT_CHAIN, BOOKKEEPING, LEDGER, STRATEGY
from nn_assets.contracts.tables import CROSSING, LAKE
from tests.contracts.samples import TEXTS, a_row

TABLES = {table.name: table for table in (*CROSSING, *LAKE, *LEDGER, AUDIT_CHAIN)}


@pytest.fixture(params=TABLES)
def table(request: pytest.FixtureRequest) -> Contract:
    return TABLES[request.param]


def test_each_name_is_one_table_s_alone() -> None:
    listed = (*CROSSING, *LAKE, *LEDGER, AUDIT_CHAIN)
    assert max(Counter(table.name for table in listed).values()) == 1
    assert max(Counter(table.exported for table in listed if table.exported).values()) == 1


def test_it_says_what_a_row_is_and_which_room_makes_it(table: Contract, checkout: Path) -> None:
    assert table.says.endswith(".")
    assert (checkout / "nn_assets" / table.room / "__init__.py").is_file()


def test_every_column_has_a_sentence_and_a_unit_or_says_none(table: Contract) -> None:
    for name, column in (table.columns | STRATEGY | BOOKKEEPING).items():
        assert column.says, name
        assert not column.says.endswith("."), name
        assert column.unit, name
        assert column.kind not in TEXTS or column.unit == "none", name
        assert "|" not in column.says + column.unit, name  # a line of the data dictionary's tables


def test_its_key_is_of_columns_that_are_never_missing(table: Contract) -> None:
    assert len(set(table.key)) == len(table.key)
    assert set(table.key) <= set(table.columns)
    assert not any(table.columns[name].nullable for name in table.key)
    assert table.key or table.name in ("quarantine", "notices")  # findings: nothing says which is which


def test_an_empty_frame_keeps_it_and_has_its_columns(table: Contract) -> None:
    made = validate(empty(table), table)
    assert tuple(made.columns) == tuple(table.columns)
    pd.testing.assert_frame_equal(conform(made, table), made)


def test_a_row_goes_through_and_comes_back_the_same(table: Contract) -> None:
    row = a_row(table)
    made = validate(conform(pd.DataFrame([row]), table), table)
    assert made.to_dict("records") == [row]
    one = {name: [value] for name, value in row.items()}
    pd.testing.assert_frame_equal(framed(table, 1, **one), made)
    pd.testing.assert_frame_equal(conform(framed(table, 1, **one), table), made)


def test_a_key_given_twice_is_a_breach_unless_its_rows_may_repeat(table: Contract) -> None:
    twice = conform(pd.DataFrame([a_row(table)] * 2), table)
    key = (*table.key, *table.told_apart_by.split())
    wanted = set() if table.repeats or not key else {f"unique by {', '.join(key)}"}
    assert {breach.rule for breach in violations(twice, table)} == wanted


def test_a_missing_value_is_a_breach_in_just_the_columns_that_may_not_have_one(table: Contract) -> None:
    made = conform(pd.DataFrame([a_row(table)]), table)
    can_be = [name for name, column in table.columns.items() if column.kind not in ("whole", "small", "flag")]
    lacking = made.assign(**{name: made[name].where(pd.Series([False])) for name in can_be})
    columns = {breach.column for breach in violations(lacking, table) if breach.rule == "not_nullable"}
    assert columns == {name for name in can_be if not table.columns[name].nullable}


def test_a_column_too_many_is_a_breach_unless_it_says_that_more_follow(table: Contract) -> None:
    wider = conform(pd.DataFrame([a_row(table)]), table).assign(beyond=1.0)
    breaches = [(breach.column, breach.value) for breach in violations(wider, table)]
    assert breaches == ([] if table.more else [("beyond", "present")])


def test_values_of_one_column_stand_for_every_row_or_are_as_many(table: Contract) -> None:
    one = {name: [value] * 3 for name, value in a_row(table).items()}
    pd.testing.assert_frame_equal(framed(table, 3, **a_row(table)), framed(table, 3, **one))
    first = next(iter(one))
    with pytest.raises(ValueError, match="3"):
        framed(table, 3, **one | {first: one[first][:2]})
    del one[first]
    with pytest.raises(KeyError, match=first):
        framed(table, 3, **one)
