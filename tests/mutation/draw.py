"""Which mutants are run: 600, balanced over the files of four rooms, by a fixed seed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.mutation.operators import Mutant, mutants_of

__all__ = ["CHECKOUT", "LEAST", "ROOMS", "SEED", "candidates", "drawn"]

CHECKOUT = Path(__file__).resolve().parents[2]
ROOMS = ("portfolio", "costs", "execution", "evaluation")
SEED = 9
LEAST = 600


def candidates() -> dict[str, list[Mutant]]:
    """Every mutant of the rooms' modules, by file."""
    files = sorted(path for room in ROOMS for path in (CHECKOUT / "nn_assets" / room).rglob("*.py"))
    named = {str(path.relative_to(CHECKOUT)): path.read_text() for path in files}
    return {file: mutants for file, source in named.items() if (mutants := mutants_of(file, source))}


def _turn(mutant: Mutant) -> str:
    """Its turn in the draw of its file: of the seed and the place, so that other places' changes leave it."""
    return hashlib.sha256(f"{SEED}|{mutant.place}".encode()).hexdigest()


def drawn() -> list[Mutant]:
    """The draw: as many of each file, all of a file that has fewer, and at least 600 together."""
    by_file = {file: sorted(mutants, key=_turn) for file, mutants in candidates().items()}
    share = 1
    while sum(min(share, len(mutants)) for mutants in by_file.values()) < LEAST:
        share += 1
    return [mutant for mutants in by_file.values() for mutant in mutants[:share]]
