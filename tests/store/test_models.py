"""A model is stored whole, once, under its address; what comes back is what went in, or an error."""

from __future__ import annotations

import hashlib
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nn_assets.errors import AccessError, ModelError
from nn_assets.store.lake.models import ModelStore
from tests.store.forbidden import forbid

FILES = {"weights.safetensors": bytes(range(256)) * 40, "model.json": b'{"seed": 7}'}
ADDRESS = "0f" * 16


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def test_a_model_comes_back_as_it_was_stored(store: ModelStore) -> None:
    assert not store.has(ADDRESS)
    artifact = store.put(ADDRESS, FILES)
    assert store.get(ADDRESS) == FILES
    assert store.has(ADDRESS)
    assert store.model_ids() == (ADDRESS,)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    canonical = json.dumps(hashes, sort_keys=True, separators=(",", ":")).encode()
    assert artifact == store.artifact_sha256(ADDRESS) == hashlib.sha256(canonical).hexdigest()


def test_storing_a_model_again_changes_nothing(store: ModelStore) -> None:
    artifact = store.put(ADDRESS, FILES)
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*") if path.is_file()}
    assert store.put(ADDRESS, dict(reversed(FILES.items()))) == artifact
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*") if path.is_file()} == before


def test_other_bits_under_the_same_address_are_refused(store: ModelStore) -> None:
    store.put(ADDRESS, FILES)
    with pytest.raises(ModelError, match="equal bits"):
        store.put(ADDRESS, FILES | {"model.json": b"{}"})
    assert store.get(ADDRESS) == FILES


DAMAGES = ["flip", "truncate", "delete", "manifest", "no files", "no manifest"]


def damage_model(store: ModelStore, damage: str, address: str = ADDRESS) -> Path:
    folder = store.root / address[:2] / address
    weights, manifest = folder / "weights.safetensors", folder / "manifest.json"
    if damage == "flip":
        weights.write_bytes(b"\x01" + FILES["weights.safetensors"][1:])
    elif damage == "truncate":
        weights.write_bytes(FILES["weights.safetensors"][:-1])
    elif damage == "delete":
        weights.unlink()
    elif damage == "manifest":
        manifest.write_text("{", encoding="utf-8")
    elif damage == "no files":
        manifest.write_text('{"files": {"../../etc/passwd": "x"}}', encoding="utf-8")
    else:
        manifest.unlink()
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_named(store: ModelStore, damage: str) -> None:
    store.put(ADDRESS, FILES)
    damage_model(store, damage)
    assert not store.has(ADDRESS)
    with pytest.raises(ModelError, match=ADDRESS) as caught:
        store.get(ADDRESS)
    assert "nn-assets study" in caught.value.remedy


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_set_aside_and_stored_again(store: ModelStore, damage: str) -> None:
    artifact = store.put(ADDRESS, FILES)
    folder = damage_model(store, damage)
    left = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert store.put(ADDRESS, FILES) == artifact
    assert store.get(ADDRESS) == FILES
    assert store.model_ids() == (ADDRESS,)
    (aside,) = folder.parent.glob(f"{ADDRESS}.damaged-*")
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == left


def test_other_bits_do_not_take_the_place_of_a_model_whose_manifest_is_whole(store: ModelStore) -> None:
    store.put(ADDRESS, FILES)
    folder = damage_model(store, "flip")
    with pytest.raises(ModelError, match="equal bits"):
        store.put(ADDRESS, FILES | {"model.json": b"{}"})
    assert list(folder.parent.iterdir()) == [folder]


def test_every_damaged_model_is_named_at_once(store: ModelStore) -> None:
    addresses = [letter * 32 for letter in "0abc"]
    for address in addresses:
        store.put(address, FILES)
    for address, damage in zip(addresses[:3], DAMAGES[-3:], strict=True):
        damage_model(store, damage, address)
    with pytest.raises(ModelError) as caught:
        store.get(addresses[1])
    assert [address in str(caught.value) for address in addresses] == [True, True, True, False]


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_a_model_that_may_not_be_read_is_not_taken_for_a_damaged_one(
    store: ModelStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(ADDRESS, FILES)
    forbid(monkeypatch, name)
    for asks in (store.has, store.get, lambda model_id: store.put(model_id, FILES)):
        with pytest.raises(AccessError, match=name):
            asks(ADDRESS)


@pytest.mark.parametrize(
    "name",
    ["model.pkl", "model.pt", "model.joblib", "model", "../x.json", "Model.json", ".json", "manifest.json"],
)
def test_only_formats_that_carry_no_code_are_kept(store: ModelStore, name: str) -> None:
    with pytest.raises(ModelError, match="safetensors"):
        store.put(ADDRESS, {name: pickle.dumps({})})
    assert not store.has(ADDRESS)


@pytest.mark.parametrize("address", ["", "short", "../../../x", "0F" * 16, "x" * 200, None])
def test_an_address_that_is_none_is_refused(store: ModelStore, address: str) -> None:
    with pytest.raises(ModelError):
        store.put(address, FILES)
    with pytest.raises(ModelError):
        store.get(address)


def test_a_model_of_no_files_is_refused(store: ModelStore) -> None:
    with pytest.raises(ModelError, match="no file"):
        store.put(ADDRESS, {})


def test_writers_of_the_same_model_agree(store: ModelStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        artifacts = set(pool.map(lambda _: store.put(ADDRESS, FILES), range(8)))
    assert len(artifacts) == 1
    assert store.get(ADDRESS) == FILES
    assert [path.name for path in (store.root / ADDRESS[:2]).iterdir()] == [ADDRESS]
