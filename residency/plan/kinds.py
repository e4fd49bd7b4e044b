"""Kinds of leaf: what the plan needs to know of an Avro type, and no more."""

from typing import Any

LOGICAL = {"date", "timestamp-millis", "decimal"}


def kind_of(avro: Any) -> str:  # noqa: ANN401, an Avro schema is JSON
    """Return the kind of a leaf: ``string``, ``enum``, ``long``, ``date``, ``decimal``, ...

    A nullable leaf has the kind of its other branch; a union of more is ``union``. An
    int is a ``long``: the minimal schemas have no narrower number.
    """
    if isinstance(avro, list):
        branches = [branch for branch in avro if branch != "null"]
        return kind_of(branches[0]) if len(branches) == 1 else "union"
    if isinstance(avro, dict):
        logical = avro.get("logicalType")
        return logical if logical in LOGICAL else kind_of(avro["type"])
    return "long" if avro == "int" else str(avro)


def digits(avro: Any) -> tuple[int, int]:  # noqa: ANN401, an Avro schema is JSON
    """Return precision and scale of a decimal, nullable or not; (0, 0) of anything else."""
    if isinstance(avro, list):
        return max(map(digits, avro), default=(0, 0))
    if not isinstance(avro, dict) or avro.get("logicalType") != "decimal":
        return 0, 0
    return avro["precision"], avro.get("scale", 0)
