"""Symbols that settings name and the data do not have are said by ``check``, with the nearest one."""

from __future__ import annotations

from pathlib import Path

from nn_assets.cli.unknown_symbols import unknown_symbols
from nn_assets.settings import load_strategy
from tests.plugins.texts import CONSTRAINT, written

NAMED = """\
portfolio:
  sectors: {AAA: banks, BBN: banks}
  constraints: {together: {symbols: [AAA, CCD], limit: 0.05}, apart: {betas: {BBB: 1.0, AAB: 2.0}, kinds: [slow]}}
series: [{name: fear, path: fear.csv, lag_minutes: 15}, {name: rate, path: rate.csv, symbol: ZZZ, lag_minutes: 15}]
"""


def test_a_name_of_a_limit_a_map_or_a_series_that_no_symbol_has_is_named_with_the_nearest(tmp_path: Path) -> None:
    file = written(tmp_path, mine=CONSTRAINT + CONSTRAINT.replace('"together"', '"apart"'))
    file.write_text(file.read_text() + NAMED)
    lines = unknown_symbols(load_strategy(file), {"AAA", "BBB", "CCC"})
    assert [(line.partition(" names ")[0], line.partition(" names ")[2].partition(",")[0]) for line in lines] == [
        ("portfolio.sectors", "BBN"),
        ("portfolio.constraints.together.symbols", "CCD"),
        ("portfolio.constraints.apart.betas", "AAB"),
        ("series.1", "ZZZ"),
    ]
    assert "did you mean BBB? correct the name" in lines[0]
    assert "did you mean" not in lines[3]
    assert not unknown_symbols(load_strategy(file), {"AAA", "BBB", "CCC", "BBN", "CCD", "AAB", "ZZZ"})
