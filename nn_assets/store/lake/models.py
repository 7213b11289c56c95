"""The model store: a folder for each model, named by its address, whole or absent, hashed file by file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from nn_assets.errors import ModelError, PublicationError
from nn_assets.store.lake.files import (
    exists,
    listed,
    locked,
    no_access,
    read_record,
    staged_folder,
    store_of,
    sweep,
    write_record,
)
from nn_assets.store.lake.port import BlobPath
from nn_assets.store.lake.roots import models_root
from nn_assets.store.values import hash_of

_MANIFEST = "manifest.json"
_MODEL_ID = re.compile(r"[a-z0-9][a-z0-9_-]{7,127}")
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
_KINDS = (".safetensors", ".json", ".npy")  # formats that cannot carry code: no pickle, no archive


class ModelStore:
    """Models under a folder.

    Parameters
    ----------
    root : BlobPath, optional
        The folder; :func:`nn_assets.store.lake.roots.models_root` when left out. It need not exist yet.
    """

    def __init__(self, root: BlobPath | None = None) -> None:
        self.root: BlobPath = models_root() if root is None else root

    def put(self, model_id: str, files: Mapping[str, bytes]) -> str:
        """Store a model's files at once. Storing the same model again changes nothing.

        What the address holds of a damaged model is set aside first, beside it, as ``<model_id>.damaged-…``.

        Parameters
        ----------
        model_id : str
            The model's address: hash of data, code, configuration and seed.
        files : mapping of str to bytes
            File name to content; names end in ``.safetensors``, ``.json`` or ``.npy``.

        Returns
        -------
        str
            SHA-256 over the hashes of all files, in hex: what the ledger keeps of the artifact.

        Raises
        ------
        ModelError
            A name is not allowed, or the address was given to other files, by a manifest that is undamaged:
            the same inputs then gave different bits.
        """
        manifest = _manifest(model_id, files)
        folder = self.folder(model_id)
        if exists(folder) and not self.has(model_id):
            self._demand_same(model_id, manifest)
            self._set_aside(model_id)
        try:
            with staged_folder(folder) as staged:
                for name, content in files.items():
                    (staged / name).write_bytes(content)
                write_record(staged / _MANIFEST, manifest)
        except FileExistsError:
            self._demand_same(model_id, manifest)
        return str(manifest["artifact_sha256"])

    def get(self, model_id: str) -> dict[str, bytes]:
        """Read a model's files, each checked against its hash.

        Raises
        ------
        ModelError
            There is no such model, or a file is missing or damaged; then every damaged model of the store is named.
        """
        try:
            return self._read(model_id)
        except _DamagedModelError as error:
            others = [damaged_id for damaged_id in self._damaged_ids() if damaged_id != model_id]
            if not others:
                raise
            raise _damaged(", ".join([model_id, *others]), error.found, self.root) from error

    def _read(self, model_id: str) -> dict[str, bytes]:
        manifest = self._manifest_of(model_id)
        folder = self.folder(model_id)
        files: dict[str, bytes] = {}
        for name in sorted(manifest["files"]):
            try:
                files[name] = store_of(folder).get(folder / name)
            except PermissionError as error:
                raise no_access(folder / name) from error
            except OSError as error:
                raise _damaged(model_id, f"{name}: {type(error).__name__}", folder) from error
        if _manifest(model_id, files) != manifest:
            raise _damaged(model_id, "files whose SHA-256 is not the one in the manifest", folder)
        return files

    def has(self, model_id: str) -> bool:
        """Whether a model is there, whole and undamaged."""
        try:
            self._read(model_id)
        except ModelError:
            return False
        return True

    def artifact_sha256(self, model_id: str) -> str:
        """Return what :meth:`put` gave for a model.

        Raises
        ------
        ModelError
            There is no such model, or its manifest is damaged.
        """
        return str(self._manifest_of(model_id)["artifact_sha256"])

    def model_ids(self) -> tuple[str, ...]:
        """Addresses of the models there are, sorted."""
        return tuple(model_id for model_id in self._addresses() if exists(self.folder(model_id) / _MANIFEST))

    def sweep(self) -> int:
        """Remove what killed writers left staged more than a day ago; how many there were."""
        return sweep(self.root)

    def _set_aside(self, model_id: str) -> None:
        folder = self.folder(model_id)
        with locked(self.root):  # another process may have set it aside and stored it anew
            if exists(folder) and not self.has(model_id):
                store_of(folder).set_aside(folder, f"{model_id}.damaged-")

    def _addresses(self) -> list[str]:
        names = (path.name for folder in listed(self.root) for path in listed(folder))
        return sorted(name for name in names if _MODEL_ID.fullmatch(name))

    def _damaged_ids(self) -> list[str]:
        return [model_id for model_id in self._addresses() if not self.has(model_id)]

    def folder(self, model_id: str) -> BlobPath:
        """Where a model lies, whether or not it is there.

        Raises
        ------
        ModelError
            Something that is no address.
        """
        if not isinstance(model_id, str) or not _MODEL_ID.fullmatch(model_id):
            raise ModelError(
                expected="an address of at least 8 lower-case letters, digits, '-' or '_'",
                found=repr(model_id),
                remedy="store a model under the hash of what it was made from",
            )
        return self.root / model_id[:2] / model_id  # no folder ever holds every model

    def _manifest_of(self, model_id: str) -> dict[str, Any]:
        folder = self.folder(model_id)
        try:
            manifest = read_record(folder / _MANIFEST)
        except PublicationError as error:
            raise _damaged(model_id, error.found, folder) from error
        if manifest is None and exists(folder):
            raise _damaged(model_id, "a folder without its manifest", folder)
        if manifest is None:
            raise ModelError(
                expected=f"the model {model_id}",
                found="nothing stored under that address",
                remedy="nn-assets study, for the months that name it, fits it",
                file=str(folder),
                model_id=model_id,
            )
        hashes = manifest.get("files")
        if not isinstance(hashes, dict) or not all(map(_allowed, hashes)):
            raise _damaged(model_id, "a manifest without files", folder)
        if manifest != _manifest_from(model_id, hashes):
            raise _damaged(model_id, "a manifest that is not the one written", folder)
        return manifest

    def _demand_same(self, model_id: str, manifest: dict[str, Any]) -> None:
        try:
            stored = self._manifest_of(model_id)
        except _DamagedModelError:
            return  # nothing tells what the address held
        if stored != manifest:
            raise ModelError(
                expected=f"artifact {stored['artifact_sha256']}, which the address already holds",
                found=f"artifact {manifest['artifact_sha256']}",
                remedy="restore the folder from a backup, or find what the address leaves out: equal inputs must give "
                "equal bits",
                model_id=model_id,
            )


def _allowed(name: object) -> bool:
    return (
        isinstance(name, str) and _FILE_NAME.fullmatch(name) is not None and name.endswith(_KINDS) and name != _MANIFEST
    )


def _manifest(model_id: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    refused = [name for name in files if not _allowed(name)]
    if refused or not files:
        raise ModelError(
            expected=f"files named in lower case and ending in {', '.join(_KINDS)}",
            found=", ".join(map(repr, refused)) or "no file",
            remedy="store weights as safetensors and everything else as JSON; pickles are never kept",
            model_id=model_id,
        )
    return _manifest_from(
        model_id, {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    )


def _manifest_from(model_id: str, hashes: dict[str, Any]) -> dict[str, Any]:
    artifact = hash_of(hashes)
    return {"model_id": model_id, "artifact_sha256": artifact, "files": hashes}


class _DamagedModelError(ModelError):
    """A model that is there, but not as it was stored."""


def _damaged(model_id: str, found: str, folder: BlobPath) -> _DamagedModelError:
    return _DamagedModelError(
        expected="the model's files as they were stored",
        found=found,
        remedy="nn-assets study, for the months that use it, sets it aside and fits it again: the same inputs give the "
        "same bits",
        file=str(folder),
        model_id=model_id,
    )
