"""Keys and passwords: named by an environment variable, read when used, never shown."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from nn_assets.errors import SourceError

_SHORTEST_SECRET = 4


@dataclass(frozen=True)
class EnvironmentKey:
    """A key by the name of its environment variable. The value is never kept, so no ``repr`` can show it."""

    variable: str

    def require(self, source: str, *, in_header: bool = False) -> None:
        """Refuse to go on without the key, or ``in_header`` with one that no header can carry.

        Raises
        ------
        SourceError
            Never says what the variable holds.
        """
        if not self.reveal():
            found = "it is not set, or empty"
        elif in_header and not re.fullmatch(r"[!-~]+", self.reveal()):
            found = "blanks, line breaks or letters beyond ASCII in it"
        else:
            return
        raise SourceError(
            expected=f"a value in the environment variable {self.variable}",
            found=found,
            remedy=f"set {self.variable} for the process that asks for data (export {self.variable}=...)",
            source=source,
            rule="key_given",
            key=self.variable,
        )

    def reveal(self) -> str:
        """Give the value, for the one request that needs it; empty where there is none."""
        return os.environ.get(self.variable, "").strip()


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Blot secrets out of a text, in the spellings that addresses and JSON use as well; the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            in_json = json.dumps(secret)[1:-1]
            for spelling in (secret, quote(secret, safe=""), quote_plus(secret), in_json, in_json.replace("/", "\\/")):
                text = text.replace(spelling, "***")
    return text


def how_to_install(extra: str) -> str:
    """What to type in the checkout, so that an optional package comes in the version that was tested."""
    return f".venv/bin/pip install -c constraints.txt -e '.[{extra}]'"


def missing_extra(extra: str, module: str) -> SourceError:
    """Make the error for a vendor whose optional packages are not installed."""
    return SourceError(
        expected=f"the package {module}, which source {extra} needs",
        found="it is not installed",
        remedy=how_to_install(extra),
        source=extra,
        rule="extra_installed",
        value=module,
    )
