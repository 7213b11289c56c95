"""Real daily bars that ship with the ``arch`` package: S&P 500 and NASDAQ Composite, 1999 to 2018.

They are Yahoo's, raw (an index has no splits or dividends). Known flaws, left in place for cleaning
to find: the S&P 500's open repeats the previous close on 95% of sessions before 2006, and two
NASDAQ rows have zero volume.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from nn_assets.contracts import DELIVERED_BARS, conform
from nn_assets.contracts.frames import DeliveredBars
from nn_assets.settings.sources import SourceSection
from nn_assets.sources.protocol import checked_selection
from nn_assets.sources.registry import SourceContext, SourceMember

_SYMBOLS = ("NASDAQ", "SP500")


class BundledSource:
    """The default source: no network, no file of the user's. Symbols are SP500 and NASDAQ."""

    name = "bundled"

    def bars(
        self,
        symbols: tuple[str, ...] = (),
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> DeliveredBars:
        """Deliver the sample's bars; see ``Source.bars``.

        Raises
        ------
        SourceError
            A symbol other than SP500 and NASDAQ, or a span outside 1999-01-04 to 2018-12-31.
        """
        loaded = pd.concat([_load(symbol) for symbol in _SYMBOLS], ignore_index=True)
        return checked_selection(loaded, self.name, symbols, first, last)


def _load(symbol: str) -> pd.DataFrame:
    """The package's file of a symbol as its own ``load`` reads it.

    That imports all of ``arch`` first, statsmodels and matplotlib with it: two seconds.
    """
    package = find_spec("arch")
    assert package is not None, "it is a requirement"
    assert package.origin is not None, "it is a package in a folder"
    raw = pd.read_csv(Path(package.origin).parent / "data" / symbol.lower() / f"{symbol.lower()}.csv.gz")
    raw.columns = [str(column).lower() for column in raw.columns]
    named = raw.assign(symbol=symbol, session=pd.to_datetime(raw["date"]), source=BundledSource.name)
    return conform(named, DELIVERED_BARS)


def _build(_settings: SourceSection, _context: SourceContext) -> BundledSource:
    return BundledSource()


SOURCE = SourceMember(kind="bundled", settings=SourceSection, build=_build, label="Real bars")
