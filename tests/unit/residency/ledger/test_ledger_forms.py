"""Each form of a leaf's field ends where the docs say, and the error names the field alone."""

import re

import pytest

from residency.ledger import forms
from residency.ledger.errors import FormatError
from schemas.events import Coordinates, RecordId

TOPIC_ID = "mKf0Jv4aQ3ywXKzQ"


def record(topic: str = "a", partition: int = 0, topic_id: str = TOPIC_ID, **of: int) -> RecordId:
    at = Coordinates(topic, partition, of.get("offset", 0))
    return RecordId(at, of.get("output", 0), of.get("resend", 0), topic_id)


@pytest.mark.parametrize(
    ("form", "fine", "bad"),
    [
        (
            forms.TIME,
            ["2026-11-23T16:40Z"],
            ["2026-11-23T16:40", "2026-11-23 16:40Z", "26-11-23T16:40Z"],
        ),
        (forms.TOPIC, ["a", "A.b_c-9", "x" * 249], ["", "x" * 250, "a b", "a[0]", "é"]),
        (forms.TOPIC_ID, ["a", "A_b-9", "x" * 64], ["", "x" * 65, "a.b", "a/b"]),
        (forms.REQUEST, ["0f" * 16], ["0f" * 15, "0f" * 17, "0F" * 16]),
        (forms.OBJECT, ["A", "a__c", "x" * 80], ["", "x" * 81, "1a", "a-b"]),
        (forms.DIGEST, ["ab" * 32], ["ab" * 31, "ab" * 33, "AB" * 32]),
        (forms.RELEASE, ["1", "0.1.0+a:b_c-d", "x" * 128], ["", "x" * 129, ".1", "a b"]),
        (forms.BASIS, ["9", "eu-gdpr:A45-3/#_.", "x" * 128], ["", "x" * 129, ":a", "a b"]),
        (forms.CODE, ["a", "A_9.b:c-d", "x" * 80], ["", "x" * 81, "9a", "a b"]),
    ],
)
def test_a_form_takes_its_shortest_and_longest_and_nothing_else(
    form: re.Pattern[str], fine: list[str], bad: list[str]
) -> None:
    for text in fine:
        forms.check_text("f", text, form)
        forms.check_word("f", text, form)
    for value in [*bad, *(f"{text}\n" for text in fine), None, 7, b"a", ["a"], True]:
        for check in (forms.check_text, forms.check_word):
            with pytest.raises(FormatError, match=r"^a leaf's 'f' must be text like /") as told:
                check("f", value, form)
            assert str(told.value) == f"a leaf's 'f' must be text like /{form.pattern}/"


def test_an_integer_is_from_nothing_to_the_largest_that_a_double_holds() -> None:
    for fine in (0, 1, 2**53 - 1):
        forms.check_integer("n", fine)
    for bad in (-1, 2**53, True, False, 1.0, "1", None):
        with pytest.raises(FormatError, match=r"^a leaf's 'n' must be an integer from 0 to"):
            forms.check_integer("n", bad)


def test_a_choice_is_a_word_of_the_list() -> None:
    forms.check_choice("c", "a", {"a", "b"})

    for bad in ("c", "", None, ["a"], {"a": 1}):
        with pytest.raises(FormatError, match=r"^a leaf's 'c' must be one of the closed list$"):
            forms.check_choice("c", bad, {"a", "b"})


def test_a_time_is_a_minute_that_exists_and_its_error_names_its_field() -> None:
    forms.check_time("2028-02-29T23:59Z")

    for bad in ("2026-02-29T00:00Z", "2026-11-23T24:40Z", "2026-13-01T00:00Z"):
        with pytest.raises(FormatError, match=r"^a leaf's 'time' must be a date that exists$"):
            forms.check_time(bad)
    with pytest.raises(FormatError, match=r"^a leaf's 'since' must be a date that exists$"):
        forms.check_time("2026-02-29T00:00Z", "since")
    with pytest.raises(FormatError, match=r"^a leaf's 'until' must be text like"):
        forms.check_time(None, "until")


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (record(topic=""), "record"),
        (record(topic="a b"), "record"),
        (record(partition=-1), "record"),
        (record(offset=-1), "record"),
        (record(offset=2**53), "record"),
        (record(output=-1), "record"),
        (record(resend=-1), "record"),
        (record(topic_id=""), "topic_id"),
        (record(topic_id="x" * 65), "topic_id"),
    ],
)
def test_each_part_of_a_record_id_has_its_form(bad: RecordId, field: str) -> None:
    forms.check_record(record(offset=7, output=1, resend=2))

    with pytest.raises(FormatError, match=rf"^a leaf's '{field}' must be "):
        forms.check_record(bad)


@pytest.mark.parametrize(
    ("text", "topic_id"),
    [
        ("a[0]@7", TOPIC_ID),
        ("a[0]@07#1", TOPIC_ID),
        ("a[0]@7#1+0", TOPIC_ID),
        ("a[0]@7#1\n", TOPIC_ID),
        (None, TOPIC_ID),
        (["a[0]@7#1"], TOPIC_ID),
        ("a[0]@7#1", None),
        ("a[0]@7#1", 7),
    ],
)
def test_a_record_is_written_in_the_one_way(text: object, topic_id: object) -> None:
    assert forms.parse_record("a[0]@7#1+2", TOPIC_ID) == record(offset=7, output=1, resend=2)

    with pytest.raises(FormatError, match=r"^a leaf's 'record' must be like topic\[partition\]"):
        forms.parse_record(text, topic_id)


def test_an_entry_is_sorted_and_as_long_as_its_length_can_say() -> None:
    room = 65_535 - len('{"a":""}')

    assert forms.canonical({"b": 1, "a": "x"}) == b'{"a":"x","b":1}'
    assert len(forms.canonical({"a": "x" * room})) == 65_535
    with pytest.raises(FormatError, match=r"^a leaf's 'entry' must be at most 65535 bytes$"):
        forms.canonical({"a": "x" * (room + 1)})


def test_an_object_has_its_fields_and_of_the_optional_ones_any() -> None:
    for fine in ({"a": 1}, {"a": 1, "o": 2}):
        forms.check_fields(fine, {"a"}, {"o"})
    forms.check_fields({"a": 1}, {"a"})

    for bad in ({}, {"o": 2}, {"a": 1, "x": 2}):
        with pytest.raises(FormatError, match=r"^a leaf's 'kind' must be followed by exactly"):
            forms.check_fields(bad, {"a"}, {"o"})
