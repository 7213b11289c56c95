"""Where bars come from: the keys of ``source``, by its ``kind``. A key of another kind is refused.

Keys and passwords are never settings: a setting names the environment variable that holds one.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from nn_assets.settings.section import NeverCounts, Section, WhenSet, kind_of

__all__ = [
    "AlpacaSettings",
    "BundledSettings",
    "CcxtSettings",
    "FilesSettings",
    "MassiveSettings",
    "SimulatorSettings",
    "SourceSettings",
    "SqlSettings",
    "YfinanceSettings",
]

_HERE = ("127.0.0.1", "::1", "localhost")


def _safe_address(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("an address such as https://host, without user, password or query, was expected")
    if parts.scheme == "http" and parts.hostname not in _HERE:
        raise ValueError("https was expected: only this machine itself may be asked without encryption")
    return address.rstrip("/")


Address = Annotated[str, AfterValidator(_safe_address)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=80)]
Exchange = Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
Count = Annotated[int, Field(ge=1)]
Query = Annotated[str, Field(min_length=1)]


class _SourceSection(Section):
    """``actions_path`` names a CSV of splits and dividends that goes with bars of any kind.

    A whole answer that no longer lists more than ``max_withdrawn_fraction`` of the actions in force is refused.
    """

    actions_path: WhenSet[str | None] = None
    max_withdrawn_fraction: NeverCounts[Annotated[float, Field(ge=0.0, le=1.0)]] = 0.05


class BundledSettings(_SourceSection):
    """The sample that ships with the package."""

    kind: Literal["bundled"] = "bundled"


class FilesSettings(_SourceSection):
    """A file, or a folder of files; a relative ``path`` starts from the strategy's folder.

    ``member`` is the table within an archive. ``known_at_from: file_name`` says that a file's bars became
    known at the close of the day in its name (a folder of daily drops), and not each at its own session's close.
    ``closes_only``: the files hold closes alone, a column close or a column a symbol; open, high and low are then the
    close, volume is unknown, and nothing may read them.
    The limits are what is read at most; a delivery beyond one is refused, never cut: ``max_columns`` and
    ``max_megabytes`` (unpacked, for a packed file) hold for each file, ``max_rows`` for all.
    """

    kind: Literal["files"] = "files"
    path: str | None = None
    member: str | None = None
    closes_only: WhenSet[bool] = False
    known_at_from: Literal["close", "file_name"] = "close"
    max_rows: NeverCounts[Count] = 20_000_000
    max_columns: NeverCounts[Count] = 1000
    max_megabytes: NeverCounts[Count] = 2048

    @model_validator(mode="after")
    def _needs_a_path(self) -> FilesSettings:
        if not self.path:
            raise ValueError("source.kind 'files' needs source.path, a file or a folder")
        return self


class SimulatorSettings(_SourceSection):
    """A made-up market."""

    kind: Literal["simulator"] = "simulator"
    seed: int = 20_180_102
    planted_rank_ic: float = 0.05
    signal_persistence: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.95


class SqlSettings(_SourceSection):
    """A query to the database whose address ``url_env`` holds; ``actions_query`` gives splits and dividends."""

    kind: Literal["sql"] = "sql"
    url_env: Variable
    query: Query
    actions_query: str = ""
    maximum_rows: Annotated[int, Field(ge=1)] = 5_000_000


class YfinanceSettings(_SourceSection):
    """Yahoo's figures through yfinance; no key."""

    kind: Literal["yfinance"] = "yfinance"
    base_url: Address | None = None


class MassiveSettings(_SourceSection):
    """Massive, formerly Polygon."""

    kind: Literal["massive"] = "massive"
    key_env: Variable = "MASSIVE_API_KEY"
    base_url: Address = "https://api.massive.com"


class AlpacaSettings(_SourceSection):
    """Alpaca; ``feed`` is the consolidated tape or one venue."""

    kind: Literal["alpaca"] = "alpaca"
    key_env: Variable = "APCA_API_KEY_ID"
    secret_env: Variable = "APCA_API_SECRET_KEY"  # noqa: S105  the variable's name
    feed: Literal["sip", "iex", "otc"] = "sip"
    base_url: Address = "https://data.alpaca.markets"


class CcxtSettings(_SourceSection):
    """Public data of the crypto ``exchange`` that ccxt knows by this id; no key."""

    kind: Literal["ccxt"] = "ccxt"
    exchange: Exchange
    base_url: Address | None = None


SourceSettings = Annotated[
    Annotated[BundledSettings, Tag("bundled")]
    | Annotated[FilesSettings, Tag("files")]
    | Annotated[SimulatorSettings, Tag("simulator")]
    | Annotated[SqlSettings, Tag("sql")]
    | Annotated[YfinanceSettings, Tag("yfinance")]
    | Annotated[MassiveSettings, Tag("massive")]
    | Annotated[AlpacaSettings, Tag("alpaca")]
    | Annotated[CcxtSettings, Tag("ccxt")],
    Discriminator(kind_of("bundled")),
]
"""One of the sections above, told apart by ``kind``."""
