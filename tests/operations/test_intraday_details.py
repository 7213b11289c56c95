"""VWAP, trades, quotes and spreads of bars within the session, from a file to the features that read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nn_assets.contracts import DETAILS, INTRADAY_DETAILS, validate
from nn_assets.errors import SettingsError
from nn_assets.market.facts.intraday import intraday_hash
from nn_assets.operations.exported_tables import read_exported
from nn_assets.operations.history import open_history
from nn_assets.operations.intake.intraday import published_intraday
from tests.operations import within_the_session as intraday
from tests.orchestration.conftest import living_in, strategy_of
from tests.shared_homes import nothing_drawn

STARTS, ENDS, DAYS = "2024-01-15", "2024-01-22", 8
SECTIONS: dict[str, dict[str, object]] = {
    "intraday": {"bar_minutes": 60},
    "label": {"horizon_sessions": 3},
}
PLAIN = ("log_return_1",)
NAMES = (*PLAIN, "vwap_deviation", "quoted_spread_20", "effective_spread_20")


def bars() -> pd.DataFrame:
    """Hourly bars of two symbols that carry details."""
    made = intraday.simulated_bars(STARTS, DAYS * 24, edge=0.5, symbols=2, minutes=60)
    draw = np.random.default_rng(8)
    spread = made["close"] * np.exp(draw.normal(-8.0, 0.2, len(made)))
    return made.assign(
        vwap=made["low"] + draw.uniform(size=len(made)) * (made["high"] - made["low"]),
        trades=draw.integers(100, 900, len(made)).astype(float),
        bid=made["close"] - spread,
        ask=made["close"] + spread,
        effective_spread=draw.uniform(0.0001, 0.0002, len(made)),
    )


DELIVERED = bars()


def seen(
    home: Path, delivered: pd.DataFrame, *, within: bool = True, names: tuple[str, ...] = NAMES
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Fields and features that decisions read, (sessions, symbols) each; and the bars within the session published."""
    file = intraday.write(home, delivered, starts=STARTS, ends=ENDS, features={"names": list(names)}, **SECTIONS)
    if not within:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        del settings["intraday"]["decisions"]
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with living_in(home), nothing_drawn():
        strategy = strategy_of(intraday.NAME)
        intraday.take_in_all(strategy)
        with open_history(strategy) as history:
            cut = history.cut_for(history.last_session)
            fields = {**cut.panel.arrays, **{name: cut.cube.feature(name) for name in cut.cube.names}}
            read = {
                name: pd.DataFrame(values, index=cut.panel.sessions, columns=list(cut.panel.symbols))
                for name, values in fields.items()
            }
            return read, published_intraday(history)


def test_every_detail_of_a_bar_is_there_at_its_decision_and_none_of_later_moves_it(tmp_path: Path) -> None:
    read, published = seen(tmp_path / "whole", DELIVERED)
    for name in DETAILS:
        delivered = DELIVERED.pivot(index="date", columns="symbol", values=name).to_numpy()
        np.testing.assert_array_equal(read[name].to_numpy(), delivered)
    frame = DELIVERED.set_index(["date", "symbol"])
    deviation = (frame["close"] / frame["vwap"] - 1.0).unstack().to_numpy()
    np.testing.assert_allclose(read["vwap_deviation"], deviation, rtol=1e-9)
    effective = frame["effective_spread"].unstack().rolling(20).mean().to_numpy()
    np.testing.assert_allclose(read["effective_spread_20"], effective, rtol=1e-9)
    assert np.isfinite(read["quoted_spread_20"].to_numpy()[20:]).all()

    row, cutoff = 100, pd.Timestamp(STARTS, tz="UTC") + pd.Timedelta(hours=100)
    # A day later all is said otherwise, and of the bars before the cut-off for the first time.
    first = DELIVERED.assign(known_at=DELIVERED["date"] + pd.Timedelta(hours=1))
    first.loc[first["date"] < cutoff, list(DETAILS)] = np.nan
    later = DELIVERED.assign(vwap=DELIVERED["close"], trades=1.0, known_at=first["known_at"] + pd.Timedelta(days=1))
    again, bars_again = seen(tmp_path / "later", pd.concat([first, later], ignore_index=True))
    for name in DETAILS:
        assert again[name].iloc[:row].isna().all(axis=None)
        np.testing.assert_array_equal(read[name].to_numpy()[row:], again[name].to_numpy()[row:])
    assert intraday_hash(published) == intraday_hash(bars_again)


def test_daily_decisions_read_the_details_of_their_sessions_also_where_bars_came_without_before(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match="vwap_deviation"):
        seen(tmp_path, DELIVERED.drop(columns=list(DETAILS)), within=False)  # as a home that took in none
    faulty = DELIVERED.copy()
    faulty.loc[faulty.index[30], "vwap"] = 1e4
    read, _ = seen(tmp_path, faulty, within=False)
    day = faulty["date"].dt.tz_localize(None).dt.normalize()
    for symbol, own in faulty.groupby("symbol"):
        for session, group in own.groupby(day[own.index]):
            expected = {
                "vwap": np.average(group["vwap"], weights=group["volume"]),
                "trades": group["trades"].sum(),
                "bid": group["bid"].iloc[-1],
                "ask": group["ask"].iloc[-1],
                "effective_spread": np.average(group["effective_spread"], weights=group["volume"]),
            }
            if faulty.index[30] in group.index:
                expected["vwap"] = np.nan  # one of its bars has none that can be
            for name, value in expected.items():
                assert read[name].loc[session, symbol] == pytest.approx(value, rel=1e-9, nan_ok=True)
    with living_in(tmp_path), open_history(strategy_of(intraday.NAME)) as history:
        exported = validate(read_exported(history, "intraday_details", None, None, None), INTRADAY_DETAILS)
        (finding,) = read_exported(history, "quarantine", None, None, None).to_dict("records")
        assert len(exported) == len(faulty)
        assert (finding["rule"], finding["field"]) == ("vwap_in_range", "vwap")
        assert finding["value"].startswith(faulty["date"].iloc[30].isoformat())


@pytest.mark.full
def test_a_corrupted_future_moves_no_detail_and_a_bar_is_the_same_with_and_without(tmp_path: Path) -> None:
    read, published = seen(tmp_path / "whole", DELIVERED)
    _, without = seen(tmp_path / "without", DELIVERED.drop(columns=list(DETAILS)), names=PLAIN)
    assert intraday_hash(published) == intraday_hash(without)
    row, cutoff = 100, pd.Timestamp(STARTS, tz="UTC") + pd.Timedelta(hours=100)
    corrupted = DELIVERED.copy()
    corrupted.loc[corrupted["date"] >= cutoff, ["bid", "vwap"]] *= 0.9999
    again, _ = seen(tmp_path / "corrupted", corrupted)
    for name, values in read.items():
        np.testing.assert_array_equal(values.to_numpy()[:row], again[name].to_numpy()[:row], err_msg=name)
