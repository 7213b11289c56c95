"""Files that are whole or absent: written beside, flushed to the disk, renamed into place.

They are the member of the blob store's port that a home has; what the lake and the models write and read goes through
the functions here, by a path to :class:`Files`, or by a key to the store that the key names.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from nn_assets.errors import AccessError, PublicationError
from nn_assets.store.lake.port import AnyPath, BlobPath, BlobStore, Key

_STAGED = ".staged-"
_STALE_SECONDS = 24 * 3600.0
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
_BLOCK = 1 << 20


def safe_name(name: str, what: str) -> str:
    """Return the name, if it can be a file's name on every system: lower case, digits, ``_``, ``-``, ``.``.

    Raises
    ------
    PublicationError
        It cannot; ``../x`` and the like never reach the disk.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PublicationError(
            expected=f"a {what} of lower-case letters, digits, '_', '-' and '.'",
            found=repr(name),
            remedy=f"rename the {what}",
            value=repr(name),
        )
    return name


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename in it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, the entry of each flushed: a file is as lost as the folder it is in."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _sync_file(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


class Files:
    """The file system as a :class:`~.port.BlobStore`."""

    @contextmanager
    def put(self, path: Path, *, durable: bool = True, if_absent: bool = False) -> Iterator[Path]:
        """As of :meth:`.BlobStore.put`.

        Killed before the end, the old file is untouched and a staged one is left for :func:`sweep`. Where not
        ``durable`` a power cut may leave neither: for what can be made again, and is known by a hash where it is not
        whole.
        """
        _make_folder(path.parent)
        descriptor, name = tempfile.mkstemp(prefix=_STAGED, dir=path.parent)
        os.close(descriptor)
        staged = Path(name)
        try:
            yield staged
            if durable:
                _sync_file(staged)
            if if_absent and path.exists():
                raise FileExistsError(str(path))
            os.replace(staged, path)  # noqa: PTH105  one name for the step at which tests kill a writer
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)

    @contextmanager
    def put_all(self, folder: Path) -> Iterator[Path]:
        """As of :meth:`.BlobStore.put_all`; it is renamed to ``folder`` when the block ends."""
        _make_folder(folder.parent)
        staged = Path(tempfile.mkdtemp(prefix=_STAGED, dir=folder.parent))
        try:
            yield staged
            for path in staged.iterdir():
                _sync_file(path)
            sync_folder(staged)
            try:
                os.rename(staged, folder)  # noqa: PTH104  as above; it refuses a folder that is not empty
            except OSError as error:
                if folder.exists():
                    raise FileExistsError(str(folder)) from error
                raise
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        sync_folder(folder.parent)

    def swap(self, path: Path, content: bytes, before: bytes | None) -> None:
        """As of :meth:`.BlobStore.swap`; the caller holds the folder alone."""
        if (path.read_bytes() if path.exists() else None) != before:
            raise PublicationError(
                expected="a pointer that no one else switched meanwhile",
                found="another one than was read",
                remedy="run the command again",
                file=str(path),
            )
        with self.put(path) as staged:
            staged.write_bytes(content)

    def get(self, path: Path) -> bytes:
        """As of :meth:`.BlobStore.get`."""
        return path.read_bytes()

    def open(self, path: Path) -> Path:
        """As of :meth:`.BlobStore.open`."""
        return path

    def local(self, path: Path) -> Path:
        """As of :meth:`.BlobStore.local`."""
        return path

    def exists(self, path: Path) -> bool:
        """As of :meth:`.BlobStore.exists`."""
        return path.exists()

    def remove(self, path: Path) -> None:
        """As of :meth:`.BlobStore.remove`."""
        path.unlink(missing_ok=True)

    def set_aside(self, folder: Path, prefix: str) -> None:
        """As of :meth:`.BlobStore.set_aside`."""
        aside = tempfile.mkdtemp(prefix=prefix, dir=folder.parent)
        os.rename(folder, aside)  # noqa: PTH104  it takes the place of the empty folder at once
        sync_folder(folder.parent)

    def names(self, folder: Path) -> Sequence[str]:
        """As of :func:`names_in`."""
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208  a folder may hold thousands: no path is made of any
        except (FileNotFoundError, NotADirectoryError):
            return []
        except PermissionError as error:
            raise no_access(folder) from error

    def list(self, folder: Path) -> list[Path]:
        """As of :func:`listed`."""
        return [folder / name for name in self.names(folder)]

    @contextmanager
    def lock(self, folder: Path, waits: Callable[[], object]) -> Iterator[None]:
        """As of :func:`locked`; a killed holder lets go by dying."""
        _make_folder(folder)
        try:
            stream = (folder / ".lock").open("a")
        except PermissionError as error:
            raise no_access(folder / ".lock") from error
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waits()
                fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def sweep(self, root: Path, *, older_than_seconds: float) -> int:
        """As of :func:`sweep`."""
        removed = 0
        now = time.time()
        for path in sorted(root.rglob(f"{_STAGED}*"), reverse=True):
            try:
                if now - path.stat().st_mtime < older_than_seconds:
                    continue
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            except FileNotFoundError:  # its writer finished, or another sweep was quicker
                continue
            removed += 1
        return removed


FILES = Files()


def store_of(path: BlobPath) -> BlobStore[Any]:
    """The store that a blob lies in."""
    return path.store if isinstance(path, Key) else FILES


def replace_file(path: BlobPath, *, durable: bool = True, if_absent: bool = False) -> AbstractContextManager[Path]:
    """Give a local file to fill, which takes the place of ``path`` when the block ends; see :meth:`.BlobStore.put`."""
    return store_of(path).put(path, durable=durable, if_absent=if_absent)


def staged_folder(folder: BlobPath) -> AbstractContextManager[Path]:
    """Give a local folder to fill, which is ``folder`` when the block ends; see :meth:`.BlobStore.put_all`."""
    return store_of(folder).put_all(folder)


def exists(path: BlobPath) -> bool:
    """Whether there is such a file or folder."""
    return store_of(path).exists(path)


def listed(folder: AnyPath) -> list[AnyPath]:
    """What a folder holds, in order; nothing where there is no such folder.

    Raises
    ------
    AccessError
        This user may not list it: ``glob`` would find nothing in it.
    """
    return store_of(folder).list(folder)


def names_in(folder: BlobPath) -> Sequence[str]:
    """Names of what a folder holds, in order; as :func:`listed`, and cheaper where there are many."""
    return FILES.names(folder) if isinstance(folder, Path) else [path.name for path in listed(folder)]


def locked(folder: BlobPath, waits: Callable[[], object] = lambda: None) -> AbstractContextManager[None]:
    """Hold a folder alone. Another process waits, and calls ``waits`` first; a killed one lets go by dying."""
    return store_of(folder).lock(folder, waits)


def sweep(root: BlobPath, *, older_than_seconds: float = _STALE_SECONDS) -> int:
    """Remove what killed writers left staged; younger ones may belong to a writer at work.

    Returns
    -------
    int
        How many files and folders were removed.
    """
    return store_of(root).sweep(root, older_than_seconds=older_than_seconds)


def write_bytes(path: BlobPath, content: bytes, *, durable: bool = True) -> None:
    """Write a file atomically; ``durable`` as of :func:`replace_file`."""
    with replace_file(path, durable=durable) as staged:
        staged.write_bytes(content)


def write_record(path: BlobPath, record: dict[str, Any], *, durable: bool = True, if_absent: bool = False) -> None:
    """Write a JSON record atomically, as :func:`replace_file` does; the same one always as the same bytes."""
    with replace_file(path, durable=durable, if_absent=if_absent) as staged:
        staged.write_bytes(_record_bytes(record))


def swap_record(path: BlobPath, record: dict[str, Any], before: bytes | None) -> None:
    """Write a JSON record in the place of the bytes that were read before; see :meth:`.BlobStore.swap`."""
    store_of(path).swap(path, _record_bytes(record), before)


def _record_bytes(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def record_hash(record: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON record, all of whose values are JSON's own, by its canonical text; in hex."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def content_of(path: BlobPath) -> bytes | None:
    """The bytes of a file; None where there is no such file."""
    try:
        return store_of(path).get(path)
    except FileNotFoundError:
        return None


def read_record(path: BlobPath) -> dict[str, Any] | None:
    """Read a JSON record; None when there is no such file.

    Raises
    ------
    PublicationError
        The file is no JSON object.
    AccessError
        This user may not read it.
    """
    text = read_text(path)
    return None if text is None else record_in(path, text)


def read_text(path: BlobPath) -> str | None:
    """Read the text of a JSON record; None when there is no such file.

    Raises
    ------
    PublicationError
        The file is no text.
    AccessError
        This user may not read it.
    """
    try:
        content = content_of(path)
        return None if content is None else content.decode()
    except PermissionError as error:
        raise no_access(path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error


def record_in(path: BlobPath, text: str) -> dict[str, Any]:
    """Return the record that a file's text holds.

    Raises
    ------
    PublicationError
        The text is no JSON object.
    """
    try:
        record = json.loads(text)
    except ValueError as error:
        raise _unreadable(path, f"{error}") from error
    if not isinstance(record, dict):
        raise _unreadable(path, type(record).__name__)
    return record


def _unreadable(path: BlobPath, found: str) -> PublicationError:
    return PublicationError(
        expected="a JSON record",
        found=found,
        remedy="move the file away and run the command again",
        file=str(path),
    )


def file_sha256(path: BlobPath) -> str:
    """SHA-256 of a file's bytes, in hex.

    Raises
    ------
    AccessError
        This user may not read it.
    """
    digest = hashlib.sha256()
    try:
        source = store_of(path).open(path)
        with source.open("rb") if isinstance(source, Path) else source as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    except PermissionError as error:
        raise no_access(path) from error
    return digest.hexdigest()


def no_access(path: BlobPath) -> AccessError:
    """Return the error for a file that is no worse for it, but may not be read."""
    return AccessError(
        expected="a file that this user may read",
        found="no permission",
        remedy="give back the right to read it and the folders it lies in; delete nothing",
        file=str(path),
    )


def keep_damaged(path: BlobPath) -> None:
    """Copy a damaged file to ``<name>.damaged-<hash of its bytes>``: what is written in its place loses none of it.

    It stays where it is until then: a process killed between the two leaves it damaged, not gone.
    """
    write_bytes(path.with_name(f"{path.name}.damaged-{file_sha256(path)[:12]}"), store_of(path).get(path))
