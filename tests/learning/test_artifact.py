from __future__ import annotations

import json
from functools import cache

import pandas as pd
import pytest

from nn_assets.errors import ModelError
from nn_assets.learning.artifact import from_files, to_files
from nn_assets.learning.fold_model import FoldModel
from tests.learning.tiny import fit_model, forecast, tiny_fold, tiny_market, tiny_strategy


@cache
def _model(*, select: bool = False) -> FoldModel:
    cube, labels = tiny_market()
    strategy = tiny_strategy({"select": select}, maximum_epochs=1)
    return fit_model(cube, labels, tiny_fold(cube, strategy), strategy)


@pytest.mark.full
@pytest.mark.parametrize("select", [False, True])
def test_a_model_read_back_forecasts_the_same_bits(*, select: bool) -> None:
    cube, _ = tiny_market()
    model = _model(select=select)
    stored = from_files(to_files(model))
    rows = slice(model.fold.used_from, cube.session_count)
    pd.testing.assert_frame_equal(forecast(stored, cube, rows), forecast(model, cube, rows), check_exact=True)
    pd.testing.assert_frame_equal(stored.validation_forecasts, model.validation_forecasts, check_exact=True)
    assert stored.stationarity == model.stationarity
    assert stored.selection == model.selection
    assert stored.logit_scales == model.logit_scales
    assert stored.figures == model.figures
    assert stored.fold == model.fold


@pytest.mark.full
def test_a_model_read_back_and_laid_out_again_gives_the_same_bytes() -> None:
    files = to_files(_model())
    assert to_files(from_files(files)) == files


@pytest.mark.full
@pytest.mark.parametrize(
    "name", ["weights.safetensors", "baselines.safetensors", "validation.safetensors", "model.json"]
)
def test_a_single_flipped_bit_is_found_and_its_file_named(name: str) -> None:
    files = to_files(_model())
    middle = len(files[name]) // 2
    flipped = bytes([files[name][middle] ^ 1])
    damaged = files | {name: files[name][:middle] + flipped + files[name][middle + 1 :]}
    with pytest.raises(ModelError, match=f"file {name}"):
        from_files(damaged)


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_a_missing_or_cut_file_is_named(name: str) -> None:
    files = to_files(_model())
    with pytest.raises(ModelError, match=rf"file {name}.*no such file"):
        from_files({other: content for other, content in files.items() if other != name})
    with pytest.raises(ModelError, match=f"file {name}"):
        from_files(files | {name: files[name][:-10]})


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b"{}", b"\xff\xfe", b'{"self_sha256": 1}'])
def test_a_description_that_is_no_description_is_a_named_error(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"file model\.json"):
        from_files(to_files(_model()) | {"model.json": content})


@pytest.mark.full
def test_weights_of_another_model_are_refused() -> None:
    files = to_files(_model())
    other = to_files(_model(select=True))
    assert other["weights.safetensors"] != files["weights.safetensors"]
    with pytest.raises(ModelError, match=r"file weights\.safetensors.*SHA-256"):
        from_files(files | {"weights.safetensors": other["weights.safetensors"]})


def test_no_file_holds_a_pickle() -> None:
    files = to_files(_model())
    assert set(files) == {
        "model.json",
        "weights.safetensors",
        "baselines.safetensors",
        "validation.safetensors",
    }
    assert json.loads(files["model.json"])["format"] == 2
    for name, content in files.items():
        header = content if name == "model.json" else content[8 : 8 + int.from_bytes(content[:8], "little")]
        assert isinstance(json.loads(header), dict), name
