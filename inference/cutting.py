"""Cuts a text that a model cannot read whole."""

import re2

LIMIT = 800  # characters; some 200 of MiniLM's 256 tokens of English
_SENTENCE = re2.compile(r"[.!?…。]+[\"'»”)]*\s|\n")


def cut(text: str, limit: int = LIMIT) -> tuple[str, bool]:
    """Return the beginning of *text*, at most *limit* characters, and whether any was left out.

    It ends with a sentence; where there is none, with a word; where there is none, anywhere.
    """
    if len(text) <= limit:
        return text, False
    head = text[: limit + 1]  # a full stop at the limit counts if a space follows it
    ends = [match.end() for match in _SENTENCE.finditer(head)]
    if ends:
        return text[: ends[-1]].rstrip(), True
    space = head.rfind(" ")
    return text[: space if space > 0 else limit].rstrip(), True


def clean(text: str) -> str:
    """Return the text without half surrogate pairs, which JSON may hold and UTF-8 may not."""
    return text.encode("utf-8", "replace").decode()
