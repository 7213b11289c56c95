"""Five runs whose outcomes are known, told as JSON: that the runner can tell the killed from the living.

A process of its own, for the runner's parent must not have imported the package.
"""

from __future__ import annotations

import ast
import json
import sys

from tests.mutation.draw import CHECKOUT
from tests.mutation.runner import load_libraries, run_tests

_FILE = "nn_assets/portfolio/kelly.py"
_TESTS = "tests/portfolio/test_kelly.py"
_RIGHT = "bet = np.fmax((probability * odds - losing) / odds, 0.0)"


def main(tests: list[str]) -> None:
    """Run the file's tests against its own text and three changed ones."""
    load_libraries(
        ("numpy", "scipy.stats", "pandas", "hypothesis.strategies", "pytest", "clarabel", "yaml", "pydantic")
    )
    source = (CHECKOUT / _FILE).read_text()
    if _RIGHT not in source:
        raise ValueError(f"{_FILE} no longer holds {_RIGHT!r}")
    changed = {
        "nothing": source + "\n\nUNUSED = 1\n",
        "the sign of q": source.replace(_RIGHT, "bet = np.fmax((probability * odds + losing) / odds, 0.0)"),
        "it never ends": source.replace(_RIGHT, "while True: pass"),
        "it cannot be imported": source + "\nno_such_name\n",
    }
    asked = dict.fromkeys(changed, tests) | {"no test is there": [f"{_TESTS}::test_of_nothing"]}
    changed["no test is there"] = changed["the sign of q"]
    for name, text in changed.items():
        outcome = run_tests(dict.fromkeys(asked[name], 0.01), (_FILE, ast.parse(text)))
        print(json.dumps([name, outcome.kind, outcome.test]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
