"""A contract that deletes does so along the whole line, where the grammar lets it."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from fake_org import FakeOrg, fake_client, fake_config

from connectors.kafka import headers
from connectors.salesforce.sink import SalesforceSink
from residency.contracts.read import load_contract
from residency.gate import Gate, GateHalt
from residency.gate.rules import Rule, load_grammar
from residency.gate.wire import load_schemas
from residency.keys import TokenKeys
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.log import Draft, log_transfers
from residency.plan.book import PlanBook, compile_each
from schemas.codec import encode
from schemas.events import Coordinates, MinimalRecord, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry

EVENT, OBJECT = "commerce.customers.CustomerErasureRequested", "Commerce_Customer__c"
REGISTRY = load_registry()
CONTRACT = f"""[[output]]
events = ["{EVENT}"]
object = "{OBJECT}"
external_id = {{ path = "customer.customer_id", identity = "customer" }}
deletes = true
"""
DATA = {
    "event_id": "0b0b8a3e-7a41-4a61-9f0f-000000000001",
    "occurred_at": "2026-11-23T10:00:00Z",
    "customer": {"customer_id": "C-1", "residence": {"country": "DE"}},
    "request_id": "R-1",
    "reason": "objection",
    "requested_at": "2026-11-23T10:00:00Z",
}


@pytest.fixture
def record(tmp_path: Path) -> MinimalRecord:
    """Return what the border makes of the event, read back from its Kafka record."""
    (tmp_path / "c.toml").write_text(CONTRACT, encoding="utf-8")
    on = date(2026, 11, 23)
    plans, _ = compile_each("eu", on, REGISTRY, load_contract(tmp_path))
    book = PlanBook(
        "eu", {p.schema_id: p for p in plans}, TokenKeys("eu", b"i" * 32, b"a" * 32), REGISTRY
    )
    schema = REGISTRY.latest(EVENT)
    value = encode(schema, from_plain(schema, DATA))
    raw = RawEvent(Coordinates("eu.commerce.customers.v1", 0, 7), "topic-id", 1, value)
    crossing = book.minimise(raw)
    (one,), (output,) = crossing.records, crossing.plan.outputs
    stamp = headers.Stamp(
        "topic-id", one.object, one.plan, one.keys, output.basis, "0.1.0", output.deletes
    )
    made = headers.of_minimal(str(one.id), one.version, stamp.encoded())
    found = headers.texts((k, v.encode() if isinstance(v, str) else v or b"") for k, v in made)
    return headers.minimal_record(found, one.external_id.encode(), one.value, "here")


def test_the_row_is_deleted_and_the_ledger_says_so(record: MinimalRecord, tmp_path: Path) -> None:
    schemas = load_schemas()
    grammar = dict(load_grammar("eu", schemas))
    grammar[OBJECT] = {**grammar[OBJECT], "deleted": Rule("deleted", "boolean")}
    ledger = Ledger.open(tmp_path / "ledger", "ledger.eu.example/transfers", bytes(32))
    row = OBJECT, record.external_id
    org = FakeOrg(rows={row: {}}, ids={row: "a00000000000001"})
    client = fake_client(fake_config(tmp_path), org)

    fields = Gate("eu", {record.plan: None}, grammar, schemas).check(record)
    now, draft = datetime(2026, 11, 23, tzinfo=UTC), Draft(record, fields, ("b",), "0.1.0")
    logged = log_transfers(ledger, [draft], now=now, root=bytes(32))
    SalesforceSink(client, settled=True).write(logged)

    (leaf,) = map(parse_leaf, ledger.read(0))
    assert isinstance(leaf, TransferLeaf)
    assert leaf.deletes
    assert org.commits == [(*row, None)]
    assert record.external_id.startswith("tok_eu1_")


def test_the_shipped_grammar_stops_it(record: MinimalRecord) -> None:
    schemas = load_schemas()
    gate = Gate("eu", {record.plan: None}, load_grammar("eu", schemas), schemas)

    with pytest.raises(GateHalt, match="does not let this object's rows be deleted"):
        gate.check(record)
