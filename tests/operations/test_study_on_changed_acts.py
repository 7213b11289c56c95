"""A study of months that are all trained looks at the records of acts too, before anything else."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from nn_assets.errors import AuditError, PublicationError
from nn_assets.operations.history import open_history
from nn_assets.operations.study import study_until
from nn_assets.store.home import embedded_ledger
from nn_assets.store.ledger.ledger import Ledger
from tests.orchestration.conftest import NAME, living_in, strategy_of, write_strategy


def study() -> None:
    with open_history(strategy_of()) as history:
        study_until(history, ["2017-05"], "r", lambda _: None)


def test_no_study_is_made_on_acts_that_were_changed(tmp_path: Path) -> None:
    write_strategy(tmp_path)
    with living_in(tmp_path):
        row = {"settings_hash": "h", "settings": {"a": 1}}
        with Ledger() as ledger:
            ledger.append("settings_versions", [row], run_id="r", strategy=NAME)
        with pytest.raises(PublicationError):  # as it was appended: what is missing is the data
            study()
        with sqlite3.connect(embedded_ledger()) as connection:
            connection.execute("DROP TRIGGER settings_versions_no_update")
            connection.execute("UPDATE settings_versions SET settings_hash = 'g'")
        connection.close()
        with pytest.raises(AuditError, match="settings_versions"):
            study()
