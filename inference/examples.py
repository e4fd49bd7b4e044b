"""Texts of which somebody has said what is right: what heads are trained on and measured by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from inference.tasks.model import Task
from schemas.errors import SetupError

TRAINING = Path(__file__).parent / "training" / "messages.jsonl"


class BadExampleError(SetupError):
    """A line of labelled texts is none."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text with its label.

    Attributes:
        language: As its author says, ISO 639-1.
        group: What it was made from; two of one group count as nearly the same text.

    """

    text: str = field(repr=False)
    truth: str
    language: str
    group: str


def read_examples(task: Task, lines: Iterable[bytes | str], name: str) -> Sequence[Example]:
    """Return the examples of one task in JSON lines: `text`, and the label under the task's name.

    `language` is `en` if it is not said, and each line is a `template` of its own. A line that
    says nothing of this task is passed over.

    Args:
        task: What they are about.
        lines: The file.
        name: What to call it in an error.

    Raises:
        BadExampleError: A line is no such object, or its label is not one of the task's.

    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        at = f"{name}:{number}"
        row = _object(line, at)
        truth = row.get(task.name)
        if not truth:
            continue
        if truth not in task.labels:
            msg = f"{at}: no label of {task.name}; have {', '.join(task.labels)}"
            raise BadExampleError(msg)
        language, group = str(row.get("language", "en")), str(row.get("template", at))
        found.append(Example(row["text"], truth, language, group))
    if not found:
        msg = f'{name}: no example of {task.name}; give lines of {{"text", "{task.name}"}}'
        raise BadExampleError(msg)
    return found


def _object(line: bytes | str, at: str) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        msg = f'{at}: want a JSON object with a string "text"'
        raise BadExampleError(msg)
    return row
