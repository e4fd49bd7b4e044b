"""The border's count adds up, and survives the trip through an offset's metadata."""

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from streams.tally import Tally, total

# as many as a partition can ever hold
counts = st.integers(0, 2**63 - 1)
tallies = st.builds(Tally, *(counts for _ in fields(Tally)))
MAX_METADATA_BYTES = 4_096  # Kafka's `offset.metadata.max.bytes`


@given(tallies)
def test_a_tally_comes_back_from_metadata_as_it_went(tally: Tally) -> None:
    text = tally.to_metadata()

    assert Tally.from_metadata(text) == tally
    assert len(text.encode()) <= MAX_METADATA_BYTES


def test_where_nothing_was_committed_the_count_is_zero() -> None:
    assert Tally.from_metadata(None) == Tally.from_metadata("") == Tally(0, 0, 0, 0)


@given(tallies, tallies)
def test_minus_undoes_plus(one: Tally, other: Tally) -> None:
    assert one.plus(other).minus(other) == one
    assert one.plus(other) == other.plus(one)


@given(st.lists(tallies, max_size=5))
def test_the_total_is_the_sum_of_each_column(many: list[Tally]) -> None:
    found = total(many)

    for column in fields(Tally):
        assert getattr(found, column.name) == sum(getattr(one, column.name) for one in many)


def test_each_raw_record_counts_once_however_many_records_it_becomes() -> None:
    tally = Tally(sent=3, nothing=2, quarantined=1, minimal=7)

    assert tally.raw == 6
