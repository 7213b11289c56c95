"""The code behind a table: what of the package its modules refer to, themselves or by way of others."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from nn_assets.estimators import roots_of_fits
from nn_assets.versions import Package

CHECKOUT = Path(__file__).resolve().parent.parent.parent
PACKAGE = "nn_assets"
NOT_FOLLOWED = ("settings", "errors", "versions")
REGISTRIES = (
    "nn_assets.features.catalogue.registry:CATALOGUE",
    "nn_assets.learning.networks.registry:NETWORKS",
)


@cache
def code_of(table: str) -> str:
    """Hash over the package's definitions that a table's modules lead to, its settings and data; 12 hex digits.

    A comment, a docstring and a definition that nothing here refers to change nothing; the members of a registry count
    where its module is behind the table, for which of them a panel uses is known to its settings alone.
    """
    behind = modules_behind(f"tests.proof.{table}", CHECKOUT)
    taken = [_taken(file) for name, file in behind.items() if name.split(".")[0] != PACKAGE]
    roots = set().union(*(names for names, _ in taken))
    roots |= {registry for registry in REGISTRIES if registry.partition(":")[0] in behind}
    roots |= set(roots_of_fits()) if "nn_assets.learning.model" in behind else set()
    folders = set().union(*(folders for _, folders in taken)) | {CHECKOUT / PACKAGE / "settings"}
    digest = hashlib.sha256()
    for definition, content in sorted(Package(CHECKOUT / PACKAGE).definitions_behind(*sorted(roots)).items()):
        digest.update(f"{definition} {content}\n".encode())
    for file in sorted(file for folder in folders for file in folder.glob("*.*")):
        digest.update(f"{file.name} {_without_words(file)}\n".encode())
    return digest.hexdigest()[:12]


def _taken(file: Path) -> tuple[set[str], set[Path]]:
    """What a module takes from the package, each as ``module:name``, and the folders of data that it takes."""
    names, folders = set(), set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            whole = [alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE]
            assert not whole, f"{file}:{node.lineno}: name what is taken of {whole[0]}"
        if not isinstance(node, ast.ImportFrom) or str(node.module).split(".")[0] != PACKAGE:
            continue
        for alias in node.names:
            module = f"{node.module}.{alias.name}"
            if _file_of(module, CHECKOUT) is not None:
                names.add(f"{module}:")
            elif CHECKOUT.joinpath(*module.split(".")).is_dir():
                folders.add(CHECKOUT.joinpath(*module.split(".")))
            else:
                names.add(f"{node.module}:{alias.name}")
    return {name for name in names if name.split(".")[1].partition(":")[0] not in NOT_FOLLOWED}, folders


def _without_words(file: Path) -> str:
    """A module without its comments and docstrings; other files as they are."""
    if file.suffix != ".py":
        return file.read_text("utf-8")
    tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.dump(tree)


def modules_behind(name: str, checkout: Path = CHECKOUT) -> dict[str, Path]:
    """The file of every module of a checkout that one imports, itself among them; read, not imported."""
    modules: dict[str, Path] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop()
        file = _file_of(module, checkout)
        if module in modules or file is None:
            continue
        modules[module] = file
        waiting += [module.rpartition(".")[0]]  # a package's own code runs first
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{file}:{node.lineno}: imports are written in full here"
                waiting += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return modules


def _file_of(module: str, checkout: Path) -> Path | None:
    path = checkout.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if module and file.is_file()), None)
