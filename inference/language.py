"""Which language a text is in, told offline.

An embedding model that reads English alone answers anything, and its margins do not show it. So
the language comes first, by a library that does nothing else.
"""

from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

SURE = 0.3  # least probability, over 97 languages; chosen on the training messages


def language_of(text: str) -> str | None:
    """Return ISO 639-1 of the text's language, or None if it cannot be told.

    The same text has the same answer everywhere. The first call takes seconds to load 5 MB.
    """
    if not any(letter.isalpha() for letter in text):
        return None
    language, probability = _identifier().classify(text)
    return str(language) if probability >= SURE else None


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
