"""The demo's evidence can fail: a leak, a surplus row, a wrong sum and a blind search show."""

from pathlib import Path

import pytest

from residency.vault.erasure import Step
from streams.demo import evidence
from streams.demo.erased import Erased
from streams.demo.evidence import blind_spots, labelled_rows, left, search, surplus_rows
from streams.demo.leaks import encodings
from streams.demo.observe import Counts
from streams.demo.outcome import Outcome
from streams.demo.publish import Published
from streams.tally import Tally

CANARY = "zukalotimerudo"


def outcome(**changes: object) -> Outcome:
    counts = Counts(3, Tally(sent=2, nothing=1, minimal=2), {"accepted": 2})
    values: dict[str, object] = {
        "published": Published(published=5, accepted=3, duplicates_dropped=1, refused=1),
        "regions": {"eu": counts},
        "surplus": 0,
        "leaks": [],
        "blind": [],
        "unwell": [],
        "ledgers": {},
        "rows": 2,
        "with_inference": False,
        "labelled_rows": 0,
        "canaries": 1,
        "searched_bytes": 1,
        "seconds": 1.0,
        "setup_seconds": 0.5,
    }
    return Outcome(**{**values, **changes})  # type: ignore[arg-type]


def test_a_run_that_adds_up_has_no_problems() -> None:
    assert outcome().problems() == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"published": Published(published=6, duplicates_dropped=1, refused=1)}, "published is"),
        ({"regions": {"eu": Counts(3, Tally(sent=2), {})}}, "raw is not"),
        ({"regions": {"eu": Counts(3, Tally(sent=3, minimal=4), {"accepted": 3})}}, "minimal is"),
        ({"surplus": 1}, "1 surplus rows"),
        ({"with_inference": True, "labelled_rows": 0}, "no row in the org has labels"),
        (
            {
                "with_inference": True,
                "labelled_rows": 1,
                "regions": {"eu": Counts(3, Tally(sent=3, minimal=3, requests=1), {"accepted": 3})},
            },
            "a request for labels has no answer",
        ),
        ({"unwell": ["eu-egress is ready, started again 1 times"]}, "eu-egress is ready"),
        ({"erased": [Erased("eu", "ab", Step.HOME)]}, "eu: erasure ab: not done"),
        ({"erased": [Erased("eu", "ab", Step.DONE, wrong=("a row is",))]}, "ab: a row is"),
        ({"blind": ["org rows: hex"]}, "blind: org rows: hex"),
        ({"leaks": search({"log": CANARY.encode()}, [CANARY])}, "leak: log, raw, byte 0"),
    ],
)
def test_each_thing_that_is_wrong_is_a_problem(changes: dict[str, object], told: str) -> None:
    problems = outcome(**changes).problems()

    assert any(told in problem for problem in problems), problems
    assert not any(CANARY in problem for problem in problems)


def test_a_leak_in_any_encoding_at_the_end_of_a_place_is_found() -> None:
    for name, data in encodings(CANARY).items():
        assert search({"a": b"x" * 999, name: b"y" * 77 + data}, [CANARY]), name


def test_the_self_test_names_the_place_it_cannot_see_into(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(evidence.LeakSearch):
        def search(self, name: str, data: bytes) -> list[evidence.Leak]:
            return [] if name == "dark" else super().search(name, data)

    monkeypatch.setattr(evidence, "LeakSearch", Blind)

    spots = blind_spots({"dark": b"x", "light": b"abc"})

    assert {spot.split(":")[0] for spot in spots} == {"dark"}
    assert len(spots) == len(encodings(CANARY))


def test_a_place_with_nothing_in_it_was_not_searched() -> None:
    assert blind_spots({"process logs": b""}) == ["process logs: nothing to search; has it moved?"]


def test_rows_are_surplus_per_object_and_external_id() -> None:
    rows = [
        {"attributes": {"type": kind}, "External_Id__c": key}
        for kind, key in [("A", "1"), ("A", "1"), ("B", "1"), ("A", "2"), ("A", "1")]
    ]

    assert surplus_rows(rows) == 2


def test_everything_outside_the_regions_own_data_is_searched(tmp_path: Path) -> None:
    outside = [
        "sandbox/org.sqlite",
        "sandbox/org.sqlite-wal",
        "sandbox/access.log",
        "logs/eu-border.log",
        "eu/telemetry/border-spans.jsonl",
        "eu/telemetry/border-metrics.jsonl",
        "eu/ledger/tile/entries/000.p/3",
        "eu/erasures/ab/certificate.json",
    ]
    for name in [*outside, "eu/kafka/data/raw", "eu/postgres/base"]:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<{name}>")

    found = b"\n".join(data for _, data in left(tmp_path, [{"Name": "<row>"}])).decode()

    assert all(f"<{name}>" in found for name in outside)
    assert "<row>" in found
    assert "<eu/kafka" not in found
    assert "<eu/postgres" not in found


def test_a_home_without_erasures_has_no_certificates_to_search(tmp_path: Path) -> None:
    places = [name for name, _ in left(tmp_path, [])]

    assert evidence.CERTIFICATES not in places
    assert "ledgers" in places


def test_of_each_region_one_erasure_is_shown_that_is_done_and_of_most_kinds_of_rows() -> None:
    few = Erased("eu", "few", Step.DONE, rows={"x": 1})
    many = Erased("eu", "many", Step.DONE, rows={"x": 1, "y": 1})
    waiting = Erased("eu", "waiting", Step.LISTED, rows={"x": 1, "y": 1, "z": 1})
    alone = Erased("uk", "alone", Step.LISTED)

    regions = {"uk": Counts(), "eu": Counts()}
    shown = outcome(erased=[waiting, few, many, alone], regions=regions).shown()

    assert [one.request for one in shown] == ["alone", "many"]


def test_labels_are_in_the_org_when_each_request_has_its_answer_and_that_its_result() -> None:
    border, results = Tally(sent=3, minimal=3, requests=2), {"accepted": 4}
    half, both = Tally(sent=1, minimal=1), Tally(sent=2, minimal=2)

    assert Counts(3, border, results, half).is_settled
    assert not Counts(3, border, results, half).is_labelled
    assert not Counts(3, border, results, both).is_labelled  # its records are on their way
    assert Counts(3, border, {"accepted": 5}, both).is_labelled


def test_a_row_has_labels_where_its_label_version_says_so() -> None:
    assert labelled_rows([{"Label_Version__c": 7}, {"Label_Version__c": None}, {"Name": "x"}]) == 1
