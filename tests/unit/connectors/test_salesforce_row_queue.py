"""A row's steps come in turn, and each answer of the org decides the records it is about."""

from collections.abc import Iterable

import pytest
from fake_org import KEY, ORDER, logged

from connectors.salesforce.codes import Handling, OrgError
from connectors.salesforce.merge import merge
from connectors.salesforce.row_queue import RowQueue
from connectors.salesforce.rows import RowResult

OK = RowResult(success=True, created=False)
ANSWERS = {
    "ok": OK,
    "older": RowResult.refused(OrgError("FIELD_CUSTOM_VALIDATION_EXCEPTION", (), Handling.OLDER)),
    "bad": RowResult.refused(OrgError("STRING_TOO_LONG", (), Handling.REJECT)),
    "race": RowResult.refused(OrgError("DUPLICATE_VALUE", (), Handling.RACE)),
    "lock": RowResult.refused(OrgError("UNABLE_TO_LOCK_ROW", (), Handling.AGAIN)),
    "park": RowResult.refused(OrgError("ENTITY_IS_LOCKED", (), Handling.PARK)),
}


def queue_of(kinds: str) -> RowQueue:
    """Return the queue of one row: ``w`` writes, ``o`` writes an older version, ``d`` deletes."""
    batch = [
        logged(n, ORDER, "a", deletes=kind == "d", Base_Version__c=0 if kind == "o" else n + 1)
        for n, kind in enumerate(kinds)
    ]
    (steps,) = merge(batch, KEY).values()
    return RowQueue(steps)


def play(queue: RowQueue, answers: str) -> tuple[list[str], dict[int, str]]:
    """Return which records went out at each step, and how each ended."""
    sent: list[str] = []
    ends: dict[int, str] = {}
    for answer in answers.split():
        sent.append("".join(map(str, queue.head.places)))
        for step, result in queue.take(ANSWERS[answer]):
            assert ends.keys().isdisjoint(step.places)
            ends |= dict.fromkeys(step.places, end_of(result))
    assert not queue
    return sent, ends


def end_of(result: RowResult) -> str:
    if result.handling is None:
        return "accepted"
    return (
        result.code or result.handling.value if result.handling is not Handling.OLDER else "older"
    )


def ends_of(*ends: str) -> dict[int, str]:
    return dict(enumerate(ends))


LONG, LOCK, PARK = "STRING_TOO_LONG", "UNABLE_TO_LOCK_ROW", "ENTITY_IS_LOCKED"
A, O, B = "accepted", "older", "BEHIND"  # noqa: E741
CASES: Iterable[tuple[str, str, list[str], dict[int, str]]] = [
    # what goes out, what the org says, what was sent in turn, how each record ends
    ("www", "ok", ["012"], ends_of(A, A, A)),
    ("wwdw", "ok ok ok", ["01", "2", "3"], ends_of(A, A, A, A)),
    ("ww", "bad ok bad", ["01", "0", "1"], ends_of(A, LONG)),
    ("ww", "race ok ok", ["01", "0", "1"], ends_of(A, A)),
    ("w", "race", ["0"], ends_of("DUPLICATE_VALUE")),
    ("w", "bad", ["0"], ends_of(LONG)),
    # the row itself is the trouble: for each of its records it would be the same
    ("wwdw", "lock", ["01"], ends_of(LOCK, LOCK, B, B)),
    # one of the records may be the trouble
    ("ww", "park ok park", ["01", "0", "1"], ends_of(A, PARK)),
    ("wdw", "park", ["0"], ends_of(PARK, B, B)),
    ("wdw", "ok park", ["0", "1"], ends_of(A, PARK, B)),
    # the org is newer, and nothing of ours explains it
    ("w", "older", ["0"], ends_of(O)),
    ("ww", "older older older", ["01", "0", "1"], ends_of(O, O)),
    ("wod", "ok older ok", ["0", "1", "2"], ends_of(A, O, A)),
    # an earlier try of the batch wrote what comes later
    ("www", "bad older bad ok ok", ["012", "0", "1", "2", "02"], ends_of(A, LONG, A)),
    ("www", "bad older older ok ok", ["012", "0", "1", "2", "012"], ends_of(A, A, A)),
    ("www", "bad older ok ok ok", ["012", "0", "1", "01", "2"], ends_of(A, A, A)),
    ("wow", "older older ok ok", ["0", "1", "2", "02"], ends_of(A, O, A)),
    # it did not write the earlier one after all
    ("www", "bad older bad ok bad", ["012", "0", "1", "2", "02"], ends_of(O, LONG, A)),
    ("www", "bad older bad ok older", ["012", "0", "1", "2", "02"], ends_of(O, LONG, A)),
    ("ww", "bad older bad", ["01", "0", "1"], ends_of(O, LONG)),
    # both wait for what cannot be said now
    ("www", "bad older bad ok lock", ["012", "0", "1", "2", "02"], ends_of(LOCK, LONG, LOCK)),
    ("www", "bad older bad lock", ["012", "0", "1", "2"], ends_of(B, LONG, LOCK)),
    ("wwww", "bad older ok lock", ["0123", "0", "1", "01"], ends_of(LOCK, LOCK, B, B)),
    # the deletion takes away what the earlier ones may have written
    ("wdw", "older ok ok", ["0", "1", "2"], ends_of(O, A, A)),
    ("wwdw", "older older older ok ok", ["01", "0", "1", "2", "3"], ends_of(O, O, A, A)),
]


@pytest.mark.parametrize(("kinds", "answers", "sent", "ends"), CASES)
def test_each_answer_decides_the_records_it_is_about(
    kinds: str, answers: str, sent: list[str], ends: dict[int, str]
) -> None:
    assert play(queue_of(kinds), answers) == (sent, ends)
