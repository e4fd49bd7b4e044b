"""Promise 1 through a real border between real topics, metrics, spans and log lines included."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors.embedded.stack import Stack
from residency.keys import TokenKeys
from residency.plan.book import Crossed, PlanBook
from residency.telemetry.names import RECORDS
from residency.telemetry.setup import Recorder, Telemetry
from schemas.events import RawBatch
from streams.border import Border
from streams.noninterference.core import Job
from streams.noninterference.report import Report
from streams.noninterference.service import through

PAIRS = 10_000
UNUSED = TokenKeys("eu", b"", b"")  # the stack has its own


def compare(stack: Stack, pairs: int, seed: int, schema: str | None = None) -> Report:
    return through(
        Job("eu", UNUSED, pairs, seed, schema), stack.home, lambda _done, _differences: None
    )


@pytest.mark.timeout(900)  # twice 10,000 events through a border, beside other work
def test_pairs_that_differ_in_regulated_values_only_look_alike(
    stack: Stack, long_run: bool
) -> None:
    pairs = 10 * PAIRS if long_run else PAIRS

    report = compare(stack, pairs, 11)

    assert [str(one) for one in report.shown] == []
    assert report.is_fine
    assert report.pairs.total() == pairs
    assert report.endings["crosses"] > 0.7 * pairs


class Leak:
    """Bytes of the raw records since the last look: what a careless line of code may tell."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes = 0
        minimise_batch = PlanBook.minimise_batch

        def watched(book: PlanBook, batch: RawBatch, generation_of: Any) -> list[Any]:
            self.bytes += sum(map(len, batch.values))
            for value in batch.values:
                if b"@" in value:
                    logging.getLogger("homeport.border").info("an event of %d bytes", len(value))
            made = minimise_batch(book, batch, generation_of)
            return [
                one._replace(rows=one.rows + one.rows[:1])
                if isinstance(one, Crossed) and len(value) % 2
                else one
                for one, value in zip(made, batch.values, strict=True)
            ]

        monkeypatch.setattr(PlanBook, "minimise_batch", watched)
        stamp = Border.stamp

        def stamped(border: Border, topic: str, plan: Any) -> Any:
            told = ("homeport-bytes", str(self.bytes).encode())
            made = [(to, [*one, told]) for to, one in stamp(border, topic, plan)]
            return [*made, *made[:1]]

        monkeypatch.setattr(Border, "stamp", stamped)

    def into_metrics(self, monkeypatch: pytest.MonkeyPatch) -> None:
        add = Recorder.add

        def told(recorder: Recorder, name: Any, n: int = 1, **labels: str) -> None:
            add(recorder, name, n + self.bytes, **labels)

        monkeypatch.setattr(Recorder, "add", told)

    def into_spans(self, monkeypatch: pytest.MonkeyPatch) -> None:
        span = Telemetry.span

        @contextmanager
        def told(signals: Telemetry, name: Any, links: Any = ()) -> Iterator[Any]:
            with span(signals, name, links) as made:
                made.set_attribute(RECORDS, self.bytes)
                yield made

        monkeypatch.setattr(Telemetry, "span", told)


def test_planted_leaks_are_found_wherever_they_show(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak = Leak(monkeypatch)
    leak.into_metrics(monkeypatch)
    leak.into_spans(monkeypatch)

    report = compare(stack, 200, 12, "OrderPlaced")

    found = {(path, what) for _, path, what in report.found}
    assert {
        ("header homeport-bytes", "value"),
        ("", "count of records"),
        ("homeport.records", "labels or values"),
        ("", "name, kind, status, attributes, events or links"),
        ("INFO homeport.border", "text or count"),
    } <= found
    assert not report.is_fine


def test_a_border_that_a_value_brings_down_is_found(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fragile(_book: PlanBook, batch: RawBatch, _generation_of: Any) -> Any:
        raise ValueError(len(batch))

    with monkeypatch.context() as patch:
        patch.setattr(PlanBook, "minimise_batch", fragile)
        report = compare(stack, 20, 13, "OrderPlaced")

    assert {what for _, _, what in report.found} == {"the border ends with ValueError"}
    assert compare(stack, 20, 14, "OrderPlaced").pairs.total() == 20  # what it left is decided
