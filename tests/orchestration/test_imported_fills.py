"""Real fills enter the ledger once, and only they change the cost model in force."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.errors import LedgerError, NnAssetsError, SourceError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.operations.asof.costs import cost_model, costs_in_force
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.fills import import_fills
from nn_assets.units import bps_to_fraction
from tests.orchestration.conftest import NAME, strategy_of
from tests.runs import materialise


def broker_file(folder: Path, half_spread_bps: float, count: int = 400) -> Path:
    """Fills that paid a known half-spread, and 0.2 bps of commission, with quotes."""
    draw = np.random.default_rng(1)
    days = sessions_between("XNYS", "2017-03-01", "2017-06-20").strftime("%Y-%m-%d")
    side = np.where(draw.random(count) < 0.5, 1.0, -1.0)
    paid = bps_to_fraction(half_spread_bps) * draw.lognormal(0.0, 0.1, count)
    frame = pd.DataFrame(
        {
            "fill_id": [f"b{number}" for number in range(count)],
            "client_order_id": [f"o{number}" for number in range(count)],
            "symbol": draw.choice([f"SIM{number:02d}" for number in range(1, 7)], count),
            "session": draw.choice(days, count),
            "quantity": side * 100.0,
        }
    )
    mid = closes_of(frame)
    frame = frame.assign(
        price=mid * (1.0 + side * paid), mid_price=mid, commission_usd=100.0 * mid * bps_to_fraction(0.2)
    )
    file = folder / "fills.csv"
    frame.to_csv(file, index=False)
    return file


def closes_of(fills: pd.DataFrame) -> np.ndarray:
    """The close of each fill's symbol and session, as published in the home."""
    with open_history(strategy_of()) as history:
        closes = history.published_bars.set_index(["symbol", "session"])["close"]
    return closes.loc[list(zip(fills["symbol"], pd.to_datetime(fills["session"]), strict=True))].to_numpy()


def in_force() -> float:
    with open_history(strategy_of()) as history:
        ledger = history.stores.ledger
        return cost_model(ledger, history.strategy, costs_in_force(ledger, NAME).newest).half_spread.value


@pytest.mark.full
def test_paper_fills_alone_change_nothing(decided: Path) -> None:
    before = in_force()
    materialise(strategy_of(), "costs")
    with open_history(strategy_of()) as history:
        recorded = history.stores.ledger.read("cost_models", NAME)
    assert in_force() == before
    assert list(recorded["in_force"]) == [False]


def test_imported_fills_move_the_model_towards_what_was_paid(decided: Path, tmp_path: Path) -> None:
    assert import_fills(NAME, broker_file(tmp_path, half_spread_bps=0.6))["imported"] == 400
    materialise(strategy_of(), "costs")
    assert bps_to_fraction(0.5) < in_force() <= bps_to_fraction(0.6) * 1.05


@pytest.mark.full
def test_a_large_change_waits_for_approval(decided: Path, tmp_path: Path) -> None:
    before = in_force()
    import_fills(NAME, broker_file(tmp_path, half_spread_bps=5.0))
    materialise(strategy_of(), "costs")
    with open_history(strategy_of()) as history:
        figures = history.stores.ledger.latest("cost_models", NAME)["figures"].iloc[-1]
    assert figures["status"] == "awaiting_approval", figures
    assert in_force() == before


@pytest.mark.full
def test_running_again_on_the_same_fills_moves_nothing_further(decided: Path, tmp_path: Path) -> None:
    import_fills(NAME, broker_file(tmp_path, half_spread_bps=0.6))
    materialise(strategy_of(), "costs")
    once = in_force()
    for _ in range(3):
        materialise(strategy_of(), "costs")
    assert in_force() == once


def test_importing_a_file_again_changes_nothing_and_a_changed_fill_is_refused(decided: Path, tmp_path: Path) -> None:
    file = broker_file(tmp_path, half_spread_bps=0.6, count=30)
    import_fills(NAME, file)
    assert import_fills(NAME, file)["imported"] == 0
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(",100.0,", ",999.0,", 1), encoding="utf-8")
    with pytest.raises(LedgerError, match="quantity"):
        import_fills(NAME, file)


def test_a_column_of_another_name_is_left_out_and_named(decided: Path, tmp_path: Path) -> None:
    file = tmp_path / "broker.csv"
    row = {"fill_id": "1", "client_order_id": "", "symbol": "SIM01", "session": "2017-03-01", "quantity": 1.0}
    row |= {"price": float(closes_of(pd.DataFrame([row]))[0]), "comission_usd": 9.0}
    pd.DataFrame([row]).to_csv(file, index=False)
    answer = import_fills(NAME, file)
    assert answer["columns_left_out"] == ["comission_usd"]
    assert answer["text"].endswith("; columns left out: comission_usd")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fill_id,symbol\n1,A\n", "found no client_order_id, session, quantity, price, in columns fill_id, symbol."),
        ("fill_id,symbol\n1,A\n", "may be left out, or empty: mid_price (USD/share), half_spread_usd (USD)"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n1,2,A,2017-03-01,nan,5\n", "'nan'"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n", "no row"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n1,2,A,2017-03-01,ten,5\n", "'ten'"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n1,2,A,soon,10,5\n", "'soon'"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n1,2,A,2017-03-01,10,-5\n", "-5"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n1,2,../../x,2017-03-01,10,5\n", "legal_symbol"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n1,2,A,2017-03-04,10,5\n", "2017-03-04"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n1,2,A,2900-01-01,10,5\n", "2900-01-01"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n1,2,A,2017-03-01,0,5\n", "other than zero"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n1,2,A,2017-03-01,1e308,5\n", "1e308"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n,2,A,2017-03-01,1,5\n", "fill_id"),
        ("fill_id,client_order_id,symbol,session,quantity,price\n1,2,A,2017-03-01,10,\n", "price"),
        (
            "fill_id,client_order_id,symbol,session,quantity,price\n1,2,A,2017-03-01,1,5\n1,2,A,2017-03-02,1,5\n",
            "one row a fill, and '1' stands in row 2 in column fill_id; found '1'. Remedy: delete the row",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_cell_and_nothing_is_stored(
    decided: Path, tmp_path: Path, text: str, expected: str
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(NnAssetsError, match=re.escape(expected)):
        import_fills(NAME, file)
    with open_history(strategy_of()) as history:
        stored = history.stores.ledger.read("fills", NAME, where={"source": "imported"})
    assert stored.empty


def test_a_file_that_is_no_text_is_named(decided: Path, tmp_path: Path) -> None:
    file = tmp_path / "noise.csv"
    file.write_bytes(b"\xff\xfe\x00\x81,\x00")
    with pytest.raises(SourceError, match=r"noise\.csv"):
        import_fills(NAME, file)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"symbol": "ZZZ"}, "a symbol that tiny has bars of in column symbol; found 'ZZZ'"),
        ({"price": 5704.0}, "a price within 20% of the bar of its session in column price; found '5704"),
        ({"symbol": "other"}, "the symbol of the order that the row names in column symbol"),
        ({"quantity": "turned"}, "the side of the order that the row names in column quantity"),
        ({"quantity": "tripled"}, "no more than the order that the rows name in column quantity"),
        ({}, None),
    ],
)
def test_a_fill_of_no_symbol_far_from_its_bar_or_unlike_its_order_is_refused_by_its_row(
    decided: Path, tmp_path: Path, cells: dict[str, object], message: str | None
) -> None:
    with open_history(strategy_of()) as history:
        orders = history.stores.ledger.read("orders", NAME)
        order = orders[orders["status"] == "accepted"].iloc[0]
        session = history.axis[history.row(order["session"]) + 1]
    quantity = float(order["quantity"]) * (1.0 if order["side"] == "buy" else -1.0)
    row = {"fill_id": "x1", "client_order_id": order["client_order_id"], "symbol": order["symbol"]}
    row |= {"session": f"{session:%Y-%m-%d}", "quantity": quantity}
    row["price"] = float(closes_of(pd.DataFrame([row]))[0])
    changed = {
        "other": next(symbol for symbol in strategy_of().market.symbols if symbol != order["symbol"]),
        "turned": -quantity,
        "tripled": 3.0 * quantity,
    }
    row |= {name: changed.get(str(value), value) for name, value in cells.items()}
    if cells.get("symbol") == "other":
        row["price"] = float(closes_of(pd.DataFrame([row]))[0])
    pd.DataFrame([row]).to_csv(tmp_path / "x.csv", index=False)
    if message is None:
        assert import_fills(NAME, tmp_path / "x.csv")["imported"] == 1
        return
    with pytest.raises(SourceError) as refused:
        import_fills(NAME, tmp_path / "x.csv")
    assert message in str(refused.value)
    assert refused.value.where["row"] == 2
