"""What is wanted of a schema, by path."""

import pytest

from residency.plan.walk import ops
from residency.plan.walk.wish import UnwalkableError, Wish


def stored(*slots: int) -> list[tuple[int, int]]:
    return [(slot, ops.SET) for slot in slots]


def test_a_wish_lies_where_its_path_leads_and_is_found_there_again() -> None:
    wish = Wish()

    for slot, path in enumerate(("a.b", "c[3]", "d[]", "e{k}.f", "a.b", "c[3]", "d[]", "e{k}.f")):
        wish.at(path).stores.append((slot, ops.SET))

    assert wish == Wish(
        fields={
            "a": Wish(fields={"b": Wish(stored(0, 4))}),
            "c": Wish(items={3: Wish(stored(1, 5))}),
            "d": Wish(each=Wish(stored(2, 6))),
            "e": Wish(entries={"k": Wish(fields={"f": Wish(stored(3, 7))})}),
        }
    )


@pytest.mark.parametrize("path", ["a{k}[]", "a[].b{k}"])
def test_adding_up_what_maps_hold_is_refused_by_its_path(path: str) -> None:
    with pytest.raises(UnwalkableError) as caught:
        Wish().at(path)

    assert str(caught.value).startswith(f"{path}: adds up")


def test_two_wishes_for_one_node_are_both_kept() -> None:
    some = Wish(
        stored(1), [2], {"f": Wish(stored(3))}, {0: Wish(stored(4))}, Wish(stored(5)),
        {"k": Wish(stored(6))},
    )  # fmt: skip
    more = Wish(
        stored(11), [12], {"f": Wish(stored(13)), "g": Wish(stored(14))}, {1: Wish(stored(15))},
        Wish(counts=[16]), {"k": Wish(stored(17))},
    )  # fmt: skip

    assert some.plus(None) == some
    assert some.plus(more) == Wish(
        stored(1, 11),
        [2, 12],
        {"f": Wish(stored(3, 13)), "g": Wish(stored(14))},
        {0: Wish(stored(4)), 1: Wish(stored(15))},
        Wish(stored(5), [16]),
        {"k": Wish(stored(6, 17))},
    )
    assert Wish().plus(more).each == Wish(counts=[16])
    assert some.plus(Wish()).each == Wish(stored(5))


def test_the_slots_of_a_node_are_all_that_lie_below_it() -> None:
    whole = Wish(
        stored(1), [2], {"f": Wish(stored(3))}, {0: Wish(counts=[4])}, Wish(stored(5)),
        {"k": Wish(stored(6))},
    )  # fmt: skip

    assert whole.slots() == [1, 2, 3, 4, 6, 5]
    assert Wish(stored(1)).slots() == [1]
    assert Wish().slots() == []
