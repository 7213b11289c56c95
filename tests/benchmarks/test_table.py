"""The table of benchmarks: ratios within a group, rates from the work of a round."""

from __future__ import annotations

import pytest

from tests.benchmarks.__main__ import compare, markdown, read_timings


def _benchmark(group: str, version: str, median: float, **extra_info: object) -> dict[str, object]:
    return {
        "group": group,
        "name": f"test_{version}",
        "extra_info": {"version": version, **extra_info},
        "stats": {"median": median, "rounds": 5},
    }


REPORT = {
    "benchmarks": [
        _benchmark("sums", "plain reference", 0.8, reference=True, work=100.0, unit="sums"),
        _benchmark("sums", "package", 0.1, work=100.0, unit="sums"),
        _benchmark("alone", "package", 0.002),
    ]
}


def test_a_version_is_measured_against_the_reference_of_its_own_group() -> None:
    rows = {(row.timing.group, row.timing.version): row for row in compare(read_timings(REPORT))}
    assert rows["sums", "package"].times_as_fast == pytest.approx(8.0)
    assert rows["sums", "plain reference"].times_as_fast is None
    assert rows["alone", "package"].times_as_fast is None


def test_a_rate_is_work_over_median_and_absent_where_no_work_is_told() -> None:
    rates = {(timing.group, timing.version): timing.rate for timing in read_timings(REPORT)}
    assert rates["sums", "package"] == pytest.approx(1000.0)
    assert rates["alone", "package"] is None


def test_the_table_names_each_group_once_and_the_machine() -> None:
    text = markdown(compare(read_timings(REPORT)), {"cores": "2", "Python": "3.11.0"})
    assert "cores 2, Python 3.11.0" in text
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert lines == [
        "| alone | package | 2 ms |  |  |",
        "| sums | package | 100 ms | 1,000 sums/s | 8.0 x |",
        "|  | plain reference | 800 ms | 125 sums/s | 1 (reference) |",
    ]
