"""What every source must keep. A member inherits ``SourceContract`` and brings expected answers only."""

from __future__ import annotations

import pandas as pd
import pytest

from nn_assets.contracts import DELIVERED_BARS, DETAILS, conform, validate
from nn_assets.errors import SourceError
from nn_assets.sources.protocol import Source, validate_symbol


class SourceContract:
    """Give ``source`` as a fixture, and the class attributes below."""

    symbols: tuple[str, ...]
    """All symbols the source has, sorted."""
    rows: int
    """Bars of all of them."""
    known_bar: tuple[str, str, float, float, float, float]
    """Symbol, session, open, high, low and close of one bar."""

    @pytest.fixture
    def source(self) -> Source:
        raise NotImplementedError

    @pytest.fixture
    def everything(self, source: Source) -> pd.DataFrame:
        return source.bars()

    def test_it_is_a_source_with_a_name(self, source) -> None:
        assert isinstance(source, Source)
        assert source.name

    def test_its_bars_keep_the_contract_of_delivered_bars(self, everything) -> None:
        extra = [name for name in everything.columns if name not in DELIVERED_BARS.columns]
        assert {*extra} <= {"known_at", *DETAILS}
        validate(conform(everything, DELIVERED_BARS), DELIVERED_BARS)
        validate(everything.drop(columns=extra), DELIVERED_BARS)

    def test_asked_for_nothing_in_particular_it_delivers_all_it_has(self, everything) -> None:
        assert tuple(sorted(everything["symbol"].unique())) == self.symbols
        assert len(everything) == self.rows

    def test_a_bar_known_beforehand_is_as_it_should_be(self, everything) -> None:
        symbol, session, *prices = self.known_bar
        at = (everything["symbol"] == symbol) & (everything["session"] == pd.Timestamp(session))
        assert everything.loc[at, ["open", "high", "low", "close"]].to_numpy().tolist() == [prices]

    def test_bars_come_ordered_by_symbol_and_session_with_a_fresh_index(self, everything) -> None:
        keys = list(zip(everything["symbol"], everything["session"], strict=True))
        assert keys == sorted(keys)
        assert everything.index.equals(pd.RangeIndex(len(everything)))

    def test_every_symbol_is_one_that_can_be(self, everything) -> None:
        assert all(validate_symbol(symbol) == symbol for symbol in everything["symbol"].unique())

    def test_every_bar_says_where_it_came_from(self, source, everything) -> None:
        assert everything["source"].str.startswith(source.name).all()

    def test_a_symbol_asked_for_comes_alone(self, source, everything) -> None:
        wanted = self.symbols[-1]
        expected = everything[everything["symbol"] == wanted].reset_index(drop=True)
        pd.testing.assert_frame_equal(source.bars((wanted,)), expected)

    def test_a_span_includes_both_its_ends(self, source, everything) -> None:
        days = sorted(everything["session"].unique())
        first, last = days[1], days[-2]
        expected = everything[everything["session"].between(first, last)].reset_index(drop=True)
        pd.testing.assert_frame_equal(source.bars((), first, last), expected)

    def test_a_span_may_be_one_session(self, source, everything) -> None:
        day = sorted(everything["session"].unique())[1]
        expected = everything[everything["session"] == day].reset_index(drop=True)
        pd.testing.assert_frame_equal(source.bars((), day, day), expected)

    def test_asked_twice_it_delivers_the_same_and_not_the_same_object(self, source) -> None:
        first = source.bars()
        copy = first.copy()
        first["close"] = 0.0
        pd.testing.assert_frame_equal(source.bars(), copy)

    def test_a_symbol_it_does_not_have_is_an_error_that_names_it(self, source) -> None:
        with pytest.raises(SourceError, match="NOSUCHTHING") as caught:
            source.bars((self.symbols[0], "NOSUCHTHING"))
        assert caught.value.remedy

    def test_an_empty_answer_is_an_error_and_no_success(self, source, everything) -> None:
        after = everything["session"].max() + pd.Timedelta(days=40_000)
        with pytest.raises(SourceError):
            source.bars((), after, None)
