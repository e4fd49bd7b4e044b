"""What stands in the headers of a record that our border wrote, and nothing else.

Some of it goes into the ledger, which outsiders read: a header that took any text would be
a way out of the region for whatever is put in it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from connectors.kafka import headers
from schemas.errors import BreachError
from schemas.events import RecordId

_BASIS: Final = "[a-z][a-z-]{1,15}:[A-Za-z][A-Za-z0-9-]{0,63}"  # such as eu-gdpr:A45-3
_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    name: re.compile(form, re.ASCII)
    for name, form in {
        headers.RECORD: r"[a-z0-9._-]{1,249}\[\d+\]@\d+#\d+(?:\+\d+)?",
        headers.TOPIC_ID: r"[A-Za-z0-9_-]{1,64}",
        headers.OBJECT: r"[A-Za-z][A-Za-z0-9_]{0,79}",
        headers.VERSION: r"[1-9][0-9]{0,15}",
        headers.PLAN: r"[0-9a-f]{64}",
        headers.KEYS: r"[1-9][0-9]{0,3}",
        headers.BASIS: rf"(?:{_BASIS}(?:,{_BASIS})*)?",
        headers.RELEASE: r"[0-9a-f]{64}",
        headers.MODEL: r"[0-9a-f]{64}",
        headers.DELETES: r"true",
        headers.TRACEPARENT: r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}",
    }.items()
}
_NEEDED: Final = _FORMS.keys() - {headers.TRACEPARENT, headers.MODEL, headers.DELETES}


def own_headers(given: Iterable[tuple[str, bytes]], where: str) -> dict[str, str]:
    """Return a minimal record's headers as text, once they are what our border writes.

    Args:
        given: The record's headers.
        where: Its coordinates on the minimal topic.

    Raises:
        BreachError: One is missing, is there twice, is not one of ours or has another form.

    """
    pairs = list(given)
    found = headers.texts(pairs)
    wrong = sorted(name for name in _FORMS.keys() & found.keys() if not _fits(name, found[name]))
    missing = sorted(_NEEDED - found.keys())
    if wrong or missing or len(found) != len(pairs) or found.keys() - _FORMS.keys():
        # A foreign header may be called anything: only our own names are quoted.
        named = ", ".join([*wrong, *missing]) or "more headers than ours"
        msg = f"{where}: {named}: not written by our border; see who else may write to this topic"
        raise BreachError(msg)
    return found


def _fits(name: str, text: str) -> bool:
    """Tell whether *text* is of the header's one form; a record id has one spelling too."""
    if _FORMS[name].fullmatch(text) is None:
        return False
    return name != headers.RECORD or str(RecordId.parse(text)) == text
