"""Dagster's only entry: it hands on what orchestration builds."""

from __future__ import annotations

from nn_assets.orchestration.build import all_definitions

defs = all_definitions()
