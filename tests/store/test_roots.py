"""Which store of blobs an address names: of the environment for a whole home, of Dagster's resource for its own."""

from __future__ import annotations

import hashlib
import json
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nn_assets import plugins
from nn_assets.cli.app import app
from nn_assets.errors import InstallationError
from nn_assets.operations.stores import open_stores
from nn_assets.orchestration.resources import StoresResource
from nn_assets.store.lake.port import Key
from nn_assets.store.lake.roots import blob_path, lake_root, models_root, store_in_force
from tests.first_lines import in_one_sentence
from tests.matrices import often

MEMORY = """
from pathlib import Path

from nn_assets.store.lake.port import Key
from nn_assets.store.lake.roots import register_store
from tests.contracts.memory_blobs import MemoryBlobs


@register_store("memory")
def memory(address):
    return Key(MemoryBlobs(Path(address.removeprefix("memory://"))))
"""
STRATEGY = """
name: mine
source: {kind: simulator, seed: 5}
market: {symbols: [SIM01], history_starts: 2016-01-04, history_ends: 2016-02-29}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "home"
    (folder / "strategies").mkdir(parents=True)
    (folder / "strategies" / "mine.yaml").write_text(STRATEGY)
    (folder / "my_memory.py").write_text(MEMORY)
    monkeypatch.setenv("NN_ASSETS_HOME", str(folder))
    for name in ("NN_ASSETS_STORE", "NN_ASSETS_STORE_PLUGIN", "NN_ASSETS_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    plugins.forget()


def named(monkeypatch: pytest.MonkeyPatch, store: str, plugin: str = "") -> None:
    monkeypatch.setenv("NN_ASSETS_STORE", store)
    monkeypatch.setenv("NN_ASSETS_STORE_PLUGIN", plugin)


def test_a_home_that_names_no_store_keeps_its_own_blobs(home: Path) -> None:
    assert (lake_root(), models_root(), store_in_force()) == (home / "lake", home / "models", None)


@pytest.mark.parametrize("address", ["{home}/blobs", "file://{home}/blobs", "blobs"])
def test_a_path_is_a_folder_of_the_file_system(home: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, address.format(home=home))
    with pytest.raises(InstallationError, match="a folder that is there, in NN_ASSETS_STORE"):
        lake_root()
    (home / "blobs").mkdir()
    assert (lake_root(), models_root()) == (home / "blobs" / "lake", home / "blobs" / "models")


def test_whatever_opens_stores_opens_the_one_that_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, f"memory://{home}", "my_memory.py")
    with open_stores() as stores, StoresResource().opened() as of_dagster:
        roots = [stores.lake.root, stores.models.root, of_dagster.lake.root, StoresResource().lake_alone().root]
    assert [str(root) for root in roots] == ["lake", "models", "lake", "lake"]
    assert len({id(root.store) for root in roots if isinstance(root, Key)}) == 1
    with StoresResource(lake=f"memory://{home}/other", models="kept").opened() as elsewhere:
        assert isinstance(elsewhere.lake.root, Key)
        assert elsewhere.lake.root.store not in {root.store for root in roots if isinstance(root, Key)}
        assert elsewhere.models.root == home / "kept"


def test_an_installed_package_brings_the_scheme_that_its_entry_point_is_called_by(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packages = tmp_path / "packages"
    (metadata := packages / "memory_store-1.0.dist-info").mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: memory-store\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[nn_assets.plugins]\nmemory = memory_store\n")
    (packages / "memory_store.py").write_text(MEMORY)
    monkeypatch.syspath_prepend(packages)
    named(monkeypatch, f"memory://{home}")
    assert isinstance(lake_root(), Key)


OUT_OF_REACH = {
    "a scheme of no one": (
        "memroy://there",
        "my_memory.py",
        r"one of file, memory; found the scheme 'memroy'.*memory\?",
    ),
    "no plug-in named": ("nowhere://there", "", r"one of file; found the scheme 'nowhere'.*NN_ASSETS_STORE_PLUGIN"),
    "a plug-in that is not there": ("memory://there", "other.py", r"NN_ASSETS_STORE_PLUGIN\] .*no such file"),
    "an entry point that is none": ("memory://there", "other", r"NN_ASSETS_STORE_PLUGIN\] .*found 'other'"),
    "a store that does not open": (
        "memory://me:secret@there?key=secret",
        "fault.py",
        "at memory://there; found OSError: x",
    ),
    "a store that tells its address": (
        "memory://me:top%20secret@there?key=secret",
        "telling.py",
        r"telling\.py, line 12.* at memory://there; found ValueError, whose text not shown here",
    ),
    "an error of the package that tells it": (
        "memory://me:secret@there",
        "refusing.py",
        "found SourceError, whose text not shown here",
    ),
    "the home of no user": ("~nosuch/x", "", "a user that there is; found .*determine home"),
    "a plug-in of no user": ("memory://there", "~nosuch/x.py", r"NN_ASSETS_STORE_PLUGIN\] expected a path"),
    "no store": ("memory://there", "none.py", "None was given, which is no Key of a store"),
    "a store without its port": ("memory://there", "number.py", "5 was given, a store without put, put_all, swap, get"),
    "a file of another machine": ("file://there/blobs", "", "a whole path after file:// was expected"),
}
IN_EVERY_RUN = (
    "a store that tells its address",
    "an error of the package that tells it",
    "the home of no user",
    "no store",
)


def out_of_reach(home: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> tuple[str, str]:
    """Name a store that is out of reach; its address, and what is said of it."""
    address, plugin, message = OUT_OF_REACH[case]
    begin = MEMORY[: MEMORY.index("    return")]
    (home / "fault.py").write_text(begin + "    raise OSError('x')\n")
    (home / "number.py").write_text(begin + "    from nn_assets.store.lake.port import Key\n    return Key(5)\n")
    (home / "none.py").write_text(begin + "    return None\n")
    telling = "    from urllib.parse import unquote\n    raise ValueError(f'no answer of {unquote(address)}')\n"
    (home / "telling.py").write_text(begin + telling)
    refusing = "    from nn_assets.errors import SourceError as E\n    raise E(expected='', found=address, remedy='')\n"
    (home / "refusing.py").write_text(begin + refusing)
    named(monkeypatch, address, plugin)
    return address, message


@pytest.mark.parametrize("case", OUT_OF_REACH)
def test_a_store_out_of_reach_is_named_without_its_secrets(
    home: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    address, message = out_of_reach(home, monkeypatch, case)
    with pytest.raises(InstallationError, match=message) as refused:
        blob_path(address)
    assert not re.search("secret(?![_s])", "".join(traceback.format_exception(refused.value)))


@pytest.mark.parametrize("case", often(OUT_OF_REACH, *IN_EVERY_RUN))
def test_a_store_out_of_reach_is_told_without_its_secrets_and_does_not_keep_from_halting(
    home: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    out_of_reach(home, monkeypatch, case)
    answer = CliRunner().invoke(app, ["status", "--json"])
    assert answer.exit_code == 1
    assert json.loads(answer.output)["error"] == "InstallationError"
    assert not re.search("secret(?![_s])", answer.output)
    halt = ["control", "kill-switch", "HALTED", "--strategy", "mine", "--who", "me", "--reason", "out of reach"]
    assert CliRunner().invoke(app, halt).exit_code == 0


@pytest.mark.parametrize("path", ["y" * 300, "file:///" + "y" * 300, "s3//me:secret@there"])
def test_a_path_that_cannot_be_a_folder_is_refused_by_name(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, path)
    with pytest.raises(InstallationError, match="a folder that is there, in NN_ASSETS_STORE; found") as refused:
        lake_root()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://me:pa#ss@host/x", "s3:(not shown)"),
        ("s3://me:pa?ss@host/x", "s3:(not shown)"),
        ("s3://host/x?key=a@b", "s3:(not shown)"),
        ("s3:me:pass@host/x", "s3:(not shown)"),
        ("s3:/me:pass@host", "s3:(not shown)"),
        ("az:Default;AccountKey=pass==", "az:(not shown)"),
        ("az://Default;AccountKey=pass==", "az:(not shown)"),
        ("az://host/x;AccountKey=pass", "az://host"),
        ("s3://me:pa@ss@host:9000/x/y", "s3://host:9000/x/y"),
        ("s3://me:pa/ss@[::1]:9000/x", "s3://[::1]:9000/x"),
        ("db+x://me:pass@host/x?password=pass", "db+x://host/x"),
        ("s3:me:pa\nss", "s3:(not shown)"),
        ("file:/srv/blobs", "file:/srv/blobs"),
        ("/srv/a b/c?d#e", "/srv/a b/c?d#e"),
        ("s3//me:pass@host/x", "s3//host/x"),
    ],
)
def test_of_an_address_what_may_be_secret_is_never_shown(
    address: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, address)
    assert store_in_force() == shown


def test_a_record_with_a_secret_is_that_of_the_same_store_and_is_written_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, "memory:me:secret@one", "my_memory.py")
    (home / "store.txt").write_text("memory:me:secret@one\n")  # as it was kept before
    with open_stores():
        pass
    kept, hashed = (home / "store.txt").read_text().splitlines()
    assert kept == "memory:(not shown)"
    assert hashed == f"sha256 {hashlib.sha256(b'memory:me:secret@one').hexdigest()}"
    (home / "store.txt").write_text("memory:me:secret@one\n")
    monkeypatch.delenv("NN_ASSETS_STORE")
    with pytest.raises(InstallationError, match=r"this home uses, memory:\(not shown\); found") as refused:
        lake_root()
    assert "secret@" not in str(refused.value)


@pytest.mark.parametrize(
    ("first", "second", "other"),
    [
        ("memory:Key=a;Container=one", "memory:Key=a;Container=two", True),
        ("memory://host/one;Key=a", "memory://host/two;Key=a", True),
        ("memory://me:old@host/one?key=old", "memory://me:new@host/one?key=new", False),  # a password that was renewed
        ("memory://host/one?key=old", "memory://me:new@host/one?key=new", False),
    ],
)
def test_two_addresses_of_one_text_are_told_apart_but_by_their_secrets(
    home: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str, other: bool
) -> None:
    named(monkeypatch, first, "my_memory.py")
    with open_stores():
        pass
    assert lake_root()
    named(monkeypatch, second, "my_memory.py")
    if not other:
        assert lake_root()
        return
    with pytest.raises(InstallationError, match="another address in what is not shown, as NN_ASSETS_STORE says"):
        lake_root()
    store = (home / "store.txt").read_text().splitlines()[0]
    (home / "store.txt").write_text(f"{store}\n")  # as the remedy says
    with open_stores():
        assert lake_root()
    named(monkeypatch, first, "my_memory.py")
    with pytest.raises(InstallationError, match="another address"):
        lake_root()


def test_status_says_which_store_is_in_force(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, "file:///", "")
    assert CliRunner().invoke(app, ["status"]).output.endswith("\nlake and models: file:///, as NN_ASSETS_STORE says\n")
    named(monkeypatch, f"memory://me:secret/@{home}?key=secret", "my_memory.py")
    answer = json.loads(CliRunner().invoke(app, ["status", "--json"]).output)
    assert answer["store"] == f"memory://{home}"
    assert not re.search("secret", str(answer))


def test_a_home_uses_the_store_that_it_used_first_until_its_record_says_another(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (home / name).mkdir()
    named(monkeypatch, "memory://me:secret@/one?key=secret", "my_memory.py")
    with open_stores():
        pass
    assert (home / "store.txt").read_text().startswith("memory:///one\nsha256 ")
    monkeypatch.delenv("NN_ASSETS_STORE")  # forgotten in a scheduler's environment
    with pytest.raises(InstallationError, match=rf"uses, memory:///one; found {home}, .* unset.* echo \. > {home}/"):
        lake_root()
    refused = CliRunner().invoke(app, ["status", "--json"])
    assert (refused.exit_code, json.loads(refused.output)["error"]) == (1, "InstallationError")
    for words in (["status"], ["status", "--strategy", "mine"]):
        shown = CliRunner().invoke(app, words)
        assert shown.exit_code == 1
        assert in_one_sentence(shown.output).startswith(
            f"mine HALTED: {home}, as NN_ASSETS_STORE is unset (key NN_ASSETS_STORE); expected the store that this "
            "home uses, memory:///one. A person is needed: set NN_ASSETS_STORE to the first; or, where lake and "
        )
        assert "index_daily" not in shown.output  # it comes with the package, and was never used
    checked = CliRunner().invoke(app, ["check", "--strategy", "mine"])
    assert checked.stderr.startswith("InstallationError: [key NN_ASSETS_STORE] expected the store that this home uses")
    halt = ["control", "kill-switch", "HALTED", "--strategy", "mine", "--who", "me", "--reason", "another store"]
    assert CliRunner().invoke(app, halt).exit_code == 0
    named(monkeypatch, f"file://{home}/two")
    with pytest.raises(InstallationError, match=r"memory:///one; found two, as NN_ASSETS_STORE says.* echo two > "):
        models_root()
    (home / "store.txt").write_text("two\n")  # as the remedy says
    assert lake_root() == home / "two" / "lake"


def test_a_home_with_blobs_of_its_own_refuses_a_store_and_an_empty_one_takes_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "blobs").mkdir()
    (home / "lake" / "mine").mkdir(parents=True)
    named(monkeypatch, "blobs")
    assert lake_root() == home / "blobs" / "lake"
    assert not (home / "store.txt").exists()  # what only asks records nothing
    (home / "lake" / "mine" / "current.json").write_text("{}")
    with pytest.raises(InstallationError, match=rf"uses, {home}; found blobs.*unset NN_ASSETS_STORE; or"):
        lake_root()
    named(monkeypatch, f"file://{home}")  # its own folders by their address
    with open_stores():
        assert not (home / "store.txt").exists()
    monkeypatch.delenv("NN_ASSETS_STORE")
    assert lake_root() == home / "lake"
