"""Whatever strip or walker get wrong, the gate stops; what they get right, it lets pass.

The faults stand in `tests.standard.faults`. A fault that breaks grammar, types or digests is
ours and halts the worker; personal data in a grammatical value is the data's and is
quarantined.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from itertools import combinations, islice

import pytest

from connectors.kafka import headers
from connectors.kafka.inbound import own_headers
from residency.gate import Gate, GateHalt
from residency.gate.approvals import load_approved
from residency.gate.scan import scan
from residency.gate.wire import load_schemas, read
from residency.plan.approved import APPROVED_FILE
from residency.regions import load_regions
from schemas.errors import HaltError, QuarantineError, Reason
from schemas.events import MinimalRecord
from tests.standard.crossing import LABELS, ON, clean, crossings
from tests.standard.faults import (
    BEYOND,
    CUSTOMER,
    OBJECTS,
    OTHER,
    TARGETS,
    Fault,
    faults,
    grammar_of,
    looks_alike,
    rules_of,
)

REGIONS = sorted(load_regions())
FAULTS = {region: faults(region) for region in REGIONS}
MODEL = "ab" * 32
GATES = {region: Gate.load(region, APPROVED_FILE, {MODEL}) for region in REGIONS}


def model_of(target: str) -> str | None:
    return MODEL if target == LABELS else None


def verdict(gate: Gate, fault: Fault, region: str) -> tuple[str, str]:
    """Return what the gate does with the fault, and all that it says of it."""
    try:
        gate.check(fault.make(clean(region, fault.target)), model_of(fault.target))
    except GateHalt as halt:
        return "halt", str(halt)
    except QuarantineError as error:
        return "quarantine" if error.reason is Reason.SCANNER else "undecided", str(error)
    return "sent", ""


def test_there_are_many_faults_and_no_two_are_one() -> None:
    names = [fault.name for fault in FAULTS["eu"]]

    assert len(names) == len(set(names))
    assert len(names) > 100


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_the_record_that_is_broken_passes_unbroken(region: str, target: str) -> None:
    assert GATES[region].check(clean(region, target).record, model_of(target))


@pytest.mark.parametrize("number", range(len(FAULTS["eu"])), ids=lambda n: FAULTS["eu"][n].name)
def test_the_gate_of_every_region_stops_the_fault(number: int) -> None:
    for region in REGIONS:
        fault = FAULTS[region][number]

        done, said = verdict(GATES[region], fault, region)

        assert done == fault.stop
        assert not [text for text in ("ovelace", "LOVELACE", "ada@", "ADA@") if text in said]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_record_of_one_region_is_stopped_in_another(region: str, target: str) -> None:
    with pytest.raises(GateHalt):
        GATES[OTHER[region]].check(clean(region, target).record, model_of(target))


@pytest.mark.parametrize("target", OBJECTS)
def test_a_plan_of_another_region_or_one_that_ended_sends_nothing(target: str) -> None:
    record = clean("eu", target).record
    foreign = next(iter(load_approved(APPROVED_FILE, "uk")))
    ended = Gate(
        "eu", {record.plan: ON}, grammar_of("eu"), load_schemas(), lambda: ON + timedelta(1)
    )

    for gate, sent in ((GATES["eu"], replace(record, plan=foreign)), (ended, record)):
        with pytest.raises(GateHalt, match="plan: "):
            gate.check(sent)


@pytest.mark.parametrize("unit_ms", [86_400_000, 3_600_000, 60_000], ids=["day", "hour", "minute"])
def test_a_time_finer_than_the_grammar_asks_for_is_stopped(unit_ms: int) -> None:
    base = clean("eu", CUSTOMER)
    rules = dict(grammar_of("eu")[CUSTOMER])
    step = timedelta(milliseconds=unit_ms)
    rules["Registered_At__c"] = replace(rules["Registered_At__c"], grain=step)
    gate = Gate("eu", {base.record.plan: None}, {CUSTOMER: rules}, load_schemas(), lambda: ON)
    whole = base.values["Registered_At__c"] // unit_ms * unit_ms

    for late in (1, 1_000, unit_ms - 1):
        with pytest.raises(GateHalt, match="grain: "):
            gate.check(base.with_values({"Registered_At__c": whole + late}))

    assert gate.check(base.with_values({"Registered_At__c": whole}))


def test_what_no_look_at_one_record_can_tell_is_known_and_small() -> None:
    """Exchanged tokens, times or amounts are wrong values, and nothing raw leaves by them."""
    alike = Counter(
        (one.type, one.is_token)
        for target in TARGETS
        for one, other in combinations(rules_of(grammar_of("eu"), target).values(), 2)
        if looks_alike(one, other)
    )

    assert alike.keys() == {("string", True), ("timestamp", False), ("decimal", False)}
    assert len(alike) == len(BEYOND)


def _border_headers(record: MinimalRecord) -> dict[str, bytes]:
    """Return what the border writes; a test on real Kafka holds the border to the same."""
    texts = {
        headers.RECORD: str(record.id),
        headers.TOPIC_ID: record.id.topic_id,
        headers.OBJECT: record.object,
        headers.VERSION: str(record.version),
        headers.PLAN: record.plan,
        headers.KEYS: str(record.keys),
        headers.BASIS: "eu-gdpr:A45-3",
        headers.RELEASE: "0f" * 32,
        headers.TRACEPARENT: f"00-{'1' * 32}-{'2' * 16}-01",
    }
    return {name: text.encode() for name, text in texts.items()}


HEADERS = _border_headers(clean("eu", CUSTOMER).record)
WHERE = "eu.crm.minimal.v1[0]@3"
RAW = b"ada@mail.example"
Pairs = list[tuple[str, bytes]]


def with_header(name: str, value: bytes) -> Pairs:
    return list({**HEADERS, name: value}.items())


def _header_faults() -> Iterator[tuple[str, Pairs]]:
    """Yield sets of headers that our border never writes."""
    own = with_header(headers.KEYS, b"1")
    for extra in ("x-customer", "tracestate", "baggage", "Homeport-Record", ""):
        yield f"an extra header {extra!r}", with_header(extra, RAW)
    for name in HEADERS:
        yield f"{name} twice", [*own, (name, dict(own)[name])]
        yield f"a raw value as {name}", with_header(name, RAW)
        yield f"bytes as {name}", with_header(name, b"\xff\xfe")
        yield f"a line break behind {name}", with_header(name, dict(own)[name] + b"\n")
        if name != headers.TRACEPARENT:
            yield f"no {name}", [pair for pair in own if pair[0] != name]
        if name != headers.BASIS:
            yield f"nothing as {name}", with_header(name, b"")
    for name in (headers.VERSION, headers.KEYS):
        for number in (b"0", b"01", b"+1", b"-1", b" 1", b"1_0", b"1e3", "\u0661".encode()):
            yield f"{number!r} as {name}", with_header(name, number)
    yield "a phone number as key version", with_header(headers.KEYS, b"4930901820")
    yield "an IBAN as release", with_header(headers.RELEASE, b"DE89370400440532013000")
    yield "a phone number as basis", with_header(headers.BASIS, b"4930901820")
    yield "a name as basis", with_header(headers.BASIS, b"Lovelace")
    yield "a basis with an end", with_header(headers.BASIS, b"eu-gdpr:A45-3,")
    yield "an offset with zeros", with_header(headers.RECORD, b"eu.commerce.orders.v1[0]@007#0")
    yield "a record without output", with_header(headers.RECORD, b"eu.commerce.orders.v1[0]@7")
    yield "a resend of nothing", with_header(headers.RECORD, b"eu.commerce.orders.v1[0]@7#0+0")


@pytest.mark.parametrize(
    "pairs", [pytest.param(pairs, id=name) for name, pairs in _header_faults()]
)
def test_headers_that_our_border_does_not_write_stop_egress(pairs: Pairs) -> None:
    record = clean("eu", CUSTOMER).record

    with pytest.raises(HaltError, match="not written by our border") as caught:
        _read(pairs, record.external_id.encode(), record.value)

    assert WHERE in str(caught.value)
    assert "ada@" not in str(caught.value)
    assert caught.value.__context__ is None


def test_headers_of_our_border_are_read_back_with_and_without_a_trace() -> None:
    record = clean("eu", CUSTOMER).record
    own = with_header(headers.KEYS, b"1")

    for pairs in (own, [pair for pair in own if pair[0] != headers.TRACEPARENT]):
        assert _read(pairs, record.external_id.encode(), record.value) == record


@pytest.mark.parametrize("key", [b"", b"\xff", b"C-104482", b"ada@mail.example"])
def test_a_kafka_key_that_is_not_the_rows_id_is_stopped(key: bytes) -> None:
    record = clean("eu", CUSTOMER).record

    with pytest.raises(HaltError) as caught:
        GATES["eu"].check(_read(with_header(headers.KEYS, b"1"), key, record.value))

    assert "ada@" not in str(caught.value)


def _read(pairs: Pairs, key: bytes, value: bytes) -> MinimalRecord:
    return headers.minimal_record(own_headers(pairs, WHERE), key, value, WHERE)


SHORT, LONG = 3_000, 100_000  # records


@pytest.mark.timeout(900)
def test_clean_records_pass_and_the_scanner_is_quiet_where_a_format_is_declared(
    *, long_run: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table is what `docs/measurements.md` quotes; ``homeport test --long`` makes it."""
    wanted = LONG if long_run else SHORT
    found = Scanned()

    for region in REGIONS:
        made = crossings(region, wanted, seed=20_261_125)  # an event makes 0 or 1 records
        for record in islice(made, -(-wanted // len(REGIONS))):
            GATES[region].check(record)  # a halt or a quarantine fails the test
            found.add(region, record)

    with capsys.disabled():
        print(found.table())  # noqa: T201 - the figures are the point
    assert found.records >= wanted
    assert found.formatted > wanted
    assert found.hits["declared format"] == {}


class Scanned:
    """What the scanner says of the strings of many records, by how their field is declared."""

    def __init__(self) -> None:
        self.records = 0
        self.values: Counter[str] = Counter()
        self.hits: dict[str, Counter[str]] = {
            name: Counter()
            for name in ("declared format", "format not told", "closed list", "token")
        }

    @property
    def formatted(self) -> int:
        return self.values["declared format"]

    def add(self, region: str, record: MinimalRecord) -> None:
        self.records += 1
        schema, decoded = read(record.value, SCHEMAS)
        for name, value in decoded.items():
            rule = GRAMMARS[region][schema.object].get(name)
            if not isinstance(value, str) or rule is None:
                continue
            if rule.is_scanned:
                self._scan("declared format", value, formatted=True)
                self._scan("format not told", value, formatted=False)
            else:
                self._scan("token" if rule.is_token else "closed list", value, formatted=False)

    def _scan(self, kind: str, value: str, *, formatted: bool) -> None:
        self.values[kind] += 1
        self.hits[kind].update(_scanned(value, formatted=formatted))

    def table(self) -> str:
        lines = [f"\n{self.records} clean records, 0 halts, 0 quarantined"]
        for kind, hits in self.hits.items():
            rates = ", ".join(
                f"{name} {n / self.values[kind]:.4%}" for name, n in hits.most_common()
            )
            lines.append(
                f"  {kind:<16} {self.values[kind]:>9} values: {rates or 'no hit of any class'}"
            )
        return "\n".join(lines)


_scanned = lru_cache(maxsize=100_000)(scan)
SCHEMAS = load_schemas()
GRAMMARS = {region: grammar_of(region) for region in REGIONS}
