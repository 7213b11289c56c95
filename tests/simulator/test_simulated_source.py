"""The simulator behind the source protocol."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from nn_assets.errors import SourceError
from nn_assets.market.calendar.sessions import sessions_between
from nn_assets.sources.protocol import Source
from nn_assets.sources.simulated import SimulatedSource
from tests.sources.contract import SourceContract
from tests.sources.members import MemberContract

STARTS, ENDS = date(2016, 1, 4), date(2016, 12, 30)


def _source(**changes: object) -> SimulatedSource:
    return SimulatedSource(calendar="XNYS", history_starts=STARTS, history_ends=ENDS, seed=9, **changes)  # type: ignore[arg-type]


class TestSimulatedSource(SourceContract, MemberContract):
    kind = "simulator"
    delivers = ("bars", "funding_rates")
    market = {"history_starts": STARTS, "history_ends": ENDS}  # noqa: RUF012
    symbols = tuple(f"SIM{number:02d}" for number in range(1, 21))
    rows = 20 * 252
    # Written down when the market was first drawn: a stored history must never change under its seed.
    known_bar = ("SIM07", "2016-06-24", 27.92, 28.36, 27.47, 27.57)

    @pytest.fixture
    def source(self) -> SimulatedSource:
        return _source()

    @pytest.fixture
    def own_keys(self) -> dict[str, int]:
        return {"seed": 9}


def test_it_keeps_the_protocol_and_serves_twenty_symbols_by_default() -> None:
    source: Source = _source()
    bars = source.bars()
    assert isinstance(source, Source)
    assert list(bars.columns) == ["symbol", "session", "open", "high", "low", "close", "volume", "source"]
    assert bars["symbol"].nunique() == 20
    assert set(bars["source"]) == {"simulator"}
    assert list(bars.loc[bars["symbol"] == "SIM07", "session"]) == list(sessions_between("XNYS", STARTS, ENDS))


def test_a_part_asked_for_is_a_part_of_the_whole() -> None:
    whole = _source().bars()
    first, last = pd.Timestamp("2016-03-01"), pd.Timestamp("2016-06-30")
    part = _source().bars(("SIM02", "SIM11"), first, last)
    expected = whole[whole["symbol"].isin(["SIM02", "SIM11"]) & whole["session"].between(first, last)]
    pd.testing.assert_frame_equal(part, expected.reset_index(drop=True), check_exact=True)
    assert len(part) > 100


@pytest.mark.parametrize("symbol", ["AAPL", "SIM00", "SIM1", "SIM001", "../../x", "TRUE"])
def test_a_symbol_that_is_not_its_own_is_refused_by_name(symbol: str) -> None:
    with pytest.raises(SourceError, match="SIM01 and up") as refused:
        _source().bars((symbol,))
    assert refused.value.where["symbol"] == symbol


def test_it_never_gives_an_empty_success() -> None:
    with pytest.raises(SourceError):
        _source().bars(("SIM01",), None, pd.Timestamp("2015-12-31"))
    with pytest.raises(SourceError):
        _source().bars(("SIM01",), pd.Timestamp("2017-06-01"), None)


def test_a_market_without_an_end_says_which_setting_is_missing() -> None:
    endless = SimulatedSource(calendar="XNYS", history_starts=STARTS)
    with pytest.raises(SourceError) as refused:
        endless.bars(("SIM01",))
    assert refused.value.where["key"] == "market.history_ends"
