"""Every fault of the contract is caught by its check, and the same check passes on the code as it is."""

from __future__ import annotations

import json

import pytest

from tests.proof import faults
from tests.proof.results import Result


@pytest.mark.parametrize("key", list(faults.FAULTS))
def test_the_check_passes_on_the_code_as_it_is_and_catches_the_fault(key: str) -> None:
    figures = faults.measure({"fault": key})
    assert json.loads(json.dumps(figures)) == figures
    assert not figures["wrong_when_healthy"], figures["healthy"]
    assert figures["caught"], figures["faulty"]
    assert figures["healthy"] != figures["faulty"]


def test_every_fault_of_the_contract_is_there() -> None:
    assert {fault.number for fault in faults.FAULTS.values()} == set(range(1, 12))
    assert len(faults.panels()) == len(faults.FAULTS)


def made(key: str, *, healthy: bool = False, caught: bool = True) -> Result:
    figures = {"wrong_when_healthy": healthy, "caught": caught, "healthy": "0 of 9", "faulty": "7 | 9"}
    return Result({"fault": key}, figures, "code", 1.0)


def test_the_summary_says_what_is_caught_and_names_what_is_not() -> None:
    text = faults.summary([made("shallow copy"), made("purge in rows")])
    assert text.startswith("Every one of them is caught.")
    row = next(line for line in text.splitlines() if line.startswith("| 10 |"))
    assert row.endswith("| check_realised, before every fit | 0 of 9 | 7 / 9 | yes |")
    missed = faults.summary([made("shallow copy", caught=False), made("purge in rows", healthy=True)])
    assert "**Not caught: the best weights kept by a shallow copy, which later steps overwrite; the purge" in missed
    assert missed.count("**no**") == 1
    assert missed.count("**rings on the code as it is**") == 1
