"""Tasks: what may be asked of a text, and every answer there is."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """A question about one text that has only the answers it lists."""

    name: str
    labels: tuple[str, ...]
    version: int = 1
    sha256: str = "0" * 64


def load_tasks() -> Mapping[str, Task]:
    """Return the tasks by name."""
    return {
        name: Task(name, tuple(values.split()))
        for name, values in {
            "intent": "return delivery_late damaged_item payment_problem product_question praise"
            " cancel_order account_privacy other unknown",
            "sentiment": "negative neutral positive unknown",
            "urgency": "high normal unknown",
            "language": "de en es fr it nl pl pt unknown",
            "privacy_request": "access erasure objection none unknown",
        }.items()
    }
