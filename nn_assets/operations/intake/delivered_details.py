"""What a delivery says of its bars beyond prices and volume: judged, compared with what is stored, and stored."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import pandas as pd

from nn_assets.contracts import BAR_DETAILS, DETAILS, QUARANTINE, conform
from nn_assets.contracts.frames import DeliveredBars, Quarantine
from nn_assets.features.catalogue import refuse_missing_details
from nn_assets.market.facts.bars import RevisionCount
from nn_assets.market.facts.bitemporal import stated_in
from nn_assets.market.quality.bar_details import contradicted_details, judge_details
from nn_assets.operations.asof.known_details import (
    DETAILS_OF_BARS,
    DETAILS_QUARANTINE,
    detail_features,
    details_quarantine,
    read_detail_versions,
)
from nn_assets.operations.history import History
from nn_assets.operations.intake.appended import Mend, append_new, stamped_bars
from nn_assets.operations.stores import Stores

_SAME = ["symbol", "session", "rule", "field", "value", "source"]


@dataclass(frozen=True)
class TakenDetails:
    """What a delivery said beyond its bars: versions by what they were, and the details that were left out, by rule."""

    counted: RevisionCount
    left_out: dict[str, int] = field(default_factory=dict)


def append_details(
    history: History,
    delivered: DeliveredBars,
    arrived_at: pd.Timestamp,
    decided_to: pd.Timestamp | None,
    taken_before: Collection[str] | None,
    mend: Mend,
) -> TakenDetails | None:
    """Store what a delivery says of its bars beside them; each detail is known when its bar is.

    A row without any detail says nothing of them; one that has some says all: what it lacks is missing. A row that
    differs from the version in force is a new version, and a revision, though the bar itself is as it was.

    Returns
    -------
    TakenDetails or None
        None where the delivery has no column of any.
    """
    judged = judge_details(delivered)
    if judged is None:
        return None
    carrying = delivered[judged.rows]
    details = judged.details
    if (explicit := stated_in(carrying)) is not None:
        details = details.assign(known_at=carrying["known_at"].array)
    stamped = stamped_bars(history, details, arrived_at, decided_to, BAR_DETAILS)
    counted = RevisionCount()
    if len(stamped):
        counted = append_new(history, DETAILS_OF_BARS, stamped, explicit, taken_before, mend)
    faulty = judged.quarantine
    known_at = stamped["known_at"].iloc[faulty["row"]].reset_index(drop=True)
    findings = [conform(faulty.assign(known_at=known_at), QUARANTINE)]
    if len(counted.contradicted):
        findings.append(contradicted_details(counted.contradicted))
    left_out = pd.concat(findings, ignore_index=True)
    append_details_quarantine(history.stores, history.strategy.name, left_out)
    by_rule = {str(rule): int(rows) for rule, rows in left_out["rule"].value_counts().items()}
    return TakenDetails(counted, by_rule)


def append_details_quarantine(stores: Stores, strategy: str, findings: Quarantine) -> None:
    """Keep what was left out, each finding once however often it is delivered."""
    on_record = details_quarantine(stores, strategy)
    both = pd.concat([on_record, findings], ignore_index=True)
    fresh = both[~both.duplicated(_SAME).to_numpy()].iloc[len(on_record) :]
    if len(fresh):
        stores.lake.append_segment(strategy, DETAILS_QUARANTINE, fresh.reset_index(drop=True))


def require_details(history: History) -> None:
    """Refuse a strategy whose features read what none of its bars carries.

    Raises
    ------
    SettingsError
        Names the feature and the column.
    """
    entries = detail_features(history.strategy)
    if not entries:
        return
    versions = read_detail_versions(history.stores, history.strategy)
    present = [] if versions is None else [name for name in DETAILS if versions[name].notna().any()]
    refuse_missing_details(entries, present)
