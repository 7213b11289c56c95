"""Files that the system refuses to open, whoever asks: the superuser that tests may run as is refused nothing."""

from __future__ import annotations

import io
from typing import Any

import pytest


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Refuse to open a file whose path ends in that name."""
    real = io.open

    def refusing(path: Any, *arguments: Any, **named: Any) -> Any:
        if str(path).endswith(name):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(io, "open", refusing)
