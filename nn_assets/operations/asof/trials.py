"""What was tried and seen on a strategy's data before, under whatever name: trials and looks.

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

OTHER_BARS = "same data hash, fingerprint taken again over the bars now visible"
"""Why a fingerprint may say something else."""
_STILL_THERE = 0.99  # of the symbol-sessions that an alarm rang or was released on, with equal closes, or it is void
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
    fingerprints = fingerprints_on_record(ledger, set(rows["data_hash"]))
    sharing = {data_hash for data_hash, candidate in fingerprints.items() if share_data(candidate, ground.fingerprint)}
    sharing.add(ground.data_hash)
    unknown = ~rows["data_hash"].isin(list(fingerprints))
    kept = rows["data_hash"].isin(list(sharing)) | (unknown & (rows["strategy"] == ground.strategy))
    return rows[kept].sort_values("sequence")


def fingerprints_on_record(ledger: Ledger, wanted: set[str]) -> dict[str, Fingerprint]:
    """What data of some hashes are, by hash; of those alone that have a fingerprint."""
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
    been released since); rows of one month that saw different records are as many looks.
    """
    from nn_assets.evaluation.verdict import Look  # its tests import scipy, which `status` can do without

    rows = ledger.read("looks", where={"trial_id": trial_id}, every_version=True, bookkeeping=True)
    rows, taken = _of_shared_data(ledger, ground, rows), list[Look]()
    for row in named_rows(rows):
        look = Look(
            month=str(row.month),
            sessions=int(row.sessions),
            estimate=_number(row.estimate),
            standard_error=_number(row.standard_error),
            degrees=_number(row.degrees),
            allows_trading=bool(row.allows_trading),
        )
        index = next((number for number, earlier in enumerate(taken) if earlier.sees_as(look)), len(taken))
        taken[index : index + 1] = [look]
    return sorted(taken, key=lambda look: look.month)


def _number(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def same_data(then: Fingerprint, now: Fingerprint) -> bool:
    """Whether data are those of then still, by which alarms and their releases go.

    They are the same while the closes of then are still there (99% of the symbol-sessions) and make up most of what is
    there now (more than half): sessions that are added keep them so until they outnumber those of then, other symbols
    in such number do not.
    """
    return contained(then, now).share >= _STILL_THERE and contained(now, then).share > _SEEN_BEFORE


def stands_on(then: Fingerprint, now: Fingerprint) -> bool:
    """Whether what was said of data of then is said of others too: of the same, and of a part of them (99%)."""
    return same_data(then, now) or contained(now, then).share >= _STILL_THERE
