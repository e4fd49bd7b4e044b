"""Answers by explicit words, or by the language of a text: no model is asked."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import re2

from inference.tasks.model import Rule, Task

_OPTIONS = re2.Options()
_OPTIONS.case_sensitive = False
_OPTIONS.log_errors = False  # they would go to stderr, past every logger


class BadPatternError(ValueError):
    """A rule's pattern is none to RE2."""


def first_rule(task: Task, text: str, language: str | None) -> str | None:
    """Return the label of the first rule that matches, or None.

    RE2 takes time in proportion to the text, whatever the pattern and whoever wrote the text.
    """
    return next((rule.label for rule in task.rules if _matches(rule, text, language)), None)


def _matches(rule: Rule, text: str, language: str | None) -> bool:
    if rule.pattern is None:
        return rule.language == language
    return compiled(rule.pattern).search(text) is not None


def otherwise(task: Task, language: str | None) -> str | None:
    """Return what a task of rules answers where none matches: None for what it cannot read."""
    return task.otherwise if can_read(task.languages, language) else None


def can_read(languages: Sequence[str], language: str | None) -> bool:
    """Return whether a text's language is one of these; an empty list stands for all."""
    return language is not None and (not languages or language in languages)


@cache
def compiled(pattern: str) -> Any:  # noqa: ANN401, google-re2 has no types
    """Return the pattern, ready to search.

    Raises:
        BadPatternError: RE2 does not take it.

    """
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as exc:
        why = exc.args[0]
        raise BadPatternError(why.decode() if isinstance(why, bytes) else str(why)) from None
