"""What a benchmark tells about itself, for the table of ``python -m tests.benchmarks``."""

from __future__ import annotations

from pytest_benchmark.fixture import BenchmarkFixture


def tell(
    benchmark: BenchmarkFixture, version: str, work: float | None = None, unit: str = "", *, reference: bool = False
) -> None:
    """Say which version this is, and how much work of which unit one round does."""
    benchmark.extra_info.update({"version": version, "reference": reference, "unit": unit})
    if work is not None:
        benchmark.extra_info["work"] = float(work)
