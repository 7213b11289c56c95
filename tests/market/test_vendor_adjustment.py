"""Adjusted closes against two vendors' own.

Amounts come from elsewhere than the closes that they are checked on: Quandl's from the ExDividend
column of its file, Yahoo's (whose files have no actions) from the companies' published dividend
histories. Only the days on which IBM and Microsoft went ex were read off the steps of Yahoo's factor.
Yahoo's files were drawn half a year after their last bar: what two later dividends took off every
close is one constant a file, read off the bars from the last action on; all others are the check.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nn_assets.market.adjustment import Convention
from nn_assets.market.panel import Panel, panel_from_bars

CENT = 0.005  # what rounding to cents can hide

IBM_DAYS = (
    "2000-05-08 2000-08-08 2000-11-08 2001-02-07 2001-05-08 2001-08-08 2001-11-07 2002-02-06 2002-05-08 2002-08-07 "
    "2002-11-06 2003-02-06 2003-05-07 2003-08-06 2003-11-06 2004-02-06 2004-05-06 2004-08-06 2004-11-08 2005-02-08 "
    "2005-05-06 2005-08-08 2005-11-08 2006-02-08 2006-05-08 2006-08-08 2006-11-08 2007-02-07 2007-05-08 2007-08-08 "
    "2007-11-07 2008-02-06 2008-05-07 2008-08-06 2008-11-06 2009-02-06 2009-05-06 2009-08-06 2009-11-06 2010-02-08 "
    "2010-05-06 2010-08-06 2010-11-08 2011-02-08 2011-05-06 2011-08-08 2011-11-08 2012-02-08 2012-05-08 2012-08-08 "
    "2012-11-07 2013-02-06"
)
# IBM raised its dividend with each spring's payment, four payments a step.
IBM_AMOUNTS = np.repeat([0.13, 0.14, 0.15, 0.16, 0.18, 0.20, 0.30, 0.40, 0.50, 0.55, 0.65, 0.75, 0.85], 4)
MSFT_DAYS = (
    "2003-02-19 2003-10-15 2004-08-23 2004-11-15 2005-02-15 2005-05-16 2005-08-15 2005-11-15 2006-02-15 2006-05-15 "
    "2006-08-15 2006-11-14 2007-02-13 2007-05-15 2007-08-14 2007-11-13 2008-02-19 2008-05-13 2008-08-19 2008-11-18 "
    "2009-02-17 2009-05-19 2009-08-18 2009-11-17 2010-02-16 2010-05-18 2010-08-17 2010-11-16 2011-02-15 2011-05-17 "
    "2011-08-16 2011-11-15 2012-02-14 2012-05-15 2012-08-14 2012-11-13 2013-02-19"
)
# 3.08: the special dividend of three dollars beside the quarter's eight cents.
MSFT_AMOUNTS = [0.08, 0.16, 0.08, 3.08, *[0.08] * 4, *[0.09] * 3, *[0.10] * 4, *[0.11] * 4]
MSFT_AMOUNTS += [*[0.13] * 8, *[0.16] * 4, *[0.20] * 4, 0.23, 0.23]
AAPL_DAYS = ["2012-08-09", "2012-11-07", "2013-02-07"]
PUBLISHED: dict[str, dict[str, dict[str, float]]] = {
    "AAPL": {"split": {"2000-06-21": 2.0, "2005-02-28": 2.0}, "dividend": dict.fromkeys(AAPL_DAYS, 2.65)},
    "IBM": {"dividend": dict(zip(IBM_DAYS.split(), IBM_AMOUNTS.tolist(), strict=True))},
    "MSFT": {"split": {"2003-02-18": 2.0}, "dividend": dict(zip(MSFT_DAYS.split(), MSFT_AMOUNTS, strict=True))},
    "GOOG": {},
    "FB": {},
}


def panel_of(bars: pd.DataFrame, actions: dict[str, dict[str, float]], convention: Convention) -> Panel:
    rows = [("X", pd.Timestamp(day), kind, value) for kind, by_day in actions.items() for day, value in by_day.items()]
    frame = pd.DataFrame(rows, columns=["symbol", "ex_session", "kind", "value"])
    frame["ex_session"] = frame["ex_session"].astype("datetime64[ns]")
    return panel_from_bars(bars.assign(symbol="X"), pd.DatetimeIndex(bars["session"]), ("X",), frame, convention)


def report(name: str, bars: int, actions: int, error: float, allowed: float) -> None:
    print(f"{name:22} {bars:5} bars {actions:3} actions  largest relative error {error:.1e}, allowed {allowed:.0e}")


@pytest.mark.parametrize("symbol", PUBLISHED)
def test_yahoos_adjusted_closes_come_out_to_within_their_rounding(shared_data: Path, symbol: str) -> None:
    table = pd.read_csv(shared_data / "adjusted_yahoo" / f"{symbol}.csv", parse_dates=["Date"])
    bars = table.rename(columns=str.lower).rename(columns={"date": "session"}).sort_values("session")
    adjusted = panel_of(bars, PUBLISHED[symbol], "previous_close").backward_adjusted().close[:, 0]
    vendor, close = bars["adj close"].to_numpy(), bars["close"].to_numpy()
    rounding_dominates = bool(PUBLISHED[symbol])  # both columns are rounded to cents
    if rounding_dominates:
        last = max(day for by_day in PUBLISHED[symbol].values() for day in by_day)
        after = (bars["session"] >= last).to_numpy()
        adjusted = adjusted * np.median(vendor[after] / close[after])
    error = np.abs(adjusted / vendor - 1.0).max()
    allowed = 1e-3 if rounding_dominates else 1e-6
    report(f"adjusted_yahoo {symbol}", len(bars), sum(map(len, PUBLISHED[symbol].values())), error, allowed)
    assert error <= allowed
    assert np.abs(adjusted - vendor).max() <= 2.0 * CENT


@pytest.mark.parametrize("symbol", ["AAPL", "COKE", "GOOGL", "TSLA", "YHOO"])
def test_quandls_adjusted_closes_and_volumes_come_out_in_full(shared_data: Path, symbol: str) -> None:
    table = pd.read_csv(shared_data / "adjusted_quandl" / "dash-stock-ticker-demo.csv", parse_dates=["Date"])
    bars = table[table["Stock"] == symbol].rename(columns=str.lower).rename(columns={"date": "session"})
    bars = bars.sort_values("session", ignore_index=True)
    days = bars["session"].dt.strftime("%F")
    paid, split = bars["exdividend"] != 0.0, bars["splitratio"] != 1.0
    actions = {
        "dividend": dict(zip(days[paid], bars["exdividend"][paid], strict=True)),
        "split": dict(zip(days[split], bars["splitratio"][split], strict=True)),
    }
    adjusted = panel_of(bars, actions, "ex_close").backward_adjusted()
    error = np.abs(adjusted.close[:, 0] / bars["adjclose"].to_numpy() - 1.0).max()
    report(f"adjusted_quandl {symbol}", len(bars), len(days[paid]), error, 1e-6)
    assert error <= 1e-6
    np.testing.assert_allclose(adjusted.volume[:, 0], bars["adjvolume"], rtol=1e-6)
