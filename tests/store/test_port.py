"""Both stores of blobs that there are: the home's files, and one in memory, by which the port is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from nn_assets.store.lake.port import BlobPath
from tests.contracts.blobs import BlobContract
from tests.contracts.memory_blobs import MemoryBlobs


class TestFiles(BlobContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> BlobPath:
        return tmp_path


class TestMemory(BlobContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> BlobPath:
        return MemoryBlobs(tmp_path).root
