"""The code behind a table: what of the package its module imports, itself or by way of others."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PACKAGE = "nn_assets"


@cache
def code_of(table: str) -> str:
    """Hash over the package's modules behind a table and the data beside them, 12 hex digits."""
    behind = modules_behind(f"tests.proof.{table}")
    sources = {file for name, file in behind.items() if name.split(".")[0] == PACKAGE}
    sources |= {data for file in sources for data in file.parent.glob("*.csv")}
    digest = hashlib.sha256()
    for file in sorted(sources):
        digest.update(file.relative_to(CHECKOUT).as_posix().encode() + b"\0")
        digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]


def modules_behind(name: str, checkout: Path = CHECKOUT) -> dict[str, Path]:
    """The file of every module of a checkout that one imports, itself among them; read, not imported."""
    found: dict[str, Path] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop()
        file = _file_of(module, checkout)
        if module in found or file is None:
            continue
        found[module] = file
        waiting += [module.rpartition(".")[0]]  # a package's own code runs first
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                waiting += [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{file}:{node.lineno}: imports are written in full here"
                waiting += [str(node.module), *(f"{node.module}.{each.name}" for each in node.names)]
    return found


def _file_of(module: str, checkout: Path) -> Path | None:
    place = checkout.joinpath(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if module and file.is_file()), None)
