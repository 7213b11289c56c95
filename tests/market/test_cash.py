"""What cash earns by session: the bundled table against its source, stated rates against a plain look-up."""

from __future__ import annotations

import arch.data.frenchdata as source
import numpy as np
import pandas as pd
import pytest
from arch.data.utility import load_file

from nn_assets.errors import SettingsError
from nn_assets.features.labels import make_labels
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.market.cash import cash_rates
from nn_assets.operations.catalog import find_strategy
from nn_assets.settings import MarketSettings, parse_strategy
from tests.session.worlds import world, world_strategy

TEXT = "name: demo\nmarket:\n  history_starts: 2000-01-03\n  cash_rates:\n    1999-12-01: 0.05\n    2001-06-15: 0.02\n"


def market(**changes: object) -> MarketSettings:
    return MarketSettings.model_validate({"history_starts": "1999-01-04", **changes})


def test_the_bundled_table_is_the_monthly_bill_of_french_times_twelve() -> None:
    raw = load_file(source.__file__, "frenchdata.csv.gz")
    months = [str(pd.Timestamp(stamp).value) for stamp in raw.index]  # the shipped index holds YYYYMM as nanoseconds
    percent = dict(zip(months, raw["RF"], strict=True))
    sessions = sessions_between("XNYS", "1990-01-02", "2018-11-30")
    expected = [percent[f"{session:%Y%m}"] * 12.0 / 100.0 for session in sessions]
    assert cash_rates(market(cash_rates="us_treasury_bills"), sessions) == pytest.approx(expected, abs=1e-9)


def test_known_months_of_the_table() -> None:
    """Bills paid about 4% in 1999, 5% in 2007, nothing in 2012 and 2% late in 2018."""
    days = pd.DatetimeIndex(["1999-03-01", "2007-03-01", "2012-06-01", "2018-11-01"])
    rates = cash_rates(market(cash_rates="us_treasury_bills"), days)
    assert rates == pytest.approx([0.0516, 0.0516, 0.0, 0.0216], abs=1e-9)


def test_the_last_rate_is_held_for_two_months_and_no_longer() -> None:
    settings = market(cash_rates="us_treasury_bills")
    assert cash_rates(settings, pd.DatetimeIndex(["2018-12-31"])) == pytest.approx([0.0216])
    with pytest.raises(SettingsError, match="2019-02-01"):
        cash_rates(settings, pd.DatetimeIndex(["2019-02-01"]))


def test_a_stated_rate_holds_from_its_date_on() -> None:
    settings = parse_strategy(TEXT).market
    days = pd.DatetimeIndex(["2000-01-03", "2001-06-14", "2001-06-15", "2017-01-03"])
    assert cash_rates(settings, days) == pytest.approx([0.05, 0.05, 0.02, 0.02])


def test_a_constant_still_works() -> None:
    days = sessions_between("XNYS", "2000-01-03", "2000-02-03")
    assert (cash_rates(market(cash_rate_annual_fraction=0.03), days) == 0.03).all()
    assert (cash_rates(market(), days) == 0.0).all()


@pytest.mark.parametrize(
    "setting",
    [
        "cash_rates: {2000-01-04: 0.05}",
        "cash_rates: {}",
        "cash_rates: us_treasury_bills\n  cash_rate_annual_fraction: 0.1",
    ],
)
def test_rates_that_leave_a_hole_or_say_two_things_are_refused(setting: str) -> None:
    with pytest.raises(SettingsError, match="cash_rate"):
        parse_strategy(f"name: demo\nmarket:\n  history_starts: 2000-01-03\n  {setting}\n")


def test_bundled_strategies_earn_the_bills_of_their_day() -> None:
    for name in ("index_daily", "planted_edge"):
        assert find_strategy(name).strategy.market.cash_rates == "us_treasury_bills"


def test_a_label_is_charged_the_rate_of_its_decision_session() -> None:
    of = world(world_strategy())
    rates = np.linspace(0.0, 0.002, of.panel.session_count)
    plain = make_labels(of.panel, of.strategy.label)
    charged = make_labels(of.panel, of.strategy.label, rates)
    horizon = of.strategy.label.horizon_sessions
    assert plain.returns - charged.returns == pytest.approx(
        np.where(np.isfinite(plain.returns), rates[:, None] * horizon, np.nan), nan_ok=True
    )
