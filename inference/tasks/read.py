"""Read the task files, every fault with its file and line."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.tasks.model import Task
from residency.policy.files import Finding, PolicyFile, shown, text_of
from schemas.errors import SetupError

FOLDER = Path(__file__).parent


class BadTaskError(SetupError):
    """A task file is not one that can be answered."""


@dataclass(frozen=True, slots=True)
class TaskFile:
    """A task as its author wrote it, and as read; None if it could not be read."""

    file: PolicyFile
    task: Task | None


def task_files(folder: Path = FOLDER) -> Sequence[PolicyFile]:
    """Return the task files of a folder, by name.

    Raises:
        BadTaskError: There is none.

    """
    files = [PolicyFile(shown(path), text_of(path)) for path in sorted(folder.glob("*.toml"))]
    if not files:
        msg = f"{folder}: no task file there; give a folder with *.toml, one file per task"
        raise BadTaskError(msg)
    return files


def read_tasks(files: Iterable[PolicyFile], findings: list[Finding]) -> Sequence[TaskFile]:
    """Return what the files say; a finding for each fault of form."""
    return [TaskFile(file, _read(file, findings)) for file in files]


def _read(file: PolicyFile, findings: list[Finding]) -> Task | None:
    table = file.table(findings)
    if not table:
        return None
    if "sha256" in table:
        told = "a file does not hold its own digest; leave the key out"
        findings.append(file.finding(("sha256",), "unknown-key", told))
    task = file.row(dict(table), (), Task, findings)
    digest = hashlib.sha256(file.text.encode()).hexdigest()
    return None if task is None else replace(task, sha256=digest)
