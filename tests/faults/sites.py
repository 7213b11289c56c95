"""Every place of the package that writes to a home, a ledger, an account or the anchor, as its source has it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "nn_assets"
WRITERS = {
    "append_alert", "append_segment", "anchor_head", "put", "put_all", "replace_file", "staged_folder", "write_bytes",
    "write_cube", "write_month", "write_record", "write_table", "write_text", "append_event", "note",
}  # fmt: skip
"""Names of functions that write, wherever they are called."""
ON = {"append": ("ledger", "transaction", "driver"), "open": ()}
"""Names that only write on what is called so; and files opened for more than reading."""


_MAY_WRITE = re.compile(rf"\b(?:{'|'.join(sorted({*WRITERS, *ON}))})\(")


@cache
def write_sites() -> dict[str, str]:
    """``module:function`` of each place that writes, and what it calls there, sorted."""
    sites: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        source = file.read_text("utf-8")
        if _MAY_WRITE.search(source) is None:
            continue
        module = str(file.relative_to(PACKAGE).with_suffix("")).replace("/", ".").removesuffix(".__init__")
        _look(ast.parse(source), module, "", sites)
    return {site: ", ".join(sorted(calls)) for site, calls in sorted(sites.items())}


def _look(node: ast.AST, module: str, function: str, sites: dict[str, set[str]]) -> None:
    if isinstance(node, ast.FunctionDef):
        function = node.name
    if name := _writes(node):
        sites.setdefault(f"{module}:{function}", set()).add(name)
    for child in ast.iter_child_nodes(node):
        _look(child, module, function, sites)


def _writes(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Name):
        return node.func.id if node.func.id in WRITERS else ""
    if not isinstance(node.func, ast.Attribute):
        return ""
    name, on = node.func.attr, ast.unparse(node.func.value).rpartition(".")[2]
    if name in WRITERS or (name in ON and on in ON[name]):
        return name
    modes = [ast.literal_eval(one) for one in node.args[:1] if isinstance(one, ast.Constant)]
    return "open" if name == "open" and any(set("wa+") & set(str(mode)) for mode in modes) else ""
