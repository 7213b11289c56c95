"""Where bars come from: what ``source`` and ``market.compare_with`` state, by their ``kind``.

The keys of a kind are stated by its member of ``nn_assets/sources``, in a model of its own that inherits
``SourceSection``. Settings know the kinds by name and import none: read without the members' models, a source is kept
as it is stated; with them (``operations/strategy_files.py``) its keys are checked with all others.

Keys and passwords are never settings: a setting names the environment variable that holds one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    TypeAdapter,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from nn_assets.errors import SettingsError
from nn_assets.plugins import load, names_of
from nn_assets.settings.section import NeverCounts, Section, WhenSet

_Type = TypeVar("_Type")
_HERE = ("127.0.0.1", "::1", "localhost")
_SOURCES = "nn_assets.sources"
_OWN = {
    "bundled": f"{_SOURCES}.bundled",
    "files": f"{_SOURCES}.tables.files",
    "simulator": f"{_SOURCES}.simulated",
    "sql": f"{_SOURCES}.sql",
    "trades": f"{_SOURCES}.tables.trades",
}
_named_elsewhere: set[str] = set()

TAKEN_SOURCE = "bundled"
"""The kind of a source that states none."""

SOURCE_MODELS = "source_models"
"""Key of a validation's context: see :data:`SourceModels`."""

PLUGINS = "plugins"
"""Key of a validation's context: plug-ins whose sources may be named. With the members' models at hand, they run."""


@cache
def source_modules() -> dict[str, str]:
    """The package's own kinds and their modules: five, and every module of the folder of vendors. None is imported."""
    vendors = Path(__file__).parent.parent / "sources" / "vendors"
    names = [module.name for module in iter_modules([str(vendors)]) if not module.name.startswith("_")]
    return _OWN | {name: f"{_SOURCES}.vendors.{name}" for name in names}


def source_kinds() -> tuple[str, ...]:
    """Every kind of source that there is, by name."""
    return (*source_modules(), *sorted(_named_elsewhere))


def name_source(kind: str) -> None:
    """Let strategies state a kind of source that does not come with the package."""
    _named_elsewhere.add(kind)


def _safe_address(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("an address such as https://host, without user, password or query, was expected")
    if parts.scheme == "http" and parts.hostname not in _HERE:
        raise ValueError("https was expected: only this machine itself may be asked without encryption")
    return address.rstrip("/")


class _Mark:
    """Mark of a field whose text names something: a file, or an environment variable."""


_FILE, _VARIABLE = _Mark(), _Mark()

Address = Annotated[str, AfterValidator(_safe_address)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=80), _VARIABLE]
"""Name of an environment variable that holds a key; reports of what is missing name it."""
Exchange = Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
Count = Annotated[int, Field(ge=1)]
Query = Annotated[str, Field(min_length=1)]
NamesFile = Annotated[_Type, _FILE]
"""Type of a field that names a file or folder, relative to the strategy's own; reports of what is missing name it."""


class SourceSection(Section):
    """What every kind of source may state; a member's own model inherits it, its ``kind`` a literal with a default.

    ``actions_path`` names a CSV of splits and dividends that goes with bars of any kind.
    A whole answer that no longer lists more than ``max_withdrawn_fraction`` of the actions in force is refused.
    """

    kind: str
    actions_path: WhenSet[NamesFile[str | None]] = None
    max_withdrawn_fraction: NeverCounts[Annotated[float, Field(ge=0.0, le=1.0)]] = 0.05

    @property
    def closes_alone(self) -> bool:
        """Whether a bar of it is its close alone."""
        return False

    @property
    def file_limits(self) -> tuple[int, int, int] | None:
        """Rows, columns and megabytes that are read of a strategy's files at most; None for the usual limits."""
        return None

    @property
    def funding_exchange(self) -> tuple[str, str | None] | None:
        """The exchange that series of funding rates are asked from where they state none, and its address."""
        return None

    def files_named(self) -> dict[str, str]:
        """Files and folders that it names, by key."""
        return dict(self._marked(_FILE))

    def variables_named(self) -> dict[str, str]:
        """Environment variables that it names, by key."""
        return dict(self._marked(_VARIABLE))

    def _marked(self, mark: _Mark) -> Iterator[tuple[str, str]]:
        fields = type(self).model_fields  # those that every kind has come first there
        for name in sorted(fields, key=SourceSection.model_fields.__contains__):
            if mark in fields[name].metadata and (value := getattr(self, name)):
                yield name, value


class UncheckedSource(SourceSection):
    """A source as it is stated: its own keys are not checked yet, and their defaults not known."""

    model_config = ConfigDict(extra="allow")

    def counted(self, *, within: bool = False) -> NoReturn:  # noqa: ARG002  as every section's
        """Refuse: what of it changes a result only the model of its kind can say.

        Raises
        ------
        SettingsError
            Always.
        """
        raise SettingsError(
            expected=f"a source whose keys the model of kind {self.kind!r} has checked",
            found="one as it is stated",
            remedy="read the strategy with nn_assets.operations.strategy_files, or give it to its with_checked_source",
            key="source",
        )

    @property
    def closes_alone(self) -> NoReturn:
        """Refuse, as :meth:`counted` does."""
        self.counted()

    @property
    def file_limits(self) -> NoReturn:
        """Refuse, as :meth:`counted` does."""
        self.counted()

    @property
    def funding_exchange(self) -> NoReturn:
        """Refuse, as :meth:`counted` does."""
        self.counted()


SourceModels = Callable[[str], type[SourceSection]]
"""Gives the settings model of a kind of source by name. As ``SOURCE_MODELS`` in a validation's context it checks."""


def _by_its_kind(value: Any, info: ValidationInfo) -> Any:
    models: SourceModels | None = (info.context or {}).get(SOURCE_MODELS)
    if isinstance(value, UncheckedSource) and models is not None:
        value = value.model_dump(exclude_unset=True)
    if value is None or isinstance(value, SourceSection):
        return value
    if not isinstance(value, Mapping):
        raise PydanticCustomError("mapping_expected", "a mapping of keys was expected")
    kind = str(value.get("kind", TAKEN_SOURCE))
    plugins: tuple[str, ...] = (info.context or {}).get(PLUGINS, ())
    brought = names_of("source", plugins) or ()
    kinds = tuple(dict.fromkeys((*source_kinds(), *sorted(brought))))
    if models is not None and kind in brought:
        load(plugins)
    if kind not in kinds:
        expected = ", ".join(map(repr, kinds))
        raise PydanticKnownError("union_tag_invalid", {"discriminator": "kind", "tag": kind, "expected_tags": expected})
    unchecked = SourceSection if kind == TAKEN_SOURCE else UncheckedSource  # the bundled sample has no keys of its own
    model = unchecked if models is None else models(kind)
    # Its kind stands in the place of what is wrong with it, as where one of several sections is chosen.
    checked = TypeAdapter(dict[str, model]).validate_python({kind: {**value, "kind": kind}}, context=info.context)  # type: ignore[valid-type]
    return checked[kind]


SourceSettings = Annotated[SerializeAsAny[SourceSection], BeforeValidator(_by_its_kind)]
"""A source as its kind's own model has checked it, or as it is stated: see :class:`UncheckedSource`."""
