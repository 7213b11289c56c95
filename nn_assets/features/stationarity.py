"""The stationarity gate: one verdict and one transform per feature, from training rows only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nn_assets.arrays import Cube, FloatArray, canonical
from nn_assets.errors import ModelError
from nn_assets.features.catalogue.prices import ratio
from nn_assets.features.own_bars import closed_up, over_own_rows
from nn_assets.features.rolling import lagged, rolling_std
from nn_assets.features.unit_root import MINIMUM_OBSERVATIONS, adf_test, kpss_test, pooled_p_value, schwert_lags
from nn_assets.settings import FeatureSettings

Transform = Literal["level", "differenced", "volatility_normalised", "dropped"]

_NORMALISING_SESSIONS = 60
_KPSS_P_VALUE = 0.05
_SHORT = 120  # values below which a panel of ten names of pure noise never passes name by name


def _level(values: FloatArray) -> FloatArray:
    return values


def _difference(values: FloatArray) -> FloatArray:
    return values - lagged(values, 1)


def _normalise(values: FloatArray) -> FloatArray:
    return ratio(values, rolling_std(values, _NORMALISING_SESSIONS))


_TRANSFORMS: Mapping[Transform, tuple[int, Callable[[FloatArray], FloatArray]]] = {
    "level": (1, _level),
    "differenced": (2, _difference),
    "volatility_normalised": (_NORMALISING_SESSIONS, _normalise),
}
"""In the order in which they are tried: rows that one reads, and the transform."""


@dataclass(frozen=True)
class Attempt:
    """What the tests said of one feature under one transform.

    ``tested_symbols`` had enough values; ``pass_share`` of them rejected a unit root;
    ``median_p_value`` is theirs (None if none was tested); ``kpss_share`` of them are, to KPSS at 5%,
    compatible with stationarity. ``pooled_p_value`` is that of the panel's weaker half, where windows are
    short; None where not.
    """

    transform: Transform
    tested_symbols: int
    pass_share: float
    median_p_value: float | None
    kpss_share: float
    pooled_p_value: float | None = None


@dataclass(frozen=True)
class FeatureStationarity:
    """The verdict on one feature and every attempt that led to it, in order."""

    name: str
    verdict: Transform
    attempts: tuple[Attempt, ...]

    @property
    def pass_share(self) -> float:
        """Share of the tested symbols that pass under the last transform tried."""
        return self.attempts[-1].pass_share

    @property
    def median_p_value(self) -> float | None:
        """Median p-value over symbols under the last transform tried; None if none was tested."""
        return self.attempts[-1].median_p_value

    @property
    def kpss_share(self) -> float:
        """Share of the tested symbols that KPSS confirms under the last transform tried."""
        return self.attempts[-1].kpss_share


@dataclass(frozen=True)
class StationarityReport:
    """One verdict per feature; travels with the model that was fitted under it.

    ``max_missing_fraction`` is the share of missing rows that the transforms, and the model's windows, may step over.
    """

    verdicts: tuple[FeatureStationarity, ...]
    adf_p_value: float
    panel_pass_share: float
    max_missing_fraction: float = 0.0

    def keeping(self, names: Collection[str]) -> StationarityReport:
        """The same report with some features left as they are; their attempts say what the tests found."""
        verdicts = tuple(replace(entry, verdict="level") if entry.name in names else entry for entry in self.verdicts)
        return replace(self, verdicts=verdicts)

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of the features that are not dropped."""
        return tuple(entry.name for entry in self.verdicts if entry.verdict != "dropped")

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the features that no transform made stationary."""
        return tuple(entry.name for entry in self.verdicts if entry.verdict == "dropped")

    @property
    def pooled(self) -> tuple[str, ...]:
        """Names of the kept features that passed by the test for short windows alone."""
        return tuple(
            entry.name
            for entry in self.verdicts
            if entry.verdict != "dropped"
            and entry.attempts[-1].pooled_p_value is not None
            and not _enough(entry.pass_share, self.panel_pass_share)
        )

    def confirmed(self, name: str) -> bool:
        """Whether KPSS confirms a kept feature on the share of symbols that the gate asks for."""
        entry = next(entry for entry in self.verdicts if entry.name == name)
        return entry.verdict != "dropped" and _enough(entry.kpss_share, self.panel_pass_share)

    @property
    def doubted(self) -> dict[str, float]:
        """The kept features that KPSS does not confirm, each with the share of symbols on which it does."""
        kept = (entry for entry in self.verdicts if entry.verdict != "dropped")
        return {entry.name: entry.kpss_share for entry in kept if not self.confirmed(entry.name)}

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; ``from_dict`` gives back an equal report."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> StationarityReport:
        """Rebuild a report from what `to_dict` gave, also after a passage through JSON.

        Raises
        ------
        ModelError
            A part is missing or a verdict unknown.
        """
        try:
            verdicts = tuple(_verdict_from(entry) for entry in stored["verdicts"])
            # models of before bars were stepped over do without
            missing = float(stored.get("max_missing_fraction", 0.0))
            return cls(verdicts, float(stored["adf_p_value"]), float(stored["panel_pass_share"]), missing)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                expected="a stored stationarity report",
                found=f"{type(error).__name__}: {error}",
                remedy="refit the model; its stored report is damaged",
            ) from error


def decide_transforms(cube: Cube, rows: slice, settings: FeatureSettings) -> StationarityReport:
    """Decide, from some rows only, how each feature is made stationary.

    A feature passes under a transform if the augmented Dickey-Fuller test rejects a unit root at
    ``adf_p_value`` for at least ``panel_pass_share`` of the symbols that have 50 or more values in
    ``rows``. The transforms are tried in turn: as it is; first difference; divided by its own rolling
    standard deviation over 60 sessions; else it is dropped. A constant series fails. KPSS is
    reported beside and vetoes nothing. Where the symbols have fewer than 120 values (the median of those tested), a
    test of each misses what is stationary: a feature passes there too if the pooled p-value of the panel's weaker half
    lies below ``adf_p_value``: of the half of the symbols with the largest p-values under Schwert's short lag order
    (l4), by :func:`nn_assets.features.unit_root.pooled_p_value`. Chosen against rejection, they reject too seldom,
    never too often; a panel half of which has a unit root does not pass. All tests read the values one after another,
    missing ones stepped over, where at most ``max_missing_bars_fraction`` of a series is missing.

    Parameters
    ----------
    cube : Cube, values (bars, symbols, features)
    rows : slice
        Training rows on the session axis. Nothing outside is read; the transforms tried start at the
        first of them, as if nothing came before.
    settings : FeatureSettings

    Returns
    -------
    StationarityReport
        Verdicts in the cube's order of features.
    """
    values = cube.values[rows]
    attempts: dict[int, list[Attempt]] = {index: [] for index in range(len(cube.names))}
    verdicts: dict[int, Transform] = {}
    missing = settings.max_missing_bars_fraction
    short = _short(values)
    for transform, (window, function) in _TRANSFORMS.items():
        undecided = [index for index in attempts if index not in verdicts]
        if not undecided:
            break
        transformed = over_own_rows(values[:, :, undecided], window, missing, function)
        attempted = _attempts(transformed, transform, short[undecided], settings)
        for index, attempt in zip(undecided, attempted, strict=True):
            attempts[index].append(attempt)
            pooled = attempt.pooled_p_value is not None and attempt.pooled_p_value < settings.adf_p_value
            if attempt.tested_symbols and (pooled or _enough(attempt.pass_share, settings.panel_pass_share)):
                verdicts[index] = transform
    return StationarityReport(
        verdicts=tuple(
            FeatureStationarity(name, verdicts.get(index, "dropped"), tuple(attempts[index]))
            for index, name in enumerate(cube.names)
        ),
        adf_p_value=settings.adf_p_value,
        panel_pass_share=settings.panel_pass_share,
        max_missing_fraction=missing,
    )


def apply_transforms(cube: Cube, report: StationarityReport) -> Cube:
    """Put the kept features under their transforms, on every row.

    Each transform reads only its row and earlier ones that have a value (one before for a difference, 59 for the
    rolling deviation), so that no value depends on later rows or on how long the history is. Missing rows are stepped
    over as :class:`nn_assets.features.own_bars.OwnBars` says.

    Parameters
    ----------
    cube : Cube, values (bars, symbols, features)
        Holds every feature of the report.
    report : StationarityReport

    Returns
    -------
    Cube
        Features in the report's order, under their own names. NaN where there was no value, where a transform's
        window lacks more values than the report's share, or, in volatility-normalising, has a deviation of zero.

    Raises
    ------
    SettingsError
        A kept feature is not in the cube.
    """
    kept = cube.select(report.kept)
    values = np.array(kept.values)
    index = 0
    for entry in report.verdicts:
        if entry.verdict != "dropped":
            window, function = _TRANSFORMS[entry.verdict]
            values[:, :, index] = over_own_rows(values[:, :, index], window, report.max_missing_fraction, function)
            index += 1
    return Cube(kept.sessions, kept.symbols, kept.names, canonical(values))


def _short(values: FloatArray) -> npt.NDArray[np.bool_]:
    """Features whose symbols have too few values, untransformed, to be tested one by one, (features,)."""
    counts = np.isfinite(values).sum(axis=0)  # (symbols, features)
    tested = [lengths[lengths >= MINIMUM_OBSERVATIONS] for lengths in counts.T]
    return np.array([len(lengths) > 0 and float(np.median(lengths)) < _SHORT for lengths in tested], dtype=np.bool_)


def _attempts(
    values: FloatArray, transform: Transform, short: npt.NDArray[np.bool_], settings: FeatureSettings
) -> Sequence[Attempt]:
    """Test every symbol of every feature; ``values`` (rows, symbols, features), one attempt a feature."""
    rows, symbols, features = values.shape
    flat = closed_up(values.reshape(rows, symbols * features), settings.max_missing_bars_fraction)
    tests = adf_test(flat)
    p_values = tests.p_value.reshape(symbols, features)
    counts = tests.observations.reshape(symbols, features)
    level_stationary = kpss_test(flat).p_value.reshape(symbols, features) >= _KPSS_P_VALUE
    result = []
    for index in range(features):
        tested = np.isfinite(p_values[:, index])
        finite = p_values[tested, index]
        count = len(finite)
        pooled = None
        if count and short[index]:
            typical = int(np.median(counts[tested, index]))
            own = flat.reshape(rows, symbols, features)[:, tested, index]
            weaker = np.sort(adf_test(own, schwert_lags(typical, 4)).p_value)[count // 2 :]
            pooled = pooled_p_value(weaker)
        result.append(
            Attempt(
                transform=transform,
                tested_symbols=count,
                pass_share=float((finite < settings.adf_p_value).sum() / count) if count else 0.0,
                median_p_value=float(np.median(finite)) if count else None,
                kpss_share=float(level_stationary[tested, index].sum() / count) if count else 0.0,
                pooled_p_value=pooled,
            )
        )
    return result


def _enough(share: float, wanted: float) -> bool:
    # 0.9 of ten symbols is nine, whatever 9 / 10 and 0.9 are in binary.
    return share >= wanted - 1e-12


def _verdict_from(stored: Mapping[str, Any]) -> FeatureStationarity:
    verdict = stored["verdict"]
    if verdict != "dropped" and verdict not in _TRANSFORMS:
        raise KeyError(verdict)
    attempts = tuple(Attempt(**attempt) for attempt in stored["attempts"])
    return FeatureStationarity(stored["name"], verdict, attempts)
