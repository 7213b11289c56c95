"""A blob store that is no file system: it keeps all of it in memory."""

from __future__ import annotations

import io
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from nn_assets.errors import PublicationError
from nn_assets.store.lake.port import Key


class MemoryBlobs:
    """A member of the port of blob stores; what must be a local file is copied to a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._blobs = folder, dict[PurePosixPath, bytes]()
        self._locks: dict[PurePosixPath, threading.RLock] = {}

    @property
    def root(self) -> Key:
        return Key(self)

    @contextmanager
    def put(self, path: Key, *, durable: bool = True, if_absent: bool = False) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._folder) as staged:
            file = Path(staged) / "staged"
            file.touch()
            yield file
            if if_absent and path.key in self._blobs:
                raise FileExistsError(str(path))
            self._blobs[path.key] = file.read_bytes()

    @contextmanager
    def put_all(self, folder: Key) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._folder) as staged:
            yield Path(staged)
            if self.exists(folder):
                raise FileExistsError(str(folder))
            self._blobs |= {folder.key / file.name: file.read_bytes() for file in Path(staged).iterdir()}

    def swap(self, path: Key, content: bytes, before: bytes | None) -> None:
        if self._blobs.get(path.key) != before:
            raise PublicationError(expected="what was read", found="another", remedy="again", file=str(path))
        self._blobs[path.key] = content

    def get(self, path: Key) -> bytes:
        if path.key not in self._blobs:
            raise FileNotFoundError(str(path))
        return self._blobs[path.key]

    def open(self, path: Key) -> io.BytesIO:
        return io.BytesIO(self.get(path))

    def local(self, path: Key) -> Path:
        content = self.get(path)
        file = Path(tempfile.mkdtemp(dir=self._folder)) / path.name
        file.write_bytes(content)
        return file

    def exists(self, path: Key) -> bool:
        return any(path.key == key or path.key in key.parents for key in self._blobs)

    def list(self, folder: Key) -> list[Key]:
        depth = len(folder.key.parts)
        inside = {key.parts[depth] for key in self._blobs if folder.key in key.parents}
        return [folder / name for name in sorted(inside)]

    def remove(self, path: Key) -> None:
        self._blobs.pop(path.key, None)

    def set_aside(self, folder: Key, prefix: str) -> None:
        taken = sum(path.name.startswith(prefix) for path in self.list(folder.parent))
        aside = folder.key.with_name(f"{prefix}{taken}")
        for key in [key for key in self._blobs if folder.key in key.parents]:
            self._blobs[aside / key.relative_to(folder.key)] = self._blobs.pop(key)

    @contextmanager
    def lock(self, folder: Key, waits: Callable[[], object]) -> Iterator[None]:
        lock = self._locks.setdefault(folder.key, threading.RLock())
        if not lock.acquire(blocking=False):
            waits()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def sweep(self, root: Key, *, older_than_seconds: float) -> int:
        return 0
