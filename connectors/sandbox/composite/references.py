"""References of one subrequest to the answer of an earlier one: ``@{order.id}``. Pure.

Source: REST API, "Composite", "referenceId".
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

_REFERENCE = re.compile(r"@\{(\w+)((?:\.\w+|\[\d+\])*)\}", re.ASCII)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]", re.ASCII)


class UnresolvedError(Exception):
    """A reference names what no answer holds.

    Attributes:
        text: The API's sentence about it.

    """

    def __init__(self, name: str, path: str) -> None:
        """Name the reference; it holds no value."""
        self.text = f"Invalid reference specified. No value for {name}{path} found in {name}."
        super().__init__(self.text)


def referenced(value: object) -> set[str]:
    """Return the reference ids that *value* uses anywhere."""
    if isinstance(value, str):
        return {match[1] for match in _REFERENCE.finditer(value)}
    if isinstance(value, Mapping):
        return {name for part in value.values() for name in referenced(part)}
    if isinstance(value, list):
        return {name for part in value for name in referenced(part)}
    return set()


def resolve(
    value: Any,  # noqa: ANN401 -- any JSON
    answers: Mapping[str, Any],
    escape: Callable[[str], str] = str,
) -> Any:  # noqa: ANN401 -- any JSON
    """Return *value* with each reference replaced by what it names in *answers*, as text.

    Args:
        value: A subrequest's URL or body.
        answers: Body of each subrequest that succeeded, by reference id.
        escape: What a text goes through before it takes a reference's place.

    Raises:
        UnresolvedError: There is no such answer, or nothing of that name in it.

    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: escape(_look_up(match, answers)), value)
    if isinstance(value, dict):
        return {name: resolve(part, answers, escape) for name, part in value.items()}
    if isinstance(value, list):
        return [resolve(part, answers, escape) for part in value]
    return value


def _look_up(match: re.Match[str], answers: Mapping[str, Any]) -> str:
    name, path = match.groups()
    found: Any = answers.get(name)
    for field, index in _STEP.findall(path):
        if field and isinstance(found, Mapping):
            found = found.get(field)
        elif index and isinstance(found, list) and int(index) < len(found):
            found = found[int(index)]
        else:
            found = None
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, str | int | Decimal):
        return str(found)
    raise UnresolvedError(name, path)
