"""What a settings hash on record stands for, held against the settings in force."""

from __future__ import annotations

from nn_assets.settings import Strategy
from nn_assets.settings.changes import changes_told, hash_of_settings
from nn_assets.store.ledger.ledger import Ledger

__all__ = ["settings_apart"]


def settings_apart(ledger: Ledger, strategy: Strategy, settings_hash: str, *sections: str) -> str:
    """Name the settings that a record was made under and that are others now, with both values, in one line.

    Parameters
    ----------
    settings_hash : str
        Of the record; of ``sections`` alone where any are named, as :meth:`Strategy.content_hash` is.

    Returns
    -------
    str
        The hashes where no decision or study put on record what the hash stands for.
    """
    now = strategy.behaviour(*sections)
    for settings in ledger.read("settings_versions", strategy.name)["settings"]:
        then = {name: value for name, value in settings.items() if not sections or name in sections}
        if hash_of_settings(then) == settings_hash:
            return changes_told(then, now)
    return f"settings of hash {settings_hash} then, which are not on record, {hash_of_settings(now)} now"
