"""A fitted fold as files: weights in safetensors, the rest in JSON, each under its SHA-256. No pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nn_assets.arrays import Symbol, session_text, stamps_of
from nn_assets.errors import ModelError, NnAssetsError
from nn_assets.estimators import ESTIMATORS, TRADED
from nn_assets.features.scaling import Scaler
from nn_assets.features.selection import SelectionReport
from nn_assets.features.stationarity import StationarityReport
from nn_assets.learning.address import made_with_plugin
from nn_assets.learning.fitted import FittedMember
from nn_assets.learning.fold_model import Estimators, FoldModel
from nn_assets.learning.folds import Fold
from nn_assets.learning.heads import HEADS, SIGN, VOLATILITY
from nn_assets.learning.novelty import Novelty
from nn_assets.plugins import imported
from nn_assets.settings import LearningSettings

FORMAT = 2
_OTHER_HEADS = 3  # of a model that learned no sign, so that older code refuses it
_READABLE = (1, FORMAT, _OTHER_HEADS)  # in the first a baseline was one model, and there were calibrations
DESCRIPTION = "model.json"
_WEIGHTS = "weights.safetensors"
_BASELINES = "baselines.safetensors"
_VALIDATION = "validation.safetensors"
_PARTS = (_WEIGHTS, _BASELINES, _VALIDATION)
_NOVELTY = "novelty.safetensors"  # where the model has scores
_VOLATILITY = "volatility.safetensors"  # where it forecasts volatility

Array = npt.NDArray[np.generic]


def to_files(model: FoldModel) -> dict[str, bytes]:
    """Lay a model out as files.

    Returns
    -------
    dict of file name to content
        Three safetensors files, one more where the model has novelty scores and one where it forecasts volatility, and
        ``model.json`` with their SHA-256 and its own. Equal models give equal bytes.
    """
    parts = {
        _WEIGHTS: save(_arrays(model.estimators, _WEIGHTS)),
        _BASELINES: save(_arrays(model.estimators, _BASELINES)),
        _VALIDATION: save(_validation(model)),
    }
    if model.novelty is not None:
        parts[_NOVELTY] = save(model.novelty.to_arrays())
    if model.volatility is not None:
        parts[_VOLATILITY] = save(_arrays(model.volatility, _WEIGHTS))
    description = _described(model)
    description["sha256"] = {name: _sha256(content) for name, content in parts.items()}
    description["self_sha256"] = _sha256(_canonical(description))
    text = json.dumps(description, sort_keys=True, indent=1, allow_nan=False) + "\n"
    return {DESCRIPTION: text.encode(), **parts}


def from_files(files: Mapping[str, bytes]) -> FoldModel:
    """Rebuild a model from its files, each held against its hash.

    Raises
    ------
    ModelError
        A file is missing or damaged, or of a format that this code does not know; names the file.
    """
    description = _read_description(files)
    names = [*_PARTS, *(name for name in (_NOVELTY, _VOLATILITY) if name in description["sha256"])]
    tensors = {name: _read_part(files, name, description) for name in names}
    try:
        return _rebuilt(description, tensors)
    except NnAssetsError:
        raise
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _damaged(DESCRIPTION, f"{type(error).__name__}: {error}") from error


def _described(model: FoldModel) -> dict[str, Any]:
    learns = model.estimators.head.name
    return {
        **({"format": FORMAT} if model.estimators.head is SIGN else {"format": _OTHER_HEADS, "learns": learns}),
        "model_id": model.model_id,
        "fold": model.fold.to_dict(),
        "axis_start": session_text(model.axis_start),
        "symbols": list(model.symbols),
        "stationarity": model.stationarity.to_dict(),
        "selection": None if model.selection is None else model.selection.to_dict(),
        "scaler": model.scaler.to_dict(),
        "learning": model.estimators.settings.model_dump(mode="json", exclude={"compute"}),
        "seeds": [member.seed for member in model.estimators.members[TRADED]],
        "figures": dict(model.figures),
        "data_hash": model.data_hash,
        "code_version": model.code_version,
        **({"plugin": plugin} if (plugin := made_with_plugin(model.estimators.settings)) else {}),
    }


def _require_plugin(stored: dict[str, Any], learning: LearningSettings) -> None:
    """Refuse weights whose layers are in a file that is not there, or is another one since."""
    then, now = stored.get("plugin"), made_with_plugin(learning)
    if then == now:
        return
    file = (then or now or {})["file"]
    raise ModelError(
        expected=f"the network {learning.network} of {file}, as the model was fitted with it",
        found="no plug-in with such a network" if now is None else f"another network of that name, in {now['file']}",
        remedy=f"name {file} under plugins, as it was then, and register what was changed in it by another name",
        file=file,
        model_id=stored["model_id"],
    )


def _rebuilt(stored: dict[str, Any], tensors: dict[str, dict[str, Array]]) -> FoldModel:
    selection = stored["selection"]
    symbols = tuple(stored["symbols"])
    learning = LearningSettings.model_validate(stored["learning"])
    _require_plugin(stored, learning)
    return FoldModel(
        model_id=stored["model_id"],
        fold=Fold.from_dict(stored["fold"]),
        axis_start=pd.Timestamp(stored["axis_start"]),
        symbols=symbols,
        stationarity=StationarityReport.from_dict(stored["stationarity"]),
        selection=None if selection is None else SelectionReport.from_dict(selection),
        scaler=Scaler.from_dict(stored["scaler"]),
        estimators=Estimators(
            settings=learning,
            members={name: _members(name, tensors[_file_and_prefix(name)[0]]) for name in _held(tensors)},
            head=HEADS[stored.get("learns", SIGN.name)],
        ),
        figures=stored["figures"],
        validation_forecasts=_frame(tensors[_VALIDATION], symbols),
        data_hash=stored["data_hash"],
        code_version=stored["code_version"],
        novelty=Novelty.from_arrays(tensors[_NOVELTY]) if _NOVELTY in tensors else None,
        volatility=Estimators(learning, {TRADED: _members(TRADED, tensors[_VOLATILITY])}, VOLATILITY)
        if _VOLATILITY in tensors
        else None,
    )


def _held(tensors: dict[str, dict[str, Array]]) -> list[str]:
    """The estimators that a model's files hold: one that was fitted before another was known lacks it."""
    baselines = {key.partition("/")[0] for key in tensors[_BASELINES]}
    return [name for name in ESTIMATORS if name == TRADED or name in baselines]


def _file_and_prefix(name: str) -> tuple[str, str]:
    """The file that holds an estimator's members, and how the names of its arrays begin there."""
    return (_WEIGHTS, "") if name == TRADED else (_BASELINES, f"{name}/")


def _arrays(estimators: Estimators, file: str) -> dict[str, Array]:
    return {
        f"{prefix}{getattr(member, 'seed', number)}/{key}": np.ascontiguousarray(value)
        for name, (its_file, prefix) in ((name, _file_and_prefix(name)) for name in estimators.members)
        if its_file == file
        for number, member in enumerate(estimators.members[name])
        for key, value in member.to_arrays().items()
    }


def _members(name: str, tensors: dict[str, Array]) -> tuple[FittedMember, ...]:
    kind: type[FittedMember] = imported(ESTIMATORS[name].member)
    stored = _under(_file_and_prefix(name)[1], tensors)
    numbers = sorted({int(number) for number, rest, _ in (key.partition("/") for key in stored) if rest})
    if not numbers:
        return (kind.from_arrays(stored, 0),)
    return tuple(kind.from_arrays(_under(f"{number}/", stored), number) for number in numbers)


_DAYS, _MINUTES = np.dtype("datetime64[D]"), np.dtype("datetime64[m]")


def _validation(model: FoldModel) -> dict[str, Array]:
    frame = model.validation_forecasts
    stamps = stamps_of(pd.DatetimeIndex(frame["session"]))
    return {
        "symbol": pd.Index(model.symbols).get_indexer(pd.Index(frame["symbol"])).astype(np.int64),
        ("session" if stamps.dtype == _DAYS else "minute"): stamps.astype(np.int64),
        "estimator": pd.Index(list(ESTIMATORS)).get_indexer(pd.Index(frame["estimator"])).astype(np.int64),
        "probability": frame["probability"].to_numpy(dtype=np.float64),
    }


def _frame(tensors: dict[str, Array], symbols: tuple[Symbol, ...]) -> pd.DataFrame:
    codes = {name: tensors[name].astype(np.int64, casting="safe") for name in ("symbol", "estimator")}
    unit = _DAYS if "session" in tensors else _MINUTES
    stored = tensors["session" if "session" in tensors else "minute"]
    session = np.asarray(stored, dtype=np.int64).astype(unit)
    return pd.DataFrame(
        {
            "symbol": pd.Series(symbols, dtype="str").take(codes["symbol"]).array,
            "session": pd.DatetimeIndex(session).as_unit("ns"),
            "estimator": pd.Series(list(ESTIMATORS), dtype="str").take(codes["estimator"]).array,
            "probability": np.asarray(tensors["probability"], dtype=np.float64),
        }
    )


def _read_description(files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        description = json.loads(_present(files, DESCRIPTION))
        claimed = description.pop("self_sha256")
        actual = _sha256(_canonical(description))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(DESCRIPTION, f"{type(error).__name__}: {error}") from error
    if claimed != actual:
        raise _damaged(DESCRIPTION, f"SHA-256 {actual}, not {claimed}")
    if description.get("format") not in _READABLE:
        raise ModelError(
            expected=f"a model of format {' or '.join(map(str, _READABLE))}",
            found=f"format {description.get('format')!r}",
            remedy="nn-assets study, for the months that use it, fits it again with this version",
            file=DESCRIPTION,
        )
    return dict(description)


def _read_part(files: Mapping[str, bytes], name: str, description: dict[str, Any]) -> dict[str, Array]:
    content = _present(files, name)
    claimed, actual = description["sha256"].get(name), _sha256(content)
    if claimed != actual:
        raise _damaged(name, f"SHA-256 {actual}, not {claimed}")
    try:
        return dict(load(content))
    except SafetensorError as error:
        raise _damaged(name, str(error)) from error


def _present(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise _damaged(name, "no such file")
    return files[name]


def _under(prefix: str, tensors: dict[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _canonical(description: dict[str, Any]) -> bytes:
    return json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _damaged(file: str, found: str) -> ModelError:
    return ModelError(
        expected="the model's file as it was written",
        found=found,
        remedy="restore the file from a backup, or let nn-assets study fit the model again: it gives the same bits",
        file=file,
    )
