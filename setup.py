"""The one step of the build that pyproject.toml has no words for: what lies beside the package goes into its wheel.

In a checkout ``sql/``, ``dagster.yaml`` and ``workspace.yaml`` are at the top. In a wheel they are inside the package,
where ``nn_assets.store.home`` finds them. There is one copy of each in version control. An editable install needs
none: it reads the checkout. A wheel also holds ``versions.json``, what ``nn_assets.versions`` read of its sources.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PACKAGE = "nn_assets"
SQL, SQL_ENDINGS = "sql", (".py", ".mako", ".sql")
VERSIONS = "versions.json"
INSTANCE, INSTANCE_FILES = "instance", ("dagster.yaml", "workspace.yaml")


def beside() -> dict[Path, Path]:
    """Files from beside the package, by their places inside it."""
    sql = sorted(file for file in Path(SQL).rglob("*") if file.suffix in SQL_ENDINGS)
    inside = {Path(PACKAGE, file): file for file in sql}
    return inside | {Path(PACKAGE, INSTANCE, name): Path(name) for name in INSTANCE_FILES}


def read_sources(package: Path) -> None:
    """Keep beside the sources what versions of code are told by: an installed package need not read them again."""
    sys.path.insert(0, str(Path(PACKAGE).resolve().parent))
    from nn_assets.versions import Package

    Package(package, package / VERSIONS).read_all()


class BuildWithBeside(build_py):
    """Builds the package anew, with nothing that an earlier build left in ``build/``, and with what lies beside it."""

    def run(self) -> None:
        """Build."""
        if self.editable_mode:
            return
        shutil.rmtree(Path(self.build_lib, PACKAGE), ignore_errors=True)
        super().run()
        for inside, source in beside().items():
            target = Path(self.build_lib, inside)
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))
        read_sources(Path(self.build_lib, PACKAGE))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:  # noqa: FBT001, FBT002  setuptools' own
        """What is built."""
        inside = [Path(PACKAGE, VERSIONS), *beside()]
        built = [] if self.editable_mode else [str(Path(self.build_lib, each)) for each in inside]
        return [*super().get_outputs(include_bytecode), *built]

    def get_source_files(self) -> list[str]:
        """What it is built from: a source distribution holds these."""
        return [*super().get_source_files(), *map(str, beside().values())]


setup(cmdclass={"build_py": BuildWithBeside})
