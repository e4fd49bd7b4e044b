"""The strict form of each field of a leaf: nothing else gets into the ledger.

A field that took any text would be a way out of the region for whatever is put in it.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from residency.ledger.errors import FormatError
from residency.ledger.tiles import MAX_ENTRY_BYTES
from schemas.events import RecordId

MAX_INTEGER: Final = 2**53 - 1  # RFC 8785: an IEEE double holds no larger one exactly
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}Z")
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")  # Kafka's rule for topic names
TOPIC_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # Kafka writes 22 characters of base64url
SHARED_FIELDS: Final = frozenset({"kind", "time", "record", "topic_id"})
NOTICE_FIELDS: Final = frozenset({"kind", "time", "request"})  # of a leaf about no record
REQUEST = re.compile(r"[0-9a-f]{32}")  # 128 random bits
OBJECT = FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")  # Salesforce API names
DIGEST = re.compile(r"[0-9a-f]{64}")
RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:_-]{0,127}")
BASIS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:/#_-]{0,127}")  # such as eu-gdpr:A45-3
_REMEMBERED: Final = 4096  # words and times: a million leaves have few, and a match costs more
CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,79}")  # such as FIELD_CUSTOM_VALIDATION_EXCEPTION


def check(is_fine: object, name: str, form: str) -> None:
    """Refuse a leaf unless *is_fine*, naming the field and its form, not its value.

    Raises:
        FormatError: It is not.

    """
    if not is_fine:
        msg = f"a leaf's {name!r} must be {form}"
        raise FormatError(msg)


def check_text(name: str, value: object, form: re.Pattern[str]) -> None:
    """Refuse what is no string of *form*."""
    if not (isinstance(value, str) and form.fullmatch(value)):
        check(is_fine=False, name=name, form=f"text like /{form.pattern}/")


@lru_cache(maxsize=_REMEMBERED)
def _has_form(value: str, form: re.Pattern[str]) -> bool:
    return form.fullmatch(value) is not None


def check_word(name: str, value: object, form: re.Pattern[str]) -> None:
    """Refuse what is no string of *form*, as `check_text`; for what many leaves say alike."""
    if not (isinstance(value, str) and _has_form(value, form)):
        check_text(name, value, form)


def check_integer(name: str, value: object) -> None:
    """Refuse what is no integer from 0 to 2**53 - 1; a boolean is none here."""
    if not (type(value) is int and 0 <= value <= MAX_INTEGER):
        check(is_fine=False, name=name, form="an integer from 0 to 2**53 - 1")


def check_choice(name: str, value: object, choices: AbstractSet[str]) -> None:
    """Refuse what is none of *choices*; also what is no string, and could not be looked up."""
    check(isinstance(value, str) and value in choices, name, "one of the closed list")


def check_time(value: object, name: str = "time") -> None:
    """Refuse what is no minute of the calendar, such as ``2026-11-23T16:40Z``."""
    check_word(name, value, TIME)
    check(_exists(str(value)), name, "a date that exists")


@lru_cache(maxsize=_REMEMBERED)
def _exists(time: str) -> bool:
    try:
        datetime.fromisoformat(time)
    except ValueError:
        return False
    return True


def check_record(record: RecordId) -> None:
    """Refuse a record id that Kafka could not have given, or that lacks its topic id."""
    check_word("record", record.at.topic, TOPIC)
    for number in (record.at.partition, record.at.offset, record.output, record.resend):
        check_integer("record", number)
    check_word("topic_id", record.topic_id, TOPIC_ID)


def parse_record(text: object, topic_id: object) -> RecordId:
    """Return the record id that a leaf writes, which it must do in the one way.

    Raises:
        FormatError: It does not.

    """
    try:
        record = RecordId.parse(str(text), str(topic_id))
    except ValueError:
        record = None
    if record is None or str(record) != text or record.topic_id != topic_id:
        msg = "a leaf's 'record' must be like topic[partition]@offset#output, with a topic id"
        raise FormatError(msg)
    return record


def canonical(row: Mapping[str, Any]) -> bytes:
    """Return *row* as RFC 8785 writes it, at most an entry long."""
    data = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    check(len(data) <= MAX_ENTRY_BYTES, "entry", f"at most {MAX_ENTRY_BYTES} bytes")
    return data


def check_fields(
    row: Mapping[str, Any], names: AbstractSet[str], optional: AbstractSet[str] = frozenset()
) -> None:
    """Refuse a JSON object that lacks one of *names* or has more than those and *optional*."""
    check(row.keys() - optional == names, "kind", "followed by exactly its own fields")
