"""A decided session derived again by itself: equal to the bit, or with what explains that it is not."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from nn_assets.errors import AuditError, DecisionError
from nn_assets.operations.asof.settings_on_record import strategy_on_record
from nn_assets.operations.decisions import rederived_session as module
from nn_assets.operations.decisions.rederived_session import RederivedSession, rederive_session
from nn_assets.operations.history import open_history
from nn_assets.settings import Strategy
from nn_assets.store.ledger.ledger import Ledger
from tests.operations.test_as_known import CUT, Lived, strategy
from tests.orchestration.conftest import living_in

DAY = pd.Timestamp("2016-08-25")


@pytest.fixture
def restated_home(goes_on: Lived, tmp_path: Path) -> Iterator[Path]:
    """A copy of the home in which bars, actions and series were restated after the sessions of August."""
    with living_in(Path(shutil.copytree(goes_on.home, tmp_path / "home"))):
        yield tmp_path / "home"


def other(**portfolio: object) -> Strategy:
    of = strategy()
    return of.model_copy(update={"portfolio": of.portfolio.model_copy(update=portfolio)})


def test_a_session_is_equal_to_the_bit_and_one_changed_number_is_named(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del own_home
    before = Ledger().head()
    made = rederive_session(strategy(), DAY)
    assert made.equal
    assert made.ok
    assert made.lines[0].endswith("derived again from what was known then, and equal to the bit")
    assert Ledger().head() == before
    plain = module.session_frames

    def frames(*arguments):  # type: ignore[no-untyped-def]
        made = plain(*arguments)
        targets = made["target_positions"].copy()
        targets.loc[0, "target_quantity"] += 1.0
        return {**made, "target_positions": targets}

    monkeypatch.setattr(module, "session_frames", frames)
    made = rederive_session(strategy(), DAY)
    assert not made.ok
    assert any("target_quantity" in line for line in made.differing)
    assert "nothing explains it" in made.lines[1]


def test_settings_of_then_are_read_from_the_record(own_home: Path) -> None:
    del own_home
    now = other(single_name_limit=0.03)
    with open_history(now) as history:
        made = strategy_on_record(history.stores.ledger, now, strategy().content_hash())
        assert strategy_on_record(history.stores.ledger, now, "none of them") is None
    assert made is not None
    assert made.content_hash() == strategy().content_hash()
    assert made == strategy()


@pytest.mark.full
def test_a_session_of_other_settings_is_derived_under_those_of_then(own_home: Path) -> None:
    del own_home
    made = rederive_session(other(single_name_limit=0.03), DAY)
    assert made.equal
    assert "single_name_limit" in made.settings_then[0]
    assert made.settings_then[0].endswith("it is derived under those of then")


@pytest.mark.full
def test_what_arrived_since_is_counted_and_changes_nothing(restated_home: Path) -> None:
    del restated_home
    made: RederivedSession = rederive_session(strategy(), DAY)
    assert made.equal, made.differing
    text = " ".join(made.arrived)
    assert "bars arrived since, which it did not know" in text
    assert "corporate actions arrived since" in text


@pytest.mark.full
def test_a_model_that_is_gone_is_named_with_the_remedy(own_home: Path) -> None:
    shutil.rmtree(own_home / "models")
    made = rederive_session(strategy(), DAY)
    assert not made.ok
    assert "cannot be derived again: " in made.lines[0]
    assert made.model_id[:8] in made.refused


@pytest.mark.full
def test_a_changed_row_is_no_difference_but_a_changed_ledger(own_home: Path) -> None:
    with sqlite3.connect(own_home / "ledger.sqlite") as database:
        database.execute("DROP TRIGGER decisions_no_update")
        database.execute("UPDATE decisions SET verdict = 'edge found'")
    with pytest.raises(AuditError):
        rederive_session(strategy(), DAY)


def test_a_session_that_was_not_decided_is_refused(own_home: Path) -> None:
    del own_home
    with pytest.raises(DecisionError, match="2016-08-19, which was not decided; there are those up to "):
        rederive_session(strategy(), pd.Timestamp("2016-08-19"))
    assert CUT
