"""The page on a command of one's own: its file and line go into a copy of the package, its test is run there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.plugins.test_extending import blocks_of


def test_the_file_and_the_line_of_the_page_make_a_command_that_its_test_passes(checkout: Path, tmp_path: Path) -> None:
    (_, command), (_, line), (_, test) = blocks_of(checkout / "docs" / "extending" / "command.md")
    (tmp_path / "home").mkdir()
    for name in ("nn_assets", "sql"):  # with what was compiled of them
        shutil.copytree(checkout / name, tmp_path / name)
    (tmp_path / "nn_assets" / "cli" / "commands" / "next_session.py").write_text(command)
    with (tmp_path / "nn_assets" / "cli" / "commands" / "__init__.py").open("a") as stream:
        stream.write(line)
    (tmp_path / "page.py").write_text(test)
    run = "import page\nfor name in [each for each in vars(page) if each.startswith('test_')]:\n    vars(page)[name]()"
    result = subprocess.run(
        [sys.executable, "-c", run],
        cwd=tmp_path,
        env=os.environ | {"NN_ASSETS_HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
