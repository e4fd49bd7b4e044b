"""The erased do not come back: not late, not by a restored topic, not by who tries again.

On a real broker and database; suppressions are written as the vault's writer writes them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from border_line import Line, Sent, wait_until, working
from confluent_kafka import Producer
from enrich_line import EnrichLine, by_record
from enrich_line import working as enriching
from label_world import HandMade
from vault_line import ERASURE, PLACED, REGISTERED, Person, Raw, VaultLine

from connectors.embedded.stack import Stack
from connectors.kafka import headers
from connectors.kafka.record import Record
from inference.labelling import Answer
from residency import topics
from schemas.errors import RetriableError
from schemas.events import Coordinates
from streams import border, patience, retry
from streams.hop import Hop
from streams.limit import LimitPolicy, QuarantineLimit
from streams.quarantine import entries
from streams.retry import Retry, preview
from streams.settings import load_settings

SINCE = datetime(2026, 3, 1, tzinfo=UTC)
ERASED = "erased-subject"


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a worker look for Postgres every half second; the product's 30 s are for outages."""
    monkeypatch.setattr(patience, "MAX_WAIT_S", 0.5)


class World:
    """A line with an idle border, and who is erased on it."""

    def __init__(self, stack: Stack) -> None:
        with working(stack):
            Line(stack).settle()
        self.stack, self.line, self.vault = stack, Line(stack), VaultLine(stack.home)
        self.admin = load_settings(stack.home, "eu", "admin")

    def erased(self) -> Person:
        """Return somebody new, whose erasure was asked for at `SINCE`."""
        person = self.vault.person()
        self.vault.suppress(person.subject, since=SINCE)
        return person

    def lifted_at(self, person: Person) -> datetime | None:
        found = self.vault.rows(
            "SELECT lifted_at FROM vault.suppressions WHERE subject = %s", person.subject
        )
        return found[0][0]  # type: ignore[no-any-return]

    def send(self, *raws: Raw) -> list[Coordinates]:
        return self.line.send([Sent(raw.topic, raw.value, raw.key) for raw in raws])

    def carry(self, *raws: Raw) -> list[str]:
        """Have records decided; return what became of each."""
        places = self.send(*raws)
        with working(self.stack):
            self.line.settle()
        return self.ends(places)

    def ends(self, places: Sequence[Coordinates]) -> list[str]:
        made = self.line.made()
        return [_end(str(at), made) for at in places]


def _end(record: str, made: Sequence[Record]) -> str:
    """Return what became of a raw record: how it was sent, or each reason of its refusals."""
    ends = []
    for one in made:
        told = headers.texts(one.headers)
        name, _, output = told[headers.RECORD].partition("#")
        if name == record:
            ends.append(f"sent #{output}" if output else told.get(headers.REASON, "settled"))
    return " ".join(ends)


def at(hours: int) -> dict[str, str]:
    """Return an event's own time, so many hours after the erasure was asked for."""
    return {"occurred_at": (SINCE + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")}


@pytest.fixture(scope="module")
def world(stack: Stack) -> World:
    return World(stack)


def test_what_is_late_is_refused_by_name_alone_and_the_others_do_not_notice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is nobody's fault: a limit that most of any batch would cross stops nothing."""
    strict = LimitPolicy(window=1, share=0.01, at_least=1)
    monkeypatch.setattr(border, "QuarantineLimit", lambda _: QuarantineLimit(strict))
    ada, bob = world.erased(), world.vault.person()
    raws = [
        ada.event(PLACED, **at(1)),  # late
        ada.event(PLACED, **at(-9)),  # of a topic that was restored from a backup
        ada.event(REGISTERED, **at(-9)),
        ada.event(ERASURE, **at(1)),
        Raw(topics.raw("eu", "orders"), ada.subject, b"junk"),
        bob.event(PLACED, **at(1)),
        bob.event(REGISTERED, **at(-9)),
    ]

    places = world.send(*raws)
    with working(world.stack) as running:
        world.line.settle()
        health = running.border.health()

    told = world.ends(places)
    assert told == [ERASED, ERASED, ERASED, "sent #0", ERASED, "sent #0", "sent #0"]
    kept = entries(world.admin)
    assert {kept[str(place)].sealed for place in places if str(place) in kept} == {b""}
    assert health["waiting"] is False
    assert world.lifted_at(ada) is None


def test_a_new_account_is_let_in_and_nothing_from_before_it(world: World) -> None:
    ada = world.erased()

    told = world.carry(ada.event(PLACED, **at(4)), ada.event(REGISTERED, **at(5)))
    again = world.carry(
        ada.event(PLACED, **at(-9)),  # the topics, restored once more
        ada.event(REGISTERED, **at(-9)),
        ada.event(ERASURE, **at(0)),  # what was carried out is not asked for again
        ada.event(PLACED, **at(7)),
    )

    assert told == [ERASED, "sent #0"]
    assert again == [ERASED, ERASED, ERASED, "sent #0"]
    assert world.lifted_at(ada) == SINCE + timedelta(hours=5)


def test_a_crash_between_the_lift_and_the_commit_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, carry = world.erased(), Hop._carry  # noqa: SLF001
    lifted: list[datetime] = []

    def die_once(hop: Hop, *given: Any) -> None:
        if not lifted and (at := world.lifted_at(ada)) is not None:
            lifted.append(at)
            msg = "killed"
            raise RetriableError(msg)
        carry(hop, *given)

    monkeypatch.setattr(Hop, "_carry", die_once)
    places = world.send(ada.event(PLACED, **at(1)), ada.event(REGISTERED, **at(2)))
    with working(world.stack, is_kept=True):
        world.line.settle()

    assert lifted == [SINCE + timedelta(hours=2)]
    assert world.ends(places) == [ERASED, "sent #0"]


def test_while_postgres_is_away_the_border_waits_and_loses_nothing(world: World) -> None:
    ada, bob = world.erased(), world.vault.person()
    assert world.admin.postgres is not None
    postgres = psycopg.connect(world.admin.postgres.dsn, autocommit=True)

    with closing(postgres), working(world.stack) as running:
        wait_until("it works", lambda: running.border.health()["partitions"] == 12)
        postgres.execute("ALTER ROLE border NOLOGIN")
        try:
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'border'"
            )
            places = world.send(ada.event(PLACED, **at(1)), bob.event(PLACED, **at(1)))
            wait_until("it waits", lambda: running.border.health()["waiting"] is True)
            meanwhile = world.ends(places)
        finally:
            postgres.execute("ALTER ROLE border LOGIN")
        world.line.settle()

    assert meanwhile == ["", ""]
    assert world.ends(places) == [ERASED, "sent #0"]


def test_a_retry_leaves_the_erased_where_they_are_until_a_new_account_lets_them_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = world.erased()
    places = world.send(ada.event(PLACED, **at(1)), ada.event(PLACED, **at(6)))
    with working(world.stack):
        world.line.settle()
    old, ahead = (str(place) for place in places)
    chosen = [entries(world.admin)[name] for name in (old, ahead)]

    before = {one.record: one.stays for one in Retry(world.admin).run(chosen)}
    world.carry(ada.event(REGISTERED, **at(5)))
    shown = {one.record: (one.sent, one.stays) for one in preview(world.admin, chosen)}

    # an erasure that is asked for while a retry has something in hand
    acknowledged = retry.acknowledged

    def and_erased(producer: Producer) -> None:
        acknowledged(producer)
        world.vault.rows(
            "UPDATE vault.suppressions SET since = %s, lifted_at = NULL WHERE subject = %s"
            " RETURNING 1",
            *(SINCE + timedelta(hours=8), ada.subject),
        )

    with monkeypatch.context() as patched:
        patched.setattr(retry, "acknowledged", and_erased)
        with pytest.raises(RetriableError):
            list(Retry(world.admin).run(chosen))
    refused = world.ends(places)
    world.vault.rows(
        "UPDATE vault.suppressions SET since = %s, lifted_at = %s WHERE subject = %s RETURNING 1",
        *(SINCE, SINCE + timedelta(hours=5), ada.subject),
    )
    after = {one.record: one.stays for one in Retry(world.admin).run(chosen)}

    assert before == {old: ERASED, ahead: ERASED}
    assert shown == {old: ((), ERASED), ahead: ((f"{ahead}#0+1",), None)}
    assert refused == [ERASED, ERASED]
    assert after == {old: ERASED, ahead: None}
    assert [sorted(end.split()) for end in world.ends(places)] == [
        [ERASED], sorted([ERASED, "sent", "#0+1", "settled"]),
    ]  # fmt: skip


class Slow(HandMade):
    """A model that takes so long that an erasure is asked for meanwhile."""

    def meanwhile(self, act: Callable[[], None]) -> "Slow":
        self._act = act
        return self

    def label(self, tasks: Sequence[str], texts: Sequence[str]) -> list[Mapping[str, Answer]]:
        found = super().label(tasks, texts)
        self._act()
        return found


def test_an_erasure_that_is_asked_for_while_the_model_reads_is_not_overtaken(
    stack: Stack, world: World
) -> None:
    """No erasure waits for a model; so what it answers must not go out behind one."""
    subject, token = world.vault.person().subject, f"tok_eu1_{uuid4().hex}"
    with closing(EnrichLine(stack.home)) as line:
        line.send(line.requests(["a"], token))
        model = Slow().meanwhile(lambda: world.vault.suppress(subject, token))
        with (
            pytest.raises(RetriableError, match="an erasure was asked for"),
            enriching(stack.home, model) as running,
        ):
            wait_until("it dies", lambda: running.done is not None and running.done.done())
        with enriching(stack.home, HandMade()):
            wait_until("all are done with", lambda: not line.open_requests())
        found, decided = line.made(), line.decisions()

    assert found == []
    assert decided == 0


def test_nobody_reads_the_texts_of_the_erased_and_nothing_is_decided_on_them(
    stack: Stack, world: World
) -> None:
    model, token = HandMade(), f"tok_eu1_{uuid4().hex}"
    world.vault.suppress(world.vault.person().subject, token)
    with closing(EnrichLine(stack.home)) as line:
        theirs = line.requests(["zuerased one", "zuerased two"], token)
        others = line.requests(["a", "b", "c"])

        line.send([theirs[0], *others, theirs[1]])
        with enriching(stack.home, model):
            found = by_record(line.wait_for(3))
            wait_until("all are done with", lambda: not line.open_requests())
        decided = line.decisions()

    assert found.keys() == {str(one.id) for one in others}
    assert decided == len(others)
    assert not any("zuerased" in text for _, texts in model.asked for text in texts)
