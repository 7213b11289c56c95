"""Every exception of the package. Each says what was expected, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class NnAssetsError(Exception):
    """Base of every named error.

    Parameters
    ----------
    expected : str
        What should have been there.
    found : str
        What was there instead; the offending value is quoted here or in ``where``.
    remedy : str
        What the operator can do about it.
    **where : object
        Any of ``file``, ``row``, ``symbol``, ``session``, ``rule``, ``value``, ``key`` and the
        like. ``None`` values are left out of the message.
    """

    def __init__(self, *, expected: str, found: str, remedy: str, **where: object) -> None:
        self.expected = expected
        self.found = found
        self.remedy = remedy
        self.where = {name: value for name, value in where.items() if value is not None}
        super().__init__(str(self))

    @property
    def kind(self) -> str:
        """Name of the error, as an operator sees it."""
        return type(self).__name__

    @property
    def statement(self) -> str:
        """What was expected and found, without where."""
        return f"expected {self.expected}; found {self.found}"

    def __str__(self) -> str:
        location = ", ".join(f"{name} {value}" for name, value in self.where.items())
        head = f"[{location}] " if location else ""
        message = f"{head}expected {self.expected}; found {self._found_in_full()}"
        # After a list, on a line of its own.
        end = "\n" if "\n" in message else " " if message.endswith("?") else ". "
        return f"{message}{end}Remedy: {self.remedy}"

    def _found_in_full(self) -> str:
        """What was found, in full."""
        return self.found

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args), self.__dict__


MOST_NAMED = 12
"""Names that one sentence lists, unless the list says otherwise."""


def first_of(lines: Sequence[str], most: int = MOST_NAMED) -> list[str]:
    """Cut a list to its first lines, and say how many more there are."""
    more = len(lines) - most
    return [*lines[:most], *([f"and {more:,} more"] if more > 0 else [])]


def shortened(text: str, most: int) -> str:
    """Cut a sentence to at most ``most`` characters: its first clauses (up to ``"; "``), and how many more there are.

    Where whole clauses would leave half of the room empty, its first words and an ellipsis. No word is cut in two but
    one that has no room by itself.
    """
    if len(text) <= most:
        return text
    clauses = text.split("; ")
    for kept in range(len(clauses) - 1, 0, -1):
        candidate = f"{'; '.join(clauses[:kept])}; and {len(clauses) - kept:,} more"
        if most // 2 <= len(candidate) <= most:
            return candidate
    head, _, last = text[: most - 2].rpartition(" ")
    return f"{head or last} …"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Those of some names that a mistyped one is nearest to, as the beginning of a remedy; nothing where none is near.

    ``planted_edg`` gives ``"did you mean planted_edge? "``.
    """
    by_lower_case = {candidate.lower(): candidate for candidate in sorted(names)}
    near = [by_lower_case[match] for match in get_close_matches(name.lower(), by_lower_case, n=3)]
    return f"did you mean {' or '.join(near)}? " if near else ""


def _rebuild(kind: type[NnAssetsError], arguments: tuple[object, ...]) -> NnAssetsError:
    return kind.__new__(kind, *arguments)  # what it says comes as its state


class SettingsError(NnAssetsError):
    """A strategy file that cannot be read, or a key in it that is unknown, ill-typed or contradictory."""


class PluginError(SettingsError):
    """A user's own code that cannot be used: it is missing, cannot be imported, or breaks the contract of its kind."""


class InstallationError(NnAssetsError):
    """Something the machine lacks: a file that the package should have come with, a home folder, a free port."""


class SourceError(NnAssetsError):
    """A vendor or file whose answer is empty, partial, malformed or unreadable."""


class SchemaError(NnAssetsError):
    """A frame that crosses a room without its contract's columns or types."""


class GateHalted(NnAssetsError):  # noqa: N818  the field says: the pipeline halts
    """Data that fail the gate. Nothing downstream may run; the last publication, if any, stays in force.

    Parameters
    ----------
    violations : sequence of str
        One line per violation: symbol, session, rule and value.
    """

    def __init__(
        self, *, expected: str, found: str, remedy: str, violations: Sequence[str] = (), **where: object
    ) -> None:
        self.violations = tuple(violations)
        super().__init__(expected=expected, found=found, remedy=remedy, **where)

    def _found_in_full(self) -> str:
        return self.found + "".join(f"\n  - {line}" for line in first_of(self.violations, 50))


class PublicationError(NnAssetsError):
    """Data asked for that no publication covers, or whose hash is not the published one."""


class LedgerError(NnAssetsError):
    """A ledger that cannot be reached, or a row that contradicts one already committed."""


class ClockError(NnAssetsError):
    """A clock that is behind what is on record, or moments on record of one that ran ahead."""


class CodeError(NnAssetsError):
    """A function whose version is unknown, because its code cannot be found by its name."""


class NoRoomError(NnAssetsError):
    """A disk that is full. What was committed before is whole; what was not is not there."""


class AccessError(NnAssetsError):
    """A file that is there, and that this user may not read."""


class AuditError(LedgerError):
    """A ledger whose hash chain does not verify."""


class FoldError(NnAssetsError):
    """A walk-forward step that cannot be formed: too few rows, or parts that touch."""


class ShortFoldError(FoldError):
    """A walk-forward step with too few rows for one of its parts, or for what is fitted on them."""


class TrainingError(NnAssetsError):
    """A network whose training failed: NaN, an exploding loss, no member left."""


class SearchError(NnAssetsError):
    """A search of hyper-parameters none of whose trials can be compared."""


class WorkerError(NnAssetsError):
    """A training process that died: a matter of the machine, not of what was fitted."""


class ModelError(NnAssetsError):
    """A stored model that is missing, damaged, or not the one its address names."""


class RunFailed(NnAssetsError):  # noqa: N818  named like what it reports
    """A run that ended in a failure; the message is that of the step that failed.

    Parameters
    ----------
    named, text : str
        Where the step raised an error of this package: its name, and the whole message, which begins with that
        error's own and then says which run it was. Empty where it raised another.
    """

    def __init__(
        self, *, expected: str, found: str, remedy: str, named: str = "", text: str = "", **where: object
    ) -> None:
        self.named, self.text = named, text
        super().__init__(expected=expected, found=found, remedy=remedy, **where)

    @property
    def kind(self) -> str:
        """Name of the error that the step raised; this one's own where it has none."""
        return self.named or super().kind

    def __str__(self) -> str:
        return self.text or super().__str__()


class DecisionError(NnAssetsError):
    """A session that cannot be decided, or whose decision differs from the one on record."""


class ControlError(NnAssetsError):
    """A control (breaker, kill switch, trading state) that cannot be read, or is set impossibly."""


NAMED_ERRORS = frozenset(
    name for name, value in vars().copy().items() if isinstance(value, type) and issubclass(value, NnAssetsError)
)
"""Names of every error of this package."""
