"""The blob store as a port: where content lies, whole or absent, under names like those of files.

The lake and the models keep everything in one. Its own member is the file system (``files.py``), whose names are
paths; in another store a name is a :class:`Key`, and everything above works on either. Which one a home has says
``roots.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, Self, TypeVar


class BlobPath(Protocol):
    """Name of a blob, or of a folder of blobs: a path of the file system, or a key in another store."""

    @property
    def name(self) -> str:
        """Its last part."""
        ...

    @property
    def stem(self) -> str:
        """Its last part without the suffix."""
        ...

    @property
    def suffix(self) -> str:
        """Of its last part, with the dot."""
        ...

    @property
    def parent(self) -> Self:
        """The folder that it lies in."""
        ...

    def __truediv__(self, name: str, /) -> Self: ...

    def __lt__(self, other: Any, /) -> bool: ...

    def __hash__(self) -> int: ...

    def with_name(self, name: str) -> Self:
        """Another one beside it."""
        ...


AnyPath = TypeVar("AnyPath", bound=BlobPath)


class BlobStore(Protocol[AnyPath]):
    """Blobs by name. A writer killed anywhere leaves each as it was, or as it was to be."""

    def put(self, path: AnyPath, *, durable: bool = True, if_absent: bool = False) -> AbstractContextManager[Path]:
        """Give a local file to fill, which is the blob when the block ends without an error, in the place of any.

        Parameters
        ----------
        durable : bool
            Whether it must outlive a power cut from then on.
        if_absent : bool
            Whether a blob that is there by then is left as it is.

        Raises
        ------
        FileExistsError
            It was to be absent, and is there.
        """
        ...

    def put_all(self, folder: AnyPath) -> AbstractContextManager[Path]:
        """Give a local folder to fill, whose files are the blobs of ``folder``, all at once, when the block ends.

        Raises
        ------
        FileExistsError
            There are blobs in it by then, which are left as they are.
        """
        ...

    def swap(self, path: AnyPath, content: bytes, before: bytes | None) -> None:
        """Put content in the place of what was there before, None for nothing: compare and set.

        Raises
        ------
        PublicationError
            Something else is there.
        """
        ...

    def get(self, path: AnyPath) -> bytes:
        """The content; FileNotFoundError where there is none."""
        ...

    def open(self, path: AnyPath) -> Path | BinaryIO:
        """What ranges of the content are read from: its local file, or a stream that seeks and is closed by its reader.

        Raises
        ------
        FileNotFoundError
            There is none, where that is known at once; else reading it raises.
        """
        ...

    def local(self, path: AnyPath) -> Path:
        """A local file of the content, which may be mapped into memory and is not written to."""
        ...

    def exists(self, path: AnyPath) -> bool:
        """Whether there is a blob of the name, or any in a folder of it."""
        ...

    def list(self, folder: AnyPath) -> list[AnyPath]:
        """The blobs and folders of a folder, in order; none where there is no such folder."""
        ...

    def remove(self, path: AnyPath) -> None:
        """Remove a blob; nothing where there is none."""
        ...

    def set_aside(self, folder: AnyPath, prefix: str) -> None:
        """Rename a folder to a name beside it that begins with a prefix and is not taken."""
        ...

    def lock(self, folder: AnyPath, waits: Callable[[], object]) -> AbstractContextManager[None]:
        """Hold a folder alone; another holder is waited for, after a call of ``waits``, and lets go by dying."""
        ...

    def sweep(self, root: AnyPath, *, older_than_seconds: float) -> int:
        """Remove what killed writers left under a folder, where it is older; how many files and folders."""
        ...


@dataclass(frozen=True)
class Key:
    """A name in a store that is no file system."""

    store: BlobStore[Key]
    key: PurePosixPath = field(default_factory=PurePosixPath)

    def __truediv__(self, name: str) -> Key:
        return Key(self.store, self.key / name)

    def __lt__(self, other: Key) -> bool:
        return self.key < other.key

    def __str__(self) -> str:
        return str(self.key)

    @property
    def name(self) -> str:
        """As of :class:`BlobPath`."""
        return self.key.name

    @property
    def stem(self) -> str:
        """As of :class:`BlobPath`."""
        return self.key.stem

    @property
    def suffix(self) -> str:
        """As of :class:`BlobPath`."""
        return self.key.suffix

    @property
    def parent(self) -> Key:
        """As of :class:`BlobPath`."""
        return Key(self.store, self.key.parent)

    def with_name(self, name: str) -> Key:
        """As of :class:`BlobPath`."""
        return Key(self.store, self.key.with_name(name))
