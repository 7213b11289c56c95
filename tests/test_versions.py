"""Versions of code: what changes one, what does not, and that nothing which ran is missing from one."""

from __future__ import annotations

import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

import numpy as np
import pandas as pd
import pytest

import nn_assets
from nn_assets.errors import CodeError
from nn_assets.estimators import roots_of_fits
from nn_assets.features.catalogue import CATALOGUE, compute_features
from nn_assets.learning.compute import COMPUTES
from nn_assets.learning.model import fit_models
from nn_assets.learning.networks import NETWORKS
from nn_assets.market.panel import Panel, panel_from_bars
from nn_assets.market.quality.cleaning import clean
from nn_assets.settings import CleaningSettings
from nn_assets.versions import Package, changed_definitions, definitions_behind, version_of
from nn_assets.versions.moved import MOVED, counted_name
from tests.features.panels import OF_BARS
from tests.learning.tiny import fit_model, tiny_fold, tiny_market, tiny_strategy
from tests.market.builders import sound_bars

HOME = Path(nn_assets.__file__).parent
CUT = ("nn_assets.settings", "nn_assets.errors", "nn_assets.versions", "nn_assets.plugins")

TOY = {
    "__init__.py": "from toy.shapes import Square as Shape\n",
    "top.py": '''"""Where things are made."""
import math as m
from dataclasses import dataclass
from functools import lru_cache

from toy import helpers, Shape
from toy.constants import LIMIT, TABLE
from toy.settings import Settings
from toy.registry import MEMBERS


@dataclass
class Given:
    """What is given."""

    width: float = 1.0
    deeper: "int" = 0


@lru_cache
def made(given: Given, settings: Settings, scale: float = LIMIT) -> float:
    """Make it."""
    # by way of helpers
    shape = Shape(given.width)
    return m.sqrt(helpers.first(shape.area())) * scale + len(MEMBERS) + len(TABLE)


def aside(value):
    return helpers.apart(value)


def shadowing(first):
    apart = first + 1
    return [lonely for lonely in range(apart)]


def lonely():
    return 5


def lazily():
    from toy.helpers import apart as other
    return other(1)


def looped():
    return [lonely for lonely in lonely()]


def handed():
    return vars(helpers)
''',
    "helpers.py": """from toy.deep import third


def first(value):
    return second(value)


def second(value):
    return third(value)


def apart(value):
    return value
""",
    "deep.py": """import toy.deeper


def third(value, by=2.0):
    return value * by * toy.deeper.base()


def unused():
    return 0
""",
    "deeper.py": "def base():\n    return 1.0\n",
    "constants.py": 'BASE = 3.0\nLIMIT = BASE * 2\nTABLE = "table.csv"\nOTHER = 7\n',
    "table.csv": "a,b\n1,2\n",
    "shapes.py": """class Base:
    sides = 4

    def doubled(self):
        return 2


class Square(Base):
    factor = 1.0

    def __init__(self, width):
        self.width = width

    def area(self):
        return self.width * self.width * self.factor * self.doubled()

    def unused(self):
        return 0
""",
    "settings.py": "class Settings:\n    knob = 1\n",
    "registry.py": """from collections.abc import Mapping
from toy.deep import unused

Registry = Mapping
MEMBERS: Registry[str] = {"one": unused}
""",
}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    for name, text in TOY.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def behind(folder: Path, root: str = "toy.top:made") -> dict[str, str]:
    return Package(folder).definitions_behind(root)


def edited(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert text.count(old) == 1, (name, old)
    (folder / name).write_text(text.replace(old, new))


SAYING_THE_SAME = {
    "a docstring": ("top.py", '"""Make it."""', '"""Make it otherwise."""'),
    "no docstring": ("top.py", '    """Make it."""\n', ""),
    "a class's docstring": ("top.py", '"""What is given."""', '"""Given."""'),
    "a module's docstring": ("top.py", '"""Where things are made."""', ""),
    "a comment": ("top.py", "# by way of helpers", "# by another way"),
    "a text beside an attribute": ("shapes.py", "sides = 4\n", 'sides = 4\n    """How many."""\n'),
    "layout": ("helpers.py", "return second(value)", "return second(\n        value,\n    )"),
    "quotes": ("constants.py", '"table.csv"', "'table.csv'"),
    "an import's local name": ("top.py", "import math as m\n", "import math as m, os as unused\n"),
    "what nobody refers to": ("deep.py", "return 0", "return 1"),
    "a constant that is not read": ("constants.py", "OTHER = 7", "OTHER = 8"),
    "another function of the module": ("top.py", "return helpers.apart(value)", "return 2"),
    "settings": ("settings.py", "knob = 1", "knob = 2"),
    "a member of a registry": ("registry.py", '"one": unused', '"two": unused'),
}


@pytest.mark.parametrize("edit", SAYING_THE_SAME.values(), ids=SAYING_THE_SAME)
def test_what_says_the_same_or_is_not_reached_changes_nothing(toy: Path, edit: tuple[str, str, str]) -> None:
    before = behind(toy)
    edited(toy, *edit)
    assert behind(toy) == before


def test_another_name_for_an_import_changes_nothing(toy: Path) -> None:
    before = behind(toy)
    text = (toy / "top.py").read_text()
    text = text.replace("import math as m", "import math as numbers").replace("m.sqrt", "numbers.sqrt")
    text = text.replace("from toy import helpers, Shape", "from toy import helpers as others, Shape as Form")
    text = text.replace("helpers.first", "others.first").replace("= Shape(", "= Form(")
    (toy / "top.py").write_text(text)
    assert behind(toy) == before


SAYING_OTHERWISE = {
    "a line": ("top.py", "m.sqrt", "m.exp", "toy.top:made"),
    "three calls away": ("deep.py", "value * by", "value + by", "toy.deep:third"),
    "four calls away": ("deeper.py", "1.0", "1.5", "toy.deeper:base"),
    "a class attribute": ("shapes.py", "factor = 1.0", "factor = 2.0", "toy.shapes:Square"),
    "a method called on an object": ("shapes.py", "self.width * self.width", "self.width", "toy.shapes:Square"),
    "a method that nobody calls": (
        "shapes.py",
        "unused(self):\n        return 0",
        "other(self):\n        return 1",
        "toy.shapes:Square",
    ),
    "a base class": ("shapes.py", "return 2", "return 3", "toy.shapes:Base"),
    "which base class": ("shapes.py", "class Square(Base)", "class Square(Base, dict)", "toy.shapes:Square"),
    "a default": ("deep.py", "by=2.0", "by=3.0", "toy.deep:third"),
    "a constant in a default": ("constants.py", "BASE * 2", "BASE * 4", "toy.constants:LIMIT"),
    "a constant behind a constant": ("constants.py", "BASE = 3.0", "BASE = 3.5", "toy.constants:BASE"),
    "a decorator": ("top.py", "@lru_cache\n", "", "toy.top:made"),
    "a class that an annotation names": ("top.py", "width: float = 1.0", "width: float = 2.0", "toy.top:Given"),
    "an annotation": ("top.py", "scale: float", "scale: int", "toy.top:made"),
    "data beside the code": ("table.csv", "1,2", "1,3", "toy/table.csv"),
    "where an import comes from": ("top.py", "import math as m", "import cmath as m", "toy.top:made"),
}


@pytest.mark.parametrize("edit", SAYING_OTHERWISE.values(), ids=SAYING_OTHERWISE)
def test_what_says_something_else_and_is_reached_changes_that_alone(toy: Path, edit: tuple[str, str, str, str]) -> None:
    before, untouched = behind(toy), behind(toy, "toy.top:lonely")
    edited(toy, *edit[:3])
    after = behind(toy)
    assert {name for name in {*before, *after} if before.get(name) != after.get(name)} == {edit[3]}
    assert behind(toy, "toy.top:lonely") == untouched


def test_a_module_that_was_moved_counts_under_the_name_that_it_had(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (toy / "top.py").write_text((toy / "top.py").read_text() + '\n\nADDRESS = "toy.helpers:apart"\n')
    roots = "toy.top:made", "toy.top:lazily", "toy.top:handed", "toy.top:ADDRESS", "toy.helpers:apart"
    before = [behind(toy, root) for root in roots]
    (toy / "helpers.py").rename(toy / "aids.py")
    for old, new in (
        ("from toy import helpers, Shape", "from toy import Shape, aids"),
        ("helpers.first", "aids.first"),
        ("helpers.apart(", "aids.apart("),
        ("from toy.helpers import", "from toy.aids import"),
        ("vars(helpers)", "vars(aids)"),
        ('"toy.helpers:apart"', '"toy.aids:apart"'),
    ):
        edited(toy, "top.py", old, new)
    moved = *roots[:-1], "toy.aids:apart"
    assert not any(then == behind(toy, root) for root, then in zip(moved, before, strict=True))
    monkeypatch.setitem(MOVED, "toy.aids", "toy.helpers")
    assert [behind(toy, root) for root in moved] == [behind(toy, root) for root in roots] == before
    edited(toy, "aids.py", "return value", "return -value")
    assert behind(toy, "toy.top:lazily") != before[1]


REACHING = {
    "a name of it": "from toy.inner.aids import apart\n\n\ndef asks(x):\n    return apart(x)\n",
    "it from its package": "from toy.inner import aids\n\n\ndef asks(x):\n    return aids.apart(x)\n",
    "its package": "import toy.inner as c\n\n\ndef asks(x):\n    return c.aids.apart(x)\n",
    "its package from above": "from toy import inner\n\n\ndef asks(x):\n    return inner.aids.apart(x)\n",
    "it by another name": "import toy.inner.aids as v\n\n\ndef asks(x):\n    return v.apart(x)\n",
    "it by its whole name": "import toy.inner.aids\n\n\ndef asks(x):\n    return toy.inner.aids.apart(x)\n",
    "it, handed on": "from toy.hands import them\n\n\ndef asks(x):\n    return them.apart(x)\n",
    "its package, handed on": "from toy.hands import on\n\n\ndef asks(x):\n    return on.aids.apart(x)\n",
}


@pytest.mark.parametrize("text", REACHING.values(), ids=REACHING)
def test_a_moved_module_is_followed_by_every_way_of_reaching_it(
    toy: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    hands = "import toy.inner.aids as them\nfrom toy import inner as on\n"
    (toy / "hands.py").write_text(hands.replace("aids", "helpers"))
    (toy / "inner").mkdir()
    (toy / "inner" / "__init__.py").write_text("")
    (toy / "inner" / "helpers.py").write_text("BY = 2\n\n\ndef apart(x):\n    return x * BY\n")
    (toy / "asking.py").write_text(text.replace("aids", "helpers"))
    before = behind(toy, "toy.asking:asks")
    assert set(before) == {"toy.asking:asks", "toy.inner.helpers:apart", "toy.inner.helpers:BY"}
    (toy / "inner" / "helpers.py").rename(toy / "inner" / "aids.py")
    (toy / "asking.py").write_text(text)
    (toy / "hands.py").write_text(hands)
    monkeypatch.setitem(MOVED, "toy.inner.aids", "toy.inner.helpers")
    after = behind(toy, "toy.asking:asks")
    assert set(after) == set(before)
    if "on.aids" not in text:  # through another's name it is told by following alone
        assert after == before
    edited(toy / "inner", "aids.py", "BY = 2", "BY = 3")
    assert behind(toy, "toy.asking:asks") != after


def test_a_name_of_then_that_a_package_has_is_refused_where_the_sources_are_read(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (toy / "inner").mkdir()
    (toy / "inner" / "__init__.py").write_text("BY = 2\n")
    monkeypatch.setitem(MOVED, "toy.deep", "toy.inner")
    with pytest.raises(CodeError, match=r"one file for each name.*toy\.inner for .*deep\.py"):
        Package(toy)


def test_a_moved_module_is_there_and_no_other_has_its_name_of_then() -> None:
    files = [file.relative_to(HOME.parent).with_suffix("").parts for file in HOME.rglob("*.py")]
    there = {".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in files}
    assert MOVED.keys() <= there
    assert not there & set(MOVED.values())
    assert len(set(MOVED.values())) == len(MOVED)


def test_what_is_reached_is_what_is_referred_to(toy: Path) -> None:
    assert set(behind(toy)) == {
        "toy.top:made",
        "toy.top:Given",
        "toy.helpers:first",
        "toy.helpers:second",
        "toy.deep:third",
        "toy.deeper:base",
        "toy.constants:BASE",
        "toy.constants:LIMIT",
        "toy.constants:TABLE",
        "toy/table.csv",
        "toy.shapes:Base",
        "toy.shapes:Square",
    }
    assert set(behind(toy, "toy.top:aside")) == {"toy.top:aside", "toy.helpers:apart"}
    assert set(behind(toy, "toy.top:shadowing")) == {"toy.top:shadowing"}  # names of its own hide the module's
    assert set(behind(toy, "toy.top:looped")) == {"toy.top:looped", "toy.top:lonely"}
    assert set(behind(toy, "toy.top:lazily")) == {"toy.top:lazily", "toy.helpers:apart"}
    assert "toy.helpers:second" in behind(toy, "toy.top:handed")  # a module handed on counts as a whole
    assert set(behind(toy, "toy.registry:MEMBERS")) == {
        "toy.registry:MEMBERS",
        "toy.registry:Registry",
        "toy.deep:unused",
    }


def test_what_a_module_does_beside_defining_counts_for_all_that_it_defines(toy: Path) -> None:
    (toy / "deep.py").write_text((toy / "deep.py").read_text() + "\nthird.limit = 3\n")
    before = behind(toy)
    edited(toy, "deep.py", "third.limit = 3", "third.limit = 4")
    assert {name for name, digest in behind(toy).items() if before[name] != digest} == {"toy.deep:<beside>"}
    assert not any("beside" in name for name in behind(toy, "toy.top:aside"))


def test_a_name_defined_under_a_condition_counts_with_the_condition(toy: Path) -> None:
    edited(
        toy,
        "deeper.py",
        "def base():\n    return 1.0\n",
        "import sys\n\nif sys.maxsize:\n    def base():\n        return 1\nelse:\n    base = float\n",
    )
    before = behind(toy)
    edited(toy, "deeper.py", "base = float", "base = int")
    assert behind(toy)["toy.deeper:base"] != before["toy.deeper:base"]


def test_what_was_read_is_kept_and_a_damaged_file_is_as_none(toy: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "versions.json"
    first = Package(toy, kept).definitions_behind("toy.top:made")
    text = kept.read_text()
    (digest,) = {first["toy.deep:third"]}
    kept.write_text(text.replace(digest, "0" * 16))
    assert Package(toy, kept).definitions_behind("toy.top:made")["toy.deep:third"] == "0" * 16  # it was read from there
    edited(toy, "deep.py", "value * by", "by * value")
    Package(toy, kept, writes=False).definitions_behind("toy.top:made")
    assert kept.read_text() == text.replace(digest, "0" * 16)
    assert Package(toy, kept).definitions_behind("toy.top:made")["toy.deep:third"] not in {"0" * 16, digest}
    for damaged in ("", "{", "[]", '{"by": 1}', text.replace('"digest"', '"other"'), text.replace("modules", "others")):
        kept.write_text(damaged)
        assert Package(toy, kept).definitions_behind("toy.top:aside") == behind(toy, "toy.top:aside")
    shutil.rmtree(kept.parent)
    kept.parent.write_text("no folder")
    assert Package(toy, kept).definitions_behind("toy.top:aside") == behind(toy, "toy.top:aside")


def test_a_root_that_is_not_there_or_has_no_name_is_refused(toy: Path) -> None:
    for root in ("toy.top:absent", "toy.absent:made", "toy.settings:Settings", "made"):
        with pytest.raises(CodeError, match=f"expected a definition of the package.*found {root}"):
            behind(toy, root)
    with pytest.raises(CodeError, match=r"write it with def at the top of its module"):
        version_of(lambda: 0)


def test_what_a_partial_function_is_given_is_part_of_its_version() -> None:
    same = partial(panel_from_bars, convention="ex_close")
    assert version_of(same) == version_of(partial(panel_from_bars, convention="ex_close"))
    others = {version_of(panel_from_bars), version_of(partial(panel_from_bars, convention="previous_close"))}
    assert len(others | {version_of(same), version_of(same, also=1)}) == 4
    assert re.fullmatch(r"[0-9a-f]{16}", version_of(same))


def test_changed_definitions_are_named() -> None:
    then = {"a:x": "1", "a:y": "2", "a:gone": "3"}
    assert changed_definitions(then, {"a:x": "1", "a:y": "4", "a:new": "5"}) == "a:gone, a:new, a:y"
    assert changed_definitions({}, {f"a:{number}": "1" for number in range(7)}).endswith("and 2 more")


# --- this package, and what ran of it ------------------------------------------------------------------


def ran(act: Callable[[], object]) -> set[str]:
    """Names at the top of this package's modules whose code ran meanwhile; read from frames, not from sources."""
    seen: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(HOME)):
            seen.add((frame.f_globals["__name__"], frame.f_code.co_qualname.partition(".")[0]))

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return {counted_name(f"{module}:{name}") for module, name in seen if not name.startswith("<")}


def followed(names: set[str]) -> set[str]:
    """Those that a version does not cut off: settings and errors count otherwise, and what tells versions in none."""
    return {name for name in names if not name.startswith(CUT)}


def panel() -> Panel:
    rows = np.random.default_rng(3).normal(0.0, 0.01, (90, 2)).cumsum(axis=0)
    close = 100.0 * np.exp(rows)
    close[40, 0] = np.nan
    days = pd.bdate_range("2020-01-01", periods=90)
    fields = {name: close * by for name, by in (("open", 1.0), ("high", 1.01), ("low", 0.99), ("close", 1.0))}
    return Panel(days.as_unit("ns"), ("A", "M"), **fields, volume=np.where(np.isnan(close), np.nan, 1e6))


@pytest.fixture(scope="module")
def traced() -> dict[str, set[str]]:
    """By feature, the names of this package that ran while it was computed."""
    sample = panel()
    return {
        name: ran(partial(compute_features, sample, (name,), market_symbol="M", max_missing_fraction=0.1, bridge=True))
        for name in OF_BARS
    }


def test_all_that_ran_for_a_feature_is_behind_it(traced: dict[str, set[str]]) -> None:
    for name, seen in traced.items():
        definitions = set(definitions_behind(compute_features, CATALOGUE[name].compute))
        assert len(seen) > 5
        assert not followed(seen) - definitions, name


def test_a_feature_depends_on_no_other_feature() -> None:
    definitions = definitions_behind(compute_features, CATALOGUE["rsi_14"].compute)
    assert "nn_assets.features.catalogue.trend:_relative_strength" in definitions
    assert not {"nn_assets.features.catalogue.trend:_bollinger", "nn_assets.features.catalogue.trend:TREND"} & set(
        definitions
    )


def test_all_that_ran_while_bars_were_cleaned_is_behind_it() -> None:
    bars = sound_bars(("A", "B"))
    seen = ran(lambda: clean(bars, "XNYS", CleaningSettings()))
    assert len(seen) > 10
    assert not followed(seen) - set(definitions_behind(clean))


def test_all_that_ran_while_a_model_was_fitted_is_behind_it() -> None:
    (cube, labels), strategy = tiny_market(), tiny_strategy({"select": True}, network="mlp", maximum_epochs=1)
    seen = ran(partial(fit_model, cube, labels, tiny_fold(cube, strategy), strategy))
    assert len(seen) > 60
    where = [member.build for member in COMPUTES.own.values()]  # changes no bit, by the contract of computes
    assert not followed(seen) - set(definitions_behind(fit_models, NETWORKS["mlp"].build, *roots_of_fits(), *where))


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of this package."""
    folder = tmp_path_factory.mktemp("copied") / "nn_assets"
    shutil.copytree(HOME, folder, ignore=shutil.ignore_patterns("__pycache__"))
    yield folder
    shutil.rmtree(folder)


def functions_of(file: Path) -> dict[str, int]:
    """Functions at the top of a file, each with the line after its signature; read by lines, not as Python."""
    functions, lines = {}, file.read_text().splitlines()
    for number, line in enumerate(lines):
        if match := re.match(r"def (\w+)\(", line):
            end = next(index for index in range(number, len(lines)) if lines[index].rstrip().endswith(":"))
            functions[match[1]] = end + 1
    return functions


def test_a_statement_put_into_any_function_that_ran_changes_the_versions_of_what_it_ran_for_and_no_others(
    copied: Path, traced: dict[str, set[str]], tmp_path: Path
) -> None:
    draw, kept = random.Random(11), tmp_path / "versions.json"
    roots = {
        name: (
            "nn_assets.features.catalogue.compute:compute_features",
            f"{(code := getattr(entry.compute, 'func', entry.compute)).__module__}:{code.__name__}",
        )
        for name, entry in OF_BARS.items()
    }

    def versions() -> dict[str, dict[str, str]]:
        package = Package(copied, kept)
        return {name: package.definitions_behind(*asked) for name, asked in roots.items()}

    before = versions()
    definitions = sorted({definition for seen in traced.values() for definition in followed(seen)})
    for definition in draw.sample(definitions, 12):
        module, _, name = definition.partition(":")
        file = copied.parent / (module.replace(".", "/") + ".py")
        functions = functions_of(file)
        if name not in functions:
            continue  # a class
        text = file.read_text()
        lines = text.splitlines()
        file.write_text("\n".join([*lines[: functions[name]], "    # a comment", *lines[functions[name] :]]))
        assert versions() == before, definition
        file.write_text("\n".join([*lines[: functions[name]], "    _mutant = 1", *lines[functions[name] :]]))
        after = versions()
        changed = {feature for feature in roots if after[feature] != before[feature]}
        assert changed >= {feature for feature, seen in traced.items() if definition in seen}, definition
        for feature in changed:
            assert changed_definitions(before[feature], after[feature]) == definition
        file.write_text(text)
    assert versions() == before
