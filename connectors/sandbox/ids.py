"""Salesforce record ids: 15 case-sensitive characters plus a 3-character checksum."""

import string
from functools import lru_cache

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
CHECKSUM_ALPHABET = string.ascii_uppercase + "012345"
INSTANCE = "RO0"  # two characters for the instance, one reserved
SEQUENCE_DIGITS = 9
LOW_DIGITS = 5  # the last ones: one character of the checksum is theirs alone
SHORT, LONG = 15, 18  # characters
USER_PREFIX = "005"

_DIGIT = {char: value for value, char in enumerate(ALPHABET)}
_UPPER = frozenset(string.ascii_uppercase)
_LOW = len(ALPHABET) ** LOW_DIGITS
# every two digits, and which of them are upper case: an id is made for every row shown or written
_PAIRS = [(a + b, (a in _UPPER) | (b in _UPPER) << 1) for a in ALPHABET for b in ALPHABET]


def record_id(key_prefix: str, sequence: int) -> str:
    """Return the 18-character id of the *sequence*-th row of an object.

    Args:
        key_prefix: Three characters that name the object, such as ``a00``.
        sequence: 0 or more; rows made later have greater ids.

    """
    high, low = divmod(sequence, _LOW)
    head, head_sum = _head(key_prefix, high)
    first, rest = divmod(low, len(_PAIRS) ** 2)
    middle, last = divmod(rest, len(_PAIRS))
    (middle_text, middle_bits), (last_text, last_bits) = _PAIRS[middle], _PAIRS[last]
    digit = ALPHABET[first]
    bits = (digit in _UPPER) | middle_bits << 1 | last_bits << 3
    return f"{head}{digit}{middle_text}{last_text}{head_sum}{CHECKSUM_ALPHABET[bits]}"


@lru_cache(maxsize=1024)
def _head(key_prefix: str, high: int) -> tuple[str, str]:
    """Return the first ten characters of an id, and of its checksum the two they decide."""
    digits = []
    for _ in range(SEQUENCE_DIGITS - LOW_DIGITS):
        high, digit = divmod(high, len(ALPHABET))
        digits.append(ALPHABET[digit])
    head = key_prefix + INSTANCE + "".join(reversed(digits))
    return head, checksum(head)[:2]


def checksum(short: str) -> str:
    """Return the suffix that makes a 15-character id safe to compare without case.

    Each of the three characters tells which of five characters are upper case, least
    significant bit first.

    Source: Salesforce, "How to convert a 15-character id to 18 characters".
    """
    return "".join(
        CHECKSUM_ALPHABET[
            sum(1 << bit for bit, char in enumerate(short[at : at + 5]) if char in _UPPER)
        ]
        for at in (0, 5, 10)
    )


def is_id(value: str) -> bool:
    """Return whether *value* is an id of any object: 15 characters, or 18 with their checksum."""
    short = value[:SHORT]
    if len(short) < SHORT or not _DIGIT.keys() >= set(short):
        return False
    return value == short or value[SHORT:].upper() == checksum(short)


def sequence_of(key_prefix: str, value: str) -> int | None:
    """Return the sequence number in an id of 15 or 18 characters; the inverse of `record_id`.

    None if it is no id of this object: wrong length, prefix, character or checksum.
    """
    short = value[:SHORT]
    if len(value) == LONG:
        if value[SHORT:].upper() != checksum(short):
            return None
    elif len(value) != SHORT:
        return None
    head, tail = short[:-SEQUENCE_DIGITS], short[-SEQUENCE_DIGITS:]
    if head != key_prefix + INSTANCE or not _DIGIT.keys() >= set(tail):
        return None
    sequence = 0
    for char in tail:
        sequence = sequence * len(ALPHABET) + _DIGIT[char]
    return sequence
