"""Where the blobs of a home lie: in its own folder, or in the store that an address names.

An address is a path, or ``scheme:`` and what follows; a plug-in brings a scheme by :func:`register_store`. The one in
``NN_ASSETS_STORE`` is that of all blobs of the home, for every command, the UI and every process that they start. The
home keeps on record which one it uses, in ``store.txt``, and another one is refused: by its text, and where that hides
a part by a hash of the address.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from nn_assets.errors import InstallationError, NnAssetsError, PluginError, did_you_mean
from nn_assets.plugins import GROUP, Registry, load, place_of
from nn_assets.store.home import home
from nn_assets.store.lake.files import FILES
from nn_assets.store.lake.port import BlobPath, BlobStore, Key

OpenStore = Callable[[str], BlobPath]
_OpenStore = TypeVar("_OpenStore", bound=OpenStore)

_ADDRESS_VARIABLE = "NN_ASSETS_STORE"
_PLUGIN_VARIABLE = "NN_ASSETS_STORE_PLUGIN"
_OWN = "."
_HOST = re.compile(r"[\w.-]*(?::\d+)?|\[[0-9a-fA-F:.]+\](?::\d+)?")
_DOUBTFUL = re.compile(r"[;=&:?#@]")
_HIDDEN = "(not shown)"
_HASHED = "sha256 "
_PORT = tuple(name for name in vars(BlobStore) if not name.startswith("_"))


def _files(address: str) -> Path:
    """The folder of an address such as ``file:///srv/blobs``."""
    parts = urlsplit(address)
    if parts.netloc or not parts.path.startswith("/"):
        raise ValueError("a whole path after file:// was expected, as in file:///srv/blobs")
    return Path(parts.path)


STORES: Registry[OpenStore] = Registry("store", {"file": _files})
"""What opens each kind of store on an address, by the address's scheme."""


def register_store(scheme: str) -> Callable[[_OpenStore], _OpenStore]:
    """Register a function from an address of this scheme to the root of a store: see :class:`~.port.Key`.

    It is called once a process for each address, and what it gives may be used by several threads.

    Raises
    ------
    PluginError
        The scheme is taken, or is no name.
    """

    def register(open_store: _OpenStore) -> _OpenStore:
        STORES.add(scheme, open_store, getattr(open_store, "__module__", __name__))
        return open_store

    return register


def blob_path(address: str) -> BlobPath:
    """The folder of blobs that an address names; a relative path is taken from the home.

    A scheme that no one registered yet is looked for in the plug-in that ``NN_ASSETS_STORE_PLUGIN`` names, a Python
    file (relative to the home) or an entry point, or else in the entry point that is called as the scheme.

    Raises
    ------
    InstallationError
        No one registers the scheme, its plug-in is not there or cannot be run, or the store cannot be opened.
    """
    scheme, colon, _ = address.partition(":")
    if not colon or "/" in scheme:
        return home() / _expanded(address, _ADDRESS_VARIABLE)
    if scheme not in STORES:
        _load_plugin(scheme)
    if scheme not in STORES:
        raise InstallationError(
            expected=f"a path, or an address whose scheme is one of {', '.join(STORES)}",
            found=f"the scheme {scheme!r}",
            remedy=f"{did_you_mean(scheme, STORES)}correct {_ADDRESS_VARIABLE}, or name in {_PLUGIN_VARIABLE} the "
            "Python file or the entry point that registers it",
            key=_ADDRESS_VARIABLE,
        )
    return _opened(STORES[scheme], address)


def _load_plugin(scheme: str) -> None:
    named = os.environ.get(_PLUGIN_VARIABLE, "").strip()
    if not named and scheme not in entry_points(group=GROUP).names:
        return
    try:
        load([str(home() / _expanded(named, _PLUGIN_VARIABLE)) if named.endswith(".py") else named or scheme])
    except PluginError as error:
        raise InstallationError(
            expected=error.expected,
            found=error.found,
            remedy=f"mend it, or correct {_PLUGIN_VARIABLE}: the path of a Python file, or an entry point's name",
            key=_PLUGIN_VARIABLE,
        ) from error


def _expanded(path: str, variable: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:  # no such user
        raise InstallationError(
            expected=f"a path in {variable}, from / or from the home folder of a user that there is",
            found=str(error),
            remedy=f"correct {variable}",
            key=variable,
        ) from error


@cache
def _opened(open_store: OpenStore, address: str) -> BlobPath:
    try:
        root = open_store(address)
        if not isinstance(root, (Key, Path)):
            raise TypeError(f"{root!r} was given, which is no Key of a store")
        store = root.store if isinstance(root, Key) else FILES
        if lacking := [name for name in _PORT if not callable(getattr(store, name, None))]:
            raise TypeError(f"{store!r} was given, a store without {', '.join(lacking)}")
    except (Exception, SystemExit) as error:  # whatever a person's function raises
        hidden = _tells(str(error), address)
        if isinstance(error, NnAssetsError) and not hidden:
            raise
        refused = InstallationError(
            expected=f"a store of blobs at {_safe(address)}",
            found=type(error).__name__ + (f", whose text {_HIDDEN[1:-1]} here" if hidden else f": {error}"),
            remedy=f"correct {_ADDRESS_VARIABLE}, or mend what registers its scheme",
            key=_ADDRESS_VARIABLE,
            **place_of(open_store, error),
        )
    else:
        return root
    raise refused  # here, so that no cause quotes the address, password and all


def _tells(text: str, address: str) -> bool:
    """Whether a text has a word of an address that may not be printed."""
    both = f"{address} {unquote(address)}", _safe(address)
    words, shown = (set(re.findall(r"\w+", part.casefold())) for part in both)
    return any(word in unquote(text).casefold() for word in words - shown)


def _named() -> str:
    return os.environ.get(_ADDRESS_VARIABLE, "").strip()


def _root() -> BlobPath:
    address = _named()
    root = blob_path(address) if address else home()
    if isinstance(root, Path) and address and (found := _no_folder(root)):
        # It may be mistyped, and would be made anew, and empty.
        raise InstallationError(
            expected=f"a folder that is there, in {_ADDRESS_VARIABLE}",
            found=found,
            remedy=f"correct {_ADDRESS_VARIABLE}, or make the folder first",
            file=_safe(str(root)),
        )
    (used, hash_of_used), named = _used(), _written(root)
    same = used is None or named in (used, _safe(used))
    apart = same and None not in (hashes := (hash_of_used, _hash(root, address))) and len({*hashes}) > 1
    # The variable may be forgotten in a shell or scheduler: all would be taken in again.
    if used is not None and (apart or not same):
        first = f"unset {_ADDRESS_VARIABLE}" if used == _OWN else f"set {_ADDRESS_VARIABLE} to the first"
        why = f"as {_ADDRESS_VARIABLE} {'says' if address else 'is unset'}"
        raise InstallationError(
            expected=f"the store that this home uses, {_shown(_safe(used))}",
            found=f"{_shown(named)}{', another address in what is not shown' if apart else ''}, {why}",
            remedy=f"{first}; or, where lake and models were copied to the second, "
            f"echo {shlex.quote(named)} > {shlex.quote(str(_record()))}",
            key=_ADDRESS_VARIABLE,
        )
    return root


def _no_folder(path: Path) -> str | None:
    """Why a path is no folder; None for one that is."""
    try:
        return None if path.is_dir() else "none"
    except OSError as error:  # a name that is too long, a folder that may not be entered
        return str(error.strerror)


def record_store() -> None:
    """Keep on record in the home which store it uses, unless it is on record, or the home itself has the blobs.

    A record that may not be printed as it is, or lacks the hash of what it hides, is written anew.
    """
    root, used = _root(), _used()
    store, kept = _written(root), (_written(root), _hash(root, _named()))
    if store == _OWN or kept == used:
        return
    lines = [store] if kept[1] is None else [store, f"{_HASHED}{kept[1]}"]
    with FILES.put(_record(), if_absent=used[0] is None) as file:
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _record() -> Path:
    return home() / "store.txt"


def _used() -> tuple[str | None, str | None]:
    """The store on record, and the hash of its address; without a record the home itself, once it has blobs."""
    try:
        store, _, more = _record().read_text(encoding="utf-8").strip().partition(f"\n{_HASHED}")
    except FileNotFoundError:
        blobs = (file for name in ("lake", "models") for file in (home() / name).rglob("*") if file.is_file())
        return (_OWN if any(blobs) else None), None
    return store, more or None


def _written(root: BlobPath) -> str:
    """A store as it is kept on record: no user, password or query; a folder in the home by its path from there."""
    if not isinstance(root, Path):
        return _safe(_named())
    return str(root.relative_to(home()) if root.is_relative_to(home()) else root)


def _shown(store: str) -> str:
    return str(home()) if store == _OWN else store


def lake_root() -> BlobPath:
    """Folder of the lake: in the home, or in the store that ``NN_ASSETS_STORE`` names; errors of `blob_path`."""
    return _root() / "lake"


def models_root() -> BlobPath:
    """Folder of the model artifacts, likewise."""
    return _root() / "models"


def store_in_force() -> str | None:
    """The address that ``NN_ASSETS_STORE`` names, as it may be printed; None where the home itself has the blobs."""
    return _safe(address) if (address := _named()) else None


def _safe(address: str) -> str:
    """An address without its user, password and query; its scheme and host alone, or its scheme, where in doubt.

    In doubt is a path with any of ``;=&:@``, and all of an address that has ``?`` or ``#`` before an ``@``, or no
    ``/`` after its scheme.
    """
    scheme, colon, rest = address.partition(":")
    if not colon or "/" in scheme:
        return re.sub(r"[^/]*:.*@", "", address, flags=re.DOTALL)
    slashes = "//" if rest.startswith("//") else ""
    user, _, behind = rest.removeprefix(slashes).rpartition("@")
    host, slash, path = re.split(r"[?#]", behind)[0].partition("/")
    named = (slashes or (rest.startswith("/") and not user)) and _HOST.fullmatch(host)
    if not named or re.search(r"[?#]", user):
        return f"{scheme}:{_HIDDEN}"
    return f"{scheme}:{slashes}{host}" + ("" if _DOUBTFUL.search(path) else slash + path)


def _hash(root: BlobPath, address: str) -> str | None:
    """SHA-256 of an address that :func:`_safe` shows in part alone, 64 hex digits; None of one that is kept whole.

    It is taken of the address without its user, password and the values of its query; of one in doubt of all of it, so
    that two are told apart. It has no key: whoever reads it can try whether an address that they guess is the one. Of
    an address in doubt they try the secret in it along with the rest: a long random key cannot be guessed, a short
    password can.
    """
    shown = _safe(address)
    if isinstance(root, Path) or shown == address:
        return None
    scheme, _, rest = address.partition(":")
    target, _, query = rest.rpartition("@")[2].partition("?")
    names = sorted(name for name, _ in parse_qsl(query, keep_blank_values=True))
    hashed = address if shown.endswith(_HIDDEN) else repr((scheme, target.removeprefix("//"), names))
    return hashlib.sha256(hashed.encode()).hexdigest()
