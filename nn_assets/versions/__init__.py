"""Versions of code: what a stored thing depends on is the definitions that its function refers to, and no others."""

from __future__ import annotations

from nn_assets.versions.package import Package, Registry, Root, changed_definitions, definitions_behind, version_of

__all__ = ["Package", "Registry", "Root", "changed_definitions", "definitions_behind", "version_of"]
