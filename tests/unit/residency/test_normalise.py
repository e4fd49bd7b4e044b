"""One normal form for all spellings of a value, the same bytes on every Python, fast or slow."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from residency import unicode, unicode_table
from residency.normalise import (
    NORMALISER,
    normalise,
    normalise_utf8,
    normaliser_of,
)
from residency.unicode import casefold, decimal, nfkc
from schemas.errors import SetupError

EMAIL, PHONE, ACCOUNT, NAME = (
    "user.contact.email",
    "user.contact.phone_number",
    "user.financial.bank_account",
    "user.name",
)
CATEGORIES = [EMAIL, PHONE, ACCOUNT, NAME, ""]
OUTLINED_A = "\U0001ccd6"  # assigned in Unicode 16.0, where its normal form is A
RAMS_HORN = "\ua7cb"  # assigned in Unicode 16.0, where it folds to U+0264

every_text = st.text(st.characters(codec=None, exclude_categories=()))
ascii_text = st.text(st.characters(max_codepoint=0x7F))
numbers = st.text("+0123456789()-/ .\u0660")
ibans = st.from_regex(r" ?[Dd][Ee][0-9]{2}( ?[0-9a-z]{4}){2,5} ?", fullmatch=True)
edges = st.sampled_from(["a" * 1024, "a" * 1025, "\u0300" * 1025])
hostile = ascii_text | every_text | numbers | ibans | edges


def encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("category", CATEGORIES)
@given(hostile)
@example("\x1c\x1d\x1e\x1f\x85\xa0 a@B \x1f\x1c\n\x0b")
@example("\u212a" + OUTLINED_A)
@example(" " * 1025)
@example(" +49 171/23-4.5\t")
@example("0049 171")
@example("49+171")
@example("49\x00171")
@example("+")
@example("+49 (0)171")
def test_the_normal_form_of_bytes_is_that_of_their_text(category: str, text: str) -> None:
    assert normalise_utf8(category, encoded(text)) == encoded(normalise(category, text))


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        normalise_utf8(NAME, b"\xff")


@pytest.mark.parametrize("category", [PHONE, ACCOUNT, NAME])
@given(every_text | numbers | ibans | st.text("+0123456789()-/ tel.:"))
def test_a_normal_form_is_its_own(category: str, text: str) -> None:
    once = normalise(category, text)

    assert normalise(category, once) == once


@pytest.mark.parametrize(
    ("category", "one", "other"),
    [
        (EMAIL, "Ada@Example.com", " ada@example.COM\u3000"),
        (EMAIL, "ada@\uff25xample.com", "ada@example.com"),
        (PHONE, "+49 (30) 123-456", "+4930123456"),
        (PHONE, "0049 30 123456", "+4930123456"),
        (PHONE, "+49 (0)30 123456", "+4930123456"),
        (PHONE, "tel:+49-30-123456", "+4930123456"),
        (PHONE, "Tel. 030/123456", "030123456"),
        (PHONE, "+49\u201130\u2013123456", "+4930123456"),
        (PHONE, "\u202a+4930123456\u202c", "+4930123456"),  # as an address book pastes it
        (PHONE, "\u0660\u0663\u0660 \u0661\u0662\u0663", "030123"),
        (ACCOUNT, "de89 3704 0044 0532 0130 00", "DE89370400440532013000"),
        (ACCOUNT, "de89\u00a03704\t0044", "DE8937040044"),
        (NAME, "Ame\u0301lie", "Amélie"),
    ],
)
def test_spellings_of_one_value_are_one(category: str, one: str, other: str) -> None:
    assert normalise(category, one) == normalise(category, other)


@pytest.mark.parametrize(
    ("category", "one", "other"),
    [
        (NAME, "ada", "Ada"),  # only e-mail ignores case
        (PHONE, "+4930", "4930"),  # a national number is another one
        (PHONE, "030", "0030"),
        (PHONE, "030 (0) 1", "030 1"),  # behind no country's code the nought is dialled
        (PHONE, "call me", "call you"),  # no digits: the text itself
        (PHONE, "1-800-FLOWERS", "1-800-GOFEDEX"),  # letters are digits, too
        (PHONE, "030 1 ext. 5", "030 15"),
        (PHONE, "+\u0664\u0669 12", "+12"),
        (PHONE, "1+2", "12"),
        (PHONE, "+", ""),
        (ACCOUNT, "wallet-a", "WALLET-A"),  # a wallet's id, not an IBAN
        (ACCOUNT, "ab 12", "ab12"),
        (ACCOUNT, "\u0264e89 3704 0044", "\ua7cbE8937040044"),
    ],
)
def test_different_values_stay_different(category: str, one: str, other: str) -> None:
    assert normalise(category, one) != normalise(category, other)


@pytest.mark.parametrize(
    ("category", "value", "normal"),
    [
        (NAME, "Ame\u0301lie \ufb01", "Am\u00e9lie fi"),
        (NAME, "\x1f a\x1c", "a"),
        (EMAIL, "STRASSE@x", "strasse@x"),
        (EMAIL, "stra\u00dfe@x", "strasse@x"),
        (PHONE, "+49 30 1", "+49301"),
        (PHONE, "00", "+"),
        (PHONE, "030 1", "0301"),
        (PHONE, "+00 1", "+001"),
        (PHONE, "n/a", "n/a"),
        (PHONE, "", ""),
        (ACCOUNT, " de89 3704 0044 0532 0130 00 ", "DE89370400440532013000"),
        (ACCOUNT, "mt84" + "a" * 30, "MT84" + "A" * 30),  # the longest that ISO 13616 allows
        (ACCOUNT, "mt84" + "a" * 31, "mt84" + "a" * 31),
        (ACCOUNT, "de89370400440532013000!", "de89370400440532013000!"),
    ],
)
def test_normal_forms(category: str, value: str, normal: str) -> None:
    assert normalise(category, value) == normal


def test_only_a_value_of_up_to_1024_characters_is_normalised() -> None:
    assert normalise(NAME, "\ufb01" * 1024) == "fi" * 1024
    assert normalise(NAME, "\ufb01" * 1025) == "\ufb01" * 1025


def test_a_plan_of_a_version_that_this_release_lacks_is_refused() -> None:
    assert normaliser_of(NORMALISER).version == NORMALISER
    with pytest.raises(SetupError, match="no normaliser of version 2; have 3: compile"):
        normaliser_of(2)


@pytest.mark.skipif(unicodedata.unidata_version != unicode.VERSION, reason="needs its tables")
class TestFrozenTables:
    def test_the_table_lists_what_the_version_leaves_unassigned(self) -> None:
        assert unicode.TABLE_FILE.read_text(encoding="ascii") == unicode_table.table()

    @given(every_text)
    def test_normal_form_and_folding_are_those_of_the_version(self, text: str) -> None:
        assert nfkc(text) == unicodedata.normalize("NFKC", text)
        assert casefold(text) == text.casefold()

    @given(
        st.text(st.sampled_from("e\u0301\u0323\u0345\u1100\u1161\u11a8" + OUTLINED_A + "\ufb01"))
    )
    def test_cutting_at_an_unassigned_code_point_changes_nothing(self, text: str) -> None:
        assert nfkc(text) == unicodedata.normalize("NFKC", text)

    def test_what_is_stripped_is_what_python_strips(self) -> None:
        assert set(unicode.SPACE) == {c for c in map(chr, range(0x110000)) if c.isspace()}


class TestALaterPython:
    """A Python whose tables are of Unicode 16.0, as far as two of its characters go."""

    @pytest.fixture(autouse=True)
    def later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = unicodedata.normalize
        changed = {OUTLINED_A: "A"}

        def normalize(form: str, text: str) -> str:
            return known(form, "".join(changed.get(c, c) for c in text))  # type: ignore[arg-type]

        monkeypatch.setattr(unicode.unicodedata, "normalize", normalize)
        monkeypatch.setattr(unicode.unicodedata, "decimal", lambda _c, _d: 7)

    def test_characters_that_are_newer_pass_unchanged(self) -> None:
        assert unicodedata.normalize("NFKC", OUTLINED_A) == "A"
        assert normalise(NAME, f" {OUTLINED_A}\ufb01 ") == f"{OUTLINED_A}fi"
        assert normalise(EMAIL, f"X{RAMS_HORN}{OUTLINED_A}@Y") == f"x{RAMS_HORN}{OUTLINED_A}@y"

    def test_digits_that_are_newer_are_none(self) -> None:
        assert decimal("\U00011de0") is None  # assigned in Unicode 17.0
        assert decimal("5") == 7
