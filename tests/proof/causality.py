"""Nothing computed for a session changes when the future is cut, corrupted, or the past is restated later.

Everything of the whole path is compared to the bit, at five cut-offs, with what it is when nothing is disturbed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from nn_assets.market.panel import FIELDS
from tests.proof.results import Result
from tests.proof.targets import Target, of_count
from tests.proof.whole_path import NETWORKS, Facts, WholePath, facts, whole_path

TITLE = "Causality: nothing computed for a session changes with what comes later"
# Inside a month, its last session, its first, the session before a dividend's, and one with every model in force.
CUTS = ("2016-05-18", "2016-06-30", "2016-07-01", "2016-07-19", "2016-08-24")
DISTURBANCES = {
    "cut": "history ends with the session",
    "NaN": "every later bar and observation is missing",
    "shuffle": "later bars, and observations of series, are in another order of sessions",
    "noise": "every later price, volume and observation is multiplied by a random factor",
    "restated": "a third of the earlier bars and observations are restated, and a split and a dividend told, after the "
    "session",
}
SMALL, *BUNDLED = NETWORKS
CUT_OF_BUNDLED = CUTS[-1]


def panels() -> list[dict[str, Any]]:
    """Every disturbance at every cut-off; for the networks of the bundled strategies at the last."""
    small = [{"disturbance": disturbance, "cut": cut, "seed": 1} for cut in CUTS for disturbance in DISTURBANCES]
    last = [panel for panel in small if panel["cut"] == CUT_OF_BUNDLED]
    return [*small, *({**panel, "network": network} for network in BUNDLED for panel in last)]


def measure(panel: Mapping[str, Any]) -> dict[str, Any]:
    """By thing: how many values were compared, and how many differed."""
    cut = pd.Timestamp(panel["cut"])
    plain, network = facts(panel["seed"]), panel.get("network", SMALL)
    whole = undisturbed(panel["seed"], plain.sessions[-1], network)
    return against(whole, plain, cut, panel["disturbance"], panel["seed"], network)


def against(
    whole: WholePath, plain: Facts, cut: pd.Timestamp, kind: str, seed: int, network: str = SMALL
) -> dict[str, Any]:
    """A disturbed pass held against an undisturbed one that knows the whole history."""
    disturbed, touched = disturb(plain, cut, kind, seed)
    moment = plain.moment(cut if kind == "restated" else disturbed.sessions[-1])
    again = whole_path(disturbed, moment, cut, network)
    row = whole.cube.sessions.get_loc(cut)
    return {"disturbed": touched, "things": compared(whole.until(row), again.until(row))}


@cache
def undisturbed(seed: int, last: pd.Timestamp, network: str) -> WholePath:
    """The whole path, decided up to a session and knowing all."""
    plain = facts(seed)
    return whole_path(plain, plain.moment(plain.sessions[-1]), last, network)


def disturb(plain: Facts, cut: pd.Timestamp, kind: str, seed: int) -> tuple[Facts, int]:
    """The facts with what comes after the cut-off disturbed, and how many bars and observations that touched."""
    draw = np.random.default_rng(seed)
    if kind == "restated":
        return _restated(plain, cut, draw)
    sessions = plain.sessions[plain.sessions <= cut] if kind == "cut" else plain.sessions
    bars, of_bars = _later_disturbed(plain.bars, ["symbol"], list(FIELDS), cut, kind, draw)
    series, of_series = _later_disturbed(plain.series, ["name", "symbol"], ["value"], cut, kind, draw)
    return Facts(bars, plain.actions, sessions, series), of_bars + of_series


def _later_disturbed(
    rows: pd.DataFrame, keys: list[str], columns: list[str], cut: pd.Timestamp, kind: str, draw: np.random.Generator
) -> tuple[pd.DataFrame, int]:
    """The rows of later sessions disturbed, and how many were; each key's by themselves."""
    later = (rows["session"] > cut).to_numpy()
    if kind in ("cut", "NaN"):
        return rows[~later].reset_index(drop=True), int(later.sum())
    changed = rows.copy()
    if kind == "shuffle":
        numbers = np.flatnonzero(later)
        for indices in rows[later].groupby(keys).indices.values():
            own = numbers[indices]
            changed.loc[own, columns] = rows.loc[draw.permutation(own), columns].to_numpy()
    if kind == "noise":
        factor = np.exp(draw.normal(0.0, 0.3, (int(later.sum()), len(columns))))
        changed.loc[later, columns] = rows.loc[later, columns].to_numpy() * factor
    return changed, int((changed[columns] != rows[columns]).any(axis=1).sum())


def _restated(plain: Facts, cut: pd.Timestamp, draw: np.random.Generator) -> tuple[Facts, int]:
    """Later versions of earlier bars and observations, and two actions nobody had told.

    All are known an hour after the session's decision.
    """
    arrives = plain.moment(cut) + pd.Timedelta(hours=1)
    again = _restated_rows(plain.bars, list(FIELDS), cut, arrives, draw)
    days = [plain.sessions[plain.sessions.get_loc(cut) - back] for back in (5, 90)]
    new_actions = pd.DataFrame(
        {"symbol": ["SIM02", "SIM04"], "ex_session": days, "kind": ["dividend", "split"], "value": [1.0, 3.0]}
    ).assign(source="simulated", known_at=arrives, ingested_at=arrives)
    new_actions["ex_session"] = new_actions["ex_session"].astype("datetime64[ns]")
    series = _restated_rows(plain.series, ["value"], cut, arrives, draw)
    added = (plain.bars, again), (plain.actions, new_actions), (plain.series, series)
    bars, actions, observations = (pd.concat(parts, ignore_index=True) for parts in added)
    return Facts(bars, actions, plain.sessions, observations), len(again) + len(new_actions) + len(series)


def _restated_rows(
    rows: pd.DataFrame, columns: list[str], cut: pd.Timestamp, arrives: pd.Timestamp, draw: np.random.Generator
) -> pd.DataFrame:
    """Later versions of a third of the earlier rows."""
    earlier = rows[rows["session"] <= cut]
    again = earlier[draw.random(len(earlier)) < 1.0 / 3.0].copy()
    again[columns] *= np.exp(draw.normal(0.0, 0.1, (len(again), 1)))
    return again.assign(known_at=arrives, ingested_at=arrives)


def compared(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, list[int]]:
    """By thing: values compared (those that the undisturbed pass has), and those that differ in any bit.

    A thing that one side lacks, or of another shape, differs in every value.
    """
    return {name: _differences(one.get(name), other.get(name)) for name in (*one, *(set(other) - set(one)))}


def _differences(one: np.ndarray | None, other: np.ndarray | None) -> list[int]:
    if one is None or other is None or one.shape != other.shape:
        size = max(values.size for values in (one, other) if values is not None)
        return [size, max(size, 1)]
    if one.dtype.kind != "f":
        return [one.size, int((one != other).sum())]
    there = ~np.isnan(one)
    bits = np.ascontiguousarray(one).view(np.uint64) != np.ascontiguousarray(other).view(np.uint64)
    both_missing = np.isnan(one) & np.isnan(other)
    return [int(there.sum()), int((bits & ~both_missing).sum())]


def passes(things: Mapping[str, Sequence[int]]) -> bool:
    """Whether something was compared of every thing, and nothing differed."""
    return bool(things) and all(count > 0 and differing == 0 for count, differing in things.values())


def summary(results: Sequence[Result]) -> str:
    """A row each for networks and things, over cut-offs; what differed or was not compared is named."""
    descriptions = "\n".join(f"- {name}: {what}" for name, what in DISTURBANCES.items())
    cuts = sorted({result.panel["cut"] for result in results})
    names = list(dict.fromkeys(name for result in results for name in result.figures["things"]))
    kinds = [name for name in DISTURBANCES if any(result.panel["disturbance"] == name for result in results)]
    lines = [f"| thing | {' | '.join(kinds)} |", f"|{' --- |' * (len(kinds) + 1)}"]
    wrong = []
    for name in names:
        cells = []
        for kind in kinds:
            by_panel = {
                (result.panel["cut"], _network(result)): result.figures["things"][name]
                for result in results
                if result.panel["disturbance"] == kind and name in result.figures["things"]
            }
            count, differing = (sum(counts[index] for counts in by_panel.values()) for index in (0, 1))
            cells.append(f"{differing:,} of {count:,}")
            wrong += [
                f"{name}, {kind}, {cut}, {network}: {_said(counts)}"
                for (cut, network), counts in sorted(by_panel.items())
                if _said(counts)
            ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    touched = min((result.figures["disturbed"] for result in results), default=0)
    head = (
        f"Values that differ, of those compared, over {len(cuts)} cut-offs ({', '.join(cuts)}), to the bit. Each "
        f"disturbance touched {touched:,} bars and observations or more. Six names; two series beside the bars, an "
        "index of implied volatility and rates of funding; models of two members and three epochs. The networks of the "
        f"bundled strategies, with their own settings otherwise, at the cut-off {CUT_OF_BUNDLED} "
        f"alone.\n\n{descriptions}\n\n"
    )
    verdict = "Nothing differs, and of every thing something was compared." if not wrong else "**Not causal:**\n\n"
    networks = ["| network | panels | values that differ |", "| --- | --- | --- |", *_by_network(results)]
    said = head + verdict + "\n".join(f"- {line}" for line in wrong)
    return "\n\n".join([said, "\n".join(networks), "\n".join(lines)])


def _network(result: Result) -> str:
    return str(result.panel.get("network", SMALL))


def _by_network(results: Sequence[Result]) -> list[str]:
    rows = []
    for network in NETWORKS:
        counts = [
            counts for result in results if _network(result) == network for counts in result.figures["things"].values()
        ]
        panels = sum(_network(result) == network for result in results)
        if panels:
            count, differing = (sum(pair[index] for pair in counts) for index in (0, 1))
            rows.append(f"| {network} | {panels} | {differing:,} of {count:,} |")
    return rows


def targets(results: Sequence[Result]) -> list[Target]:
    """Nothing differs, and of everything something was compared."""
    every = len(panels())
    passed = sum(passes(result.figures["things"]) for result in results)
    compared = sum(count for result in results for count, _ in result.figures["things"].values())
    differing = sum(wrong for result in results for _, wrong in result.figures["things"].values())
    measured = f"{differing:,} of {compared:,} values differ"
    asked = "no value differs under any disturbance at any cut-off"
    return [of_count(asked, measured, passed, len(results), every, at_least=every)]


def _said(counts: Sequence[int]) -> str:
    count, differing = counts
    if count == 0:
        return "nothing to compare, which is no pass"
    return f"{differing:,} of {count:,} differ" if differing else ""
