"""One home, whatever folder a command starts in; one form of database address; no password printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from nn_assets.errors import InstallationError, LedgerError
from nn_assets.store import home as homes
from nn_assets.store.lake import roots


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NN_ASSETS_HOME", raising=False)
    monkeypatch.delenv("NN_ASSETS_DATABASE_URL", raising=False)


def test_the_home_is_in_the_checkout_unless_named(checkout: Path) -> None:
    assert homes.home() == checkout / ".nn_assets"
    assert homes.database_url() == f"sqlite:///{checkout}/.nn_assets/ledger.sqlite"
    assert roots.lake_root() == checkout / ".nn_assets" / "lake"
    assert roots.models_root() == checkout / ".nn_assets" / "models"


def test_a_sqlite_ledger_is_absent_until_its_own_file_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    assert homes.absent_ledger() == tmp_path / "ledger.sqlite"
    (tmp_path / "ledger.sqlite").touch()
    assert homes.absent_ledger() is None
    monkeypatch.setenv("NN_ASSETS_DATABASE_URL", "sqlite:///other.sqlite")
    assert homes.absent_ledger() == tmp_path / "other.sqlite"
    (tmp_path / "other.sqlite").touch()
    assert homes.absent_ledger() is None
    monkeypatch.setenv("NN_ASSETS_DATABASE_URL", "postgresql://db/ledger")
    assert homes.absent_ledger() is None


def test_a_named_home_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    assert homes.home() == tmp_path
    assert homes.database_url() == f"sqlite:///{tmp_path}/ledger.sqlite"


def test_an_empty_setting_counts_as_none(monkeypatch: pytest.MonkeyPatch, checkout: Path) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", " ")
    monkeypatch.setenv("NN_ASSETS_DATABASE_URL", "")
    assert homes.home() == checkout / ".nn_assets"
    assert homes.database_url().startswith("sqlite:///")


def test_commands_started_in_different_folders_share_a_home(checkout: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from nn_assets.store.home import home; print(home())"]
    for relative in ("", "somewhere"):
        homes_seen = {
            subprocess.run(
                command,
                cwd=folder,
                env={"PYTHONPATH": str(checkout), "NN_ASSETS_HOME": relative},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for folder in (checkout, tmp_path)
        }
        assert len(homes_seen) == 1


# --- outside a checkout ------------------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The package as if it were installed, in nobody's checkout; the user's home folder."""
    site = tmp_path / "site-packages"
    (site / "nn_assets" / "store").mkdir(parents=True)
    monkeypatch.setattr(homes, "__file__", str(site / "nn_assets" / "store" / "home.py"))
    monkeypatch.setattr(homes, "files", lambda _: site / "nn_assets")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    homes._is_checkout.cache_clear()
    return tmp_path / "user"


def test_an_installed_package_keeps_its_home_in_the_users(installed: Path) -> None:
    assert homes.checkout() is None
    assert homes.home() == installed / ".nn_assets"
    assert homes.database_url() == f"sqlite:///{installed}/.nn_assets/ledger.sqlite"


@pytest.mark.parametrize("named", ["work/nn", "~/work/nn", "./work/../work/nn"])
def test_a_relative_home_is_taken_from_the_users_whatever_the_folder(
    installed: Path, named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", named)
    monkeypatch.chdir(tmp_path)
    assert homes.home() == installed / "work" / "nn"


def test_another_projects_folder_is_no_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "site-packages" / "pyproject.toml").write_text(
        '[project]\nname = "theirs"\ndependencies = ["nn_assets"]\n', encoding="utf-8"
    )
    assert homes.checkout() is None
    assert homes.home() == installed / ".nn_assets"


def test_a_checkout_whose_project_file_is_half_merged_is_one_still(installed: Path, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    (site / "pyproject.toml").write_text('<<<<<<< HEAD\n[project]\nname = "nn_assets"\n', encoding="utf-8")
    assert homes.home() == site / ".nn_assets"


@pytest.mark.parametrize(
    ("named", "users"), [("", "relative"), ("mine", "relative"), ("~nobody-of-that-name/nn", "/srv")]
)
def test_a_home_that_cannot_be_told_is_refused_by_name(
    installed: Path, named: str, users: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", users)
    monkeypatch.setenv("NN_ASSETS_HOME", named)
    with pytest.raises(InstallationError, match="NN_ASSETS_HOME"):
        homes.home()


def test_a_user_without_a_home_names_one(installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(homes.Path, "home", nobody)
    with pytest.raises(InstallationError, match="NN_ASSETS_HOME"):
        homes.home()
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    assert homes.home() == tmp_path


def test_what_comes_with_the_package_is_inside_it_else_in_the_checkout(installed: Path, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    assert homes.sql_root() == site / "nn_assets" / "sql"
    (site / "pyproject.toml").write_text('name = "nn_assets"\n', encoding="utf-8")
    homes._is_checkout.cache_clear()
    assert homes.sql_root() == site / "sql"
    with pytest.raises(InstallationError, match=r"dagster\.yaml"):
        homes.instance_root()
    for folder in (site, site / "nn_assets" / "instance"):
        folder.mkdir(exist_ok=True)
        for name in ("dagster.yaml", "workspace.yaml"):
            (folder / name).write_text("", encoding="utf-8")
        assert homes.instance_root() == folder
    (site / "nn_assets" / "sql").mkdir()
    assert homes.sql_root() == site / "nn_assets" / "sql"


# --- addresses of databases --------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_bare_postgresql_address_means_psycopg_3(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NN_ASSETS_DATABASE_URL", f"{scheme}://quant:secret@db:5433/ledger")
    assert homes.database_url() == "postgresql+psycopg://quant:secret@db:5433/ledger"


def test_a_relative_sqlite_file_lies_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    assert homes.ledger_url("sqlite:///mine.sqlite") == f"sqlite:///{tmp_path}/mine.sqlite"


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:"])
def test_a_ledger_in_memory_is_refused(address: str) -> None:
    with pytest.raises(LedgerError, match="a file"):
        homes.ledger_url(address)


def test_a_printed_address_shows_no_password() -> None:
    shown = homes.safe_url("postgresql://quant:s3cret%40x@db/ledger?password=other&sslmode=require")
    assert "s3cret" not in shown
    assert "other" not in shown
    assert "quant" in shown
    assert "db/ledger" in shown


@pytest.mark.parametrize("address", ["postgresql://quant:s3@cret@db/ledger", "postgres://quant:x@y/cret@db/l?a=b"])
def test_a_password_with_a_bare_at_sign_is_refused_before_half_of_it_becomes_a_host(address: str) -> None:
    with pytest.raises(LedgerError, match="%40") as caught:
        homes.ledger_url(address)
    assert "cret" not in str(caught.value) + homes.safe_url(address)


def test_a_password_in_the_query_is_brought_to_where_it_is_hidden() -> None:
    address = homes.ledger_url("postgresql://db/ledger?user=quant&password=s3%40cret&sslmode=require")
    assert address == "postgresql+psycopg://quant:s3%40cret@db/ledger?sslmode=require"


def test_an_at_sign_in_a_files_name_is_one() -> None:
    address = homes.ledger_url("sqlite:////srv/a@b@c/ledger.sqlite")
    assert make_url(address).database == "/srv/a@b@c/ledger.sqlite"


def test_an_unreadable_address_is_refused_without_quoting_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NN_ASSETS_DATABASE_URL", "quant:s3cret@db")
    with pytest.raises(LedgerError) as caught:
        homes.database_url()
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in homes.safe_url("quant:s3cret@db")
