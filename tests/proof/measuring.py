"""One panel measured: apart from the command, because a process that is spawned does not find what ``-m`` runs."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from typing import Any


def measure(table: str, panel: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """A panel's figures, and the processor seconds they took."""
    began = time.process_time()
    figures = importlib.import_module(f"tests.proof.{table}").measure(panel)
    return figures, time.process_time() - began
