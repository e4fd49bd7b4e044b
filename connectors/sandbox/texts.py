"""Text as UTF-8 can hold it.

JSON and SOQL may escape the halves of a character one by one, and headers are bytes; what is
no character stands for ``?``, as it does where Java writes UTF-8. Pure.
"""

from typing import Any

_UTF_16 = "utf-16-le"


def encodable(text: str) -> str:
    """Return *text* with halves that belong together joined, and lone ones as ``?``."""
    if text.isascii():
        return text
    joined = text.encode(_UTF_16, "surrogatepass").decode(_UTF_16, "surrogatepass")
    return joined.encode("utf-8", "replace").decode("utf-8")


def encodable_document(document: Any) -> Any:  # noqa: ANN401 -- whatever JSON holds
    """Return a JSON document whose texts and names are `encodable`.

    Raises:
        RecursionError: It is nested too deeply.

    """
    if isinstance(document, str):
        return encodable(document)
    if isinstance(document, list):
        return [encodable_document(item) for item in document]
    if isinstance(document, dict):
        return {encodable(name): encodable_document(value) for name, value in document.items()}
    return document
