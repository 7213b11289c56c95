"""Past decisions derived again, each once: what was played before, by the same code, need not be played again.

How far it came is in the ledger's ``verifications``. What was verified is looked at again where something
of it may have changed: by other code, other libraries or other settings all of it; where a fact arrived, or a
record was appended, that belongs to a session verified before, that session and all after it. A decision of
before such an arrival may not see it, and that is what is proved by looking. The whole on demand.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nn_assets.arrays import values_of
from nn_assets.contracts.ledger import FILLS, ROUNDS
from nn_assets.operations.asof.settings_on_record import hashes_in_force
from nn_assets.operations.clock import now_utc
from nn_assets.operations.decisions.code import changed_since, decision_code
from nn_assets.operations.decisions.lookahead import decided_otherwise, decisions_repeat_in_replay
from nn_assets.operations.derived import trading_roots
from nn_assets.operations.fingerprint import libraries
from nn_assets.operations.history import History
from nn_assets.store.ledger.chain import ChainHead
from nn_assets.store.values import canonical_json
from nn_assets.versions import version_of

_DECISIONS = "decisions"
_DERIVED_BY = "nn_assets.operations.decisions.lookahead:decisions_repeat_in_replay"
_OF_A_SESSION = [contract.name for contract in (*ROUNDS, FILLS)]
_DAY = pd.Timedelta(days=1)
_MOST_DIFFERENCES = 20


@dataclass(frozen=True)
class Rederived:
    """What deriving decisions again came to.

    Attributes
    ----------
    played : int
        Sessions played again now.
    before : int
        Sessions under the settings in force that were played again before, and not now.
    differing : tuple of str
        One sentence for each target that differs.
    by_other_code : str
        Where a target differs, which other code decided the sessions on record, and what of it changed.
    otherwise, otherwise_text : int, str
        Sessions before those, which what is in force cannot play again, and why not.
    """

    played: int
    before: int
    differing: tuple[str, ...]
    otherwise: int = 0
    otherwise_text: str = ""
    by_other_code: str = ""

    @property
    def sentence(self) -> str:
        """What it came to, for a person."""
        if self.differing:
            named = "; ".join(self.differing[:_MOST_DIFFERENCES])
            text = f"{len(self.differing)} targets differ from those on record: {named}"
            text += f"; {self.by_other_code}" if self.by_other_code else ""
        elif self.played:
            text = f"{self.played} sessions derived again, all targets equal; {self.before} were verified before"
        elif self.before:
            text = f"nothing new to derive again; {self.before} sessions were verified before"
        else:
            text = "nothing to compare: no session was decided under the settings in force"
        return text + (f"; {self.otherwise} sessions {self.otherwise_text}" if self.otherwise else "")


def rederive_decisions(history: History, run_id: str, *, whole: bool = False) -> Rederived:
    """Derive the decisions again that were not yet, and put on record how far it came.

    Where a target differs nothing is put on record: the next one finds it again.

    Parameters
    ----------
    run_id : str
        Who asks.
    whole : bool
        Every decision made under the settings in force, whatever was verified before.
    """
    # Alone: what an intake under way has not stored yet arrived before the moment noted here.
    with history.stores.alone(history.strategy.name):
        return _rederived(history, run_id, whole=whole)


def _rederived(history: History, run_id: str, *, whole: bool) -> Rederived:
    strategy, ledger = history.strategy, history.stores.ledger
    # Taken first: what is appended or arrives meanwhile is looked at the next time.
    head, moment = ledger.head(), now_utc()
    made = {
        "settings_hash": strategy.content_hash(),
        "code": version_of(_DERIVED_BY, *trading_roots(strategy)),
        "libraries": libraries(),
    }
    last = _last(history)
    alike = {"settings_hash": hashes_in_force(ledger, strategy)}  # where history ends is no matter
    same = last is not None and all(
        last["details"].get(name) in alike.get(name, (value,)) for name, value in made.items()
    )
    first = _first_in_doubt(history, last) if same and last is not None else None
    after = None if whole or first is None else first - _DAY
    before = 0 if after is None or last is None else _verified_until(history, last, after)
    played, differing = decisions_repeat_in_replay(history, after)
    if played and not differing:
        _put_on_record(history, run_id, head, {**made, "moment": moment.isoformat(), "sessions": before + played})
    # Where all were, the details of none need be read.
    all_were = played + before == len(history.decision_moments)
    otherwise = (0, "") if all_were else decided_otherwise(history)
    return Rederived(played, before, tuple(differing), *otherwise, _by_other_code(history) if differing else "")


def _by_other_code(history: History) -> str:
    """Which other code than that in force decided sessions on record, and what changed since the newest of it."""
    decisions = history.stores.ledger.read("decisions", history.strategy.name, columns=["code_version"])
    now = decision_code(history.strategy)
    others = [code for code in dict.fromkeys(decisions["code_version"]) if code != now]
    if not others:
        return ""
    changed = changed_since(history, others[-1])
    text = f"sessions on record were decided by other code ({', '.join(others)}) than that in force, {now}"
    return text + (f" (changed: {changed})" if changed else "")


def _last(history: History) -> dict[str, Any] | None:
    """The newest verification of decisions on record."""
    where = {"kind": _DECISIONS}
    rows = history.stores.ledger.latest("verifications", history.strategy.name, where=where, bookkeeping=True)
    return None if rows.empty else values_of(rows.iloc[-1])


def _first_in_doubt(history: History, last: dict[str, Any]) -> pd.Timestamp:
    """The first session to be looked at: that after the last verified, or an earlier one that something came for."""
    until = last["until_session"]
    came = [until + _DAY, *_facts_for(history, until, pd.Timestamp(last["details"]["moment"]))]
    for table in _OF_A_SESSION:
        rows = history.stores.ledger.read(
            table,
            history.strategy.name,
            last=until,
            after_sequence=int(last["until_sequence"]),
            every_version=True,
        )
        came += list(rows["session"])
    first: pd.Timestamp = min(came)
    return first


def _facts_for(history: History, until: pd.Timestamp, since: pd.Timestamp) -> list[pd.Timestamp]:
    """Sessions up to the last verified that bars, actions, series, spells or halts arrived for since a UTC moment."""
    tables = (
        (history.raw_versions, "session"),
        (history.compared_corrections, "session"),
        (history.action_versions, "ex_session"),
        (history.series_versions, "session"),
        (history.membership_versions, "member_from"),
        (history.halt_versions, "halted_from"),
    )
    sessions = []
    for versions, column in tables:
        if versions is not None and len(versions):
            late = versions[(versions["ingested_at"] > since) & (versions[column] <= until)]
            sessions += [] if late.empty else [late[column].min()]
    return sessions


def _verified_until(history: History, last: dict[str, Any], after: pd.Timestamp) -> int:
    """How many sessions of those verified lie before the first looked at now."""
    later_sessions = history.live_sessions
    later_sessions = later_sessions[(later_sessions > after) & (later_sessions <= last["until_session"])]
    return max(0, int(last["details"]["sessions"]) - len(later_sessions))


def _put_on_record(history: History, run_id: str, head: ChainHead, details: dict[str, Any]) -> None:
    name, until = history.strategy.name, history.decision_moments.index[-1]
    content = canonical_json([name, head.sequence, details])
    row = {
        "verification_id": f"{_DECISIONS}-{hashlib.sha256(content.encode()).hexdigest()[:16]}",
        "kind": _DECISIONS,
        "until_sequence": head.sequence,
        "until_session": until,
        "head_hash": head.hash,
        "details": details,
    }
    history.stores.ledger.append("verifications", [row], run_id=run_id, strategy=name)
