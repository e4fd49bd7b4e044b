"""A certificate of a model is as strict as any leaf, and its digest covers all that it names."""

import json
from dataclasses import fields, replace
from hashlib import sha256
from typing import Any

import jsonschema
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from residency.ledger.certificates import (
    Certificate,
    GoldenAnswer,
    Identity,
    ModelLeaf,
)
from residency.ledger.errors import FormatError
from residency.ledger.leaves import parse_leaf
from residency.ledger.published import SCHEMAS
from residency.ledger.tiles import MAX_ENTRY_BYTES
from tests.support.certified import CERTIFICATE, IDENTITY, LEAF, TIME, with_answer, with_identity

ROW: dict[str, Any] = json.loads(LEAF.to_bytes())
digests = st.sampled_from(["00" * 32, "ab" * 32])
words = st.sampled_from(["a", "0-b_c", "x" * 40])


@st.composite
def certificates(draw: st.DrawFn) -> Certificate:
    """Draw a certificate of any model, tasks and texts."""
    tasks = draw(st.dictionaries(words, digests, min_size=1, max_size=3))
    answers = st.builds(
        GoldenAnswer, words, st.sampled_from(["gate", "rules", "pooling"]), st.integers(0, 100)
    )
    to_all = st.fixed_dictionaries(dict.fromkeys(tasks, answers))
    paths = st.sampled_from([".gitattributes", "a/B_1/c.json", "model.safetensors"])
    identity = Identity(
        draw(st.sampled_from(["pooling", "generate"])),
        draw(words),
        "0.32.0+cpu",
        draw(words),
        draw(st.integers(0, 2**53 - 1)),
        draw(st.dictionaries(paths, digests, min_size=1)),
        tasks,
    )
    texts = draw(st.dictionaries(words, to_all, min_size=1, max_size=3))
    return Certificate(draw(words), identity, draw(digests), texts, draw(digests))


@given(certificates())
def test_a_certificate_is_rfc_8785_and_parses_back(said: Certificate) -> None:
    leaf = ModelLeaf(TIME, "0f" * 16, said)

    data = leaf.to_bytes()

    assert data == rfc8785.dumps(json.loads(data))
    assert parse_leaf(data) == leaf


def test_the_digest_is_that_of_the_canonical_json_of_all_that_decides_a_label() -> None:
    names = [one.name for one in fields(Identity)]

    digest = IDENTITY.digest

    assert digest == ROW["digest"]
    assert digest == sha256(rfc8785.dumps({name: ROW[name] for name in names})).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "generate"},
        {"package": "vllm"},
        {"version": "0.32.1"},
        {"dtype": "bfloat16"},
        {"max_tokens": 257},
        {"files": {**IDENTITY.files, "config.json": "00" * 32}},
        {"tasks": {**IDENTITY.tasks, "intent": "00" * 32}},
    ],
)
def test_whatever_decides_a_label_changes_the_digest(change: Any) -> None:
    assert with_identity(**change).identity.digest != IDENTITY.digest


def with_tasks(*names: str) -> Certificate:
    """Return the certificate of a model with so named tasks, each of which is answered."""
    tasks = dict.fromkeys(names, "d4" * 32)
    answers = {"a": dict.fromkeys(tasks, GoldenAnswer("x", "gate", 0))}
    return replace(with_identity(tasks=tasks), answers=answers)


def in_json(answer: Any) -> Any:
    """Return what changes the answer to the first task of the first text as JSON has it."""
    return {"answers": {"en-return": {**ROW["answers"]["en-return"], "intent": answer}}}


FIRST = CERTIFICATE.answers["en-return"]


@pytest.mark.parametrize(
    ("field", "form", "said"),
    [
        ("engine", "text like", with_identity(engine="rules")),
        ("package", "text like", with_identity(package="VLLM cpu")),
        ("version", "text like", with_identity(version="0.32 by ada")),
        ("dtype", "text like", with_identity(dtype="")),
        ("max_tokens", "an integer", with_identity(max_tokens=-1)),
        ("max_tokens", "an integer", with_identity(max_tokens=True)),
        ("files", "1 to 200 files", with_identity(files={})),
        ("files", "text like", with_identity(files={"../../etc/passwd x": "a1" * 32})),
        ("files", "text like", with_identity(files={"/config.json": "a1" * 32})),
        ("files", "text like", with_identity(files={"config.json": "a1"})),
        ("files", "1 to 200 files", with_identity(files={f"{n}.b": "a1" * 32 for n in range(201)})),
        ("tasks", "1 to 20 tasks", with_identity(tasks={})),
        ("tasks", "1 to 20 tasks", with_tasks(*(f"t{n}" for n in range(21)))),
        ("tasks", "text like", with_tasks("In tent")),
        ("tasks", "text like", with_identity(tasks={**IDENTITY.tasks, "urgency": "E5" * 32})),
        ("answers", "to each task", with_identity(tasks={"intent": "d4" * 32})),
        ("answers", "to each task", with_identity(tasks={**IDENTITY.tasks, "more": "e5" * 32})),
        ("answers", "text like", with_answer(label="Ada Lovelace")),
        ("answers", "text like", with_answer(label="a" * 41)),
        ("answers", "text like", with_answer(label=None)),
        ("answers", "text like", with_answer(method="by hand")),
        ("answers", "text like", with_answer(method="0")),
        ("answers", "with scores of hundredths", with_answer(score=101)),
        ("answers", "an integer", with_answer(score=-1)),
        ("answers", "an integer", with_answer(score=0.5)),
        ("model", "text like", replace(CERTIFICATE, model="Mini LM")),
        ("golden", "text like", replace(CERTIFICATE, golden="f6")),
        ("release", "text like", replace(CERTIFICATE, release="a b")),
        ("answers", "to 1 to 100 texts", replace(CERTIFICATE, answers={})),
        ("answers", "text like", replace(CERTIFICATE, answers={"EN": FIRST})),
        (
            "answers",
            "to 1 to 100 texts",
            replace(CERTIFICATE, answers={f"t{n}": FIRST for n in range(101)}),
        ),
    ],
)
def test_a_certificate_takes_only_its_forms_and_the_error_names_the_field(
    field: str, form: str, said: Certificate
) -> None:
    with pytest.raises(FormatError, match=f"a leaf's '{field}' must be {form}"):
        ModelLeaf(TIME, "0f" * 16, said)


LONG_PATH = "/".join(["a" * 100] * 5)


@pytest.mark.parametrize(
    "said",
    [
        replace(CERTIFICATE, model="m"),
        replace(CERTIFICATE, model="m" * 40),
        with_identity(version="1"),
        with_identity(version="1" * 40),
        with_identity(files={"a": "a1" * 32}),
        with_identity(files={"a/b": "a1" * 32}),
        with_identity(files={LONG_PATH: "a1" * 32}),
        with_identity(max_tokens=0),
        with_answer(method="g"),
        with_answer(method="g" * 20),
        with_answer(score=0),
        with_answer(score=100),
        with_tasks("t"),
        with_tasks(*(f"t{n}" for n in range(20))),
    ],
)
def test_the_least_and_the_most_of_each_form_is_taken(said: Certificate) -> None:
    leaf = ModelLeaf(TIME, "0f" * 16, said)

    assert parse_leaf(leaf.to_bytes()) == leaf


@pytest.mark.parametrize(
    "said",
    [
        replace(CERTIFICATE, model=""),
        replace(CERTIFICATE, model="m" * 41),
        with_identity(version=""),
        with_identity(version="1" * 41),
        with_identity(files={"": "a1" * 32}),
        with_identity(files={"a" * 101: "a1" * 32}),
        with_identity(files={f"a/{'b' * 101}": "a1" * 32}),
        with_identity(files={f"{LONG_PATH}/a": "a1" * 32}),
        with_identity(files={"a/": "a1" * 32}),
        with_answer(method=""),
        with_answer(method="g" * 21),
    ],
)
def test_less_or_more_than_a_form_has_is_not_taken(said: Certificate) -> None:
    with pytest.raises(FormatError):
        ModelLeaf(TIME, "0f" * 16, said)


@pytest.mark.parametrize(
    ("field", "time", "request_id"), [("time", "today", "0f" * 16), ("request", TIME, "0F" * 16)]
)
def test_time_and_request_have_their_forms_too(field: str, time: str, request_id: str) -> None:
    with pytest.raises(FormatError, match=f"a leaf's '{field}' must be text like"):
        ModelLeaf(time, request_id, CERTIFICATE)


OTHER_LISTS = "lists of label, method and score"


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("'digest' must be that of what is named", {"digest": "00" * 32}),
        ("'kind' must be followed by exactly its own fields", {"note": "x"}),
        ("'files' must be an object", {"files": []}),
        ("'tasks' must be an object", {"tasks": "d4"}),
        ("'answers' must be an object", {"answers": []}),
        ("'answers' must be to each task", {"answers": {"en-return": []}}),
        (f"'answers' must be {OTHER_LISTS}", in_json("return")),
        (f"'answers' must be {OTHER_LISTS}", in_json(["a", "b"])),
        (f"'answers' must be {OTHER_LISTS}", in_json(["a", "b", 1, 2])),
    ],
)
def test_there_is_one_way_to_write_a_certificate(form: str, change: Any) -> None:
    data = rfc8785.dumps({**ROW, **change})

    with pytest.raises(FormatError, match=f"a leaf's {form}"):
        parse_leaf(data)


def test_the_most_texts_tasks_and_files_fit_into_an_entry() -> None:
    tasks = {"intent": "d4" * 32, "language": "d4" * 32, "privacy_request": "d4" * 32,
             "sentiment": "d4" * 32, "urgency": "d4" * 32}  # fmt: skip
    answer = GoldenAnswer("product_question", "pooling", 100)
    answers = {f"{n:02}-{'x' * 17}": dict.fromkeys(tasks, answer) for n in range(100)}
    files = {f"{n:03}-{'x' * 26}": "a1" * 32 for n in range(200)}
    said = replace(with_identity(tasks=tasks, files=files), answers=answers)

    leaf = ModelLeaf(TIME, "0f" * 16, said)

    assert len(leaf.to_bytes()) <= MAX_ENTRY_BYTES
    assert parse_leaf(leaf.to_bytes()) == leaf


def test_the_published_schema_accepts_what_we_write_and_nothing_more() -> None:
    text = json.loads((SCHEMAS / "model.json").read_text())
    validator = jsonschema.Draft202012Validator(text)

    assert validator.is_valid(ROW)
    assert not validator.is_valid({**ROW, "email": "x"})
    for name in ROW:
        assert not validator.is_valid({k: v for k, v in ROW.items() if k != name})
        assert not validator.is_valid({**ROW, name: "Ada Lovelace <ada@example.com>"})
    for name in ("files", "tasks"):
        assert not validator.is_valid({**ROW, name: {}})
        assert not validator.is_valid({**ROW, name: {"Ada Lovelace": "a1" * 32}})
        assert not validator.is_valid({**ROW, name: {"a": "Ada Lovelace"}})
    for answer in (["Ada Lovelace", "gate", 0], ["a", "By hand", 0], ["a", "gate", 101], ["a"]):
        assert not validator.is_valid({**ROW, "answers": {"a": {"intent": answer}}})
