"""Deliberate faults in what the border sends, as data: a name, how to break, what must stop it.

Each says what a plausible mistake in strip or walker would send: a raw value where a token
goes, a field of another row, bytes that were copied too far. `BEYOND` lists what no look at
one record can find, and why.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

from residency.gate.rules import Grammar, Rule, load_grammar
from residency.gate.wire import load_schemas
from schemas.events import MinimalRecord
from tests.standard.crossing import LABELS, Clean, clean

Stop = Literal["halt", "quarantine"]


@dataclass(frozen=True)
class Fault:
    """One way to send what must not be sent.

    Attributes:
        name: ``<object> <field> <- what``, for people.
        target: The object whose clean record is broken.
        stop: What the gate must do.
        make: Returns the broken record.

    """

    name: str
    target: str
    stop: Stop
    make: Callable[[Clean], MinimalRecord]


ORDER, CUSTOMER, CASE = "Commerce_Order__c", "Commerce_Customer__c", "Commerce_Case__c"
OBJECTS = (ORDER, CUSTOMER, CASE)
TARGETS = (*OBJECTS, LABELS)
OTHER = {"eu": "uk", "uk": "us", "us": "eu"}

RAW_TEXTS: Mapping[str, str] = {
    "a full name": "Ada Lovelace",
    "a name in capitals": "ADA LOVELACE",
    "a surname": "lovelace",
    "an e-mail": "ada@mail.example",
    "an e-mail in capitals": "ADA@MAIL.EXAMPLE",
    "a phone number": "+49 30 901820",
    "a bare phone number": "+4930901820",
    "an IBAN": "DE89 3704 0044 0532 0130 00",
    "a card": "4111 1111 1111 1111",
    "a street": "Unter den Linden 77",
    "a German postcode": "10117 ",
    "a UK postcode": "SW1A 1AA",
    "a Dutch postcode": "1012 AB",
    "an IPv4 address": "203.0.113.77",
    "a host in a network": "203.0.113.77/24",
    "a narrow network": "203.0.113.0/25",
    "an IPv6 address": "2001:db8:1:2::7",
    "a narrow IPv6 network": "2001:db8:1:2::/64",
    "a mapped IPv4 address": "::ffff:203.0.113.77",
    "no octets": "491.701.234.0/24",
    "a birthday in words": "17 May 1980",
    "a full timestamp": "2026-11-23T10:00:00Z",
    "a UUID": "0b0b8a3e-7a41-4a61-9f0f-000000000001",
    "a browser": "Mozilla/5.0 (X11; Linux x86_64)",
    "a bearer token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "a gift note": "For Mum, with love",
    "nothing": "",
    "a blank": " ",
    "a line break": "web\n",
    "a control character": "web\x00",
    "a lower-case country": "de",
    "a country in full": "Germany",
    "a three-letter country": "DEU ",
    "a lower-case currency": "eur",
    "a language with its region": "de-DE",
    "look-alike letters": "\N{CYRILLIC CAPITAL LETTER DZE}KU-1",
    "full-width digits": "\N{FULLWIDTH DIGIT ONE}\N{FULLWIDTH DIGIT ZERO}",
    "an injection": "x'; DROP TABLE orders --",
    "a formula": "=HYPERLINK(A1)",
}
# A language may be "de": the text is what the field is for.
FITTING = {(name, "a lower-case country") for name in ("Language__c", "Text_Language__c")}

# Grammatical as an SKU, and personal all the same: only the scanner can tell.
SCANNED_TEXTS: Mapping[str, str] = {
    "a bare IBAN": "DE89370400440532013000",
    "an IBAN with dashes": "GB29-NWBK-6016-1331-9268-19",
    "an IBAN behind a prefix": "SKU-DE89370400440532013000",
    "a card with dashes": "4111-1111-1111-1111",
    "a card inside": "X1-4111-1111-1111-1111-99",
    "an Amex card with dashes": "3782-822463-10005",
    "a US social security number": "078-05-1120",
    "a UK insurance number": "AB123456C",
    "a UK insurance number with dashes": "AB-12-34-56-C",
    "an NHS number": "943-476-5870",
    "a German tax id": "65-929-970-489",
    "a French social security number": "2-95-10-99-126-111-93",
    "a Corsican social security number": "1-70-03-2A-123-456-57",
    "a Spanish DNI": "54362315K",
    "a Spanish NIE": "X-2482300-W",
    "an Italian tax code": "RCCMNL83S18D969H",
    "a Dutch BSN": "BSN-111222333",
    "a Swedish number": "880320-0016",
    "a Finnish number": "131052-308T",
    "a Belgian number": "850730033-28",
    "a hardware address": "00-1B-44-11-3A-B7",
    "a cloud key": "AKIAIOSFODNN7EXAMPLE",
}
SKU_FIELDS = ((ORDER, "First_Sku__c"), (CASE, "Sku__c"))

# Shapes of a pseudonym that are not ours: {0} is the region, {1} another one.
TOKENS: Mapping[str, str] = {
    "a token of another region": "tok_{1}1_" + "a" * 26,
    "a token without a region": "tok_1_" + "a" * 26,
    "a token without a version": "tok_{0}_" + "a" * 26,
    "a token of a long version": "tok_{0}12345_" + "a" * 26,
    "a token in capitals": "TOK_{0}1_" + "A" * 26,
    "a token of 80 bits": "tok_{0}1_" + "a" * 16,
    "a whole HMAC": "tok_{0}1_" + "a" * 52,
    "a token with padding": "tok_{0}1_" + "a" * 26 + "======",
    "a token in hex": "tok_{0}1_" + "0f" * 16,
    "a bare HMAC in hex": "0f" * 32,
    "a raw value behind a token": "tok_{0}1_" + "a" * 26 + "ada",
    "a raw value as a token": "tok_{0}1_ada@mail.example",
    "a raw customer number": "C-104482",
    "an unsalted MD5": "d41d8cd98f00b204e9800998ecf8427e",
}

# Two fields that look alike to any reader of one record: exchanged they are wrong, not raw.
BEYOND: Mapping[str, str] = {
    "two tokens exchanged": "a token does not say of what it is one",
    "two times exchanged": "both are kept, and of one range",
    "two amounts exchanged": "both are kept, and of one range",
}


def grammar_of(region: str) -> Grammar:
    return load_grammar(region, load_schemas())


def rules_of(grammar: Grammar, target: str) -> dict[str, Rule]:
    """Return the rules of the fields that a record of *target* has."""
    base = clean("eu", target)
    return {name: rule for name, rule in grammar[base.record.object].items() if name in base.values}


def texts(rules: Mapping[str, Rule]) -> Iterator[str]:
    yield from (name for name, rule in rules.items() if rule.type == "string")


def faults(region: str) -> tuple[Fault, ...]:
    """Return every fault for the records of *region*."""
    grammar = grammar_of(region)
    return (
        *_raw_texts(grammar),
        *_personal_skus(),
        *_wrong_tokens(region, grammar),
        *_wrong_numbers(grammar),
        *_swaps(grammar),
        *_cleared(grammar),
        *_envelopes(region),
        *_wire(),
    )


def _field(target: str, name: str, what: str, value: Any, stop: Stop = "halt") -> Fault:
    return Fault(
        f"{target} {name} <- {what}", target, stop, lambda base: base.with_values({name: value})
    )


def _raw_texts(grammar: Grammar) -> Iterator[Fault]:
    for target in TARGETS:
        for name in texts(rules_of(grammar, target)):
            for what, text in RAW_TEXTS.items():
                if (name, what) not in FITTING:
                    yield _field(target, name, what, text)


def _personal_skus() -> Iterator[Fault]:
    for target, name in SKU_FIELDS:
        for what, text in SCANNED_TEXTS.items():
            yield _field(target, name, what, text, "quarantine")
    # A 6to4 prefix spells out a whole IPv4 address.
    yield _field(ORDER, "Ip_Network__c", "a 6to4 network", "2002:cb00:7107::/48", "quarantine")


def _wrong_tokens(region: str, grammar: Grammar) -> Iterator[Fault]:
    for target in TARGETS:
        for name, rule in rules_of(grammar, target).items():
            if rule.is_token:
                for what, form in TOKENS.items():
                    yield _field(target, name, what, form.format(region, OTHER[region]))
    for target in OBJECTS:
        yield _field(target, "Region__c", "another region", OTHER[region])


NUMBERS: Mapping[str, Mapping[str, Any]] = {
    "long": {
        "a card": 4_111_111_111_111_111,
        "a phone number": 4_930_901_820,
        "a postcode": 10_117,
        "a negative number": -1,
        "the largest long": 2**63 - 1,
    },
    "timestamp": {
        "a birthday": 327_369_600_000 - 10 * 365 * 86_400_000,
        "seconds": 1_764_000_000,
        "microseconds": 1_764_000_000_000_000,
        "the largest long": 2**63 - 1,
        "a time before 1970": -1,
    },
    "decimal": {
        "a card": (4_111_111_111_111_111).to_bytes(8, "big"),
        "a phone number": (493_090_182_000).to_bytes(5, "big"),
        "a padded amount": b"\0\0\0\0\0\0\x05\x39",
        "a padded negative amount": b"\xff\xff\x80",
    },
}


def _wrong_numbers(grammar: Grammar) -> Iterator[Fault]:
    for target in TARGETS:
        for name, rule in rules_of(grammar, target).items():
            for what, value in NUMBERS.get(rule.type, {}).items():
                yield _field(target, name, what, value)
    yield _field(CUSTOMER, "Birth_Year__c", "a birth date in days", 3_789)
    yield _field(CUSTOMER, "Birth_Year__c", "a birth date as a number", 19_800_517)
    yield _field(CUSTOMER, "Birth_Year__c", "an age", 45)


def _swaps(grammar: Grammar) -> Iterator[Fault]:
    """Yield every exchange of two fields that an observer could tell."""
    for target in TARGETS:
        for one, other in combinations(rules_of(grammar, target).values(), 2):
            if one.type == other.type and not looks_alike(one, other):
                yield Fault(
                    f"{target} {one.field} <-> {other.field}", target, "halt", _swap(one, other)
                )


def looks_alike(one: Rule, other: Rule) -> bool:
    """Tell whether two fields take the same values: see `BEYOND`.

    The external id is none of them: it must be the record's key.
    """
    if "External_Id__c" in {one.field, other.field}:
        return False
    return replace(one, field="", clearable=False) == replace(other, field="", clearable=False)


def _swap(one: Rule, other: Rule) -> Callable[[Clean], MinimalRecord]:
    def make(base: Clean) -> MinimalRecord:
        values = base.values
        swapped = {one.field: values[other.field], other.field: values[one.field]}
        made = base.with_values(swapped)
        # The Kafka key was made before: it is still the row's.
        return replace(made, external_id=base.record.external_id)

    return make


def _cleared(grammar: Grammar) -> Iterator[Fault]:
    def clears(target: str, what: str, names: list[str], **unset: None) -> Fault:
        return Fault(
            f"{target} cleared <- {what}",
            target,
            "halt",
            lambda base: base.with_values({"cleared": names, **unset}),
        )

    for target in OBJECTS:
        rules = rules_of(grammar, target)
        for name, rule in rules.items():
            if rule.clearable:
                yield clears(target, f"{name}, which is set", [name])
            else:
                yield clears(target, name, [name])
        yield clears(target, "a field of no object", ["Contact_Name__c"])
        yield clears(target, "a raw value", ["ada@mail.example"])
        yield clears(target, "an empty name", [""])
        few = sorted(name for name, rule in rules.items() if rule.clearable)[:2]
        unset = dict.fromkeys(few)
        yield clears(target, "a field twice", [few[0], *few], **unset)
        yield clears(target, "another order", few[::-1], **unset)
        yield clears(target, "the name in another case", [few[0].lower()], **unset)


def _envelopes(region: str) -> Iterator[Fault]:
    def envelope(what: str, change: Callable[[MinimalRecord], dict[str, Any]]) -> Iterator[Fault]:
        for target in TARGETS:
            yield Fault(
                f"{target} envelope <- {what}",
                target,
                "halt",
                lambda base: replace(base.record, **change(base.record)),
            )

    def moved(record: MinimalRecord, **changes: Any) -> dict[str, Any]:
        at = replace(record.id.at, **changes)
        return {"id": replace(record.id, at=at)}

    yield from envelope("another object", lambda r: {"object": _next(r.object)})
    yield from envelope("an object nobody knows", lambda r: {"object": "Contact"})
    yield from envelope("a raw value as object", lambda r: {"object": "ada@mail.example"})
    yield from envelope("another row's id", lambda r: {"external_id": r.external_id[:-1] + "z"})
    yield from envelope("a raw customer number as id", lambda r: {"external_id": "C-104482"})
    yield from envelope("an older version", lambda r: {"version": r.version - 1})
    yield from envelope("another schema id", lambda r: {"schema_id": 1_001})
    yield from envelope("an unapproved plan", lambda r: {"plan": "ab" * 32})
    yield from envelope("no plan", lambda r: {"plan": ""})
    yield from envelope("a plan in capitals", lambda r: {"plan": r.plan.upper() + "A"})
    yield from envelope("a raw value as plan", lambda r: {"plan": "ada@mail.example"})
    yield from envelope("no key version", lambda r: {"keys": 0})
    yield from envelope("a phone number as key version", lambda r: {"keys": 4_930_901_820})
    yield from envelope("another offset", lambda r: moved(r, offset=r.id.at.offset + 1))
    topic = f"{OTHER[region]}.commerce.orders.v1"
    yield from envelope("another region's topic", lambda r: moved(r, topic=topic))
    yield from envelope(
        "a topic of minimal records", lambda r: moved(r, topic=f"{region}.crm.minimal.v1")
    )
    yield from envelope("a raw value as topic", lambda r: moved(r, topic="ada@mail.example"))
    yield from envelope("a phone number as offset", lambda r: moved(r, offset=4_930_901_820))
    for target in TARGETS:
        yield Fault(
            f"{target} version <- a phone number, in bytes and envelope",
            target,
            "halt",
            lambda base: base.with_values({base.version: 4_930_901_820}),
        )


def _next(target: str) -> str:
    return OBJECTS[(OBJECTS.index(target) + 1) % len(OBJECTS)]


def _wire() -> Iterator[Fault]:
    def bytes_of(what: str, change: Callable[[bytes], bytes]) -> Iterator[Fault]:
        for target in TARGETS:
            yield Fault(
                f"{target} bytes <- {what}",
                target,
                "halt",
                lambda base: replace(base.record, value=change(base.record.value)),
            )

    yield from bytes_of("none", lambda v: b"")
    yield from bytes_of("no header", lambda v: v[5:])
    yield from bytes_of("another magic byte", lambda v: b"\1" + v[1:])
    yield from bytes_of("the raw schema", lambda v: _as(v, 1_002))
    yield from bytes_of("a schema nobody knows", lambda v: _as(v, 9_999))
    yield from bytes_of("the next object's schema", lambda v: _as(v, 2_001 + (v[4] - 0xD0) % 3))
    yield from bytes_of("one byte more", lambda v: v + b"\0")
    yield from bytes_of("a raw value behind", lambda v: v + b"ada@mail.example")
    yield from bytes_of("the record twice", lambda v: v + v[5:])
    yield from bytes_of("the last byte missing", lambda v: v[:-1])
    yield from bytes_of("half of it", lambda v: v[: len(v) // 2])
    yield from bytes_of("an overlong length", lambda v: v[:5] + bytes([v[5] | 0x80, 0]) + v[6:])
    yield from bytes_of("a negative length", lambda v: v[:5] + b"\1" + v[6:])
    yield from bytes_of("a huge length", lambda v: v[:5] + b"\xfe\xff\xff\xff\xff\x7f" + v[6:])
    yield from bytes_of("a sized block", lambda v: v[:-1] + b"\1\2\0\0")
    yield from bytes_of("bad UTF-8", lambda v: v[:6] + b"\xff" + v[7:])
    yield from bytes_of("JSON", lambda v: v[:5] + b'{"email": "ada@mail.example"}')
    yield from bytes_of("20 KB behind it", lambda v: v + b"a" * 20_000)


def _as(value: bytes, schema_id: int) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + value[5:]
