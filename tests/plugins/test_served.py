"""A plug-in where Dagster serves: its code server and the process of a run that was launched there register it."""

from __future__ import annotations

import json
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from nn_assets.operations.history import open_history
from tests.browser.conftest import ServedUI, end, start_ui
from tests.orchestration.conftest import NAME, living_in, strategy_of
from tests.plugins.test_homes import with_plugins
from tests.plugins.texts import FEATURES

_ASSETS = ("raw_bars", "validated_bars", "features")
_REPOSITORY = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
_LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""
_STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
_MADE = """
query ($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode { assetMaterializations(limit: 1) { metadataEntries { label } } }
  }
}"""


def _asked(ui: ServedUI, query: str, **variables: Any) -> Any:
    host = ui.address.removeprefix("http://")
    headers = {"Cookie": ui.cookie, "Content-Type": "application/json", "Origin": ui.address}
    with closing(HTTPConnection(host, timeout=60)) as connection:
        connection.request("POST", "/graphql", json.dumps({"query": query, "variables": variables}), headers)
        answer = json.loads(connection.getresponse().read())
    assert "errors" not in answer, answer
    return answer["data"]


@pytest.mark.full
def test_a_run_launched_in_the_ui_computes_a_feature_of_a_file_beside_the_strategy(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with_plugins(home, my_features=FEATURES)
    ui = start_ui(home, tmp_path / "ui.log")
    try:
        (repository,) = _asked(ui, _REPOSITORY)["repositoriesOrError"]["nodes"]
        selector = {
            "repositoryName": repository["name"],
            "repositoryLocationName": repository["location"]["name"],
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": [NAME, asset]} for asset in _ASSETS],
        }
        launched = _asked(ui, _LAUNCH, params={"selector": selector, "mode": "default"})["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run, status, deadline = launched["run"]["runId"], "", time.monotonic() + 600.0
        while status not in ("SUCCESS", "FAILURE", "CANCELED") and time.monotonic() < deadline:
            time.sleep(1.0)
            status = _asked(ui, _STATUS, id=run)["runOrError"]["status"]
        assert status == "SUCCESS", (tmp_path / "ui.log").read_text(errors="replace")[-3000:]
        made = _asked(ui, _MADE, key={"path": [NAME, "features"]})["assetNodeOrError"]["assetMaterializations"]
        assert len(made) == 1
    finally:
        end(ui.process)
    with living_in(home), open_history(strategy_of()) as history:
        assert {"overnight_gap", "over_mean_10"} <= set(history.view().cube.names)
