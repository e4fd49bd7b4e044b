"""The program of a walk, instruction by instruction as `ops` lays them out."""

from typing import Any

import pytest

from residency.plan.walk import ops, program
from residency.plan.walk.program import Acts, Program, write_program
from residency.plan.walk.wish import UnwalkableError, Wish

SKIP, COPY, EDIT = ops.SKIP, ops.COPY, ops.EDIT
END = [ops.END, 0, 0, 0, 0, SKIP]
INNER = {"type": "record", "name": "t.I", "fields": [{"name": "x", "type": "int"}]}
EMPTY = {"type": "record", "name": "t.N", "fields": [{"name": "x", "type": "null"}]}
VOID = {"type": "record", "name": "t.V", "fields": []}


def record(*types: Any) -> dict[str, Any]:
    """Return a record with fields ``a``, ``b``, ... of *types*."""
    fields = [{"name": "abcdef"[n], "type": avro} for n, avro in enumerate(types)]
    return {"type": "record", "name": "t.R", "fields": fields}


def wished(*stores: tuple[str, int], counts: tuple[str, ...] = ()) -> Wish:
    """Return a wish for (path, how), slots in this order; then for the lengths of arrays."""
    wish = Wish()
    for slot, (path, how) in enumerate(stores):
        wish.at(path).stores.append((slot, how))
    for slot, path in enumerate(counts, len(stores)):
        wish.at(path).counts.append(slot)
    return wish


def rows(made: Program) -> list[list[int]]:
    code = list(made.code)
    return [code[at : at + ops.WIDTH] for at in range(0, len(code), ops.WIDTH)]


def decimal(precision: int, **more: Any) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, **more}


FIXED = {"type": "fixed", "name": "t.F", "size": 3}
ENUM = {"type": "enum", "name": "t.E", "symbols": ["S", "M"]}
LEAVES = [
    ("boolean", [ops.BOOLEAN, 0, 0]),
    ("int", [ops.INT, 0, 0]),
    ("long", [ops.LONG, 0, 0]),
    ({"type": "long", "logicalType": "timestamp-millis"}, [ops.LONG, 0, 0]),
    ("bytes", [ops.BYTES, 0, 0]),
    ("string", [ops.STRING, 0, 0]),
    ({"type": "string", "logicalType": "uuid"}, [ops.UUID, 0, 0]),
    ("float", [ops.SIZED, 4, 0]),
    ("double", [ops.SIZED, 8, 0]),
    (FIXED, [ops.SIZED, 3, 0]),
    (ENUM, [ops.ENUM, 2, 0]),
    (decimal(1), [ops.DECIMAL, 0, 10]),
    (decimal(18), [ops.DECIMAL, 0, 10**18]),
    (decimal(19), [ops.DECIMAL, 0, 0]),
    (decimal(4, type="fixed", name="t.D", size=9), [ops.FIXED_DECIMAL, 9, 10_000]),
]


@pytest.mark.parametrize(("avro", "head"), LEAVES)
def test_a_leaf_is_checked_and_put_into_the_slot_that_wants_it(avro: Any, head: list[int]) -> None:
    wish = wished(("b", ops.SET), ("c", ops.SET))

    made = write_program(record("boolean", avro, "boolean"), wish)

    flag = [ops.BOOLEAN, 0, 0]
    assert rows(made) == [
        [*flag, 0, 0, SKIP], [*head, 1, 0, SKIP], [*flag, 2, 0, SKIP], END,
    ]  # fmt: skip
    assert (list(made.table), bytes(made.keys), list(made.key_ends)) == ([0], b"\0", [0])
    assert made.depth == 0


@pytest.mark.parametrize(("avro", "is_decimal"), [("long", 0), (decimal(4), 1)])
def test_what_is_wanted_more_than_once_or_reckoned_with_is_stored_besides(
    avro: Any, is_decimal: int
) -> None:
    wish = wished(("a", ops.SUM), ("a", ops.SET), ("a", ops.MOST), ("a", ops.SET))
    only_sum = wished(("a", ops.SUM))

    made, summed = write_program(record(avro), wish), write_program(record(avro), only_sum)

    assert [row[3] for row in rows(made)[:1] + rows(summed)[:1]] == [2, 0]
    assert rows(made)[1:] == [
        [ops.STORE, 0, ops.SUM, is_decimal, 0, SKIP],
        [ops.STORE, 2, ops.MOST, is_decimal, 0, SKIP],
        [ops.STORE, 3, ops.SET, 0, 0, SKIP],
        END,
    ]
    assert rows(summed)[1:] == [[ops.STORE, 0, ops.SUM, is_decimal, 0, SKIP], END]


def test_null_takes_no_byte_and_a_record_is_what_lies_in_it() -> None:
    nested = {"type": "record", "name": "t.O", "fields": [{"name": "i", "type": INNER}]}
    avro = record("null", nested, "t.I", {"type": "t.I"})

    made = write_program(avro, wished(("b.i.x", ops.SET), ("d.x", ops.SET)))

    assert rows(made) == [
        [ops.INT, 0, 0, 1, 0, SKIP],
        [ops.INT, 0, 0, 0, 0, SKIP],
        [ops.INT, 0, 0, 2, 0, SKIP],
        END,
    ]


@pytest.mark.parametrize(
    ("branches", "expected", "table"),
    [
        (["null", "int"], [[ops.UNION, 2, 0], [ops.INT, 0, 0]], [2, 1]),
        (["int", "null"], [[ops.UNION, 2, 0], [ops.INT, 0, 0]], [1, 2]),
        (["null"], [[ops.UNION, 1, 0]], [1]),
        (
            ["int", "null", "long", "string"],
            [
                [ops.UNION, 4, 0], [ops.INT, 0, 0], [ops.JUMP, 6, 0], [ops.LONG, 0, 0],
                [ops.JUMP, 6, 0], [ops.STRING, 0, 0],
            ],
            [1, 6, 3, 5],
        ),
    ],
)  # fmt: skip
def test_a_union_jumps_to_its_branch_and_on_behind_the_last(
    branches: list[str], expected: list[list[int]], table: list[int]
) -> None:
    made = write_program(record(branches), Wish())

    assert rows(made) == [*([*row, 0, 0, SKIP] for row in expected), END]
    assert list(made.table) == table


def test_the_tables_of_unions_follow_one_another() -> None:
    made = write_program(record(["null", "int"], ["long", "null"]), Wish())

    assert rows(made)[2][:3] == [ops.UNION, 2, 2]
    assert list(made.table) == [2, 1, 3, 4]


def test_an_array_is_a_loop_with_a_body_for_each_chosen_item_and_one_for_the_rest() -> None:
    wish = wished(("a[4]", ops.SET), ("a[]", ops.SUM), ("a[0]", ops.SET), counts=("a", "a"))

    made = write_program(record({"type": "array", "items": "int"}), wish)

    assert rows(made) == [
        [ops.BEGIN, 0, 0, 0, 0, SKIP],
        [ops.NEXT, 9, 0, 2, 0, SKIP],
        [ops.BLOCK, 12, 1, 0, 0, SKIP],
        [ops.INT, 0, 0, 1, 0, SKIP],
        [ops.STORE, 1, ops.SUM, 0, 0, SKIP],
        [ops.JUMP, 1, 0, 0, 0, SKIP],
        [ops.INT, 0, 0, 3, 0, SKIP],
        [ops.STORE, 1, ops.SUM, 0, 0, SKIP],
        [ops.JUMP, 1, 0, 0, 0, SKIP],
        [ops.INT, 0, 0, 0, 0, SKIP],
        [ops.STORE, 1, ops.SUM, 0, 0, SKIP],
        [ops.JUMP, 1, 0, 0, 0, SKIP],
        [ops.COUNT, 3, 0, 0, 0, SKIP],
        [ops.COUNT, 4, 0, 0, 0, SKIP],
        END,
    ]
    assert list(made.table) == [4, 3, 0, 6]
    assert made.depth == 1


def test_a_map_is_a_loop_over_keys_in_which_the_last_of_one_key_counts() -> None:
    wish = wished(("a{first}[2]", ops.SET), ("a{zwölf}[0]", ops.SET))

    made = write_program(
        record({"type": "map", "values": {"type": "array", "items": "int"}}), wish
    )  # fmt: skip

    def body(at: int, slot: int, more: int) -> list[list[int]]:
        return [
            [ops.BEGIN, 0, 0, 0, 0, SKIP],
            [ops.NEXT, at + 5, 2 * more, 1, 0, SKIP],
            [ops.BLOCK, at + 7, at + 1, 0, 0, SKIP],
            [ops.INT, 0, 0, slot, 0, SKIP],
            [ops.JUMP, at + 1, 0, 0, 0, SKIP],
            [ops.INT, 0, 0, 0, 0, SKIP],
            [ops.JUMP, at + 1, 0, 0, 0, SKIP],
            [ops.JUMP, 1, 0, 0, 0, SKIP],
        ]

    rest = [
        [ops.BEGIN, 0, 0, 0, 0, SKIP],
        [ops.NEXT, 25, 8, 0, 0, SKIP],
        [ops.BLOCK, 27, 23, 0, 0, SKIP],
        [ops.INT, 0, 0, 0, 0, SKIP],
        [ops.JUMP, 23, 0, 0, 0, SKIP],
        [ops.JUMP, 1, 0, 0, 0, SKIP],
    ]
    assert rows(made) == [
        [ops.BEGIN, 0, 0, 0, 0, SKIP],
        [ops.NEXT, 3, 0, 0, 0, SKIP],
        [ops.BLOCK, 28, 1, 0, 0, SKIP],
        [ops.KEY, 22, 4, 2, 0, SKIP],
        [ops.CLEAR, 0, 0, 0, 0, SKIP],
        *body(5, 1, 0),
        [ops.CLEAR, 1, 0, 0, 0, SKIP],
        *body(14, 2, 1),
        *rest,
        END,
    ]
    assert list(made.table) == [2, 8, 0, 17, 0, 4, 1, 13]
    assert bytes(made.keys) == "firstzwölf".encode()
    assert list(made.key_ends) == [0, 5, 11]
    assert made.depth == 2


def test_depth_is_of_what_lies_within_one_another() -> None:
    def array(items: Any) -> Any:
        return {"type": "array", "items": items}

    assert write_program(record(array("int"), array("int")), Wish()).depth == 1
    assert write_program(record(array(array("int")), array("int")), Wish()).depth == 2
    assert write_program(record(array("int"), array(array(array("int")))), Wish()).depth == 3


def test_a_projection_copies_all_but_what_is_dropped_and_what_is_edited() -> None:
    many = {"type": "array", "items": {"type": "map", "values": ["null", "string"]}}
    drops = frozenset({"c", "b.x", "a"})

    made = write_program(
        record("int", INNER, "t.I", "string", many, "string"),
        Wish(),
        Acts(drops, {"d": 1, "e[]{}": 3, "f": 0}),
    )

    assert [[row[0], row[-1]] for row in rows(made)] == [
        [ops.INT, SKIP],
        [ops.INT, SKIP],
        [ops.INT, SKIP],
        [ops.STRING, EDIT + 1],
        [ops.BEGIN, SKIP],
        [ops.NEXT, SKIP],
        [ops.BLOCK, COPY],
        [ops.BEGIN, SKIP],
        [ops.NEXT, SKIP],
        [ops.BLOCK, COPY],
        [ops.KEY, COPY],
        [ops.UNION, COPY],
        [ops.STRING, EDIT + 3],
        [ops.JUMP, SKIP],
        [ops.JUMP, SKIP],
        [ops.STRING, EDIT],
        [ops.END, SKIP],
    ]


def test_without_acts_nothing_is_copied_and_with_none_everything() -> None:
    avro = record("int", {"type": "map", "values": "int"})

    assert {row[-1] for row in rows(write_program(avro, Wish()))} == {SKIP}
    copied = {row[0] for row in rows(write_program(avro, Wish(), Acts())) if row[-1] == COPY}
    assert copied == {ops.INT, ops.BLOCK, ops.KEY}


@pytest.mark.parametrize(
    "items",
    ["null", VOID, EMPTY, {"type": "fixed", "name": "t.Z", "size": 0}, {"type": "null"}, "t.V"],
)
def test_an_array_of_nothing_is_refused_by_its_path(items: Any) -> None:
    with pytest.raises(UnwalkableError, match=r"^b\[\]: an array of nothing"):
        write_program(record(VOID if items == "t.V" else "int", {"type": "array", "items": items}),
                      Wish())  # fmt: skip


@pytest.mark.parametrize(
    "items",
    [
        "int", INNER, "t.I", ["null", "int"], FIXED, ENUM, {"type": "int"},
        {"type": "array", "items": "int"}, {"type": "map", "values": "null"},
        {"type": "fixed", "name": "t.Y", "size": 1},
        {"type": "record", "name": "t.P", "fields": [
            {"name": "x", "type": "null"}, {"name": "y", "type": "int"},
            {"name": "z", "type": "null"},
        ]},
    ],
)  # fmt: skip
def test_an_array_of_what_takes_a_byte_is_walked(items: Any) -> None:
    named = INNER if items == "t.I" else "int"

    made = write_program(record(named, {"type": "array", "items": items}), Wish())

    assert made.depth >= 1


def test_a_map_of_nothing_is_walked_for_its_keys_end_it() -> None:
    assert write_program(record({"type": "map", "values": "null"}), Wish()).depth == 1


def test_a_uuid_that_is_no_string_is_refused_by_its_path() -> None:
    odd = {"type": "fixed", "name": "t.U", "size": 16, "logicalType": "uuid"}

    with pytest.raises(UnwalkableError, match=r"^a: a uuid"):
        write_program(record(odd), Wish())


def test_a_schema_is_walked_up_to_a_number_of_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "MAX_INSTRUCTIONS", 4)

    assert len(rows(write_program(record("int", "int", "int"), Wish()))) == 4
    with pytest.raises(UnwalkableError, match="too large"):
        write_program(record("int", "int", "int", "int"), Wish())
