"""The crash table of egress: `kill -9` between any two steps, and what may be lost meanwhile.

A real egress process on the real broker, database and org dies at each step in turn; then the
ledger's index, the expected rows, or both are lost, or an older backup of Postgres is put back, or
all of that; then egress starts again. Whatever it was: no request left without a durable leaf for
each of its rows, each record has one transfer leaf at most and one result, the org holds what the
leaves say was accepted, and so do the expected rows: at once, or after they were rebuilt.

The short form is one region that dies at every step in turn and loses something else each time;
`--long` takes a new region for each pair, and dies in the start after it, too.
"""

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, cycle, product
from pathlib import Path
from signal import SIGKILL
from typing import Any, LiteralString

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from egress_line import WAIT_S, Line
from egress_process import RULES, START, STEPS
from egress_world import GATE, review
from forked import Forks, forks
from oracle import comparable
from org_process import client_of, running_org
from psycopg import sql

from connectors.embedded.stack import Stack
from connectors.salesforce.client import OrgClient
from connectors.salesforce.config import SalesforceConfig
from residency import topics
from residency.expected import field_hmacs
from residency.keys import LedgerKeys, ledger_keys, secret
from residency.ledger.leaves import TransferLeaf, commitment, month_key, month_of, parse_leaf
from residency.ledger.note import Signer, open_checkpoint
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.policies import PolicyLeaf
from residency.ledger.reader import Reader, open_head
from residency.ledger.tree import leaf_hash, subtree_root
from residency.ledger.verify import verify
from schemas.events import MinimalRecord
from streams.crossing import Arrival
from streams.settings import load_settings
from tests.conftest import is_long
from tests.fault.test_sink_chaos import differences, folded, kept_rows

CASE, KEY = "Commerce_Case__c", "External_Id__c"
TABLES = ("ledger_index", "expected_rows", "parked_records")
PAGE = Path(__file__).parents[2] / "docs" / "crashes.md"

Loss = frozenset[str]
INDEX, ROWS, OLD = "index", "expected rows", "old Postgres"
LOSSES: Sequence[Loss] = [
    frozenset(some) for n in range(4) for some in combinations((INDEX, ROWS, OLD), n)
]
PER_ROUND = 9  # records
ONCE = list(zip(STEPS, cycle(LOSSES), strict=False))
LONG = list(product(STEPS, LOSSES)) if is_long() else []
# Of these a start has most to make good: rows that may be sent, results that nobody has saved.
RESTARTS = ("request answered", "outcome leaves durable")
AGAIN = list(product(RESTARTS, START, LOSSES)) if is_long() else []


def told(what: str | Loss) -> str:
    """Return a step or a loss in words."""
    return what if isinstance(what, str) else " and ".join(sorted(what)) or "nothing"


@dataclass(frozen=True, slots=True)
class Round:
    """What is carried: two batches that end well, with a backup between, and one to die of.

    Attributes:
        first: Two rows.
        second: One of them again, and another: an old backup knows nothing of it.
        last: Two versions of a row that is there, a record the gate stops (an IBAN as SKU), a
            new row, and a record that comes too late for its row.

    """

    first: Sequence[Arrival]
    second: Sequence[Arrival]
    last: Sequence[Arrival]

    @classmethod
    def of(cls, number: int) -> "Round":
        """Return those of one round: no two share a row."""

        def one(offset: int, row: int, rating: int = 5, sku: str = "MUG-1") -> Arrival:
            return review(100 * number + offset, f"crash-{number}-{row}", rating, sku)

        return cls(
            [one(2, 1, rating=1), one(3, 2, rating=2)],
            [one(4, 1, rating=2), one(5, 3, rating=3)],
            [
                one(6, 1, rating=4), one(7, 1, rating=5),
                one(8, 4, sku="DE89370400440532013000"), one(9, 5, rating=1), one(1, 2, rating=5),
            ],
        )  # fmt: skip

    @property
    def all(self) -> list[MinimalRecord]:
        return [a.record for a in (*self.first, *self.second, *self.last)]

    @property
    def end(self) -> str:
        """The name of the record to die of."""
        return str(self.last[0].record.id)

    @property
    def results(self) -> dict[str, str]:
        """What is to become of each record, by its name."""
        last = ("accepted", "accepted", "gate-refused", "accepted", "superseded")
        names = [str(record.id) for record in self.all]
        return dict(zip(names, ("accepted",) * (len(names) - len(last)) + last, strict=True))


@dataclass
class Ways:
    """What all cases share.

    Attributes:
        consumer: Of egress's group; reads nothing.
        quarantine: Reads the quarantine.
        rounds: How many there were.

    """

    processes: Forks
    org: OrgClient
    consumer: Consumer
    quarantine: Consumer
    rounds: int = 0


@dataclass
class Region:
    """One region's egress and all it keeps. What a test asks of it lies on disk or elsewhere."""

    home: Path
    line: Line
    ways: Ways
    rounds: list[Round]
    quarantine: Mapping[int, int]  # where it ended before, by partition
    backup: dict[str, bytes] = field(default_factory=dict)
    coming: Round = field(init=False)
    stated: int = 1  # how often the ledger says which rules are in force

    @property
    def ledger(self) -> Path:
        return self.home / "eu/ledger"

    @property
    def keys(self) -> LedgerKeys:
        return ledger_keys(self.home / "eu/keys", "eu")

    @property
    def dsn(self) -> str:
        assert self.line.settings.postgres is not None
        return self.line.settings.postgres.dsn

    def start(self, dies_at: str = "") -> None:
        """Start egress; it dies of a round that is to come."""
        self.ways.rounds += 1
        self.coming = Round.of(self.ways.rounds)
        self.ways.processes.start(home=str(self.home), dies_at=dies_at, dies_of=self.coming.end)

    def die(self) -> None:
        """Carry two batches, with a backup between, and die of the last."""
        self.rounds.append(self.coming)
        before = PER_ROUND * (len(self.rounds) - 1)
        self.send(self.coming.first)
        self.settle(before + 2)
        self.back_up()
        self.send(self.coming.second)
        self.settle(before + 4)
        self.send(self.coming.last)
        assert self.ways.processes.ending() == -SIGKILL

    def settle_all(self) -> None:
        """Wait until all records are settled."""
        self.settle(PER_ROUND * len(self.rounds))

    @property
    def records(self) -> list[MinimalRecord]:
        return [record for one in self.rounds for record in one.all]

    @property
    def results(self) -> dict[str, str]:
        """What is to become of each record, by its name."""
        return {name: result for one in self.rounds for name, result in one.results.items()}

    @property
    def rows(self) -> dict[tuple[str, str], dict[str, str]]:
        """What the org is to hold: the accepted records, folded."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        results = self.results
        for record in self.records:
            if results[str(record.id)] == "accepted":
                row = found.setdefault((record.object, record.external_id), {})
                row.update(GATE.check(record))
        return {key: comparable(row) for key, row in found.items()}

    def send(self, batch: Sequence[Arrival]) -> None:
        self.line.send(batch, partition=0)  # one batch, as the border's transaction makes it

    def settle(self, records: int) -> None:
        """Wait until so many are left behind, and the index knows what the ledger says."""
        deadline = time.monotonic() + WAIT_S
        while self.committed() < records or self.indexed() < self.size:
            assert not self.ways.processes.has_ended(), self.ways.processes.ending()
            assert time.monotonic() < deadline, (self.committed(), self.indexed(), self.size)
            time.sleep(0.02)

    def committed(self) -> int:
        found = self.ways.consumer.committed(self.line.assigned(), WAIT_S)
        return sum(p.offset - self.line.ends[p.topic, p.partition] for p in found)

    def rewind(self) -> None:
        self.ways.consumer.commit(offsets=self.line.assigned(), asynchronous=False)

    def indexed(self) -> int:
        ask = "SELECT transfer FROM ledger_index WHERE record = ''"
        try:
            return int(self.database(ask)[0][0])
        except (psycopg.errors.UndefinedTable, IndexError):
            return -1

    @property
    def size(self) -> int:
        return open_head(Reader(self.ledger)).size

    def database(self, query: LiteralString) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def back_up(self) -> None:
        with psycopg.connect(self.dsn) as connection, connection.cursor() as cursor:
            for table in TABLES:
                with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as out:
                    self.backup[table] = b"".join(bytes(part) for part in out)

    def lose(self, loss: Loss) -> None:
        with psycopg.connect(self.dsn) as connection, connection.cursor() as cursor:
            for table in TABLES if OLD in loss else ():
                cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(table)))
                with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as to:
                    to.write(self.backup[table])
            if INDEX in loss:
                cursor.execute("DROP TABLE ledger_index")
            if ROWS in loss:
                cursor.execute("DROP TABLE expected_rows")

    def requests(self) -> list[dict[str, Any]]:
        """Return what the witness saw: every request with rows, in order."""
        file = self.home / "witness.jsonl"
        return [json.loads(one) for one in file.read_text().splitlines()] if file.exists() else []

    def held(self) -> dict[tuple[str, str], dict[str, str]]:
        """Return the org's rows of this case."""
        ids = sorted({record.external_id for record in self.records})
        names = ", ".join(sorted(GATE.check(self.records[0])))
        listed = ", ".join(f"'{one}'" for one in ids)
        soql = f"SELECT {names} FROM {CASE} WHERE {KEY} IN ({listed})"  # noqa: S608, our own
        rows = list(self.ways.org.query_all(soql))
        assert len(rows) == len({row[KEY] for row in rows}), "a row is doubled"
        return {(CASE, row[KEY]): comparable(row) for row in rows}

    def quarantined(self) -> set[str]:
        """Return the names of the records that came to the quarantine."""
        consumer, topic = self.ways.quarantine, topics.quarantine("eu")
        left = sum(ends(consumer).values()) - sum(self.quarantine.values())
        consumer.assign([TopicPartition(topic, *place) for place in self.quarantine.items()])
        found = set[str]()
        while left:
            messages = consumer.consume(left, WAIT_S)
            assert all(message.error() is None for message in messages)
            found.update((message.key() or b"").decode() for message in messages)
            left -= len(messages)
        return found


@pytest.fixture(scope="module")
def salesforce(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SalesforceConfig]:
    with running_org(tmp_path_factory.mktemp("org")) as config:
        yield config


@pytest.fixture(scope="module")
def consumer(stack: Stack) -> Iterator[Consumer]:
    found = Line(load_settings(stack.home, "eu", "egress")).consumer()
    yield found
    found.close()


@pytest.fixture(scope="module")
def ways(
    stack: Stack,
    tmp_path_factory: pytest.TempPathFactory,
    salesforce: SalesforceConfig,
    consumer: Consumer,
) -> Iterator[Ways]:
    admin = load_settings(stack.home, "eu", "admin").kafka
    quarantine = Consumer(admin.librdkafka(group_id="crash-table", enable_auto_commit=False))
    with forks("egress_process", tmp_path_factory.mktemp("egress") / "log") as processes:
        yield Ways(processes, client_of(salesforce), consumer, quarantine)
    quarantine.close()


@pytest.fixture
def home(stack: Stack, tmp_path: Path, salesforce: SalesforceConfig) -> Path:
    """Return a home in which egress, of the stack's region, has no key and no ledger yet."""
    home, there = tmp_path / "home", stack.home / "eu"
    (home / "eu/services").mkdir(parents=True)
    shutil.copy(there / "topics.json", home / "eu/topics.json")
    settings = json.loads((there / "services/egress.json").read_text())
    names = ("instance_url", "ca_file", "consumer_key", "username", "private_key_file")
    settings["salesforce"] = {name: str(getattr(salesforce, name)) for name in names}
    settings["home"] = str(home)
    file = home / "eu/services/egress.json"
    file.touch(0o600)
    file.write_text(json.dumps(settings))
    return home


@pytest.fixture
def line(stack: Stack) -> Line:
    """Return egress's topics, with its offsets at their ends."""
    return Line.at_its_end(stack.home)


@pytest.fixture
def region(ways: Ways, home: Path, line: Line, dsn: str) -> Iterator[Region]:
    """Return egress with an empty ledger and database, at the end of its topic."""
    del dsn  # emptied
    yield Region(home, line, ways, [], ends(ways.quarantine))
    ways.processes.kill()


def ends(quarantine: Consumer) -> dict[int, int]:
    topic = topics.quarantine("eu")
    places = [TopicPartition(topic, number) for number in range(topics.PARTITIONS)]
    return {p.partition: quarantine.get_watermark_offsets(p, WAIT_S)[1] for p in places}


def rebuild_expected_rows(region: Region) -> None:
    """Let egress find every record settled, oldest first, as docs/crashes.md tells people to."""
    region.ways.processes.kill()
    region.database("DROP TABLE IF EXISTS expected_rows")  # egress may not have made it
    region.rewind()
    region.start()
    region.settle_all()
    region.ways.processes.kill()


def check_ledger(region: Region) -> None:
    """Every record has the leaves that it is to have, of its own bytes, and the ledger holds."""
    report = verify(region.ledger, None)
    assert report.verified, report.problems
    leaves = [parse_leaf(entry) for entry in entries_of(region)]
    transfers = {str(leaf.record): leaf for leaf in leaves if isinstance(leaf, TransferLeaf)}
    outcomes = [leaf for leaf in leaves if isinstance(leaf, OutcomeLeaf)]
    wanted = region.results
    assert {str(leaf.record): leaf.result for leaf in outcomes} == wanted
    assert len(outcomes) == len(wanted)
    sent = {name for name, result in wanted.items() if result != "gate-refused"}
    assert transfers.keys() == sent
    assert isinstance(leaves[0], PolicyLeaf)
    rules = [leaf for leaf in leaves if isinstance(leaf, PolicyLeaf)]
    assert len(leaves) == len(outcomes) + len(sent) + len(rules)
    assert len(rules) == region.stated
    records = {str(record.id): record for record in region.records}
    for name, leaf in transfers.items():
        key = month_key(region.keys.root, month_of(leaf.time))
        assert leaf.commitment == commitment(key, records[name].id, records[name].value)


def entries_of(region: Region) -> list[bytes]:
    reader = Reader(region.ledger)
    size = open_head(reader).size
    return list(reader.entries(0, size, size))


def check_requests(region: Region) -> None:
    """Each row of each request was announced by a leaf under the checkpoint of that moment."""
    log = Signer(region.keys.origin, region.keys.seed).verifier
    entries = entries_of(region)
    at = {str(leaf.record): n for n, leaf in enumerate(map(parse_leaf, entries))
          if isinstance(leaf, TransferLeaf)}  # fmt: skip
    names = {record.version: str(record.id) for record in region.records}
    requests = region.requests()
    assert requests
    for request in requests:
        head = open_checkpoint(request["checkpoint"].encode(), log)
        assert head.root == subtree_root([leaf_hash(entry) for entry in entries[: head.size]])
        assert all(at[names[version]] < head.size for version in request["versions"])


def check_rows(region: Region) -> None:
    """Hold org, expected rows and outcome leaves against each other."""
    held = region.held()
    assert held == region.rows
    assert differences(kept_rows(region.home), hmacs(region, held)) == {}
    results = Counter(region.results.values())
    assert folded(region.home) == results["accepted"]


def hmacs(region: Region, rows: Mapping[tuple[str, str], Mapping[str, str]]) -> dict[Any, Any]:
    key = secret(region.home / "eu/keys", "expected")
    return {where: field_hmacs(key, where[0], fields) for where, fields in rows.items()}


def check_all(region: Region) -> None:
    """Check what egress owes once it has settled all, whatever became of the expected rows."""
    check_ledger(region)
    check_requests(region)
    assert region.held() == region.rows
    refused = {name for name, result in region.results.items() if result == "gate-refused"}
    assert region.quarantined() == refused


def check_rebuilding(region: Region) -> None:
    """Rebuild the expected rows: all is as it was, and nothing is logged or sent for it."""
    before = (region.ledger / "checkpoint").read_bytes(), region.requests()

    rebuild_expected_rows(region)

    assert ((region.ledger / "checkpoint").read_bytes(), region.requests()) == before
    check_rows(region)


@pytest.mark.timeout(300)
def test_a_region_that_dies_at_every_step_and_loses_something_each_time_loses_no_record(
    region: Region,
) -> None:
    for step, loss in ONCE:
        print(step, "-", told(loss))  # noqa: T201, pytest shows it when the test fails
        region.start(step)
        if region.rounds:  # what the last crash left
            region.settle_all()
            check_ledger(region)
            check_requests(region)
        region.die()
        region.lose(loss)
    for step in START:
        print(step)  # noqa: T201, as above
        region.lose(frozenset({INDEX}))
        region.start(step)
        assert region.ways.processes.ending() == -SIGKILL
    region.start()
    region.settle_all()
    region.ways.processes.kill()

    check_all(region)
    check_rebuilding(region)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("step", "loss"), LONG, ids=told)
def test_whatever_a_crash_leaves_and_whatever_is_lost_the_next_start_makes_it_good(
    region: Region, step: str, loss: Loss
) -> None:
    region.start(step)
    region.die()
    region.lose(loss)

    region.start()
    region.settle_all()
    region.ways.processes.kill()

    check_all(region)
    if loss <= {INDEX}:
        check_rows(region)
    else:
        check_rebuilding(region)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("step", "again", "loss"), AGAIN, ids=told)
def test_a_start_that_dies_too_is_made_good_by_the_one_after_it(
    region: Region, step: str, again: str, loss: Loss
) -> None:
    region.start(step)
    region.die()
    region.lose(loss)

    region.start(again)
    code = region.ways.processes.ending()
    region.start()
    region.settle_all()
    region.ways.processes.kill()

    assert code == -SIGKILL
    check_all(region)
    if loss <= {INDEX}:
        check_rows(region)
    else:
        check_rebuilding(region)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("step", RULES)
def test_a_region_that_dies_at_its_first_record_has_said_its_rules(
    region: Region, step: str
) -> None:
    region.start(step)
    region.rounds.append(region.coming)
    region.send(region.coming.first)
    assert region.ways.processes.ending() == -SIGKILL
    assert region.requests() == []

    region.start()
    region.send(region.rounds[0].second)
    region.send(region.rounds[0].last)
    region.settle_all()
    region.ways.processes.kill()

    region.stated = 2 if step == "rules in the ledger" else 1  # nothing remembered the first
    check_all(region)
    check_rows(region)


def test_the_docs_say_of_every_step_what_a_crash_leaves() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", PAGE.read_text(), re.MULTILINE)

    assert [row for row in rows if row in STEPS] == list(STEPS)
    assert [row for row in rows if row in START] == list(START)
    assert [row for row in rows if row in RULES] == list(RULES)
