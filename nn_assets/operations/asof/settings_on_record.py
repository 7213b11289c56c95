"""The settings of a hash on record, compared with the settings in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nn_assets.errors import SettingsError
from nn_assets.execution.venues import VENUES
from nn_assets.operations.strategy_files import with_checked_source
from nn_assets.settings import Strategy
from nn_assets.settings.changes import changes_text, hash_of_settings, part_of_settings
from nn_assets.store.ledger.ledger import Ledger

_ENDS = ("history_ends", "vault_starts")
_NO_FINDING = ("gate", "trade_without_verdict")
_OF_THE_ACCOUNT = ("broker", "broker_settings", "account")


def hashes_in_force(ledger: Ledger, strategy: Strategy, *, of_studies: bool = False) -> frozenset[str]:
    """Hashes of settings that are those in force but for where history ends, or the vault begins.

    Like the clock of a strategy that states neither, an end decides nothing that lies before it: studies and decisions
    of before it moved are the strategy's own.

    Parameters
    ----------
    of_studies : bool
        Whether the gate, ``trade_without_verdict`` and an account at a venue are no matter either: one lets data pass
        or halts, the next decides what is traded, and a study fills on paper wherever its orders go later. None of
        them changes what a study finds. The live start does: it says when the first verdict is.
    """

    def compared(settings: Mapping[str, Any]) -> str:
        relevant = _without_ends(settings)
        return hash_of_settings(_of_the_finding(relevant) if of_studies else relevant)

    now = compared(strategy.behaviour())
    versions = ledger.read("settings_versions", strategy.name)
    alike = [compared(settings) == now for settings in versions["settings"]]
    return frozenset({strategy.content_hash(), *versions.loc[alike, "settings_hash"]})


def hash_of_capacity(strategy: Strategy) -> str:
    """Hash of the settings under which a capacity is estimated: whatever share of it the sizes are to follow."""
    unshared = strategy.portfolio.model_copy(update={"capacity_share": None})
    return strategy.model_copy(update={"portfolio": unshared}).content_hash()


def hashes_of_capacity(ledger: Ledger, strategy: Strategy) -> frozenset[str]:
    """Hashes of settings under which a capacity is that of those in force.

    Beside what is no matter to a study, the share of the capacity that sizes may follow is none.
    """

    def compared(settings: Mapping[str, Any]) -> str:
        relevant = {key: value for key, value in _without_ends(settings).items() if key not in _NO_FINDING}
        portfolio = {key: value for key, value in relevant.get("portfolio", {}).items() if key != "capacity_share"}
        return hash_of_settings(relevant | {"portfolio": portfolio})

    now = compared(strategy.behaviour())
    versions = ledger.read("settings_versions", strategy.name)
    alike = [compared(settings) == now for settings in versions["settings"]]
    own = {strategy.content_hash(), hash_of_capacity(strategy)}
    return frozenset({*own, *versions.loc[alike, "settings_hash"]})


def part_hashes_in_force(ledger: Ledger, strategy: Strategy, *sections: str) -> frozenset[str]:
    """Hashes of some sections that are those in force, also of when series counted that none of them reads.

    Parameters
    ----------
    *sections : str
        As :meth:`Strategy.content_hash` takes them.
    """
    now = strategy.content_hash(*sections)
    on_record = ledger.read("settings_versions", strategy.name)["settings"]
    alike = [
        settings
        for settings in (strategy.behaviour(), *on_record)
        if hash_of_settings(part_of_settings(settings, *sections)) == now
    ]
    return frozenset({now, *(_with_every_series(settings, *sections) for settings in alike)})


def settings_of_decision(ledger: Ledger, strategy: str, session: pd.Timestamp) -> dict[str, Any] | None:
    """The settings that a decided session was decided under, as plain JSON values; None where they are not on record.

    Parameters
    ----------
    strategy : str
        Its name.
    """
    decided = ledger.read("decisions", strategy, session, session, bookkeeping=True)["settings_hash"]
    versions = ledger.read("settings_versions", strategy)
    matches = versions.loc[versions["settings_hash"].isin(decided), "settings"]
    return None if matches.empty else dict(matches.iloc[-1])


def strategy_on_record(ledger: Ledger, strategy: Strategy, settings_hash: str) -> Strategy | None:
    """The strategy under the settings of a hash on record; None where they are not, or are none of this version.

    What never counts (folders, processes) is as the strategy has it now.
    """
    for settings in ledger.read("settings_versions", strategy.name)["settings"]:
        if hash_of_settings(settings) != settings_hash:
            continue
        try:
            made = with_checked_source(Strategy.model_validate(strategy.completed(settings)))
        except (ValueError, SettingsError):  # a key that this version has not
            return None
        return made if made.content_hash() == settings_hash else None
    return None


def _with_every_series(settings: Mapping[str, Any], *sections: str) -> str:
    return hash_of_settings({name: value for name, value in settings.items() if name in sections})


def _of_the_finding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a study goes by, of settings."""
    relevant = {key: value for key, value in settings.items() if key not in _NO_FINDING}
    execution = relevant.get("execution", {})
    if execution.get("broker") in VENUES:
        relevant["execution"] = {key: value for key, value in execution.items() if key not in _OF_THE_ACCOUNT}
    return relevant


def _without_ends(settings: Mapping[str, Any]) -> dict[str, Any]:
    if "market" not in settings:
        return dict(settings)
    return {**settings, "market": {key: value for key, value in settings["market"].items() if key not in _ENDS}}


def settings_apart(ledger: Ledger, strategy: Strategy, settings_hash: str, *sections: str) -> str:
    """Name the settings that a record was made under and that are others now, with both values, in one line.

    Where history ends, or the vault begins, is no difference; see :func:`hashes_in_force`.

    Parameters
    ----------
    settings_hash : str
        Of the record; of ``sections`` alone where any are named, as :meth:`Strategy.content_hash` is, or was when
        every series counted.

    Returns
    -------
    str
        The hashes where no decision or study recorded the settings of the hash.
    """
    now = strategy.behaviour(*sections)
    for settings in ledger.read("settings_versions", strategy.name)["settings"]:
        then = part_of_settings(settings, *sections)
        if settings_hash in (hash_of_settings(then), _with_every_series(settings, *sections)):
            return changes_text(_without_ends(then), _without_ends(now))
    return f"settings of hash {settings_hash} then, which are not on record, {hash_of_settings(now)} now"
