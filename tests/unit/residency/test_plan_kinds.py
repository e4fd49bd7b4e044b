"""What the plan knows of an Avro type: its kind, and a decimal's digits."""

from typing import Any

import pytest

from residency.plan.kinds import digits, kind_of


@pytest.mark.parametrize(
    ("avro", "kind"),
    [
        ("int", "long"),
        (["null", "string"], "string"),
        (["null", {"type": "int", "logicalType": "date"}], "date"),
        (["null", "string", "long"], "union"),
        ([], "union"),
    ],
)
def test_a_union_of_several_types_is_of_no_kind_but_its_own(avro: Any, kind: str) -> None:
    assert kind_of(avro) == kind


@pytest.mark.parametrize(
    ("avro", "told"),
    [
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, (9, 2)),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9}, (9, 0)),
        (["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3}], (9, 3)),
        ({"type": "long", "logicalType": "timestamp-millis"}, (0, 0)),
        ("long", (0, 0)),
        ([], (0, 0)),
    ],
)
def test_only_a_decimal_has_digits_and_none_after_the_point_unless_it_says_so(
    avro: Any, told: tuple[int, int]
) -> None:
    assert digits(avro) == told
