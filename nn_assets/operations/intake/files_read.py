"""Which files of a growing folder were read already: those alone that are new or changed are read again.

The record lies with the bars it speaks of, so that rebuilding them reads every file again. It is
written after the bars are stored: killed between, a rerun reads the files once more, and adds nothing.
What a file held stays on record whatever else is asked of the source, so that one sent again with other
content is known from a new one; ``changed_at`` is when that was first seen, and goes with the content to another
name. Where the folder lies, and when a file says it was written, decides nothing.

    <lake>/<strategy>/raw_bars/files_read.json         and compared_bars/files_read.json, of market.compare_with
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from nn_assets.arrays import Symbol
from nn_assets.contracts import DELIVERED_BARS, empty
from nn_assets.contracts.frames import DeliveredBars
from nn_assets.errors import PublicationError
from nn_assets.operations.asof.known_details import detail_features
from nn_assets.operations.facts import RAW_BARS
from nn_assets.operations.history import History
from nn_assets.settings import SourceSection
from nn_assets.sources.protocol import cut_to
from nn_assets.sources.tables.files import FilesSource
from nn_assets.store.lake.files import file_sha256, read_record, write_record
from nn_assets.store.lake.port import BlobPath

# A file that changed within this time of being looked at may change again under the same time stamp.
_SETTLED_NANOSECONDS = 2_000_000_000


@dataclass
class UnreadFiles:
    """The files to read, and what will be on record once their bars are stored.

    Attributes
    ----------
    files : list of Path
        New or changed ones, in the order of their names.
    without_bars : list of str
        Archives among those read that held no bars.
    sessions_left_out : DatetimeIndex, shape (rows,)
        Of rows asked for that lie after the last session that may be seen, as often as they occur there.
    taken_before : set of str
        The ``source`` of bars of those files whose very contents were read before, under this name or another.
    """

    history: History
    source: FilesSource
    settings: SourceSection
    table: str
    now: pd.Timestamp
    files: list[Path] = field(default_factory=list)
    without_bars: list[str] = field(default_factory=list)
    sessions_left_out: pd.DatetimeIndex = field(default_factory=lambda: pd.DatetimeIndex([]))
    taken_before: set[str] = field(default_factory=set)
    _kept: dict[str, Any] = field(default_factory=dict)  # files read before, unchanged
    _seen: dict[str, Any] = field(default_factory=dict)  # files read now
    _gone: dict[str, Any] = field(default_factory=dict)  # files on record, no longer there

    @classmethod
    def of(
        cls,
        history: History,
        source: FilesSource,
        now: pd.Timestamp,
        settings: SourceSection | None = None,
        table: str = RAW_BARS,
    ) -> UnreadFiles:
        """Compare the files there are with those on record.

        Parameters
        ----------
        source : FilesSource
            Made of ``settings``: the strategy's own source when left out.
        table : str
            Where its bars are stored.
        """
        unread = cls(history, source, settings or history.strategy.source, table, now)
        record = _record(unread._path)
        # Additions can only become more; fewer, and bars on record as read are gone.
        recorded_request = {
            name: value for name, value in record.get("asked", {}).items() if name != "path"
        }  # of older versions
        valid = recorded_request == unread._asked and record.get("additions", 0) <= unread._additions
        recorded_files = record.get("files", {})
        contents: dict[str, list[str | None]] = {}
        for recorded in recorded_files.values():
            contents.setdefault(recorded["sha256"], []).append(recorded.get("changed_at"))
        for file in source.files():
            before = recorded_files.pop(file.name, None)
            entry = _file_entry(file, before, now)
            if valid and before is not None and before.get("whole", True) and before["sha256"] == entry["sha256"]:
                unread._kept[file.name] = entry
                continue
            unread.files.append(file)
            unread._seen[file.name] = entry
            if entry["sha256"] in contents:
                unread.taken_before.add(source.source_of(file))
                if before is None:  # a new name makes nothing known earlier
                    moments = [moment or "" for moment in contents[entry["sha256"]]]
                    entry["changed_at"] = min(moments) or None
        unread._gone = {name: {**before, "whole": False} for name, before in recorded_files.items()}
        return unread

    @property
    def some_were_read_before(self) -> bool:
        """Whether a file is there that was read before and did not change since."""
        return bool(self._kept)

    def bars(self, symbols: tuple[Symbol, ...], first: pd.Timestamp, last: pd.Timestamp) -> DeliveredBars:
        """Bars of the unread files; none where there is no such file.

        A file with sessions after ``last`` is not on record as read whole: it has more to say later. A
        file whose name was read with other content speaks from when that was first seen, not from the
        day in its name.

        Raises
        ------
        SourceError
            As ``FilesSource.bars``; that a symbol has no bar is an error where every file is read.
        """
        parts = []
        for file, read in self.source.bars_by_file(self.files):
            if read is None:
                self.without_bars.append(file.name)
                continue
            entry, bars = self._seen[file.name], read
            if self.source.known_on is not None and entry["changed_at"] is not None:
                bars = bars.assign(known_at=pd.Timestamp(entry["changed_at"]).as_unit("ns"))
            later = bars["session"] > last
            entry["whole"] = not bool(later.any())
            asked_for = later & bars["symbol"].isin(symbols) if symbols else later
            further = pd.DatetimeIndex(bars.loc[asked_for, "session"])
            self.sessions_left_out = pd.DatetimeIndex(self.sessions_left_out.append(further))
            parts.append(bars)
        if not self._kept:
            return self.source.select(parts, symbols, first, last)
        if not parts:
            return empty(DELIVERED_BARS)
        return cut_to(pd.concat(parts, ignore_index=True), symbols, first, last)

    def remember(self) -> None:
        """Put the files on record as read."""
        write_record(
            self._path,
            {
                "asked": self._asked,
                "additions": self._additions,
                "files": {**self._gone, **self._kept, **self._seen},
            },
        )

    @property
    def _path(self) -> BlobPath:
        return self.history.stores.lake.folder(self.history.strategy.name, self.table) / "files_read.json"

    @property
    def _additions(self) -> int:
        return self.history.stores.lake.additions(self.history.strategy.name, self.table)

    @property
    def _asked(self) -> dict[str, Any]:
        """What decides which bars a file gives, but for the last session."""
        market = self.history.strategy.market
        return {
            "settings": self.settings.model_dump(mode="json"),
            "requires_volume": self.source.requires_volume,
            "symbols": list(market.symbols),
            "first": str(market.history_starts),
            "calendar": market.calendar,
            "lag_minutes": market.known_at_lag_minutes,
            # Files read by a version that took in no details are read again once a feature asks for some.
            **({"details": True} if detail_features(self.history.strategy) else {}),
        }


def _record(path: BlobPath) -> dict[str, Any]:
    """What is on record; nothing where nothing is.

    Raises
    ------
    PublicationError
        The record is damaged.
    """
    try:
        record = read_record(path) or {}
        files, found = record.get("files", {}), "something else"
        if (
            isinstance(record.get("additions", 0), int)
            and isinstance(files, dict)
            and all(map(_is_file_entry, files.values()))
        ):
            return record
    except PublicationError as error:
        found = error.found
    raise PublicationError(
        expected="a record of the files that were read",
        found=found,
        remedy="restore it from a backup, or move it away: every file is then read again, and one that changes at the "
        "same time is taken for a new one",
        file=str(path),
    )


def _is_file_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and {"stamp", "sha256"} <= entry.keys() and isinstance(entry["sha256"], str)


def _file_entry(file: Path, before: dict[str, Any] | None, now: pd.Timestamp) -> dict[str, Any]:
    """What goes on record of a file, by what is on record of its name; hashed only if its stamp is another."""
    stat = file.stat()
    stamp = [stat.st_size, stat.st_mtime_ns]
    changed_at = None if before is None else before.get("changed_at")
    if before is not None and before["stamp"] == stamp:
        return {"stamp": stamp, "sha256": before["sha256"], "changed_at": changed_at, "whole": True}
    sha256 = file_sha256(file)
    if before is not None and before["sha256"] != sha256:
        changed_at = now.isoformat()
    settled = now.value - stat.st_mtime_ns > _SETTLED_NANOSECONDS
    return {"stamp": stamp if settled else None, "sha256": sha256, "changed_at": changed_at, "whole": True}
