"""What becomes of a person's rows at an erasure: planned, and made into the bytes that say it.

A plan has it beside what the event writes, so that it is approved with it, and whoever erases
decides nothing. The record takes the name and the version of the newest that the org accepted of
the row, with another resend number: it sets no row back, and gate, ledger and sink take it as
any other.
"""

from collections.abc import Mapping
from typing import Any

from residency.contracts.model import EXTERNAL_ID, Erasure
from residency.plan.kinds import kind_of
from residency.plan.model import ErasurePlan, FieldPlan, OutputPlan
from schemas.codec import encode
from schemas.errors import HaltError
from schemas.registry import CLEARED, DELETED, Registry

VERSION = "Base_Version__c"
BOOLEAN, OFF = "boolean", "false"  # the org has no empty checkbox: one that is off is empty
_ALWAYS = frozenset({EXTERNAL_ID, VERSION, CLEARED, DELETED})


def plan_erasure(erasure: Erasure | None, targets: Mapping[str, Any]) -> ErasurePlan | None:
    """Return what a contract's erasure does to a row; None where it says nothing (a lint error).

    Args:
        erasure: Of the row's object.
        targets: The fields of its minimal schema, by name.

    """
    if erasure is None:
        return None
    if erasure.deletes:
        return ErasurePlan(deletes=True, hard=erasure.hard or None)
    fields = [
        FieldPlan(name, kind_of(targets[name]["type"]), "constant", value=source.constant)
        for name, source in erasure.fields.items()
        if name in targets
    ]
    emptied = targets.keys() - _ALWAYS - set(erasure.keep) - erasure.fields.keys()
    off = {name for name in emptied if kind_of(targets[name]["type"]) == BOOLEAN}
    fields += [FieldPlan(name, BOOLEAN, "constant", value=OFF) for name in off]
    return ErasurePlan(
        cleared=tuple(sorted(emptied - off)),
        fields=tuple(sorted(fields, key=lambda made: made.name)),
    )


def erasing_value(output: OutputPlan, external_id: str, version: int, registry: Registry) -> bytes:
    """Return the minimal bytes, in wire format, that erase a row: the same each time.

    Args:
        output: What the row's event writes.
        external_id: The row's token.
        version: That of the newest record of the row.
        registry: Knows the minimal schemas.

    Raises:
        HaltError: The plan does not say what becomes of the row.

    """
    erasure = output.erasure
    if erasure is None:
        msg = f"{output.object}: its plan says nothing of an erasure; see `homeport plan lint`"
        raise HaltError(msg)
    schema = registry.by_id(output.schema_id)
    row: dict[str, Any] = {field["name"]: None for field in schema.avro["fields"]}
    row |= {made.name: False if made.to == BOOLEAN else made.value for made in erasure.fields}
    row |= {EXTERNAL_ID: external_id, VERSION: version}
    row |= {CLEARED: list(erasure.cleared), DELETED: erasure.deletes}
    return encode(schema, row)
