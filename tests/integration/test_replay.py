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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from connectors.embedded.launch import Launch
from connectors.embedded.stack import Stack
from connectors.kafka.topology import load_topics
from residency import topics
from residency.keys import ledger_keys
from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.note import Verifier
from residency.replay.report import open_report
from streams.demo.generate import Shop
from streams.demo.observe import Observer
from streams.demo.publish import publish
from streams.launch import launch
from streams.settings import load_replay, load_settings

REGION = "eu"
EVENTS = 200
WAIT_S = 180
TOP = Path(__file__).parents[2]
FINE, WRONG, ENVIRONMENT, INTERRUPTED = 0, 1, 3, 130
Entries = list[bytes]


@pytest.fixture(scope="module")
def home(new_home: Callable[[], Path]) -> Iterator[Path]:
    """Yield a region whose line carried some hundred events; only its broker runs now."""
    place = new_home()
    stack = Stack(place, (REGION,))
    stack.up(launch(place))
    gateways = load_settings(place, REGION, "gateway").gateways or {}
    events = list(Shop(random.Random(7), [REGION]).publications(EVENTS))
    done = asyncio.run(publish(events, gateways))
    observer, deadline = Observer(place, REGION), time.monotonic() + WAIT_S
    while not ((counts := observer.counts()).raw == len(done.taken) and counts.is_settled):
        assert time.monotonic() < deadline, counts
        time.sleep(0.5)
    stack.down()
    stack = Stack(place, (REGION,))
    stack.up(Launch())
    yield place
    stack.down()


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

    def test_every_record_is_accounted_for_and_nothing_is_found(self, home: Path) -> None:
        counts = Observer(home, REGION).counts()

        document = replayed(home)

        assert document["is_fine"]
        assert document["raw"] == counts.raw
        assert document["counts"] == {
            "same": counts.border.minimal - counts.results.get("gate-refused", 0),
            "nothing to send": counts.border.nothing,
            "quarantined": counts.border.quarantined,
            **({"gate-refused": n} if (n := counts.results.get("gate-refused")) else {}),
        }
        assert document["counts"]["same"] == len(transfers(leaves_of(home)))

    def test_workers_order_and_another_day_change_nothing_but_time(
        self, home: Path, tmp_path: Path
    ) -> None:
        first = replayed(home, "--out", tmp_path / "a")
        second = replayed(home, "--out", tmp_path / "b", "--workers", "2")

        assert {**first, "time": None} == {**second, "time": None}

    def test_the_report_is_signed_and_its_three_forms_say_the_same(
        self, home: Path, tmp_path: Path
    ) -> None:
        document = replayed(home, "--out", tmp_path)

        verifier = Verifier.parse((tmp_path / "vkey").read_text().removesuffix("\n"))
        assert open_report((tmp_path / "replay.note").read_bytes(), verifier) == document
        assert json.loads((tmp_path / "replay.json").read_bytes()) == document
        page = (tmp_path / "replay.html").read_text()
        assert "Nothing found" in page
        assert document["ledger"]["size"] == len(leaves_of(home))
        assert "<script" not in page

    def test_a_topic_alone_and_a_time_alone_narrow_it(self, home: Path) -> None:
        one = replayed(home, "--topic", topics.raw(REGION, "customers"))
        none = replayed(home, "--to", "2020-01-01")

        assert {part["topic"] for part in one["parts"]} == {topics.raw(REGION, "customers")}
        assert one["is_fine"]
        assert none["is_fine"]
        assert none["raw"] == 0


class TestWhatWasDone:
    """One thing is done, and exactly that is named."""

    def test_a_leaf_that_commits_to_other_bytes(self, home: Path) -> None:
        entries = leaves_of(home)
        n, leaf = transfers(entries)[5]
        entries[n] = replace(leaf, commitment="0" * 64).to_bytes()

        with instead(home, entries):
            found = replayed(home)

        assert told(found) == [("differs", str(leaf.record))]
        assert found["findings"][0]["leaf"] == n

    def test_each_other_thing_that_a_leaf_says(self, home: Path) -> None:
        """Five records at once: object and basis, code, plan, keys."""
        entries = leaves_of(home)
        chosen = transfers(entries)[:5]
        changes: list[tuple[str, dict[str, Any]]] = [
            ("differs", {"object": "Commerce_Other__c"}),
            ("differs", {"basis": ("dpv:Consent",)}),
            ("differs (other code)", {"release": "0" * 64, "commitment": "0" * 64}),
            ("plan gone", {"plan": "0" * 64}),
            ("keys gone", {"keys": 77}),
        ]
        for (n, leaf), (_, change) in zip(chosen, changes, strict=True):
            entries[n] = replace(leaf, **change).to_bytes()

        with instead(home, entries):
            found = replayed(home)

        wanted = [
            (verdict, str(leaf.record))
            for (_, leaf), (verdict, _) in zip(chosen, changes, strict=True)
        ]
        assert sorted(told(found)) == sorted(wanted)
        assert set(found["next_steps"]) == {verdict for verdict, _ in changes}

    def test_a_leaf_of_another_release_is_the_same_if_its_bytes_are(self, home: Path) -> None:
        entries = leaves_of(home)
        n, leaf = transfers(entries)[3]
        entries[n] = replace(leaf, release="0" * 64).to_bytes()

        with instead(home, entries):
            found = replayed(home)

        assert found["is_fine"]
        assert "0" * 64 in found["releases"]

    def test_a_leaf_less_and_a_leaf_twice(self, home: Path) -> None:
        entries = leaves_of(home)
        (less, gone), (twice, double) = transfers(entries)[7], transfers(entries)[9]
        changed = [*entries[:less], *entries[less + 1 :], entries[twice]]

        with instead(home, changed):
            found = replayed(home)

        assert sorted(told(found)) == [
            ("logged twice", str(double.record)),
            ("not logged", str(gone.record)),
        ]

    def test_leaves_without_a_raw_record(self, home: Path) -> None:
        """Past the topic's end, of another incarnation of the topic, on a partition too many."""
        entries = leaves_of(home)
        _, leaf = transfers(entries)[0]
        record, at = leaf.record, leaf.record.at
        strangers = [
            replace(record, at=replace(at, offset=10**9)),
            replace(record, topic_id="b3RoZXI"),
            replace(record, at=replace(at, partition=99)),
        ]
        entries += [replace(leaf, record=one).to_bytes() for one in strangers]

        with instead(home, entries):
            found = replayed(home)
            since = replayed(home, "--from", "2020-01-01", "--to", "2020-01-02")

        assert sorted(told(found)) == sorted(
            [
                ("no raw record: missing", str(strangers[0])),
                ("no raw record: before the topic's start", str(strangers[1])),
                ("no raw record: missing", str(strangers[2])),
            ]
        )
        assert since["is_fine"]  # what was not asked for is not missed

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


def test_ctrl_c_leaves_it_resumable_and_the_report_is_the_same(home: Path, tmp_path: Path) -> None:
    whole = replayed(home)
    process = subprocess.Popen(
        command(home, "--rate", "10", "--workers", "2"), cwd=TOP, env=ENV, stderr=subprocess.PIPE
    )
    state, deadline = home / REGION / "replay" / "state", time.monotonic() + WAIT_S
    while not list(state.glob("*.done.json")):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=WAIT_S)

    resumed = replayed(home, "--resume", "--out", tmp_path)

    assert process.returncode == INTERRUPTED, words
    assert b"--resume" in words
    assert {**resumed, "time": None} == {**whole, "time": None}
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
    home: Path, new_home: Callable[[], Path]
) -> None:
    first = replayed(home)
    Stack(home).down()
    copy = new_home()
    left = shutil.ignore_patterns("stack.json", "wanted.json", "*.lock", "logs", "postgres")
    shutil.copytree(home, copy, ignore=left, dirs_exist_ok=True)
    other = Stack(copy, (REGION,))
    try:
        other.up(Launch())
        second = replayed(copy)
    finally:
        other.down()
        Stack(home, (REGION,)).up(Launch())

    assert {**second, "time": None} == {**first, "time": None}


def test_a_raw_record_that_is_another_now_is_named_and_one_that_nobody_decided_is_not_yet(
    home: Path,
) -> None:
    """The last test of this file: it changes the raw topic."""
    topic, before = topics.raw(REGION, "orders"), replayed(home)
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

    undecided = replayed(home)
    _commit(home, topic, part["partition"], part["stop"] + 1)
    with instead(home, [*entries, replace(leaf, record=moved).to_bytes()]):
        decided = replayed(home)

    assert undecided["is_fine"]
    assert undecided["counts"]["not yet"] == 1
    assert told(decided) == [("differs", str(moved))]


def _commit(home: Path, topic: str, partition: int, offset: int) -> None:
    """Say, as the border, that it has decided what lies before *offset*."""
    config = load_settings(home, REGION, "border").kafka.librdkafka()
    consumer = Consumer({**config, "group.id": topics.group("border")})
    consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
    consumer.close()
