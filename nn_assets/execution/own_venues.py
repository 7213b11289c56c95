"""The package's own venues: what a strategy may state of each, and where its account is opened.

The members lie in a room above this one (``nn_assets/brokers/``) and are imported when an account is opened.
"""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from nn_assets.execution.venue import Venue
from nn_assets.plugins import imported
from nn_assets.settings.own import WithSettings
from nn_assets.settings.section import Section
from nn_assets.settings.sources import Address, Variable

ALPACA_PAPER = "https://paper-api.alpaca.markets"
_HERE = ("127.0.0.1", "::1", "localhost")


class AlpacaVenueSettings(Section):
    """Where the account is, and which environment variables hold its keys.

    ``live`` says that real money is meant: any other address than that of the paper account needs it, and the address
    once more in the environment variable ``NN_ASSETS_LIVE_ACCOUNT``.
    """

    key_env: Variable = "APCA_API_KEY_ID"
    secret_env: Variable = "APCA_API_SECRET_KEY"  # noqa: S105  the variable's name
    base_url: Address = ALPACA_PAPER
    live: bool = False
    timeout_seconds: Annotated[float, Field(gt=0.0)] = 30.0

    @property
    def is_live(self) -> bool:
        """Whether the address is another than that of the paper account, and of another machine."""
        return self.base_url != ALPACA_PAPER and urlsplit(self.base_url).hostname not in _HERE

    @model_validator(mode="after")
    def _live_is_asked_for(self) -> Self:
        if self.is_live and not self.live:
            raise ValueError(f"{ALPACA_PAPER} was expected: leave it out or, for real money, state live: true")
        if self.live and not self.is_live:
            raise ValueError("live: true was expected with the address of a live account: https://api.alpaca.markets")
        return self


class FileDropSettings(Section):
    """The folder that this program and the desk's own system share: an absolute path, on one file system."""

    folder: Annotated[str, Field(pattern=r"^/.+")]


def open_alpaca(account: str, settings: AlpacaVenueSettings) -> Venue:  # noqa: ARG001  keys tell accounts apart
    """Open the account whose keys the settings name."""
    venue: Venue = imported("nn_assets.brokers.alpaca:open_alpaca")(settings)
    return venue


def open_file_drop(account: str, settings: FileDropSettings) -> Venue:
    """Open the account whose files lie in the folder of its name within the folder that the settings name."""
    venue: Venue = imported("nn_assets.brokers.file_drop:open_file_drop")(account, settings)
    return venue


OWN_VENUES: dict[str, WithSettings[Venue]] = {
    "alpaca": WithSettings(open_alpaca, AlpacaVenueSettings),
    "file_drop": WithSettings(open_file_drop, FileDropSettings),
}
"""By the name that ``execution.broker`` gives them."""
