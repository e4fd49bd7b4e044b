"""A projection is the event less what is dropped, with edits: what decoding and encoding makes."""

import hmac
import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from job import HEADER_IN, HEADER_OUT, Job
from orders import JOB, KEY, SCHEMA_IN, SCHEMA_OUT, peers_events
from random_avro import Values, event_schema, varint
from walk_cases import soon

from residency.plan.kinds import digits, kind_of
from residency.plan.walk.fills import Column, text
from residency.plan.walk.program import Acts
from residency.plan.walk.projection import Projection
from schemas.errors import SetupError
from schemas.resolve import named_types

LOADED = Job.load(json.dumps(SCHEMA_IN), json.dumps(SCHEMA_OUT), json.dumps(JOB), key=KEY)


def without(avro: Any, path: str, drops: set[str]) -> Any:
    """Return a schema without the fields at *drops*."""
    if isinstance(avro, list):
        return [without(branch, path, drops) for branch in avro]
    if not isinstance(avro, dict) or avro["type"] not in {"record", "array", "map"}:
        return avro
    if avro["type"] == "array":
        return {**avro, "items": without(avro["items"], path + "[]", drops)}
    if avro["type"] == "map":
        return {**avro, "values": without(avro["values"], path + "{}", drops)}
    fields = []
    for one in avro["fields"]:
        below = f"{path}.{one['name']}" if path else one["name"]
        if below not in drops:
            fields.append({**one, "type": without(one["type"], below, drops)})
    return {**avro, "fields": fields}


def random_job(rng: Random) -> tuple[Job, dict[str, Any]]:
    """Return a job on a random schema.

    Dropping the declaration of an enum would orphan a reference to it, and decimals of more
    than 64 bits are left to the reference: schemas that have them are not for this.
    """
    schema = event_schema(rng)
    while "Enum" in json.dumps(schema.avro) or any(digits(x.avro)[0] > 18 for x in schema.leaves):
        schema = event_schema(rng)
    paths = [leaf.path for leaf in schema.leaves]
    drops = {path for path in rng.sample(paths, len(paths) // 3) if path[-1] not in "]}"}
    texts = [x.path for x in schema.leaves if kind_of(x.avro) == "string" and x.path not in drops]
    rng.shuffle(texts)
    job = {
        "drop": sorted(drops),
        "hmac_sha256_hex": texts[:2],
        "prefix3": texts[2:3],
        "year": texts[3:4],
    }
    made = json.dumps(without(schema.avro, "", drops))
    return Job.load(json.dumps(schema.avro), made, json.dumps(job), key="k"), schema.avro


@pytest.mark.parametrize("wild", [False, True])
@given(seed=st.integers(0, 2**48))
def test_a_projection_is_what_decoding_editing_and_encoding_makes(seed: int, wild: bool) -> None:
    rng = Random(seed)
    job, avro = random_job(rng)
    values = Values(rng, named_types(avro), wild=wild, distinct_keys=True)
    events = [HEADER_IN + values.write(avro) for _ in range(5)]

    with soon():
        made = job.projection.project(events)

    for result, event in zip(made, events, strict=True):
        assert result == job.reference(event) or (result is None and wild)


def test_the_peers_job_hashes_cuts_and_drops() -> None:
    (event,) = peers_events(1, padding=40)

    (made,) = LOADED.projection.project([event])

    assert made is not None
    assert made == LOADED.reference(event)
    assert made.startswith(HEADER_OUT)
    assert b"nnnn" not in made
    assert b"Lovelace" not in made
    assert hmac.digest(KEY.encode(), b"ada0@example.com", "sha256").hex().encode() in made or (
        b"example.com" not in made
    )


@pytest.mark.parametrize("cut", [0, 1, 5, 40])
def test_what_is_cut_short_is_left_to_the_reference(cut: int) -> None:
    (event,) = peers_events(1)
    broken = event[: 5 + cut]

    made = LOADED.projection.project([broken, event, event + b"\0"])

    assert made == [None, LOADED.reference(event), None]


def test_a_batch_longer_than_any_before_grows_the_tape() -> None:
    events = peers_events(300)

    made = LOADED.projection.project(events[:1]) + LOADED.projection.project(events)

    assert made == [LOADED.reference(event) for event in [events[0], *events]]


@pytest.mark.parametrize(
    ("job", "names"),
    [
        ({"drop": ["customer.nobody"]}, "customer.nobody"),
        ({"prefix3": ["total"]}, "total"),
        ({"year": ["gift_note"], "drop": ["gift_note"]}, "gift_note"),
        ({"rot13": ["city"]}, "rot13"),
        ({"drop": ["status"]}, "status"),
    ],
)
def test_a_job_that_does_not_fit_its_schemas_is_refused_by_name(job: Any, names: str) -> None:
    with pytest.raises(SetupError, match=names):
        Job.load(json.dumps(SCHEMA_IN), json.dumps(SCHEMA_IN), json.dumps(job), key=KEY)


NAMES = {"type": "array", "items": {"type": "record", "name": "t.N", "fields": [
    {"name": "first", "type": "string"}, {"name": "gone", "type": "string"},
    {"name": "last", "type": "string"}, {"name": "age", "type": "long"},
]}}  # fmt: skip
PEOPLE = {"type": "record", "name": "t.P", "fields": [{"name": "people", "type": NAMES}]}
ACTS = Acts(frozenset({"people[].gone"}), {"people[].first": 0, "people[].last": 1})


def doubled(data: bytes, firsts: Any, lasts: Any) -> Column:
    pieces = [text(data[a:z] * 2) for a, z in zip(firsts.tolist(), lasts.tolist(), strict=True)]
    return Column(b"".join(pieces), [len(piece) for piece in pieces])


def initial(data: bytes, firsts: Any, lasts: Any) -> Column:
    del lasts
    return Column(b"".join(text(data[at : at + 1]) for at in firsts.tolist()), [2] * len(firsts))


def person(first: bytes, gone: bytes, last: bytes) -> bytes:
    return text(first) + gone + text(last) + varint(300)


def people(number: int, *, smaller: bool) -> bytes:
    """Return a list of persons, as it is or as its projection has it."""
    persons = []
    for n in range(number):
        first, last = b"f%d" % n, b"last%d" % n
        if smaller:
            persons.append(person(first * 2, b"", last[:1]))
        else:
            persons.append(person(first, text(b"secret"), last))
    return (varint(number) + b"".join(persons) if number else b"") + b"\0"


def small(*numbers: int, head: bytes) -> list[bytes]:
    return [head + people(number, smaller=True) for number in numbers]


@pytest.mark.parametrize("head", [HEADER_OUT, b"", b"h" * 300])
@pytest.mark.parametrize("numbers", [(), (1,), (0,), (2, 0, 1), (40, 3), (1, 200, 2)])
def test_each_event_has_its_own_edits_however_many_there_are(
    numbers: tuple[int, ...], head: bytes
) -> None:
    projection = Projection(PEOPLE, ACTS, [doubled, initial], head)
    events = [HEADER_IN + people(number, smaller=False) for number in numbers]

    for _ in range(2):
        assert projection.project(events) == small(*numbers, head=head)


def test_an_event_that_is_not_plain_takes_no_other_with_it() -> None:
    projection = Projection(PEOPLE, ACTS, [doubled, initial], b"head")
    events = [HEADER_IN + people(number, smaller=False) for number in (2, 3, 1)]

    made = projection.project([events[0], events[1][:-1], events[2], HEADER_IN + b"\1\0"])

    first, last = small(2, 1, head=b"head")
    assert made == [first, None, last, None]
    assert projection.project([events[1][:-1]]) == [None]
