"""The comparing core of a replay: each thing that can be wrong has its own name."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

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

from residency.ledger.errors import FormatError
from residency.ledger.leaves import parse_leaf
from residency.ledger.note import Checkpoint, SignatureError, Signer
from residency.replay.claims import ROW, Claims, TermsBook, claim_of, pack
from residency.replay.compare import Comparer, Elsewhere, Erasures, FindDecisions
from residency.replay.found import (
    FINE,
    MAX_FINDINGS,
    NEXT_STEP,
    NO_LEAF,
    Finding,
    Found,
    Verdict,
    total,
)
from residency.replay.report import Part, key_name, open_report, report, sign
from residency.vault.rawseal import RawSeal
from schemas.events import RawBatch

NOTHING_DECIDED = cast("FindDecisions", None)  # nobody asks: no record here has labels


def compared(  # noqa: PLR0913, PLR0917, each is something to compare with
    leaves: Sequence[Leaf],
    raws: RawBatch,
    elsewhere: Elsewhere | None = None,
    stop: int = 100,
    erased: Mapping[int, int | None] | None = None,
    gone: Verdict = Verdict.RAW_MISSING,
    under_way: Collection[int] = (),
) -> Found:
    book = TermsBook()
    claims = Claims(b"".join(pack(n, one, book) for n, one in enumerate(leaves)))
    found = Found()
    terms = book.terms
    comparer = Comparer(
        PLACE, BOOKS, terms, ROOT, RELEASE, elsewhere or Elsewhere(), found, NOTHING_DECIDED
    )
    comparer.batch(raws, claims.between(0, stop), gone, Erasures(erased or {}, under_way))
    return found


def told(found: Found) -> list[tuple[str, str, int]]:
    return [(one.verdict, one.record, one.leaf) for one in found.findings]


NAME = "eu.commerce.orders.v1[0]@7#0"
JUNK = b"junk"
SEALED = RawSeal(bytes(16), bytes(32)).close(PLACE.topic, raw(7))  # and no key opened it


class TestOneRecord:
    """A raw record and the leaves that name it."""

    def test_the_same_bytes_are_the_same(self) -> None:
        found = compared([leaf(7)], batch((7, raw(7))))

        assert found.counts == {Verdict.SAME: 1}
        assert found.raw == 1
        assert told(found) == []

    def test_a_leaf_of_an_older_key_version_is_replayed_with_that_version(self) -> None:
        found = compared([leaf(7, version=1), leaf(8)], batch((7, raw(7)), (8, raw(8))))

        assert leaf(7, version=1).commitment != leaf(7).commitment
        assert found.counts == {Verdict.SAME: 2}

    def test_a_resend_is_another_record_of_the_same_raw_one(self) -> None:
        found = compared([leaf(7, resend=1), leaf(7)], batch((7, raw(7))))

        assert found.counts == {Verdict.SAME: 2}

    @pytest.mark.parametrize(
        ("change", "verdict"),
        [
            ({"commitment": "0" * 64}, Verdict.DIFFERS),
            ({"object": "Commerce_Other__c"}, Verdict.DIFFERS),
            ({"schema": 9}, Verdict.DIFFERS),
            ({"basis": ()}, Verdict.DIFFERS),
            ({"deletes": True}, Verdict.DIFFERS),
            ({"model": "ab" * 32}, Verdict.DIFFERS),
            ({"keys": 1}, Verdict.DIFFERS),  # other tokens
            ({"time": "2026-10-23T16:40Z"}, Verdict.DIFFERS),  # another month's key
            ({"commitment": "0" * 64, "release": OTHER}, Verdict.OTHER_CODE),
            ({"release": OTHER}, Verdict.SAME),  # other code, same bytes
            ({"plan": "0" * 64}, Verdict.PLAN_GONE),
            ({"keys": 3}, Verdict.KEYS_GONE),
        ],
    )
    def test_each_thing_that_a_leaf_says_is_compared(
        self, change: dict[str, Any], verdict: Verdict
    ) -> None:
        found = compared([leaf(7, **change)], batch((7, raw(7))))

        assert found.counts == {verdict: 1}
        assert told(found) == ([] if verdict in FINE else [(verdict, NAME, 0)])

    def test_another_approved_plan_than_the_records_own_differs(self) -> None:
        other = next(d for d in BOOKS.plans if d != leaf(7).plan)

        found = compared([leaf(7, plan=other)], batch((7, raw(7))))

        assert told(found) == [(Verdict.DIFFERS, NAME, 0)]

    def test_another_raw_value_differs(self) -> None:
        found = compared([leaf(7)], batch((7, raw(7, sku="MUG-2"))))

        assert told(found) == [(Verdict.DIFFERS, NAME, 0)]

    def test_a_leaf_of_an_output_that_the_plan_has_not_differs(self) -> None:
        name = replace(leaf(7).record, output=5)

        found = compared([leaf(7), leaf(7, record=name)], batch((7, raw(7))))

        assert told(found) == [(Verdict.DIFFERS, NAME.replace("#0", "#5"), 1)]

    def test_a_leaf_of_a_record_that_cannot_be_decided_differs(self) -> None:
        found = compared([leaf(7)], batch((7, JUNK)))

        assert told(found) == [(Verdict.DIFFERS, NAME, 0)]
        assert found.counts == {Verdict.DIFFERS: 1}

    def test_a_second_leaf_is_one_too_many_and_names_itself(self) -> None:
        found = compared([leaf(7), leaf(7)], batch((7, raw(7))))

        assert told(found) == [(Verdict.TWICE, NAME, 1)]
        assert found.counts == {Verdict.SAME: 1, Verdict.TWICE: 1}

    def test_a_second_leaf_that_commits_to_other_bytes_is_two_findings(self) -> None:
        found = compared([leaf(7), leaf(7, commitment="0" * 64)], batch((7, raw(7))))

        assert told(found) == [(Verdict.TWICE, NAME, 1), (Verdict.DIFFERS, NAME, 1)]

    def test_each_leaf_of_what_no_key_opens_is_named(self) -> None:
        leaves = [leaf(7), leaf(7, resend=1, release=OTHER)]

        found = compared(leaves, batch((7, SEALED)))

        assert told(found) == [(Verdict.UNOPENED, NAME, 0), (Verdict.UNOPENED, f"{NAME}+1", 1)]
        assert found.counts == {Verdict.UNOPENED: 2}

    def test_a_leaf_without_a_raw_record_in_the_span_is_named(self) -> None:
        found = compared([leaf(7), refusal(9)], batch((8, JUNK)))

        assert told(found) == [(Verdict.RAW_MISSING, NAME, 0)]


class TestNoLeaf:
    """What a record may be instead of logged, and what is none of that."""

    def test_it_is_not_logged(self) -> None:
        found = compared([], batch((7, raw(7))))

        assert told(found) == [(Verdict.NOT_LOGGED, NAME, -1)]

    @pytest.mark.parametrize(
        ("leaves", "value", "elsewhere", "verdict"),
        [
            ([], JUNK, Elsewhere(), Verdict.QUARANTINED),
            ([], raw(7), Elsewhere(quarantined=frozenset({7})), Verdict.QUARANTINED),
            ([], raw(7), Elsewhere({7: frozenset({0})}), Verdict.NOT_YET),
            ([refusal(7)], raw(7), Elsewhere(), Verdict.REFUSED),
        ],
    )
    def test_it_is_accounted_for_otherwise(
        self, leaves: list[Leaf], value: bytes, elsewhere: Elsewhere, verdict: Verdict
    ) -> None:
        found = compared(leaves, batch((7, value)), elsewhere)

        assert found.counts == {verdict: 1}
        assert told(found) == []

    @pytest.mark.parametrize(
        "elsewhere",
        [Elsewhere({8: frozenset({0})}, frozenset({8})), Elsewhere({7: frozenset({1})})],
    )
    def test_another_records_place_does_not_account_for_it(self, elsewhere: Elsewhere) -> None:
        found = compared([refusal(8)], batch((7, raw(7))), elsewhere)

        assert told(found) == [(Verdict.NOT_LOGGED, NAME, -1)]

    def test_what_no_key_opens_is_found_unless_the_border_kept_it(self) -> None:
        found = compared([], batch((7, SEALED)))
        kept = compared([], batch((7, SEALED)), Elsewhere(quarantined=frozenset({7})))

        assert told(found) == [(Verdict.UNOPENED, NAME, -1)]
        assert found.counts == {Verdict.UNOPENED: 1}
        assert kept.counts == {Verdict.QUARANTINED: 1}

    def test_what_was_quarantined_and_sent_later_is_counted_once(self) -> None:
        retried = Elsewhere(quarantined=frozenset({7}))

        found = compared([leaf(7, resend=1)], batch((7, raw(7))), retried)

        assert found.counts == {Verdict.SAME: 1}


class TestClaims:
    """Leaves, packed."""

    def test_they_come_back_by_offset_output_resend_and_leaf(self) -> None:
        book = TermsBook()
        leaves = [leaf(9), leaf(7, resend=1), leaf(7), refusal(8)]

        claims = Claims(b"".join(pack(n, one, book) for n, one in enumerate(leaves)))

        assert [(c.offset, c.resend, c.leaf) for c in claims.between(7, 9)] == [
            (7, 0, 2), (7, 1, 1), (8, 0, 3),
        ]  # fmt: skip
        assert [c.refused for c in claims.between(8, 10)] == [True, False]
        assert len(claims) == len(leaves)
        assert len(book.terms) == 1
        assert ROW.itemsize == len(pack(0, leaves[0], book))

    def test_none_are_none(self) -> None:
        assert list(Claims(b"").between(0, 9)) == []


class TestTheErased:
    """Records of erased subjects: told by their leaf, and never looked into."""

    @pytest.mark.parametrize("value", [raw(7), raw(7, sku="MUG-2"), JUNK])
    def test_what_an_erased_record_holds_decides_nothing(self, value: bytes) -> None:
        found = compared(
            [leaf(7), leaf(8)], batch((7, value), (8, raw(8))), erased={7: 12, 20: 12, 30: None}
        )

        assert found.counts == {Verdict.ERASED: 3, Verdict.SAME: 1}
        assert found.erased == {12: 2, NO_LEAF: 1}
        assert found.raw == 1
        assert told(found) == []

    def test_a_deletion_that_its_erasure_sent_is_no_finding(self) -> None:
        found = compared([leaf(7), leaf(7, resend=1, deletes=True)], batch(), erased={7: 12})

        assert found.counts == {Verdict.ERASED: 1}

    def test_a_second_leaf_of_one_record_is_found_all_the_same(self) -> None:
        found = compared([leaf(7), refusal(7), leaf(7), refusal(7)], batch(), erased={7: 12})

        assert told(found) == [(Verdict.TWICE, NAME, 2)]

    @pytest.mark.parametrize(
        ("leaves", "value", "counts"),
        [
            ([leaf(7)], raw(7), {Verdict.SAME: 1}),
            ([], raw(7), {Verdict.ERASED: 1}),  # enrichment dropped its request, say
            (
                [leaf(7), leaf(7, resend=1, deletes=True)],
                raw(7),
                {Verdict.SAME: 1, Verdict.ERASED: 1},
            ),
            (
                [leaf(7), leaf(7, resend=1, commitment="0" * 64, release=OTHER)],
                raw(7),
                {Verdict.SAME: 1, Verdict.ERASED: 1},
            ),
            ([leaf(7)], raw(7, sku="MUG-2"), {Verdict.DIFFERS: 1}),
            ([leaf(7)], SEALED, {Verdict.ERASED: 1}),  # its key went first
            ([leaf(7, keys=3)], raw(7), {Verdict.KEYS_GONE: 1}),
        ],
    )
    def test_while_an_erasure_is_under_way_only_what_it_does_is_excused(
        self, leaves: Sequence[Leaf], value: bytes, counts: dict[Verdict, int]
    ) -> None:
        found = compared(leaves, batch((7, value)), under_way=[7])
        of_others = compared(leaves, batch((7, value)), under_way=[8])

        assert found.counts == counts
        assert found.erased == Counter({NO_LEAF: counts.get(Verdict.ERASED, 0)})
        assert of_others.counts[Verdict.ERASED] == 0

    def test_what_the_archive_lacks_has_gone_with_the_topics_start(self) -> None:
        found = compared([leaf(7)], batch(), gone=Verdict.RAW_GONE)

        assert told(found) == [(Verdict.RAW_GONE, NAME, 0)]

    def test_the_counts_by_leaf_add_up_over_partitions_and_survive_a_file(self) -> None:
        parts = [
            compared([], batch(), erased={7: 12, 8: 13}),
            compared([], batch(), erased={1: 12}),
        ]

        whole = total(Found.from_json(json.loads(json.dumps(one.to_json()))) for one in parts)

        assert whole.erased == {12: 2, 13: 1}


class TestReport:
    """What is signed."""

    def test_it_says_which_erasures_and_not_whose_records(self) -> None:
        found = compared([leaf(7)], batch(), erased={7: 12, 8: 12, 9: None})
        head = Checkpoint("ledger.eu.test/transfers", 1, bytes(32))

        document = report("eu", TIME, RELEASE, head, [Part(PLACE, 7, 9, found)], Found(), [])

        assert document["erased"] == [{"leaf": None, "records": 1}, {"leaf": 12, "records": 2}]
        assert document["is_fine"]
        assert "@7" not in json.dumps(document)

    def document(self, time: str = TIME) -> dict[str, Any]:
        found = compared([leaf(7, keys=3)], batch((7, raw(7)), (8, JUNK)))
        terms = TermsBook()
        terms.number(leaf(7))
        head = Checkpoint("ledger.eu.test/transfers", 1, bytes(32))
        parts = [Part(PLACE, 7, 9, found)]
        return report("eu", time, RELEASE, head, parts, Found(), terms.terms)

    def test_it_opens_with_its_key_and_no_other(self) -> None:
        signer = Signer(key_name("ledger.eu.test/transfers"), b"s" * 32)
        note = sign(self.document(), signer)

        assert open_report(note, signer.verifier) == self.document()
        with pytest.raises(SignatureError):
            open_report(note, Signer("ledger.eu.test/replay", b"t" * 32).verifier)
        with pytest.raises(SignatureError):
            open_report(note.replace(b'"raw":2', b'"raw":3'), signer.verifier)

    def test_another_note_of_that_key_is_no_report(self) -> None:
        signer = Signer("ledger.eu.test/replay", b"s" * 32)

        for text in ("ledger\n", "{}\n"):
            with pytest.raises(FormatError):
                open_report(bytes(signer.sign(text)), signer.verifier)

    def test_it_counts_lists_and_says_what_next(self) -> None:
        document = self.document()

        assert document["counts"] == {"quarantined": 1, "keys gone": 1}
        assert not document["is_fine"]
        assert document["findings_total"] == 1
        assert document["findings"] == [{"verdict": "keys gone", "record": NAME, "leaf": 0}]
        assert set(document["next_steps"]) == {"keys gone"}
        assert (document["releases"], document["keys"]) == ([RELEASE], [2])
        assert document["parts"][0]["counts"] == document["counts"]

    def test_nothing_in_it_is_a_value(self) -> None:
        assert "MUG" not in str(self.document())
        assert "tok_" not in str(self.document())

    def test_every_finding_has_a_next_step(self) -> None:
        assert NEXT_STEP.keys() == set(Verdict) - FINE

    def test_the_list_is_capped_and_in_the_order_of_the_records_whoever_found_them(self) -> None:
        parts = [Found(), Found()]
        for offset in range(MAX_FINDINGS + 5):
            one = Finding(PLACE.topic, offset % 2, offset, f"r{offset}", -1, Verdict.NOT_LOGGED)
            parts[offset % 2].note(one)

        whole = total(parts)

        assert whole.counts[Verdict.NOT_LOGGED] == MAX_FINDINGS + 5
        assert len(whole.findings) == MAX_FINDINGS
        assert whole.findings == total(reversed(parts)).findings == sorted(whole.findings)

    def test_what_was_found_survives_a_file(self) -> None:
        found = compared([leaf(7, keys=3)], batch((7, raw(7)), (8, JUNK)))

        assert Found.from_json(found.to_json()) == found


class TestEntries:
    """What an entry of the ledger claims."""

    def test_known_terms_are_packed_as_the_strict_reader_would(self) -> None:
        book, fresh = TermsBook(), TermsBook()
        labelled = leaf(9, model="ab" * 32)
        both = [leaf(7).to_bytes(), leaf(8, resend=2).to_bytes(), refusal(9).to_bytes()]
        entries = [*both, labelled.to_bytes(), replace(labelled, model="cd" * 32).to_bytes()]

        found = [claim_of(n, entry, book) for n, entry in enumerate(entries)]

        strict = [parse_leaf(entry) for entry in entries]
        assert found == [(one.record, pack(n, one, fresh)) for n, one in enumerate(strict)]
        assert book.terms == fresh.terms
        assert [terms.model for terms in book.terms] == [None, "ab" * 32, "cd" * 32]

    def test_other_outcomes_and_kinds_claim_nothing(self) -> None:
        accepted = replace(refusal(7), result="accepted", code=None, transfer=0)

        assert claim_of(0, accepted.to_bytes(), TermsBook()) is None
        assert claim_of(0, b'{"kind":"later"}', TermsBook()) is None

    @pytest.mark.parametrize(
        "change",
        [
            (b'"commitment":"', b'"commitment":"z'),
            (b'"record":"', b'"record":"#'),
            (b'"topic_id"', b'"topic"'),
            (b'"basis":[', b'"basis":[[],'),
            (b"{", b""),
        ],
    )
    def test_an_entry_that_is_no_leaf_is_refused_also_with_known_terms(
        self, change: tuple[bytes, bytes]
    ) -> None:
        book = TermsBook()
        claim_of(0, leaf(7).to_bytes(), book)
        entry = leaf(8).to_bytes()
        assert change[0] in entry

        with pytest.raises(FormatError):
            claim_of(1, entry.replace(*change, 1), book)
