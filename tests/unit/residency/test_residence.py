"""A region decides the events of whom it serves, and remembers so many residences at most."""

import pytest

from residency.plan.residence import MAX_RESIDENCES, Residence
from schemas.errors import QuarantineError, Reason


@pytest.mark.parametrize(
    ("residence", "is_served"),
    [
        ((b"DE", None), True),
        ((b"DE", b"BE"), True),
        ((b"GB", None), False),
        ((b"XX", None), False),
        ((None, None), False),
    ],
)
def test_a_residence_is_this_regions_or_not_however_often_it_is_asked(
    residence: tuple[bytes | None, ...], is_served: bool
) -> None:
    asked = Residence("eu")

    told = [asked.is_ours(residence) for _ in range(2)]

    assert told == [is_served, is_served]
    assert asked._served == ({residence} if is_served else set())  # noqa: SLF001


def test_no_more_residences_are_remembered_than_there_is_room_for() -> None:
    asked = Residence("eu")

    told = {asked.is_ours((b"DE", str(n).encode())) for n in range(MAX_RESIDENCES + 4)}

    assert told == {True}
    assert len(asked._served) == MAX_RESIDENCES == 4_096  # noqa: SLF001


@pytest.mark.parametrize(
    ("country", "reason"),
    [
        ("DE", None),
        ("GB", Reason.WRONG_REGION),
        ("XX", Reason.UNKNOWN_JURISDICTION),
        (None, Reason.UNKNOWN_JURISDICTION),
    ],
)
def test_an_event_of_somebody_elses_customer_names_why(
    country: str | None, reason: Reason | None
) -> None:
    values = {"customer": {"residence": {"country": country, "subdivision": None}}}
    if reason is None:
        Residence("eu").check(values)
        return

    with pytest.raises(QuarantineError) as caught:
        Residence("eu").check(values)

    assert (caught.value.reason, caught.value.path) == (reason, "customer.residence.country")
