"""What is sent again, under which number, and what is not and why."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from replayed_orders import (
    BOOKS,
    OTHER,
    PLACE,
    RELEASE,
    ROOT,
    TIME,
    Leaf,
    batch,
    leaf,
    raw,
    refusal,
)  # fmt: skip

from residency.ledger.note import Checkpoint, Signer
from residency.ledger.outcomes import OutcomeLeaf, Result
from residency.replay.claims import Claims, TermsBook, claim_of
from residency.replay.report import open_report, resend_report, sign
from residency.replay.resend import Again, Already, Choice, Chooser, Stays, Stock, Wish
from schemas.events import Coordinates, RawBatch, RecordId, row_version
from streams.replay.stock import Asked
from streams.replay.wanted import Wanted, places

NAME = f"{PLACE.topic}[0]@7#0"
STOCK = Stock(size=50)
ALL = Wish(accepted=True)
JUNK = b"junk"


def outcome(offset: int, result: Result = "accepted", resend: int = 0) -> OutcomeLeaf:
    name = RecordId(Coordinates(PLACE.topic, 0, offset), 0, resend, PLACE.topic_id)
    return OutcomeLeaf(TIME, name, 0, result, None)


def chosen(
    leaves: Sequence[Leaf],
    raws: RawBatch | None = None,
    wish: Wish | None = None,
    stock: Stock = STOCK,
    erased: Collection[int] = (),
) -> list[Choice]:
    """Return what is chosen of record 7, or of *raws*, after *leaves*."""
    book = TermsBook()
    packed = [claim_of(n, one.to_bytes(), book, with_outcomes=True) for n, one in enumerate(leaves)]
    claims = Claims(b"".join(one[1] for one in packed if one is not None))
    chooser = Chooser(PLACE, BOOKS, book.terms, ROOT, stock, wish or Wish())
    return list(chooser.batch(raws or batch((7, raw(7))), claims.between(0, 100), erased))


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (Wish(), []),
        (ALL, [Stays(NAME[:-2], "its subject is erased")]),
        (Wish({7: frozenset({0})}), [Stays(NAME[:-2], "its subject is erased")]),
    ],
)
def test_nothing_of_an_erased_subject_is_sent_whatever_is_wished(
    wish: Wish, told: list[Choice]
) -> None:
    for leaves in ([], [leaf(7)], [leaf(7), outcome(7)]):
        assert chosen(leaves, wish=wish, erased=[0]) == told


def names(choices: Sequence[Choice]) -> list[str]:
    return [str(one.id) for one in choices if isinstance(one, Again)]


def whys(choices: Sequence[Choice]) -> list[tuple[str, str]]:
    return [(one.record, one.why) for one in choices if isinstance(one, Stays)]


class TestMissing:
    """Without a wish: what is not logged."""

    def test_it_is_made_today_and_keeps_name_and_version_under_the_next_number(self) -> None:
        (found,) = chosen([])

        made = BOOKS.of(2).minimise_batch(batch((7, raw(7))), lambda _: 1)[0]
        assert isinstance(found, Again)
        assert found.id == RecordId(Coordinates(PLACE.topic, 0, 7), 0, 1, PLACE.topic_id)
        assert found.version == row_version(1, 7)
        assert (found.key, found.value) == made.rows[0]  # type: ignore[union-attr]
        assert found.plan.digest == leaf(7).plan
        assert found.output is found.plan.outputs[0]
        assert found.keys == 2
        assert "tok_eu" not in repr(found)

    @pytest.mark.parametrize(
        "leaves",
        [
            [leaf(7), outcome(7)],
            [leaf(7), outcome(7, "superseded")],
            [leaf(7)],  # in doubt, or parked: egress settles it
            [leaf(7), outcome(7, "rejected"), leaf(7, resend=1), outcome(7, resend=1)],
            [refusal(7), leaf(7, resend=1)],
        ],
    )
    def test_what_is_logged_is_left_alone(self, leaves: Sequence[Leaf]) -> None:
        assert chosen(leaves) == []

    @pytest.mark.parametrize(
        "leaves", [[leaf(7), outcome(7, "rejected")], [refusal(7)]], ids=["rejected", "refused"]
    )
    def test_what_was_refused_and_lies_in_no_quarantine_is_sent_again(
        self, leaves: Sequence[Leaf]
    ) -> None:
        kept = replace(STOCK, refused={7: frozenset({0})})

        assert names(chosen(leaves)) == [f"{NAME}+1"]
        assert chosen(leaves, stock=kept) == []
        assert whys(chosen(leaves, wish=ALL, stock=kept)) == [
            (NAME, "it is in quarantine: `homeport quarantine retry`")
        ]

    @pytest.mark.parametrize(
        "stock",
        [replace(STOCK, waiting={7: frozenset({0})}), replace(STOCK, undecided=frozenset({7}))],
    )
    def test_what_is_elsewhere_is_not_missing(self, stock: Stock) -> None:
        assert chosen([], stock=stock) == []
        assert len(whys(chosen([], wish=ALL, stock=stock))) == 1

    def test_what_cannot_be_decided_is_nobodys_to_send(self) -> None:
        junk = batch((7, JUNK))

        assert chosen([], junk) == []
        assert whys(chosen([], junk, ALL)) == [
            (f"{PLACE.topic}[0]@7", "it cannot be decided: malformed")
        ]
        assert whys(chosen([refusal(7)], junk, ALL)) == [
            (NAME, "it cannot be decided today: malformed")
        ]

    def test_an_output_that_todays_plan_does_not_make_stays(self) -> None:
        gone = replace(refusal(7), record=replace(refusal(7).record, output=9))

        found = chosen([leaf(7), outcome(7), gone], wish=ALL)

        assert names(found) == [f"{NAME}+1"]
        assert whys(found) == [(f"{PLACE.topic}[0]@7#9", "today's plan makes no such output")]


class TestAccepted:
    """By wish: what the org has had already."""

    def test_it_is_the_very_bytes_that_were_accepted_under_the_next_number(self) -> None:
        older = leaf(7, version=1)

        (found,) = chosen([older, outcome(7)], wish=ALL)

        made = BOOKS.of(1).minimise_batch(batch((7, raw(7))), lambda _: 1)[0]
        assert isinstance(found, Again)
        assert (str(found.id), found.keys) == (f"{NAME}+1", 1)
        assert found.value == made.rows[0][1]  # type: ignore[union-attr]

    def test_the_number_grows_from_the_newest(self) -> None:
        leaves = [leaf(7), outcome(7), leaf(7, resend=3), outcome(7, resend=3)]

        assert names(chosen(leaves, wish=ALL)) == [f"{NAME}+4"]

    @pytest.mark.parametrize(
        ("leaves", "why"),
        [
            ([leaf(7, commitment="0" * 64), outcome(7)], "other bytes"),
            ([leaf(7, plan="0" * 64), outcome(7)], "not approved"),
            ([leaf(7, keys=77), outcome(7)], "keys are gone"),
            ([outcome(7)], "no transfer"),
            ([leaf(7), outcome(7, "superseded")], "newer record"),
            ([leaf(7)], "by itself"),
        ],
    )
    def test_what_cannot_be_the_same_or_is_not_due_stays_and_says_why(
        self, leaves: Sequence[Leaf], why: str
    ) -> None:
        found = chosen(leaves, wish=ALL)

        assert names(found) == []
        assert [name for name, _ in whys(found)] == [NAME]
        assert why in whys(found)[0][1]

    def test_a_raw_record_that_is_another_now_is_not_sent_as_the_one_that_was(self) -> None:
        found = chosen([leaf(7), outcome(7)], batch((7, raw(8))), ALL)
        junk = chosen([leaf(7), outcome(7)], batch((7, JUNK)), ALL)

        assert names(found) == names(junk) == []
        assert "other bytes" in whys(found)[0][1]
        assert "other bytes" in whys(junk)[0][1]

    def test_the_same_bytes_under_another_approved_plan_stay(self) -> None:
        another = next(digest for digest in BOOKS.plans if digest != leaf(7).plan)

        found = chosen([leaf(7, plan=another), outcome(7)], wish=ALL)

        assert names(found) == []
        assert "other bytes" in whys(found)[0][1]

    def test_what_a_retry_brought_out_of_quarantine_is_like_any_other(self) -> None:
        stock = replace(STOCK, undecided=frozenset({7}))
        leaves = [leaf(7, resend=1), outcome(7, resend=1)]

        assert names(chosen(leaves, wish=ALL, stock=stock)) == [f"{NAME}+2"]

    def test_a_plan_of_another_release_is_fine_if_the_bytes_are(self) -> None:
        assert names(chosen([leaf(7, release=OTHER), outcome(7)], wish=ALL)) == [f"{NAME}+1"]


class TestNamed:
    """By wish: some records."""

    def test_only_those_are_sent_whatever_is_missing_beside(self) -> None:
        raws = batch((7, raw(7)), (8, raw(8)), (9, raw(9)))
        wish = Wish({7: frozenset(), 9: frozenset({0})})

        assert names(chosen([leaf(7), outcome(7)], raws, wish)) == [
            f"{NAME}+1",
            f"{PLACE.topic}[0]@9#0+1",
        ]

    def test_an_output_that_is_not_named_is_not_sent(self) -> None:
        assert chosen([], wish=Wish({7: frozenset({1})})) == []

    def test_names_are_read_as_records_or_as_raw_records(self) -> None:
        assert places(["t[0]@7#1+2", "t[0]@7#0", "t[1]@3", "t[1]@3#1", "u[0]@1#1", "u[0]@1"]) == {
            ("t", 0): {7: frozenset({0, 1})},
            ("t", 1): {3: frozenset()},
            ("u", 0): {1: frozenset()},
        }
        with pytest.raises(ValueError, match="not a record id"):
            places(["Ada"])


class TestAgain:
    """A run that goes on, or one that is repeated."""

    @pytest.mark.parametrize("wish", [Wish(), ALL, Wish({7: frozenset()})])
    def test_what_was_logged_since_it_was_begun_is_not_sent_twice(self, wish: Wish) -> None:
        leaves = [leaf(7), outcome(7), leaf(7, resend=1)]

        assert chosen(leaves, wish=wish, stock=Stock(size=2)) == [Already(f"{NAME}+1")]

    def test_what_waits_since_is_not_sent_twice_either(self) -> None:
        waiting = Stock(size=2, waiting={7: frozenset({0})})

        assert names(chosen([leaf(7), outcome(7)], wish=ALL, stock=waiting)) == []


@pytest.mark.parametrize("wish", [Wish(), ALL])
def test_a_plan_whose_ground_has_ended_sends_nothing_and_always_says_so(
    monkeypatch: pytest.MonkeyPatch, wish: Wish
) -> None:
    leaves = [leaf(7), outcome(7)] if wish is ALL else []
    (found,) = chosen(leaves, wish=wish)
    assert isinstance(found, Again)
    digest = found.plan.digest
    monkeypatch.setitem(found.plan.__dict__, "not_after", date(2026, 11, 23))

    on, after = (
        chosen(leaves, wish=wish, stock=replace(STOCK, today=date(2026, 11, day)))
        for day in (23, 24)
    )

    assert found.plan.digest == digest
    assert names(on) == [f"{NAME}+1"]
    assert names(after) == []
    assert "has ended" in whys(after)[0][1]


def test_what_was_wanted_comes_back_from_its_file() -> None:
    wanted = Wanted(Asked(("t",), None, None), ("t[0]@7",), True, "CHG-17", 9)  # noqa: FBT003

    assert Wanted.from_json(wanted.to_json()) == wanted


def test_the_report_is_signed_and_holds_no_more_than_its_limit() -> None:
    signer = Signer("ledger.eu.test/replay", b"s" * 32)
    head = Checkpoint("ledger.eu.test/transfers", 9, bytes(32))
    wanted: dict[str, Any] = {"reason": "CHG-17", "topics": ["t"]}

    document = resend_report(
        region="eu", time=TIME, release=RELEASE, head=head, wanted=wanted, raw=3,
        sent=[NAME] * 1_001, already=1, stays=[Stays(NAME, "why")] * 1_002,
    )  # fmt: skip

    assert open_report(sign(document, signer), signer.verifier) == document
    assert (document["sent_total"], len(document["sent"])) == (1_001, 1_000)
    assert (document["stays_total"], len(document["stays"])) == (1_002, 1_000)
    assert document["stays"][0] == {"record": NAME, "why": "why"}
    assert (document["reason"], document["already"], document["raw"]) == ("CHG-17", 1, 3)
