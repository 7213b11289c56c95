"""Make the home of the last code that told versions by the bytes of whole folders, and had five cores of versions.

    NN_ASSETS_HOME=/srv/nn_assets_home python -m tests.home_before_versions.make_home

It ran once, on commit 37d96da, and wrote ``home.tar.gz`` beside it. Do not run it again: the point of that file is
that the code of then wrote it. What is in it is what the home of version 0.1 has in it, by the same commands, and no
test imports this module.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.home_0_1 import make_home as first

COMMIT = "37d96da23ac377f6a26ea53d24eaad3787d48c69"
ARCHIVE = Path(__file__).with_name("home.tar.gz")
MOST_BYTES = 1_200_000


def main() -> None:
    """Make it, and pack it beside this module."""
    first.COMMIT, first.ARCHIVE = COMMIT, ARCHIVE
    first.require_the_code_of_then()
    home = Path(os.environ["NN_ASSETS_HOME"])
    if ARCHIVE.exists():
        sys.exit(f"{ARCHIVE} is there: it was made once, and is not made again")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    first.write_house(home)
    first.write_pair(home)
    first.live(home)
    first.checkpoint(home)
    size = first.pack(home)
    print(f"{size:,} bytes")
    assert size <= MOST_BYTES, size


if __name__ == "__main__":
    main()
