"""A text that is too long is cut where a sentence ends, and says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.cutting import LIMIT, clean, cut


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("One. Two. Three.", 16, ("One. Two. Three.", False)),
        ("One. Two. Three.", 15, ("One. Two.", True)),
        ("One. Two. Three.", 9, ("One. Two.", True)),  # the full stop is the last that fits
        ("One. Two. Three.", 8, ("One.", True)),
        ('He said "no." And left.', 16, ('He said "no."', True)),
        ("first line\nsecond line", 15, ("first line", True)),
        ("version 3.5 of it", 12, ("version 3.5", True)),  # a point within a number ends nothing
        ("no sentence ends here", 12, ("no sentence", True)),
        ("onewordonly", 4, ("onew", True)),
        ("", 5, ("", False)),
    ],
)
def test_a_cut_is_at_a_sentence_else_a_word_else_anywhere(
    text: str, limit: int, expected: tuple[str, bool]
) -> None:
    assert cut(text, limit) == expected


@given(st.text(max_size=3 * LIMIT), st.integers(min_value=1, max_value=2 * LIMIT))
def test_what_is_left_is_a_beginning_no_longer_than_the_limit(text: str, limit: int) -> None:
    begins, is_cut = cut(text, limit)

    assert len(begins) <= limit
    assert text.startswith(begins)
    assert is_cut == (len(text) > limit)


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert clean("a\ud83db") == "a?b"
    assert clean("ä€🙂") == "ä€🙂"
