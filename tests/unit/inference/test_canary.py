"""A canary is answered by a unit vector or the one choice, and by nothing else."""

import math
from typing import Any

import pytest

from inference.canary import is_answer, question
from inference.speed import quantile, texts


def vector(*values: float) -> dict[str, Any]:
    return {"data": [{"embedding": list(values)}]}


def choice(reason: str, content: Any) -> dict[str, Any]:
    return {"choices": [{"finish_reason": reason, "message": {"content": content}}]}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (vector(0.6, 0.8), True),
        (vector(0.6, 0.9), False),  # not of length 1: other weights, or none
        (vector(math.nan, 0.8), False),
        (vector(), False),
        (vector("0.6"), False),  # type: ignore[arg-type] - decoded JSON
        ({"data": []}, False),
        ({"error": {"message": "no"}}, False),
        ([], False),
        (None, False),
    ],
)
def test_an_embedding_is_an_answer_if_it_has_length_one(document: Any, *, expected: bool) -> None:
    assert is_answer("pooling", document) is expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (choice("stop", "yes"), True),
        (choice("length", "yes"), False),  # cut off
        (choice("stop", "no"), False),
        (choice("stop", None), False),
        ({"choices": []}, False),
        (vector(0.6, 0.8), False),
    ],
)
def test_a_choice_is_an_answer_if_it_is_whole(document: Any, *, expected: bool) -> None:
    assert is_answer("generate", document) is expected


def test_each_engine_is_asked_for_the_served_model() -> None:
    for engine, path in (("pooling", "/v1/embeddings"), ("generate", "/v1/chat/completions")):
        asked, body = question(engine, "minilm@0123456789ab")  # type: ignore[arg-type]

        assert asked == path
        assert body["model"] == "minilm@0123456789ab"


def test_the_bench_has_as_many_different_texts_as_it_asks_for() -> None:
    assert len(set(texts(2_000))) == 2_000


def test_a_quantile_is_one_of_the_values() -> None:
    values = [5.0, 1.0, 3.0, 2.0, 4.0]

    assert [quantile(values, share) for share in (0.0, 0.5, 0.8, 0.99, 1.0)] == [1, 3, 4, 5, 5]
