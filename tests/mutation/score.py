"""How many mutants died, which lived, and which of those change nothing that anyone could observe."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.mutation import results
from tests.mutation.operators import Mutant

__all__ = ["Score", "score"]


@dataclass(frozen=True)
class Score:
    """Counts of one list of mutants; ``living`` are those that lived and are not argued away."""

    mutants: int
    killed: int
    timed_out: int
    argued: int
    living: tuple[str, ...]
    missing: int
    seconds: float

    @property
    def died(self) -> int:
        """Killed by a test that failed, or by one that never came to an end."""
        return self.killed + self.timed_out

    @property
    def share_died(self) -> float:
        """Of all mutants, the argued ones among them."""
        return self.died / self.mutants

    @property
    def share_argued(self) -> float:
        return self.argued / self.mutants

    def __str__(self) -> str:
        summary = (
            f"{self.mutants} mutants: {self.died} died ({self.share_died:.1%}), {self.timed_out} of them by never "
            f"ending; {self.argued} argued to change nothing ({self.share_argued:.1%}); {len(self.living)} lived; "
            f"{self.missing} not run; {self.seconds:,.0f} s of processor time"
        )
        return "\n".join([summary, *(f"  lived: {one}" for one in self.living)])


def score(mutants: Iterable[Mutant], file: str = results.DRAWN) -> Score:
    """Count what became of these mutants."""
    mutants = list(mutants)
    have, argued = results.kept(file), results.arguments()
    pairs = [(mutant, have.get(mutant.address)) for mutant in mutants]
    lived = [mutant for mutant, one in pairs if one is not None and one.kind == "survived"]
    return Score(
        mutants=len(mutants),
        killed=sum(one is not None and one.kind == "killed" for _, one in pairs),
        timed_out=sum(one is not None and one.kind == "timed out" for _, one in pairs),
        argued=sum(mutant.argument in argued for mutant in lived),
        living=tuple(f"{mutant} ({mutant.argument})" for mutant in lived if mutant.argument not in argued),
        missing=sum(one is None for _, one in pairs),
        seconds=sum(one.seconds for _, one in pairs if one is not None),
    )
