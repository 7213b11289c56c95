"""The model store: a folder for each model, named by its address, whole or absent, hashed file by file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nn_assets.errors import ModelError, PublicationError
from nn_assets.store.home import models_root
from nn_assets.store.lake.files import read_record, staged_folder, sweep, write_record
from nn_assets.store.values import canonical_json

__all__ = ["ModelStore"]

_MANIFEST = "manifest.json"
_MODEL_ID = re.compile(r"[a-z0-9][a-z0-9_-]{7,127}")
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,127}")
_KINDS = (".safetensors", ".json", ".npy")  # formats that cannot carry code: no pickle, no archive


class ModelStore:
    """Models under a folder.

    Parameters
    ----------
    root : Path, optional
        The folder; :func:`nn_assets.store.home.models_root` when left out. It need not exist yet.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = models_root() if root is None else Path(root)

    def put(self, model_id: str, files: Mapping[str, bytes]) -> str:
        """Store a model's files at once. Storing the same model again changes nothing.

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
            A name is not allowed, or the address already holds other, undamaged files: the same
            inputs then gave different bits.
        """
        manifest = _manifest(model_id, files)
        place = self._place(model_id)
        try:
            with staged_folder(place) as staged:
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
            There is no such model, or a file is missing, damaged or one too many.
        """
        manifest = self._manifest_of(model_id)
        place = self._place(model_id)
        files: dict[str, bytes] = {}
        for name in sorted(manifest["files"]):
            try:
                files[name] = (place / name).read_bytes()
            except OSError as error:
                raise _damaged(model_id, f"{name}: {type(error).__name__}", place) from error
        if _manifest(model_id, files) != manifest:
            raise _damaged(model_id, "files whose SHA-256 is not the one in the manifest", place)
        return files

    def has(self, model_id: str) -> bool:
        """Whether a model is there, whole and undamaged."""
        try:
            self.get(model_id)
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
        found = self.root.glob(f"*/*/{_MANIFEST}")
        return tuple(sorted(path.parent.name for path in found if _MODEL_ID.fullmatch(path.parent.name)))

    def sweep(self) -> int:
        """Remove what killed writers left staged more than a day ago; how many there were."""
        return sweep(self.root)

    def _place(self, model_id: str) -> Path:
        if not isinstance(model_id, str) or not _MODEL_ID.fullmatch(model_id):
            raise ModelError(
                expected="an address of at least 8 lower-case letters, digits, '-' or '_'",
                found=repr(model_id),
                remedy="store a model under the hash of what it was made from",
            )
        return self.root / model_id[:2] / model_id  # no folder ever holds every model

    def _manifest_of(self, model_id: str) -> dict[str, Any]:
        place = self._place(model_id)
        try:
            manifest = read_record(place / _MANIFEST)
        except PublicationError as error:
            raise _damaged(model_id, error.found, place) from error
        if manifest is None:
            raise ModelError(
                expected=f"the model {model_id}",
                found="nothing stored under that address",
                remedy="train it: materialise trained_model for the months that name it",
                file=str(place),
                model_id=model_id,
            )
        if not isinstance(manifest.get("files"), dict) or not all(map(_allowed, manifest["files"])):
            raise _damaged(model_id, "a manifest without files", place)
        return manifest

    def _demand_same(self, model_id: str, manifest: dict[str, Any]) -> None:
        self.get(model_id)
        stored = self._manifest_of(model_id)
        if stored != manifest:
            raise ModelError(
                expected=f"artifact {stored['artifact_sha256']}, which the address already holds",
                found=f"artifact {manifest['artifact_sha256']}",
                remedy="find what the address leaves out: equal inputs must give equal bits",
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
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    artifact = hashlib.sha256(canonical_json(hashes).encode()).hexdigest()
    return {"model_id": model_id, "artifact_sha256": artifact, "files": hashes}


def _damaged(model_id: str, found: str, place: Path) -> ModelError:
    return ModelError(
        expected="the model's files as they were stored",
        found=found,
        remedy="delete the folder and materialise trained_model again: the same inputs give the same bits",
        file=str(place),
        model_id=model_id,
    )
