"""What was tried and seen on a strategy's data before, under whatever name: trials, looks and released alarms.

Data are what their fingerprint says. Rows of version 0.1 have none: those whose bars are still in the lake are given
one by the next study of any strategy; the others count for the strategy that wrote them, and for data of the same hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from nn_assets.arrays import named_rows
from nn_assets.contracts.frames import DailyBars, TrialRows
from nn_assets.evaluation.shared_data import Fingerprint, contained, fingerprint, share_data
from nn_assets.evaluation.trials import trial_of
from nn_assets.operations.asof.choices import CHOICE, NESTED
from nn_assets.operations.stores import Stores
from nn_assets.store.ledger.ledger import Ledger

if TYPE_CHECKING:
    from nn_assets.evaluation.verdict import Look

LEAK_RELEASE = "leak_alarm_release"
OTHER_BARS = "same data hash, fingerprint taken again over the bars now visible"
"""Why a fingerprint may say something else."""
_STILL_THERE = 0.99  # of the symbol-sessions that an alarm was released on, with equal closes, or the release is void
_SEEN_BEFORE = 0.5  # more than this share of the symbol-sessions by now must be among them: else they are other data
_FINGERPRINTS = "data_fingerprints"


@dataclass(frozen=True, eq=False)
class Ground:
    """The data of a strategy's study: their hash, what they are, and their span."""

    strategy: str
    data_hash: str
    fingerprint: Fingerprint
    first_session: pd.Timestamp
    last_session: pd.Timestamp

    def to_row(self) -> dict[str, object]:
        """The row of ``data_fingerprints``."""
        return {
            "strategy": self.strategy,
            "data_hash": self.data_hash,
            "keys": self.fingerprint.keys,
            "sample_limit": f"{self.fingerprint.limit:x}",
            "sample": self.fingerprint.to_text(),
            "first_session": self.first_session.normalize(),
            "last_session": self.last_session.normalize(),
        }


def ground_of(strategy: str, data_hash: str, bars: DailyBars) -> Ground:
    """The ground that bars make; columns ``symbol``, ``session``, ``close``.

    Parameters
    ----------
    data_hash : str
        Address of the publication that they come from.
    """
    bars_fingerprint = fingerprint(
        bars["symbol"].to_numpy(dtype=object), bars["session"].to_numpy(), bars["close"].to_numpy(dtype="float64")
    )
    return Ground(strategy, data_hash, bars_fingerprint, bars["session"].min(), bars["session"].max())


def _of_shared_data(ledger: Ledger, ground: Ground, rows: TrialRows) -> TrialRows:
    """Those of some rows whose data share with the ground, by their ``strategy`` and ``data_hash``."""
    fingerprints = _fingerprints(ledger, set(rows["data_hash"]))
    sharing = {data_hash for data_hash, candidate in fingerprints.items() if share_data(candidate, ground.fingerprint)}
    sharing.add(ground.data_hash)
    unknown = ~rows["data_hash"].isin(list(fingerprints))
    kept = rows["data_hash"].isin(list(sharing)) | (unknown & (rows["strategy"] == ground.strategy))
    return rows[kept].sort_values("sequence")


def _fingerprints(ledger: Ledger, wanted: set[str]) -> dict[str, Fingerprint]:
    rows = ledger.read(_FINGERPRINTS)
    rows = rows[rows["data_hash"].isin(list(wanted))].drop_duplicates("data_hash")
    return {
        str(row.data_hash): Fingerprint.from_text(int(row.keys), int(row.sample_limit, 16), row.sample)
        for row in named_rows(rows)
    }


def earlier_grounds(stores: Stores) -> list[Ground]:
    """Grounds of trials on record that have no fingerprint yet, as far as their bars are still in the lake."""
    rows = stores.ledger.read("trials")[["strategy", "data_hash"]].drop_duplicates()
    fingerprinted = set(stores.ledger.read(_FINGERPRINTS)["data_hash"])
    grounds = []
    for strategy, wanted in rows[~rows["data_hash"].isin(list(fingerprinted))].groupby("strategy")["data_hash"]:
        missing = set(wanted)
        for publication in stores.publications.history(str(strategy)):
            if publication.content_hash in missing:
                missing.discard(publication.content_hash)
                bars = stores.publications.bars(publication)
                grounds.append(ground_of(str(strategy), publication.content_hash, bars))
    return grounds


def trials_made(ledger: Ledger, ground: Ground) -> TrialRows:
    """The newest row of every trial ever evaluated on the ground's data, or on data that share with them.

    Those of a nested search are none: what they saw was realised before each month that their choice is in force in.
    Version 0.1 named a trial by where its file lies too: a row is named anew by its configuration, where it has one.
    """
    rows = ledger.read("trials", bookkeeping=True)
    rows = rows[~rows["trial_id"].str.startswith((NESTED, CHOICE))]
    named = [
        trial_of(configuration) if isinstance(configuration, dict) and "source" in configuration else trial_id
        for trial_id, configuration in zip(rows["trial_id"], rows["configuration"], strict=True)
    ]
    rows = rows.assign(trial_id=named)
    return _of_shared_data(ledger, ground, rows).drop_duplicates("trial_id", keep="last").reset_index(drop=True)


def looks_taken(ledger: Ledger, ground: Ground, trial_id: str) -> list[Look]:
    """The looks on record of a configuration on the ground's data, ascending.

    Rows of one month that saw the same are one look, and the newest says whether it allowed trading (an alarm may have
    been released since); rows of one month that saw different records are as many looks. Leak alarms of a look come
    with it while the ground has the same data, as :func:`released_alarms` tells them.
    """
    from nn_assets.evaluation.verdict import Look  # its tests import scipy, which `status` can do without

    rows = ledger.read("looks", where={"trial_id": trial_id}, every_version=True, bookkeeping=True)
    rows, taken = _of_shared_data(ledger, ground, rows), list[Look]()
    same = {
        data_hash: _same_data(fingerprint, ground.fingerprint)
        for data_hash, fingerprint in _fingerprints(ledger, set(rows["data_hash"])).items()
    } | {ground.data_hash: True}
    for row in named_rows(rows):
        look = Look(
            month=str(row.month),
            sessions=int(row.sessions),
            estimate=_number(row.estimate),
            standard_error=_number(row.standard_error),
            degrees=_number(row.degrees),
            allows_trading=bool(row.allows_trading),
            alarms=row.details.get("standing_alarms", {}) if same.get(str(row.data_hash), False) else {},
        )
        index = next((number for number, earlier in enumerate(taken) if earlier.sees_as(look)), len(taken))
        taken[index : index + 1] = [look]
    return sorted(taken, key=lambda look: look.month)


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def unreleased_alarms(ledger: Ledger, strategy: str) -> tuple[str, dict[str, str]] | None:
    """Data hash and leak alarms, by name, of the strategy's newest look; None where it was stopped by none."""
    newest = ledger.last_appended("looks", strategy=strategy)
    if newest is None or not newest["details"]["standing_alarms"]:
        return None
    return str(newest["data_hash"]), dict(newest["details"]["standing_alarms"])


def alarms_just_released(ledger: Ledger, strategy: str) -> bool:
    """Whether the leak alarms of the strategy's newest look were released since, on its data."""
    open_alarms = unreleased_alarms(ledger, strategy)
    if open_alarms is None:
        return False
    data_hash, alarms = open_alarms
    rows = ledger.read("controls", strategy, where={"kind": LEAK_RELEASE})
    return any(
        details["data_hash"] == data_hash and alarms.keys() <= set(details["alarms"]) for details in rows["details"]
    )


def released_alarms(ledger: Ledger, ground: Ground) -> dict[str, str]:
    """By the name of a leak alarm, who released it, when and why; void where the data are other ones by now.

    They are the same while the closes that it was released on are still there (99% of the symbol-sessions) and make
    up most of what is there now (more than half): sessions that are added keep a release until they outnumber those
    it was given for, other symbols in such number void it.
    """
    rows = ledger.read("controls", ground.strategy, where={"kind": LEAK_RELEASE}, bookkeeping=True)
    if rows.empty:
        return {}
    fingerprints = _fingerprints(ledger, {str(details["data_hash"]) for details in rows["details"]})
    by_alarm: dict[str, str] = {}
    for row in named_rows(rows.sort_values("sequence")):
        released = fingerprints.get(str(row.details["data_hash"]))
        if released is None or not _same_data(released, ground.fingerprint):
            continue
        release = f"released {row.recorded_at:%Y-%m-%d} by {row.who}: {row.reason}"
        by_alarm |= dict.fromkeys(row.details["alarms"], release)
    return by_alarm


def _same_data(released: Fingerprint, now: Fingerprint) -> bool:
    return contained(released, now).share >= _STILL_THERE and contained(now, released).share > _SEEN_BEFORE
