"""The first line of a study: the verdict, why nothing is traded by it, and its reason, as sentences."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from typer.testing import CliRunner

from nn_assets.cli import network_comparison
from nn_assets.cli.app import app
from nn_assets.cli.runs import conclusion_of
from nn_assets.store.lake.models import ModelStore


def _strategy(*, within: bool) -> Any:
    return SimpleNamespace(decisions=object() if within else None)


def test_a_study_within_the_session_says_first_that_it_is_studied_and_replayed_only() -> None:
    reason = "out-of-sample AUC 0.5"
    assert conclusion_of(_strategy(within=True), "cannot tell", reason) == (
        "cannot tell. It does not trade: it decides within the session (intraday.decisions), which is studied and "
        "replayed only; out-of-sample AUC 0.5"
    )
    assert conclusion_of(_strategy(within=False), "cannot tell", reason) == "cannot tell. Out-of-sample AUC 0.5"


def test_compare_networks_that_is_interrupted_says_how_many_models_it_keeps(tmp_path, monkeypatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        ModelStore().put("model-0000", {"model.json": b"{}"})
        raise KeyboardInterrupt

    monkeypatch.setenv("NN_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(network_comparison, "execute", lambda *_, **__: None)
    monkeypatch.setattr(network_comparison, "compare_networks", interrupted)
    answer = CliRunner().invoke(app, ["compare-networks", "-s", "index_daily"])
    assert (answer.exit_code, answer.stderr) == (130, "interrupted, 1 model kept\n")
