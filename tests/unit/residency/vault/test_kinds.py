"""Each event type says how long the vault keeps it, and what else it asks of it."""

from pathlib import Path

import pytest

from residency.vault.kinds import UNKNOWN, EventKind, event_of, faults, load_kinds
from schemas.errors import SetupError
from schemas.registry import load_registry

REGISTRY = load_registry()
ERASURE = "commerce.customers.CustomerErasureRequested"
REGISTERED = "commerce.customers.CustomerRegistered"
SIGNED_IN = "commerce.customers.CustomerSignedIn"


def written(folder: Path, text: str) -> Path:
    path = folder / "events.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_our_own_rows_are_those_of_our_schemas() -> None:
    kinds = load_kinds()

    assert faults(REGISTRY, kinds) == []
    assert [name for name, kind in kinds.items() if kind.erases] == [ERASURE]
    assert [name for name, kind in kinds.items() if kind.registers] == [REGISTERED]


def test_a_schema_without_a_row_and_a_row_without_a_schema_are_named() -> None:
    kinds = dict(load_kinds())
    del kinds[SIGNED_IN]
    kinds["commerce.orders.Gone"] = EventKind("commerce.orders.Gone", 1)

    assert faults(REGISTRY, kinds) == [
        f"no row for {SIGNED_IN}: say how long it is kept",
        "commerce.orders.Gone is no event of ours; take its row out",
    ]


def test_who_asks_for_erasure_must_say_whose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("residency.vault.kinds.CUSTOMER", "customer.other_id")

    assert faults(REGISTRY, load_kinds()) == [f"{ERASURE} erases, and has no customer.other_id"]


def test_rows_are_read_with_what_they_leave_out(tmp_path: Path) -> None:
    text = "[a.B]\nretention_days = 1\nerases = true\n[a.C]\nretention_days = 2\n"
    path = written(tmp_path, text + f"[{UNKNOWN}]\nretention_days = 3\nregisters = true\n")

    assert load_kinds(path) == {
        "a.B": EventKind("a.B", 1, erases=True),
        "a.C": EventKind("a.C", 2),
        UNKNOWN: EventKind(UNKNOWN, 3, registers=True),
    }


@pytest.mark.parametrize(
    "row",
    [
        "retention_days = 0",
        "retention_days = -1",
        "retention_days = 1.5",
        "retention_days = true",
        'retention_days = "1"',
        "erases = true",
        "retention_days = 1\nerases = 1",
        "retention_days = 1\nregisters = 'no'",
        "retention_days = 1\nelse = 1",
        "retention_days =",
        "",
    ],
)
def test_a_row_of_another_form_is_refused(tmp_path: Path, row: str) -> None:
    path = written(tmp_path, f"[{UNKNOWN}]\n{row}\n")

    with pytest.raises(SetupError, match=r"events\.toml: not readable"):
        load_kinds(path)


def test_a_value_outside_of_a_row_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="not readable"):
        load_kinds(written(tmp_path, f"days = 1\n[{UNKNOWN}]\nretention_days = 1\n"))
    with pytest.raises(SetupError, match="not readable"):
        load_kinds(tmp_path / "gone.toml")


def test_what_names_no_schema_needs_a_row_too(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no row \[unknown\]"):
        load_kinds(written(tmp_path, "[a.B]\nretention_days = 1\n"))


def test_a_value_names_its_event_by_its_schema() -> None:
    assert event_of(b"\0\0\0\x03\xf0rest", REGISTRY) == (ERASURE, 1008)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0\0\0\x03",
        b"\x01\0\0\x03\xf0",
        b"\0\0\0\0\0",
        b"\0\0\0\x07\xd1",  # 2001: a minimal schema, which no event has
    ],
)
def test_what_names_none_is_unknown(value: bytes) -> None:
    assert event_of(value, REGISTRY) == (UNKNOWN, 0)
