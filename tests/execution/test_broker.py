from __future__ import annotations

import pytest

from nn_assets.errors import SettingsError
from nn_assets.execution.broker import OpenBroker
from nn_assets.execution.registry import broker_of
from nn_assets.settings import ExecutionSettings
from tests.contracts.brokers import BrokerContract


class TestPaper(BrokerContract):
    @pytest.fixture
    def open_broker(self) -> OpenBroker:
        return broker_of("paper")


def test_a_name_that_nobody_registered_is_an_error_by_name() -> None:
    with pytest.raises(SettingsError, match="papr is no broker: did you mean paper"):
        broker_of("papr")


def test_the_broker_counts_when_it_is_another_than_paper() -> None:
    assert "broker" not in ExecutionSettings(broker="paper").counted()
    assert ExecutionSettings(broker="mine").counted()["broker"] == "mine"
