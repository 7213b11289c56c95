"""Write, audit, publish: bars become visible to everything downstream at one atomic switch, or not at all.

The caller runs the gate first and publishes only what passed. Until the switch, and whenever the gate
fails, the publication before stays in force: the sessions that it covers stay servable, later ones
are refused by name.

    <lake>/<strategy>/publication/current.json                      which publication is in force
    <lake>/<strategy>/publication/history/00000001-<id>.json        every publication there was
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import takewhile, zip_longest
from typing import Any, Unpack

import pandas as pd

from nn_assets.arrays import Moment, Session, session_text
from nn_assets.contracts.frames import DailyBars, IntradayBars, Quarantine
from nn_assets.errors import PublicationError
from nn_assets.store.lake.blobs import damaged
from nn_assets.store.lake.content import frame_hash
from nn_assets.store.lake.files import (
    content_of,
    locked,
    names_in,
    read_record,
    read_text,
    record_in,
    store_of,
    swap_record,
    write_record,
)
from nn_assets.store.lake.lake import Lake
from nn_assets.store.lake.parts import Selection
from nn_assets.store.lake.port import BlobPath
from nn_assets.store.values import as_bar_session, as_moment, hash_of

_FOLDER = "publication"
_BARS, _QUARANTINE = "validated_bars", "quarantine"
_HASH = "sha256"  # of everything else that a record says
_RECORD = re.compile(r"[0-9]{8}-[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class Listed:
    """A frame whose parts are stored already, as :func:`~nn_assets.store.lake.blobs.store_list` takes them."""

    parts: tuple[dict[str, str], ...]
    rows: int

    def __len__(self) -> int:
        return self.rows


@dataclass(frozen=True)
class Publication:
    """What was published: the sessions covered, the hash of the bars, and where they are."""

    strategy: str
    ordinal: int  # 1 for a strategy's first publication
    first_session: pd.Timestamp  # tz-naive midnight
    last_session: pd.Timestamp  # tz-naive midnight
    content_hash: str  # carried by every table derived from these bars
    bars_address: str
    quarantine_address: str
    rows: int
    quarantined: int
    published_at: pd.Timestamp  # UTC
    details: dict[str, Any] = field(default_factory=dict)
    hashed: bool = field(default=True, compare=False)  # whether its record holds a hash of the whole, no part of it

    @property
    def publication_id(self) -> str:
        """Hash of what was published, 16 hex digits; the moment of publishing is no part of it."""
        body = {**self._content(), "published_at": None}
        return hash_of(body)[:16]

    @property
    def file_name(self) -> str:
        """Name of its record."""
        return f"{self.ordinal:08d}-{self.publication_id}.json"

    def _content(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "hashed"}

    def covers(self, session: Session) -> bool:
        """Whether a session lies among those published."""
        return bool(self.first_session <= as_bar_session(session) <= self.last_session)

    def to_record(self) -> dict[str, Any]:
        """Return the publication as a JSON record, with a hash of all that it says, its moment too."""
        record = {
            **self._content(),
            "first_session": session_text(self.first_session),
            "last_session": session_text(self.last_session),
            "published_at": as_moment(self.published_at).isoformat(timespec="microseconds"),
        }
        return {**record, _HASH: hash_of(record)}

    def to_row(self) -> dict[str, Any]:
        """Return the publication as a row of the ledger's ``publications``."""
        return {
            "strategy": self.strategy,
            "publication_id": self.publication_id,
            "content_hash": self.content_hash,
            "first_session": self.first_session.normalize(),
            "last_session": self.last_session.normalize(),
            "rows": self.rows,
            "quarantined": self.quarantined,
            "details": {
                **self.details,
                "ordinal": self.ordinal,
                "bars_address": self.bars_address,
                "quarantine_address": self.quarantine_address,
            },
        }

    @classmethod
    def from_record(cls, record: dict[str, Any], path: BlobPath) -> Publication:
        """Read a publication back from its record; those of earlier versions hold no hash of the whole.

        Raises
        ------
        PublicationError
            The record, which came from ``path``, is not one, or not the one that was written.
        """
        body = {name: value for name, value in record.items() if name != _HASH}
        if _HASH in record and record[_HASH] != hash_of(body):
            raise _not_as_recorded(path, "other content than its hash says")
        try:
            return cls(
                **{
                    **body,
                    "first_session": _day(record["first_session"]),
                    "last_session": _day(record["last_session"]),
                    "published_at": pd.Timestamp(as_moment(record["published_at"])).as_unit("ns"),
                    "hashed": _HASH in record,
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _not_as_recorded(path, f"{type(error).__name__}: {error}") from error


class PublicationStore:
    """The publications of a lake.

    Parameters
    ----------
    lake : Lake
        Where the bars are kept.
    """

    def __init__(self, lake: Lake) -> None:
        self.lake = lake

    def publish(
        self,
        strategy: str,
        bars: DailyBars | IntradayBars | Listed,
        quarantine: Quarantine | Listed,
        *,
        first: Session,
        last: Session,
        content_hash: str,
        published_at: Moment,
        details: dict[str, Any] | None = None,
    ) -> Publication:
        """Store bars that passed the gate, check that they read back to the bit, and switch to them.

        Publishing again what is in force changes nothing and gives it back.

        Parameters
        ----------
        bars, quarantine : DataFrame or Listed
            What remains after cleaning, and what was taken out. The sessions of ``bars`` must lie within ``first``
            and ``last``. Of one listed, parts that the publication before has are neither read nor hashed again.
        first, last : session
            The sessions covered, both included.
        content_hash : str
            Hash of the bars by the market room's rule; every derived table carries it.
        published_at : UTC moment
            Now, by the caller's clock.
        details : dict, optional
            What else the record should say: rules, revisions, missing symbols.

        Raises
        ------
        PublicationError
            The bars lie outside the sessions stated, or do not read back as written; the
            publication before stays in force.
        """
        low, high = _day(first), _day(last)
        _demand_within(strategy, bars, low, high)
        folder = self.lake.folder(strategy, _FOLDER)
        with locked(folder):
            pointer, names = content_of(folder / "current.json"), names_in(folder / "history")
            before = next(_newest_first(folder, names), None)
            staged = Publication(
                strategy=strategy,
                ordinal=1 if before is None else before.ordinal + 1,
                first_session=low,
                last_session=high,
                content_hash=content_hash,
                bars_address=self._write(strategy, _BARS, bars, None if before is None else before.bars_address),
                quarantine_address=self._write(
                    strategy, _QUARANTINE, quarantine, None if before is None else before.quarantine_address
                ),
                rows=len(bars),
                quarantined=len(quarantine),
                published_at=pd.Timestamp(as_moment(published_at)).as_unit("ns"),
                details=details or {},
            )
            if before is not None and _says_the_same(before, staged):
                return before
            name = staged.file_name
            of_ordinal = name.partition("-")[0]
            unswitched = [other for other in names[bisect_left(names, of_ordinal) :] if other.startswith(of_ordinal)]
            if before is None and unswitched == [name]:
                staged = _read(folder / "history" / name)  # the first of all, its pointer gone or never written
            else:
                for lost in (folder / "history" / other for other in unswitched):
                    store_of(lost).remove(lost)  # its writer was killed before the switch: never in force
                write_record(folder / "history" / name, staged.to_record(), if_absent=True)
            swap_record(folder / "current.json", {"publication": name}, pointer)
        return staged

    def current(self, strategy: str, as_of: Moment | None = None) -> Publication | None:
        """Return the publication in force, now or at a UTC moment; None when there was none yet."""
        for publication in self._newest_first(strategy):
            if as_of is None or publication.published_at <= pd.Timestamp(as_moment(as_of)):
                return publication
        return None

    def history(self, strategy: str) -> tuple[Publication, ...]:
        """Every publication that was ever in force, oldest first.

        Raises
        ------
        PublicationError
            A record is not the one that was written, or holds no hash of the whole while an earlier one does: only
            those of the first version hold none.
        """
        publications = tuple(reversed(list(self._newest_first(strategy))))
        first = next((index for index, publication in enumerate(publications) if publication.hashed), len(publications))
        for publication in publications[first:]:
            if not publication.hashed:
                path = self.lake.folder(strategy, _FOLDER) / "history" / publication.file_name
                raise _not_as_recorded(path, f"no {_HASH}, which an earlier record has")
        return publications

    def history_from(self, strategy: str, ordinal: int) -> tuple[Publication, ...]:
        """The publications of that ordinal and later, oldest first; earlier ones are not read."""
        later = takewhile(lambda publication: publication.ordinal >= ordinal, self._newest_first(strategy))
        return tuple(reversed(list(later)))

    def unhashed(self, strategy: str) -> tuple[Publication, ...]:
        """The publications whose records hold no hash of the whole, oldest first; of later ones one is read at most."""
        folder = self.lake.folder(strategy, _FOLDER) / "history"
        read = (_read(folder / name) for name in names_in(folder) if _RECORD.fullmatch(name))
        return tuple(takewhile(lambda publication: not publication.hashed, read))

    def require(
        self, strategy: str, session: Session, content_hash: str | None = None, *, as_of: Moment | None = None
    ) -> Publication:
        """Return the publication in force, provided that it serves a session.

        Parameters
        ----------
        session : session
            The session that is to be served.
        content_hash : str, optional
            Hash that the derived table at hand carries; it must be the published one.
        as_of : UTC moment, optional
            The moment at which the publication must have been in force; now when left out.

        Raises
        ------
        PublicationError
            Nothing is published, the session is not covered, or the hash is another.
        """
        day = as_bar_session(session)
        publication = self.current(strategy, as_of)
        check = f"nn-assets check --strategy {strategy.partition('.')[0]}"  # intraday bars are published beside its own
        if publication is None:
            found, remedy = "nothing published", check
        elif not publication.covers(day):
            found = f"a publication of {publication.first_session.date()} to {publication.last_session.date()}"
            remedy = f"where the gate refused data, mend them; then publish up to this session: {check}"
        elif content_hash is not None and content_hash != publication.content_hash:
            found = f"a publication with content hash {publication.content_hash}"
            remedy = "make the derived tables again of the published bars: nn-assets run and study do, check does not"
        else:
            return publication
        hashed = f" with content hash {content_hash}" if content_hash is not None else ""
        raise PublicationError(
            expected=f"a publication that covers {session_text(day)}{hashed}",
            found=found,
            remedy=remedy,
            strategy=strategy,
            session=session_text(day),
        )

    def bars(self, publication: Publication, **selection: Unpack[Selection]) -> DailyBars:
        """Return the bars of a publication, or some of them; those of a superseded one too."""
        return self.lake.read_table(publication.strategy, _BARS, publication.bars_address, **selection)

    def quarantine(self, publication: Publication) -> Quarantine:
        """Return the rows that cleaning took out before a publication."""
        return self.lake.read_table(publication.strategy, _QUARANTINE, publication.quarantine_address)

    def _write(self, strategy: str, table: str, content: pd.DataFrame | Listed, before: str | None) -> str:
        """Write content, read back what an earlier publication does not share, and demand every value as it was."""
        if isinstance(content, Listed):
            address = self.lake.store_list(strategy, table, content.parts, content.rows)
        else:
            address = self.lake.store(strategy, table, content)
        if address == before:
            return address
        checked = set() if before is None else set(self.lake.parts(strategy, table, before))
        for part in self.lake.parts(strategy, table, address):
            if part not in checked and frame_hash(self.lake.read_table(strategy, table, part)) != part:
                raise damaged(self.lake.folder(strategy, table), f"other content than address {part} names")
        return address

    def _newest_first(self, strategy: str) -> Iterator[Publication]:
        """From the one in force on back, each read when it is come to."""
        folder = self.lake.folder(strategy, _FOLDER)
        yield from _newest_first(folder, names_in(folder / "history"))


def _newest_first(folder: BlobPath, names: Sequence[str]) -> Iterator[Publication]:
    """From the one in force on back, each read when it is come to; of the names of what lies there, in order."""
    newest = _in_force(folder, names)
    if newest is None:
        return
    # A name after the pointer's was written by a process killed before the switch: never in force.
    kept = _records(names[: names.index(newest) + 1])
    for ordinal, name in zip_longest(range(_ordinal(newest), 0, -1), kept):
        if ordinal is None or name is None or _ordinal(name) != ordinal:
            raise _not_as_recorded(folder / "history", f"no publication {ordinal}, or two")
        yield _read(folder / "history" / name)


def _records(names: Sequence[str]) -> Iterator[str]:
    """Those that name a record, from the last on back, each looked at when it is come to: there may be thousands."""
    return (name for name in reversed(names) if _RECORD.fullmatch(name))


def _in_force(folder: BlobPath, names: Sequence[str]) -> str | None:
    """The record that the pointer names; None before the first switch, which killed leaves one record at most."""
    pointer = folder / "current.json"
    try:
        record = read_record(pointer)
    except PublicationError as error:
        raise _lost_pointer(pointer, error.found, names) from error
    if record is None:
        if (count := len(list(_records(names)))) > 1:
            raise _lost_pointer(pointer, f"no such file, and {count} publications on record", names)
        return None
    newest = str(record.get("publication"))
    if newest not in names or not _RECORD.fullmatch(newest):
        raise _lost_pointer(pointer, f"a pointer to {newest}, which is not there", names)
    # A writer killed before the switch leaves the next ordinal alone.
    if _ordinal(next(_records(names))) > _ordinal(newest) + 1:
        raise _lost_pointer(pointer, f"an older pointer, to {newest}", names)
    return newest


def _read(path: BlobPath) -> Publication:
    try:
        text = read_text(path)
    except PublicationError as error:
        raise _not_as_recorded(path, error.found) from error
    if text is None:
        raise _not_as_recorded(path, "no file")
    return _publication_in(path, text)


@lru_cache(maxsize=16)  # a round asks for the one in force dozens of times: what it says is worked out once
def _publication_in(path: BlobPath, text: str) -> Publication:
    try:
        record = record_in(path, text)
    except PublicationError as error:
        raise _not_as_recorded(path, error.found) from error
    publication = Publication.from_record(record, path)
    name = publication.file_name
    if path.name != name:
        raise _not_as_recorded(path, f"the content of {name}")
    return publication


def _ordinal(name: str) -> int:
    return int(name.partition("-")[0])


def _day(value: Session) -> pd.Timestamp:
    return as_bar_session(value)


def _says_the_same(before: Publication, staged: Publication) -> bool:
    renumbered = replace(staged, ordinal=before.ordinal)
    return before.publication_id == renumbered.publication_id


def _demand_within(strategy: str, bars: DailyBars | Listed, first: pd.Timestamp, last: pd.Timestamp) -> None:
    if first > last:
        raise PublicationError(
            expected="a first session before the last",
            found=f"{first.date()} to {last.date()}",
            remedy="state the sessions that the bars cover",
            strategy=strategy,
        )
    days = (
        pd.Series([part[end] for part in bars.parts for end in ("first", "last")])
        if isinstance(bars, Listed)
        else bars["session"]
    )
    days = pd.to_datetime(days)
    outside = days[(days < first) | (days > last)]
    if len(outside):
        raise PublicationError(
            expected=f"bars from {first.date()} to {last.date()}",
            found=f"{len(outside)} rows outside, the first at {outside.iloc[0].date()}",
            remedy="state the sessions that the bars cover",
            strategy=strategy,
            session=outside.iloc[0].date(),
        )


def _lost_pointer(pointer: BlobPath, found: str, names: Sequence[str]) -> PublicationError:
    anew = f"move {pointer.parent} away to begin anew"
    backup = "restore publication/ from a backup or, without one, "
    newest = next(_records(names), None)
    restore = f'write {{"publication": "{newest}"}} to it, the newest on record, or ' if newest else backup
    return PublicationError(
        expected="a record of which publication is in force",
        found=found,
        remedy=restore + anew,
        file=str(pointer),
    )


def _not_as_recorded(path: BlobPath, found: str) -> PublicationError:
    return PublicationError(
        expected="the publication as it was recorded",
        found=found,
        remedy="restore publication/ from a backup: decisions on record name what was in force then",
        file=str(path),
    )
