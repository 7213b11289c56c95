"""A book whose corporate actions cannot be read sends nothing: in which shares its orders are, is not known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nn_assets.contracts import ACTION_VERSIONS
from nn_assets.errors import PublicationError
from nn_assets.operations.accounts.reconciling import reconcile
from nn_assets.operations.accounts.sending import send_orders
from nn_assets.operations.facts import StoredFacts
from nn_assets.store.lake.publication import PublicationStore
from tests.operations.account_books import DECIDED, NOON, TRADED, Desk


class Actions:
    """What is published: a reverse split of AAA, 1 for 10, on the session that trades; unreadable while ``broken``."""

    broken = True

    def read(self, _: StoredFacts) -> pd.DataFrame:
        if self.broken:
            raise PublicationError(expected="the file as it was written", found="other bytes", remedy="restore it")
        moment = DECIDED.tz_localize("UTC")
        row = dict.fromkeys(ACTION_VERSIONS.columns, None) | {"source": "test", "known_at": moment, "value": 0.1}
        return pd.DataFrame([row | {"symbol": "AAA", "kind": "split", "ex_session": TRADED, "recorded_at": moment}])


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch) -> Actions:
    made = Actions()
    monkeypatch.setattr(StoredFacts, "action_versions", property(made.read))
    monkeypatch.setattr(PublicationStore, "current", lambda *_: object())
    return made


def test_nothing_is_sent_before_the_actions_are_read_and_then_in_the_shares_of_the_session(
    tmp_path: Path, actions: Actions
) -> None:
    desk = Desk.of(tmp_path, "one")
    desk.decided("one", {"AAA": 1000, "BBB": 10})
    send_orders(desk.driver())
    assert desk.venue.sends == []
    result = reconcile(desk.driver(), settles=False)
    assert result.state == "differs"
    assert "facts: the corporate actions of one cannot be read: other bytes" in result.sentence
    actions.broken = False
    assert reconcile(desk.driver(), settles=False).state == "agreed"
    send_orders(desk.driver())
    assert sorted(order.quantity for order in desk.venue.taken.values()) == [10.0, 100.0]


def test_what_was_committed_and_the_stops_that_rest_wait_as_they_are(tmp_path: Path, actions: Actions) -> None:
    desk = Desk.of(tmp_path, "one")
    actions.broken = False
    desk.decided("one", {"AAA": 1000}, held={"BBB": 30}, stops={"BBB": 40.0})
    desk.venue.held["BBB"] = 30.0
    desk.venue.answers = ["lost", "lost", "lost", "lost"]
    send_orders(desk.driver())
    sent = len(desk.venue.sends)
    actions.broken = True
    desk.moment += pd.Timedelta(minutes=5)
    send_orders(desk.driver())
    assert len(desk.venue.sends) == sent
    assert set(desk.statuses().values()) == {"doubtful"}
    actions.broken = False
    send_orders(desk.driver())
    assert sorted(order.quantity for order in desk.venue.taken.values()) == [-30.0, 100.0]
    actions.broken, desk.moment = True, NOON
    send_orders(desk.driver())
    assert list(desk.venue.status.values()) == ["working", "working"]
