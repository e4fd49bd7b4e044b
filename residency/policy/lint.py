"""Everything that is wrong with a policy, at once, with file and line."""

from collections.abc import Iterator
from datetime import date

import yaml

from residency.policy.files import UNQUOTED, Finding, PolicyFile, PolicyFiles
from residency.policy.lint_limits import LimitLint
from residency.policy.lint_rows import RowLint
from residency.policy.rulebook import read_rulebook

_BOOLEAN = "tag:yaml.org,2002:bool"


def lint(
    files: PolicyFiles, on: date, known: frozenset[str], used: frozenset[str]
) -> tuple[Finding, ...]:
    """Return every finding about a policy on a day, by file and line.

    Args:
        files: The policy.
        on: The day.
        known: Every category there is.
        used: The categories of the fields of all schemas.

    """
    findings: list[Finding] = []
    book = read_rulebook(files, findings)
    findings += RowLint(book, on, known, used).findings()
    findings += LimitLint(files, book, on, known).findings()
    return tuple(sorted(set(findings)))


def lint_yaml(file: PolicyFile) -> tuple[Finding, ...]:
    """Return every bare word of a YAML file that YAML 1.1 reads as a truth value.

    Lists of countries are copied from and to such files, and in them ``NO`` is false.
    """
    try:
        root = yaml.compose(file.text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        told = "not YAML: " + str(getattr(exc, "problem", "cannot be read"))
        return (Finding(file.name, line, "syntax", told),)
    lines = sorted(set(_bare(root))) if root is not None else []
    return tuple(Finding(file.name, line, "unquoted-no", UNQUOTED) for line in lines)


def _bare(node: yaml.Node) -> Iterator[int]:
    """Yield the line of every plain scalar that is a boolean and does not look like one."""
    match node:
        case yaml.ScalarNode(tag=tag, value=value):
            if tag == _BOOLEAN and value.lower() not in {"true", "false"}:
                yield node.start_mark.line + 1
        case yaml.SequenceNode(value=members):
            for member in members:
                yield from _bare(member)
        case yaml.MappingNode(value=pairs):
            for key, value in pairs:
                yield from _bare(key)
                yield from _bare(value)
        case _:
            pass
