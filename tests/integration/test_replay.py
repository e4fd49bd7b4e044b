"""The auditor's replay on a real line: what it finds is what was done to it, and nothing else.

Promise 8: the same raw record, plan, keys and release give the same bytes.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient  # type: ignore[attr-defined]
from oracle import lasting
from sealing_gateway import sealing
from vault_line import PLACED, VaultLine, wait_until

from connectors.embedded.launch import Launch
from connectors.embedded.stack import Stack
from connectors.kafka import headers
from connectors.kafka.committed import committed
from connectors.kafka.record import headers_of
from connectors.kafka.topology import load_topics
from residency import topics
from residency.keys import ledger_keys
from residency.ledger.files import Ledger
from residency.ledger.leaves import Leaf, TransferLeaf, parse_leaf
from residency.ledger.note import Verifier
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.reader import Reader, open_head
from residency.ledger.replays import ReplayLeaf
from residency.ledger.requests import FOLDER
from residency.ledger.verify import verify
from residency.replay.report import open_report
from residency.replay.resend import Again
from residency.vault.rawseal import is_sealed
from streams.demo.generate import Shop
from streams.demo.observe import Observer
from streams.demo.publish import publish
from streams.launch import launch
from streams.replay import resend
from streams.replay.page import page
from streams.replay.run import finish, prepare
from streams.replay.state import State
from streams.replay.stock import Asked
from streams.replay.topics import marks, reader
from streams.replay.wanted import Wanted
from streams.replay.worker import Worker
from streams.settings import database, load_replay, load_settings

REGION = "eu"
EVENTS = 200
LOST = 3
REQUEST = "0" * 32  # of an erasure
WAIT_S = 120
TOP = Path(__file__).parents[2]
FINE, WRONG, ENVIRONMENT, INTERRUPTED = 0, 1, 3, 130
Entries = list[bytes]


@pytest.fixture(scope="module")
def homes(new_home: Callable[[], Path]) -> Iterator[tuple[Path, Path]]:
    """Yield a region whose line carried some hundred events, only its broker runs now; a copy.

    Half of the events came through a gateway that seals: they lie on the same topics.
    """
    place, copy = new_home(), new_home()
    stack = Stack(place, (REGION,))
    stack.up(launch(place))
    gateways = load_settings(place, REGION, "gateway").gateways or {}
    shop = Shop(random.Random(7), [REGION]).publications(EVENTS)
    events = lasting(shop)
    taken = asyncio.run(publish(events[::2], gateways)).taken
    with sealing(place, REGION) as sealed:
        taken += asyncio.run(publish(events[1::2], {REGION: sealed.url})).taken
    observer, deadline = Observer(place, REGION), time.monotonic() + WAIT_S
    while not ((counts := observer.counts()).raw == len(taken) and counts.is_settled):
        assert time.monotonic() < deadline, counts
        time.sleep(0.5)
    stack.down()
    left = shutil.ignore_patterns("stack.json", "wanted.json", "*.lock", "logs", "postgres")
    shutil.copytree(place, copy, ignore=left, dirs_exist_ok=True)
    kept = place / REGION / "postgres"  # its files may belong to a user of its own
    subprocess.run(["cp", "-a", kept, copy / REGION], check=True)
    stack = Stack(place, (REGION,))
    stack.up(Launch())
    yield place, copy
    stack.down()


@pytest.fixture(scope="module")
def home(homes: tuple[Path, Path]) -> Path:
    return homes[0]


@pytest.fixture(scope="module")
def whole(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Return what the command says of all that the line carried, and where it wrote its report."""
    out = tmp_path_factory.mktemp("report")
    return replayed(home, "--out", out), out


def command(home: Path, *more: str | Path) -> list[str]:
    given = ["replay", "--region", REGION, "--home", home, *more]
    return [sys.executable, "-P", "-m", "streams.cli", *map(str, given)]


ENV = {**os.environ, "PYTHONPATH": str(TOP)}


def replay(home: Path, *more: str | Path) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        command(home, *more), cwd=TOP, env=ENV, capture_output=True, check=False, timeout=WAIT_S
    )


def replayed(home: Path, *more: str | Path) -> Any:
    """Return the document of a replay that ran, whatever it found."""
    done = replay(home, "--json", *more)
    assert done.returncode in {FINE, WRONG}, done.stderr
    document = json.loads(done.stdout)
    assert done.returncode == (FINE if document["is_fine"] else WRONG)
    return document


def found_in(home: Path, *names: str, until: datetime | None = None) -> Any:
    """Return the report of a replay in this process, which need not start a new one."""
    settings, state = load_replay(home, REGION), State(home / REGION / "replay" / "state")
    asked = Asked(names or topics.raw_topics(REGION), None, until)
    job = prepare(settings, asked, state, lambda _: None)
    Worker(settings, state, job, None).run(job.tasks, lambda: False)
    return finish(state, job, REGION, "2026-11-23T16:40Z")


def bare(document: Any) -> Any:
    """Return a report without what differs from run to run, and from command to process."""
    return {name: value for name, value in document.items() if name not in {"time", "leaf"}}


def told(document: Any) -> list[tuple[str, str]]:
    return [(one["verdict"], one["record"]) for one in document["findings"]]


def leaves_of(home: Path) -> Entries:
    keys = ledger_keys(home / REGION / "keys", REGION)
    with Ledger.open(home / REGION / "ledger", keys.origin, keys.seed) as ledger:
        return list(ledger.read(0))


@contextmanager
def instead(home: Path, entries: Sequence[bytes]) -> Iterator[None]:
    """Put another ledger of the region in place, signed with its key, for a while."""
    keys, folder = ledger_keys(home / REGION / "keys", REGION), home / REGION / "ledger"
    kept = folder.rename(folder.with_name("ledger.kept"))
    try:
        with Ledger.open(folder, keys.origin, keys.seed) as ledger:
            ledger.append(list(entries))
        yield
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)


def transfers(entries: Entries) -> list[tuple[int, TransferLeaf]]:
    found = enumerate(map(parse_leaf, entries))
    return [(n, leaf) for n, leaf in found if isinstance(leaf, TransferLeaf)]


class TestAllIsWell:
    """A line that nobody touched."""

    def test_every_record_is_accounted_for_and_nothing_is_found(
        self, home: Path, whole: tuple[Any, Path]
    ) -> None:
        counts = Observer(home, REGION).counts()

        document, _ = whole

        assert document["is_fine"]
        assert document["raw"] == counts.raw
        assert document["counts"] == {
            "same": counts.border.minimal - counts.results.get("gate-refused", 0),
            "nothing to send": counts.border.nothing,
            "quarantined": counts.border.quarantined,
            "not yet": counts.border.requests,  # no model answers here
            **({"gate-refused": n} if (n := counts.results.get("gate-refused")) else {}),
        }
        assert document["counts"]["same"] == len(transfers(leaves_of(home)))

    def test_the_report_is_signed_and_its_three_forms_say_the_same(
        self, home: Path, whole: tuple[Any, Path]
    ) -> None:
        document, out = whole

        note, verifier = out / "replay.note", Verifier.parse((out / "vkey").read_text()[:-1])
        plain = {name: value for name, value in document.items() if name != "leaf"}
        assert open_report(note.read_bytes(), verifier) == plain
        assert json.loads((out / "replay.json").read_bytes()) == plain
        page = (out / "replay.html").read_text()
        assert "Nothing found" in page
        assert sha256(note.read_bytes()).hexdigest() in page
        assert document["ledger"]["size"] == len(leaves_of(home))
        assert "<script" not in page

    def test_while_egress_is_down_the_leaf_that_binds_the_report_waits_for_it(
        self, home: Path, whole: tuple[Any, Path]
    ) -> None:
        document, out = whole

        waiting = [parse_leaf(p.read_bytes()) for p in (home / REGION / FOLDER).glob("*.asked")]

        digest = sha256((out / "replay.note").read_bytes()).hexdigest()
        (leaf,) = (one for one in waiting if isinstance(one, ReplayLeaf) and one.report == digest)
        assert document["leaf"] is None
        assert (leaf.size, leaf.raw) == (document["ledger"]["size"], document["raw"])
        assert leaf.counts["same"] == document["counts"]["same"]
        assert leaf.topics == tuple(sorted(topics.raw_topics(REGION)))
        assert (leaf.since, leaf.until, leaf.resent) == (None, None, 0)

    def test_a_topic_alone_and_a_time_alone_narrow_it(self, home: Path) -> None:
        one = found_in(home, topics.raw(REGION, "customers"))
        none = found_in(home, until=datetime(2020, 1, 1, tzinfo=UTC))

        assert {part["topic"] for part in one["parts"]} == {topics.raw(REGION, "customers")}
        assert one["is_fine"]
        assert none["is_fine"]
        assert none["raw"] == 0


class TestWhatWasDone:
    """Things are done to a ledger, and exactly those are named."""

    def test_each_thing_that_is_done_to_a_record_is_named_and_nothing_else(
        self, home: Path
    ) -> None:
        entries = leaves_of(home)
        chosen = transfers(entries)[:9]
        changes: list[tuple[str, dict[str, Any]]] = [
            ("differs", {"commitment": "0" * 64}),
            ("differs", {"object": "Commerce_Other__c"}),
            ("differs", {"basis": ("dpv:Consent",)}),
            ("differs (other code)", {"release": "0" * 64, "commitment": "0" * 64}),
            ("plan gone", {"plan": "0" * 64}),
            ("keys gone", {"keys": 77}),
            ("", {"release": "1" * 64}),  # the same bytes, whoever made them
        ]
        for (n, leaf), (_, change) in zip(chosen, changes, strict=False):
            entries[n] = replace(leaf, **change).to_bytes()
        (twice, double), (less, gone) = chosen[-2:]
        record, at = double.record, double.record.at
        strangers = [
            replace(record, at=replace(at, offset=10**9)),  # past the topic's end
            replace(record, topic_id="b3RoZXI"),  # of another incarnation of the topic
            replace(record, at=replace(at, partition=99)),
        ]
        entries += [replace(double, record=one).to_bytes() for one in strangers]
        entries.append(entries[twice])
        del entries[less]

        with instead(home, entries):
            found = found_in(home)
            before = found_in(home, until=datetime(2020, 1, 1, tzinfo=UTC))

        wanted = [
            (verdict, str(leaf.record))
            for (_, leaf), (verdict, _) in zip(chosen, changes, strict=False)
            if verdict
        ]
        wanted += [
            ("logged twice", str(double.record)),
            ("not logged", str(gone.record)),
            ("no raw record: missing", str(strangers[0])),
            ("no raw record: before the topic's start", str(strangers[1])),
            ("no raw record: missing", str(strangers[2])),
        ]
        assert sorted(told(found)) == sorted(wanted)
        assert set(found["next_steps"]) == {verdict for verdict, _ in wanted}
        leaf_of = {one["record"]: one["leaf"] for one in found["findings"]}
        assert leaf_of[str(chosen[0][1].record)] == chosen[0][0]
        assert "1" * 64 in found["releases"]
        # what was not asked for is not missed
        assert {record for _, record in told(before)} <= {str(one) for one in strangers}

    def test_entries_that_are_not_what_the_checkpoint_signs_are_no_evidence(
        self, home: Path
    ) -> None:
        folder = home / REGION / "ledger"
        copy = folder.with_name("ledger.kept")
        shutil.copytree(folder, copy)
        bundle = folder / "tile" / "entries" / "000"
        data = bytearray(bundle.read_bytes())
        at = data.index(b'"commitment":"') + len(b'"commitment":"')
        data[at] = ord("0") if data[at] != ord("0") else ord("1")
        bundle.write_bytes(data)
        try:
            done = replay(home)
        finally:
            shutil.rmtree(folder)
            copy.rename(folder)

        assert done.returncode == WRONG
        assert b"ledger verify" in done.stderr


def test_ctrl_c_leaves_it_resumable_and_stops_workers_and_time_change_nothing(
    home: Path, whole: tuple[Any, Path], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        command(home, "--rate", "10", "--workers", "2"), cwd=TOP, env=ENV, stderr=subprocess.PIPE
    )
    state, deadline = home / REGION / "replay" / "state", time.monotonic() + WAIT_S
    while not list(state.glob("*.done.json")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=WAIT_S)

    resumed = replayed(home, "--resume", "--workers", "2", "--out", tmp_path)

    assert process.returncode == INTERRUPTED, words
    assert b"--resume" in words
    assert bare(resumed) == bare(whole[0])
    assert replay(home, "--resume").returncode == ENVIRONMENT  # nothing is left to go on with


def test_the_principal_reads_and_can_neither_write_nor_commit(home: Path) -> None:
    config = load_replay(home, REGION).kafka.librdkafka(log_level=0)
    raw, answers = topics.raw(REGION, "orders"), list[str]()

    for topic in topics.all_topics(REGION):
        producer = Producer({**config, "message.timeout.ms": 10_000})
        producer.produce(
            topic, b"v", on_delivery=lambda error, _: answers.append(str(error and error.name()))
        )
        producer.flush(WAIT_S)
    consumer = Consumer({**config, "group.id": topics.group("border")})
    with pytest.raises(KafkaException) as refused:
        consumer.commit(offsets=[TopicPartition(raw, 0, 0)], asynchronous=False)
    consumer.close()

    assert set(answers) == {"TOPIC_AUTHORIZATION_FAILED"}
    assert refused.value.args[0].name() == "GROUP_AUTHORIZATION_FAILED"


def test_a_home_without_a_ledger_or_keys_says_what_to_do(home: Path, tmp_path: Path) -> None:
    keys = home / REGION / "keys" / "tokens.json"
    keys.rename(tmp_path / "tokens.json")
    try:
        without_keys = replay(home)
    finally:
        shutil.move(tmp_path / "tokens.json", keys)
    nowhere = replay(tmp_path)

    assert (without_keys.returncode, nowhere.returncode) == (ENVIRONMENT, ENVIRONMENT)
    assert b"tokens.json" in without_keys.stderr
    assert b"Traceback" not in without_keys.stderr + nowhere.stderr


def test_a_copy_of_the_data_in_another_folder_gives_the_same_report(
    homes: tuple[Path, Path], whole: tuple[Any, Path]
) -> None:
    other = Stack(homes[1], (REGION,))
    try:
        other.up(Launch())
        second = found_in(homes[1])
    finally:
        other.down()

    assert bare(second) == bare(whole[0])


def raw_messages(home: Path) -> Iterator[Message]:
    known = load_topics(home, REGION)
    places = [
        (topic, n) for topic in topics.raw_topics(REGION) for n in range(known[topic].partitions)
    ]
    client = load_replay(home, REGION).kafka.librdkafka(group_id=topics.group("border"))
    return committed(client, dict.fromkeys(places, 0), WAIT_S)


def test_what_no_key_opens_is_a_finding_unless_its_subject_is_known_to_be_erased(
    home: Path,
) -> None:
    every, known = list(raw_messages(home)), load_topics(home, REGION)
    sealed = [m for m in every if is_sealed(bytes(m.value() or b""))]
    dsn = database(load_settings(home, REGION, "admin").postgres, "admin")
    with psycopg.connect(dsn, autocommit=True) as connection:
        gone = {row[0] for row in connection.execute("SELECT subject FROM vault.suppressions")}
    some = Counter(key for m in sealed if (key := bytes(m.key() or b"")) not in gone)
    ((subject, count),) = some.most_common(1)
    theirs = [m for m in sealed if m.key() == subject]
    names = [(known[str(m.topic())].id, m.partition(), m.offset(), REQUEST) for m in theirs]
    with psycopg.connect(dsn, autocommit=True) as connection:
        subjects = "vault.subjects WHERE subject = %s"
        (row,) = connection.execute(f"DELETE FROM {subjects} RETURNING *", (subject,)).fetchall()  # noqa: S608
        try:
            lost = found_in(home)
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO vault.erased VALUES (%s, %s, %s, %s)", names)
            erased = found_in(home)
        finally:
            connection.execute("INSERT INTO vault.subjects VALUES (%s, %s, %s, %s)", row)
            connection.execute("DELETE FROM vault.erased WHERE request = %s", (REQUEST,))

    assert len(every) > len(sealed) > count > 0
    assert {verdict for verdict, _ in told(lost)} == {"unopened"}
    at = {f"{m.topic()}[{m.partition()}]@{m.offset()}" for m in theirs}
    assert {record.partition("#")[0] for _, record in told(lost)} == at
    assert erased["is_fine"]
    after = found_in(home)
    assert erased["counts"]["erased"] == after["counts"].get("erased", 0) + count
    assert after["is_fine"]


def test_a_raw_record_that_is_another_now_is_named_and_one_that_nobody_decided_is_not_yet(
    home: Path,
) -> None:
    """From here on the tests of this file change the raw topic."""
    topic, before = topics.raw(REGION, "orders"), found_in(home)
    info = load_topics(home, REGION)[topic]
    part = next(p for p in before["parts"] if p["topic"] == topic and p["raw"])
    producer = Producer(load_settings(home, REGION, "gateway").kafka.librdkafka())
    producer.produce(topic, b"junk", partition=part["partition"])
    producer.flush(WAIT_S)
    entries = leaves_of(home)
    _, leaf = next(
        one for one in transfers(entries) if one[1].record.at.partition == part["partition"]
    )
    at = replace(leaf.record.at, topic=topic, offset=part["stop"])
    moved = replace(leaf.record, at=at, topic_id=info.id)

    undecided = found_in(home)
    _commit(home, topic, part["partition"], part["stop"] + 1)
    with instead(home, [*entries, replace(leaf, record=moved).to_bytes()]):
        decided = found_in(home)

    assert undecided["is_fine"]
    assert undecided["counts"]["not yet"] == before["counts"]["not yet"] + 1
    assert told(decided) == [("differs", str(moved))]


def _commit(home: Path, topic: str, partition: int, offset: int) -> None:
    """Say, as the border, that it has decided what lies before *offset*."""
    config = load_settings(home, REGION, "border").kafka.librdkafka()
    deadline = time.monotonic() + WAIT_S
    consumer = Consumer({**config, "group.id": topics.group("border")})
    while True:
        try:
            consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
        except KafkaException:  # until the broker has given the border up
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            break
    consumer.close()


@pytest.fixture(scope="module")
def lost(home: Path) -> list[str]:
    """Let the border pass over orders that it never read; return their minimal records."""
    topic, config = topics.raw(REGION, "orders"), load_replay(home, REGION).kafka
    _, leaf = next(one for one in transfers(leaves_of(home)) if one[1].record.at.topic == topic)
    at = leaf.record.at
    with closing(Consumer(config.librdkafka(group_id=topics.group("border")))) as consumer:
        consumer.assign([TopicPartition(topic, at.partition, at.offset)])
        (raw,) = consumer.consume(1, WAIT_S)
        end = consumer.get_watermark_offsets(TopicPartition(topic, at.partition))[1]
    producer = Producer(load_settings(home, REGION, "gateway").kafka.librdkafka())
    for _ in range(LOST):
        producer.produce(topic, raw.value(), raw.key(), partition=at.partition)
    producer.flush(WAIT_S)
    _commit(home, topic, at.partition, end + LOST)
    found = found_in(home, topic)
    assert {verdict for verdict, _ in told(found)} == {"not logged"}
    return [record for _, record in told(found)]


class TestResend:
    """They lose records, and bring the whole line back."""

    def test_a_dry_run_tells_what_is_missing_and_sends_nothing(
        self, home: Path, lost: list[str]
    ) -> None:
        before = self.minimal(home)

        document = self.resent(home, "--dry-run")

        assert len(lost) >= LOST
        assert document["sent"] == [f"{name}+1" for name in lost]
        assert document["dry_run"]
        assert self.minimal(home) == before

    def test_killed_in_the_middle_it_goes_on_and_sends_nothing_twice(
        self, home: Path, lost: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It dies after one transaction of one record."""
        before, send = self.minimal(home), resend.Sender.send

        def die(sender: resend.Sender, batch: Sequence[Again], check: Callable[[], None]) -> None:
            send(sender, batch, check)
            raise Killed

        monkeypatch.setattr(resend, "BATCH", 1)
        monkeypatch.setattr(resend.Sender, "send", die)
        wanted = Wanted(Asked(topics.raw_topics(REGION), None, None), (), False, "CHG-17")  # noqa: FBT003
        state = home / REGION / "replay" / "resend"
        settings = load_replay(home, REGION, "resend")
        with pytest.raises(Killed):
            resend.resend(settings, wanted, state, lambda _: None, is_dry_run=False)
        assert self.minimal(home) == [*before, f"{lost[0]}+1"]

        document = self.resent(home, "--resume")
        again = self.resent(home, "--reason", "once more")

        assert document["sent"] == [f"{name}+1" for name in lost[1:]]
        assert document["reason"] == "CHG-17"
        assert again["sent"] == []
        assert self.minimal(home) == [*before, *(f"{name}+1" for name in lost)]
        requests = Observer(home, REGION).counts().border.requests
        assert found_in(home)["counts"]["not yet"] == len(lost) + requests

    def test_egress_takes_it_through_gate_ledger_and_sink_and_all_is_accounted_for(
        self, home: Path, lost: list[str]
    ) -> None:
        stack = Stack(home, (REGION,))
        stack.up(launch(home))
        self.wait_for(home, {f"{name}+1": "accepted" for name in lost})

        document = found_in(home)
        named = self.resent(
            home, "--record", lost[0], "--record", lost[-1], "--reason", "the row was lost"
        )
        # all are of one order, so the first has been superseded by the last
        self.wait_for(home, {f"{lost[0]}+2": "superseded", f"{lost[-1]}+2": "accepted"})
        missing = self.resent(home, "--reason", "is there more?")
        reconciled = self.run("reconcile", home, "--json")

        assert document["is_fine"]
        assert named["sent"] == [f"{lost[0]}+2", f"{lost[-1]}+2"]
        assert missing["sent"] == []
        assert found_in(home)["is_fine"]
        assert reconciled.returncode == FINE, reconciled.stdout
        replays = [leaf for leaf in self.leaves(home) if isinstance(leaf, ReplayLeaf)]
        assert sorted(leaf.resent for leaf in replays if leaf.resent) == sorted([2, len(lost) - 1])
        assert named["leaf"] is not None
        assert verify(home / REGION / "ledger", None).problems == ()

    def run(self, name: str, home: Path, *more: str) -> "subprocess.CompletedProcess[bytes]":
        words = [sys.executable, "-P", "-m", "streams.cli", name, "--region", REGION]
        return subprocess.run(
            [*words, "--home", str(home), *more],
            cwd=TOP, env=ENV, capture_output=True, check=False, timeout=WAIT_S,
        )  # fmt: skip

    def resent(self, home: Path, *more: str) -> Any:
        done = self.run("replay", home, "--resend", "--json", *more)
        assert done.returncode == FINE, done.stderr + done.stdout
        return json.loads(done.stdout)

    def leaves(self, home: Path) -> list[Leaf]:
        ledger = Reader(home / REGION / "ledger")
        size = open_head(ledger).size
        return [parse_leaf(entry) for entry in ledger.entries(0, size, size)]

    def minimal(self, home: Path) -> list[str]:
        """Return the names of the minimal records that were sent again, oldest first."""
        topic = topics.minimal(REGION)
        places = [(topic, n) for n in range(load_topics(home, REGION)[topic].partitions)]
        client = load_replay(home, REGION).kafka.librdkafka(group_id=topics.group("border"))
        found = list(committed(client, dict.fromkeys(places, 0), WAIT_S))
        found.sort(key=lambda message: message.timestamp()[1])
        names = [headers.texts(headers_of(message))[headers.RECORD] for message in found]
        return [name for name in names if "+" in name]

    def wait_for(self, home: Path, wanted: Mapping[str, str]) -> None:
        """Wait until these records have an outcome, which must be the one wanted."""
        deadline = time.monotonic() + WAIT_S
        while True:
            ended = [leaf for leaf in self.leaves(home) if isinstance(leaf, OutcomeLeaf)]
            found = {str(leaf.record): leaf.result for leaf in ended if str(leaf.record) in wanted}
            if found.keys() == wanted.keys():
                assert found == wanted
                return
            assert time.monotonic() < deadline, found
            time.sleep(0.5)


class TestTheVault:
    """The last tests of this file: the topics lose what the vault has, and somebody is erased."""

    def test_what_the_topics_have_lost_is_replayed_from_the_vault(self, home: Path) -> None:
        vault = VaultLine(home)
        wait_until("the vault has it all", lambda: self.is_kept(home, vault))
        before = found_in(home)

        self.delete(home, share=0.5)
        found = found_in(home)
        since = found_in(home, until=datetime(2020, 1, 1, tzinfo=UTC))

        assert found["is_fine"]
        assert self.counted(found) == self.counted(before)
        assert any(start > 0 for start in self.starts(home).values())
        assert since["raw"] == 0

    def test_what_is_erased_is_told_by_its_leaf_wherever_it_lay_and_nothing_else_changes(
        self, home: Path
    ) -> None:
        before, vault = found_in(home), VaultLine(home)
        starts = self.starts(home)
        subject = self.somebody(vault, starts)

        gone = self.erase(vault, subject, leaf=17)
        half = found_in(home)
        self.delete(home, share=1.0)
        whole = found_in(home)

        assert half["is_fine"]
        assert half["counts"]["erased"] == len(gone)
        assert half["erased"] == [{"leaf": 17, "records": len(gone)}]
        assert half["raw"] == before["raw"] - len(gone)
        assert self.counted(whole) == self.counted(half)
        assert whole["erased"] == half["erased"]
        assert "see leaf 17" in page(half, "", "", None)

    def test_a_resend_sends_nothing_of_the_erased(self, home: Path) -> None:
        vault = VaultLine(home)
        raw = vault.person().event(PLACED)
        places = vault.send([raw])
        TestResend().wait_for(home, {f"{places[0]}#0": "accepted"})
        vault.suppress(raw.key)

        done = TestResend().run(
            "replay", home, "--resend", "--json", "--reason", "no", "--record", str(places[0])
        )

        document = json.loads(done.stdout)
        assert done.returncode == WRONG
        assert document["sent"] == []
        assert document["stays"] == [{"record": str(places[0]), "why": "its subject is erased"}]

    def counted(self, document: Any) -> Any:
        return {name: document[name] for name in ("is_fine", "raw", "counts", "findings")}

    def starts(self, home: Path) -> dict[tuple[str, int], int]:
        """Return the first offset that each raw partition has."""
        settings = load_replay(home, REGION)
        with closing(reader(settings, "border")) as consumer:
            return {
                (topic, n): marks(consumer, topic, n)[0]
                for topic in topics.raw_topics(REGION)
                for n in range(topics.PARTITIONS)
            }

    def ends(self, home: Path) -> dict[tuple[str, int], int]:
        settings = load_replay(home, REGION)
        with closing(reader(settings, "border")) as consumer:
            return {where: marks(consumer, *where)[1] for where in self.starts(home)}

    def is_kept(self, home: Path, vault: VaultLine) -> bool:
        rows = vault.rows("SELECT topic, partition, next FROM vault.progress")
        kept = {(row[0], row[1]): row[2] for row in rows}
        return all(kept.get(where, 0) >= end for where, end in self.ends(home).items())

    def delete(self, home: Path, share: float) -> None:
        """Delete a part of each raw partition, oldest first, as retention does."""
        admin = AdminClient(load_settings(home, REGION, "admin").kafka.librdkafka())
        upto = [TopicPartition(*where, int(end * share)) for where, end in self.ends(home).items()]
        for future in admin.delete_records([one for one in upto if one.offset]).values():
            future.result(WAIT_S)

    def somebody(self, vault: VaultLine, starts: Mapping[tuple[str, int], int]) -> bytes:
        """Return a subject of whom the topics have something, and have lost something."""
        rows = vault.rows('SELECT subject, topic, partition, "offset" FROM vault.events')
        sides: dict[bytes, set[bool]] = {}
        for subject, topic, partition, offset in rows:
            sides.setdefault(bytes(subject), set()).add(offset < starts[topic, partition])
        return next(one for one, found in sides.items() if any(one) and len(found) == 2)

    def erase(self, vault: VaultLine, subject: bytes, leaf: int) -> list[Any]:
        """Erase somebody from the vault, as the service does at home; return their records."""
        vault.rows(
            "INSERT INTO vault.erasures (request, subject, token, asked_at, asked_by, step, leaf,"
            " ended_at) VALUES (%s, %s, '', now(), 'command', 'done', %s, now()) RETURNING 1",
            *("5" * 32, subject, leaf),
        )
        gone = vault.rows(
            "WITH gone AS (DELETE FROM vault.events WHERE subject = %s"
            ' RETURNING topic_id, partition, "offset")'
            ' INSERT INTO vault.erased SELECT *, %s FROM gone RETURNING "offset"',
            *(subject, "5" * 32),
        )
        vault.rows("DELETE FROM vault.subjects WHERE subject = %s RETURNING 1", subject)
        return gone


class Killed(BaseException):
    """The process died here."""
