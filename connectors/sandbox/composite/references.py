"""References of one subrequest to the answer of another: ``@{order.id}``. Pure.

Source: REST API, "Composite", "referenceId" and "Composite Subrequest Result".
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

_REFERENCE = re.compile(r"@\{(([^{}.\[]+)([^{}]*))\}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]", re.ASCII)
_MARK = "@{"


class UnresolvedError(Exception):
    """A reference names what no answer holds.

    Attributes:
        text: The API's two sentences about it; the second one misleads, as the real one does.

    """

    def __init__(self, reference: str, name: str) -> None:
        """Name the reference; it holds no value."""
        self.text = (
            f"Invalid reference specified. No value for {reference} found in {name}. Provided"
            f" referenceId ('{reference}') must start with a letter or a number, and it can contain"
            " only letters, numbers and underscores ('_')."
        )
        super().__init__(self.text)


def may_refer(body: str) -> bool:
    """Return whether a request's text can hold a reference at all: most of them have none."""
    return _MARK in body or "\\u" in body


def referenced(value: object) -> set[str]:
    """Return the reference ids that *value* uses anywhere."""
    if isinstance(value, str):
        return {m[2] for m in _REFERENCE.finditer(value)} if _MARK in value else set()
    if isinstance(value, Mapping):
        return {name for part in value.values() for name in referenced(part)}
    if isinstance(value, list):
        return {name for part in value for name in referenced(part)}
    return set()


def resolve(
    value: Any,  # noqa: ANN401 -- any JSON
    answers: Mapping[str, Any],
    *,
    with_nulls: bool,
    escape: Callable[[str], str] = str,
) -> Any:  # noqa: ANN401 -- any JSON
    """Return *value* with each reference replaced by what it names in *answers*, as text.

    Args:
        value: A subrequest's URL or body.
        answers: Body of each subrequest that succeeded, by reference id.
        with_nulls: An empty field of a row may be referred to: null where the reference is all
            of a text, nothing within one.
        escape: What a text goes through before it takes a reference's place.

    Raises:
        UnresolvedError: There is no such answer, or nothing of that name in it.

    """

    def replaced(part: Any) -> Any:  # noqa: ANN401 -- any JSON
        if isinstance(part, str) and _MARK in part:
            whole = _REFERENCE.fullmatch(part)
            if whole is not None and _look_up(whole, answers, with_nulls=with_nulls) is None:
                return None
            return _REFERENCE.sub(
                lambda match: escape(_look_up(match, answers, with_nulls=with_nulls) or ""), part
            )
        if isinstance(part, dict):
            return {name: replaced(member) for name, member in part.items()}
        if isinstance(part, list):
            return [replaced(member) for member in part]
        return part

    return replaced(value)


def _look_up(match: re.Match[str], answers: Mapping[str, Any], *, with_nulls: bool) -> str | None:
    """Return what the reference names, None if that is an empty field of a row."""
    reference, name, path = match.groups()
    found: Any = answers.get(name)
    if _STEP.sub("", path):
        raise UnresolvedError(reference, name)
    for field, index in _STEP.findall(path):
        if field and isinstance(found, Mapping) and field in found:
            if found[field] is None and with_nulls and "attributes" in found:
                return None
            found = found[field]
        elif index and isinstance(found, list) and int(index) < len(found):
            found = found[int(index)]
        else:
            found = None
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, str | int | Decimal):
        return str(found)
    raise UnresolvedError(reference, name)
