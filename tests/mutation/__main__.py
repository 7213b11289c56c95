"""``python -m tests.mutation``: run the mutants whose results are missing or no longer stand, then say what lived.

It goes on where it stopped. ``--minutes 30`` begins no mutant after that time; ``--only portfolio/kelly`` takes the
files whose names hold that; ``--survivors`` runs the survivors again, for tests that came later; ``--named`` runs
those put in by hand alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterable

from tests.mutation import named, results, runner
from tests.mutation.draw import drawn
from tests.mutation.operators import Mutant
from tests.mutation.score import score


def run(
    mutants: Iterable[Mutant | named.Named],
    file: str,
    *,
    minutes: float = 1e6,
    budget: float = runner.BUDGET,
    survivors: bool = False,
) -> None:
    """Run every mutant without a result that stands."""
    have = results.kept(file)
    waiting = [
        mutant
        for mutant in mutants
        if (one := have.get(mutant.address)) is None or not one.stands or (survivors and one.kind == "survived")
    ]
    if not waiting:
        return
    print(f"{len(waiting)} mutants to run", flush=True)
    runner.load_libraries()
    for mutant in waiting.copy():  # the test that it is known to die by, or that killed it before, may do alone
        one = have.get(mutant.address)
        test = mutant.test if isinstance(mutant, named.Named) else "" if one is None else one.test
        if not test or not results.test_code(test):
            continue
        outcome = runner.run_tests({test: runner.LONGEST}, (mutant.file, mutant.tree()))
        if outcome.kind != "survived":
            results.write(mutant, outcome, file)
            waiting.remove(mutant)
            print(f"{outcome.seconds:.1f} s {outcome.kind}: {mutant}", flush=True)
    if not waiting:
        return
    reached = results.reach(named.TEST_FILES if file == named.FILE else ())
    ends = time.monotonic() + 60.0 * minutes
    loaded = False
    for index, mutant in enumerate(sorted(waiting, key=lambda candidate: not candidate.at_import)):
        if time.monotonic() > ends:
            break
        if not (mutant.at_import or loaded):
            runner.load_tests(sorted({name.partition("::")[0] for name in reached}))
            loaded = True
        tests = results.tests_for(mutant, reached, budget)
        outcome = runner.run_tests(tests, (mutant.file, mutant.tree())) if tests else runner.Outcome("survived")
        results.write(mutant, outcome, file)
        print(f"{index + 1}/{len(waiting)} {outcome.seconds:.1f} s {outcome.kind}: {mutant}", flush=True)


def main(arguments: list[str]) -> int:
    """Run what is missing, then print the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no mutant after this time")
    parser.add_argument("--budget", type=float, default=runner.BUDGET, help="processor seconds of tests a mutant")
    parser.add_argument("--only", default="", help="files whose names hold this")
    parser.add_argument("--survivors", action="store_true", help="run the survivors again")
    parser.add_argument("--drawn", action="store_true", help="leave out those put in by hand")
    parser.add_argument("--named", action="store_true", help="only those put in by hand")
    asked = parser.parse_args(arguments)
    if not asked.named:
        selected = [mutant for mutant in drawn() if asked.only in mutant.file]
        run(selected, results.DRAWN, minutes=asked.minutes, budget=asked.budget, survivors=asked.survivors)
        results.rewrite(drawn(), results.DRAWN)
    if not (asked.drawn or asked.named):  # a process that loaded the tests cannot import a changed constant any more
        survivors = ["--survivors"] * asked.survivors
        return subprocess.call([sys.executable, "-m", "tests.mutation", "--named", "--only", asked.only, *survivors])
    if asked.named:
        put_in = [fault for fault in named.NAMED if asked.only in fault.file]
        run(put_in, named.FILE, budget=named.BUDGET, survivors=asked.survivors)
    results.rewrite(named.NAMED, named.FILE)
    print(score(drawn()))
    print(score(named.NAMED, named.FILE))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
