"""What stands in an order on the control path: its members, checked one by one. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

E = TypeVar("E", bound=StrEnum)


class PlanError(ValueError):
    """A plan, or another order on the control path, that cannot be followed; its text says why."""


def members(document: object, where: str, known: tuple[str, ...]) -> dict[str, Any]:
    """Return *document*, a JSON object with members of those names only.

    Raises:
        PlanError: It is not.

    """
    if not isinstance(document, dict):
        msg = f"{where}: must be a JSON object"
        raise PlanError(msg)
    unknown = sorted(document.keys() - set(known))
    if unknown:
        msg = f"{where}: has members that mean nothing: {unknown}; may have: {', '.join(known)}"
        raise PlanError(msg)
    return document


def number(row: Mapping[str, Any], path: str, default: float, *, most: float) -> float:
    """Return the member that *path* ends in, seconds or a share, *default* if it is absent.

    Raises:
        PlanError: It is no number of that range.

    """
    value = row.get(path.rpartition(".")[2], default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        msg = f"{path}: must be a number from 0 to {most:g}"
        raise PlanError(msg)
    return float(value)


def choice(row: Mapping[str, Any], where: str, name: str, kinds: type[E]) -> E:
    """Return which of *kinds* a member of the row at *where* names.

    Raises:
        PlanError: None of them.

    """
    try:
        return kinds(row[name])
    except (KeyError, ValueError) as exc:
        names = ", ".join(kinds)
        msg = f"{where}.{name}: must be one of: {names}"
        raise PlanError(msg) from exc


def word(row: Mapping[str, Any], path: str, words: tuple[str, ...]) -> str:
    """Return the member that *path* ends in, one of *words*; the first if it is absent.

    Raises:
        PlanError: It is another.

    """
    value = row.get(path.rpartition(".")[2], words[0])
    if value not in words:
        msg = f"{path}: must be one of: {', '.join(words)}"
        raise PlanError(msg)
    return str(value)


def count(row: Mapping[str, Any], where: str, name: str) -> int:
    """Return a member of the row at *where*, a number from 1.

    Raises:
        PlanError: It is no such number.

    """
    value = row[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        msg = f"{where}.{name}: must be a whole number from 1"
        raise PlanError(msg)
    return value
