"""Decide whether one minimal record may leave: the gate itself.

What breaks the grammar is our fault and stops the worker. What keeps to the grammar and
still looks like personal data is the data's fault and goes to quarantine.
"""

import re
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, Self

from residency.gate.approvals import load_approved
from residency.gate.rules import Grammar, Rule, load_grammar
from residency.gate.scan import scan
from residency.gate.wire import CLEARED, DELETED, Violation, WireSchema, load_schemas, read
from schemas.errors import BreachError, Cause, QuarantineError, Reason
from schemas.events import GENERATION_STEP, LABEL_VERSION, MinimalRecord, RecordId

EXTERNAL_ID: Final = "External_Id__c"
BASE_VERSION: Final = "Base_Version__c"
MAX_KEYS: Final = 9_999  # key versions; a token's prefix has room for four digits
_FOREIGN: Final = "record id: "
_PLAN: Final = "plan: "
_MODEL: Final = "model: "
_CAUSES: Final = {_PLAN: Cause.PLAN, _MODEL: Cause.MODEL}  # any other rule: the gate's own


class GateHalt(BreachError):  # noqa: N818 - the verdict's name in the design
    """A record that our own code should never have made; nothing more may leave.

    Attributes:
        id: The record.
        object: Its Salesforce object, or None if it names none that we know.
        field: The field at fault, or None for the whole record.
        rule: What was broken.

    """

    def __init__(self, at: RecordId, target: str | None, name: str | None, rule: str) -> None:
        """Name the record, the field and the rule, not the value."""
        where = ".".join(part for part in (target, name) if part)
        # An id that is no id of ours may say anything: not quoted.
        which = "a record" if rule.startswith(_FOREIGN) else str(at)
        super().__init__(
            f"{which}: {where or 'record'}: {rule}; stopped before it left the region: "
            "find what wrote it, then replay",
            next((cause for start, cause in _CAUSES.items() if rule.startswith(start)), Cause.GATE),
            () if rule.startswith(_FOREIGN) else (str(at),),
        )
        self.id = at
        self.object = target
        self.field = name
        self.rule = rule


class Gate:
    """Checks the minimal records of one region. Holds no state between records."""

    def __init__(  # noqa: PLR0913, PLR0917, one argument per reviewed file
        self,
        region: str,
        approved: Mapping[str, date | None],
        grammar: Grammar,
        schemas: Mapping[int, WireSchema],
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        models: Container[str] = frozenset(),
    ) -> None:
        """Take the region's rules.

        Args:
            region: Region id.
            approved: SHA-256 digests, hex, of the plans a person approved for it, and the last
                day on which each may send; None: no end.
            grammar: What each field may hold.
            schemas: The minimal schemas by wire id.
            today: The day in UTC.
            models: SHA-256 digests, hex, of the models whose labels may leave.

        """
        self.region = region
        self._approved = approved
        self._today = today
        self._models = models
        self._grammar = grammar
        self._schemas = schemas
        self._objects = frozenset(schema.object for schema in schemas.values())
        self._topic = re.compile(re.escape(region) + r"\.commerce\.[a-z]{1,40}\.v[1-9][0-9]?")

    @classmethod
    def load(cls, region: str, approved_file: Path, models: Container[str] = frozenset()) -> Self:
        """Return the gate of *region* from the reviewed files; *models* as of the constructor.

        Raises:
            SetupError: One of them is missing or wrong.

        """
        schemas = load_schemas()
        return cls(
            region,
            load_approved(approved_file, region),
            load_grammar(region, schemas),
            schemas,
            models=models,
        )

    def check(self, record: MinimalRecord, model: str | None = None) -> Mapping[str, Any]:
        """Return what may be sent of *record*: Salesforce field name to value.

        Only the fields it sets, external id and version among them; None empties a field.
        Times are aware datetimes in UTC, amounts are decimals. Of a record that deletes its
        row: external id and version.

        Args:
            record: What is to leave.
            model: Digest of the model that gave its labels, hex, as its headers say; None: none.

        Raises:
            GateHalt: The record breaks the grammar, or its plan or model is not approved.
            QuarantineError: A value keeps to the grammar and is personal data all the same.

        """
        try:
            target, fields = self._admit(record, model)
        except Violation as violation:
            known = record.object if record.object in self._objects else None
            raise GateHalt(record.id, known, violation.field, violation.rule) from None
        rules = self._grammar[target]
        for name, value in fields.items():
            rule = rules[name]
            if value is None or not rule.is_scanned:
                continue
            if scan(value, formatted=rule.pattern is not None):
                raise QuarantineError(Reason.SCANNER, name)
        return fields

    def _admit(self, record: MinimalRecord, model: str | None) -> tuple[str, dict[str, Any]]:
        """Return object and fields of *record* once it keeps to the grammar."""
        if self._topic.fullmatch(record.id.at.topic) is None:
            rule = f"{_FOREIGN}names no raw topic of {self.region}"
            raise Violation(rule)
        if record.plan not in self._approved:
            rule = f"{_PLAN}its digest is not approved for {self.region}"
            raise Violation(rule)
        last = self._approved[record.plan]
        if last is not None and self._today() > last:
            rule = f"{_PLAN}ended {last}; renew what it rests on and approve it again"
            raise Violation(rule)
        schema, decoded = read(record.value, self._schemas)
        _check_envelope(record, schema, decoded)
        self._check_model(schema, model)
        rules = self._grammar.get(schema.object)
        if rules is None:
            rule = f"object: the grammar of {self.region} does not name it"
            raise Violation(rule)
        set_fields = {
            name: value
            for name, value in decoded.items()
            if name not in {CLEARED, DELETED} and value is not None
        }
        deletes, cleared = decoded.get(DELETED, False), decoded.get(CLEARED, [])
        if deletes:
            _check_delete(rules, set_fields, cleared)
        for name, value in set_fields.items():
            if name not in rules:
                rule = f"field: the grammar of {self.region} does not name it"
                raise Violation(rule, name)
            rules[name].check(value)
        for name, wanted in rules.items():
            has_it = name in schema.types  # labels are a record of their own
            if wanted.required and has_it and name not in set_fields and not deletes:
                rule = "required: missing"
                raise Violation(rule, name)
        _check_origin(record, schema)
        return schema.object, set_fields | _emptied(cleared, rules, set_fields)

    def _check_model(self, schema: WireSchema, model: str | None) -> None:
        """Check that a record has labels if a model made some, and that the model is accepted."""
        has_labels = schema.version == LABEL_VERSION
        if model is None and has_labels:
            rule = f"{_MODEL}not named by a record of labels"
            raise Violation(rule)
        if model is not None and not has_labels:
            rule = f"{_MODEL}named by another record"
            raise Violation(rule)
        if model is not None and model not in self._models:
            rule = f"{_MODEL}its digest is none of the accepted models'"
            raise Violation(rule)


def _check_delete(
    rules: Mapping[str, Rule], set_fields: Mapping[str, Any], cleared: Sequence[str]
) -> None:
    """Check that rows of the object may be deleted, and that the record does nothing else."""
    if DELETED not in rules:
        rule = "deleted: the grammar does not let this object's rows be deleted"
        raise Violation(rule, DELETED)
    if cleared or set_fields.keys() != {EXTERNAL_ID, BASE_VERSION}:
        rule = "deleted: holds more than external id and version"
        raise Violation(rule, DELETED)


def _emptied(
    names: Sequence[str], rules: Mapping[str, Rule], set_fields: Container[str]
) -> dict[str, None]:
    """Return a None for each field to empty."""
    emptied: dict[str, None] = {}
    for name in names:
        # The names come from the record, so an unlisted one may be anything: not quoted.
        if name not in rules or not rules[name].clearable:
            rule = "clearable: names a field that may not be emptied"
            raise Violation(rule, CLEARED)
        if name in set_fields or name in emptied:
            rule = "clearable: set and emptied, or emptied twice"
            raise Violation(rule, name)
        emptied[name] = None
    if list(emptied) != sorted(emptied):
        rule = "clearable: not in order; an order could tell something"
        raise Violation(rule, CLEARED)
    return emptied


def _check_envelope(record: MinimalRecord, schema: WireSchema, decoded: Mapping[str, Any]) -> None:
    """Check that what the record says about itself is what its bytes say."""
    rule = name = None
    if record.schema_id != schema.id:
        rule = "schema: id differs from the one in the bytes"
    elif record.object != schema.object:
        rule = "object: differs from the one its schema is for"
    elif record.external_id != decoded[EXTERNAL_ID]:
        rule, name = "external id: differs from the one in the bytes", EXTERNAL_ID
    elif record.version != decoded[schema.version]:
        rule, name = "version: differs from the one in the bytes", schema.version
    elif record.deletes != decoded.get(DELETED, False):
        rule, name = "deleted: differs from what the bytes say", DELETED
    if rule:
        raise Violation(rule, name)


def _check_origin(record: MinimalRecord, schema: WireSchema) -> None:
    """Check the numbers that say where the record comes from: the ledger repeats them."""
    if record.version % GENERATION_STEP != record.id.at.offset:
        rule = "version: is not that of the raw record's offset"
        raise Violation(rule, schema.version)
    if not 1 <= record.keys <= MAX_KEYS:
        rule = f"keys: not a version from 1 to {MAX_KEYS}"
        raise Violation(rule)
