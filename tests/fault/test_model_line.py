"""`kill -9` of the real model server while texts are on the line: once each, and told to nobody.

Requests go through Kafka to enrichment, which asks the real vLLM and commits label records; a part
of the server is killed while they are under way. One round of the engine in CI, twenty of each
part with `--long`. Every text carries a canary, which is then looked for in all that was written.
"""

import logging
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest
from egress_world import World
from enrich_line import EnrichLine, by_record, wait_until, working
from label_world import HandMade
from model_servers import ModelServer

from connectors.embedded.stack import Stack
from connectors.kafka.record import Record
from inference import leash, lock
from inference.labelling import Answer, RegionLabeller, labeller
from inference.speed import texts
from inference.tasks import load_tasks
from residency.gate.check import Gate
from residency.plan.approved import APPROVED_FILE
from residency.plan.model import Plan
from residency.plan.stored import load_stored
from schemas.registry import load_registry
from streams import patience
from streams.arrivals import arrival_of
from streams.demo.evidence import blind_spots, search
from streams.enrich import Model

pytestmark = pytest.mark.timeout(3_600)  # with vLLM's installation; twenty rounds take 25 minutes
VICTIMS = ("engine", "api")
TEXTS = 192  # of a round: twelve requests to the server
ROUNDS = 20
FRESH = 5  # rounds of one supervisor, which waits twice as long after each failure in a row
ANSWERED_S = 600.0  # a bound: a start of the server takes half a minute, or minutes
NOISE = 0.001  # of a score: what is closer to its threshold may be labelled otherwise another time
DIGEST = lock.model_digest(lock.locked("minilm"), lock.task_digests())


@dataclass
class Told:
    """What came of all rounds.

    Attributes:
        canaries: One of each text.
        wanted: Labels by record, as an undisturbed server gave them.
        found: Label records.
        open_at_kill: Per round, how many of its texts had no label when the part was killed.
        left: Processes of a killed server that outlived it.
        places: All that was written meanwhile, by where.

    """

    canaries: list[str] = field(default_factory=list)
    wanted: dict[str, dict[str, str]] = field(default_factory=dict)
    found: list[Record] = field(default_factory=list)
    decisions: int = 0
    open_at_kill: list[int] = field(default_factory=list)
    left: list[psutil.Process] = field(default_factory=list)
    places: dict[str, bytes] = field(default_factory=dict)


class Log(logging.Handler):
    """Keeps all that this process logs, at every level."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.args} {record.exc_info}")


def message_plan() -> Plan:
    """Return the approved plan of support messages: it asks all tasks about a text."""
    schema = load_registry().latest("commerce.messages.SupportMessageReceived")
    return next(p for p in load_stored("eu").values() if p.schema_id == schema.id)


def carrying(canary: str, number: int, text: str) -> str:
    """Return a text with a canary: some ask for a right, some are longer than the model reads."""
    if number % 10 == 0:
        return f"Please delete all data that you have of me. My secret is {canary}."
    return f"{text} My secret is {canary}." + f" {text}" * (100 if number % 25 == 1 else 0)


def labels_of(plan: Plan, answers: Mapping[str, Answer]) -> dict[str, str]:
    return {one.field: answers[one.task].label for one in plan.outputs[1].labels}


def is_clear(answers: Mapping[str, Answer]) -> bool:
    tasks = load_tasks()
    return all(abs(one.score - tasks[name].threshold) > NOISE for name, one in answers.items())


def processes(server: ModelServer) -> list[psutil.Process]:
    """Return the server's leash and all that it started."""
    first = server.parts()["leash"]
    return [first, *first.children(recursive=True)]


def failures(server: ModelServer) -> int:
    return sum(dict(server.health().get("restarts", {})).values())


def one_round(
    server: ModelServer, line: EnrichLine, asked: RegionLabeller, victim: str, told: Told
) -> None:
    """Send texts, kill *victim* while they are under way, and wait for the labels of all."""
    plan, rng = message_plan(), random.Random(len(told.wanted))
    canaries = [f"zucanary-{uuid4().hex[:20]}" for _ in range(TEXTS)]
    said = [carrying(*one) for one in zip(canaries, range(TEXTS), texts(TEXTS), strict=True)]
    calm = asked.label([label.task for label in plan.outputs[1].labels], said)
    clear = [n for n in range(TEXTS) if is_clear(calm[n])]
    requests = line.requests([said[n] for n in clear], f"tok_eu1_{line.topic_id}", plan)
    wanted = {str(one.id): labels_of(plan, calm[n]) for one, n in zip(requests, clear, strict=True)}
    told.canaries += canaries
    told.wanted |= wanted
    parts, before, begun = server.parts(), processes(server), failures(server)

    line.send(requests)
    time.sleep(rng.uniform(0.1, 1.0))
    parts[victim].kill()
    told.open_at_kill.append(len(told.wanted) - len(line.made()))

    wait_until("the server failed", partial(_has_failed, server, begun))
    told.left += [one for one in before if leash.stat(one.pid) is not None and one.is_running()]
    assert leash.members(before[0].pid) == []
    wait_until("all texts have labels", partial(_has_all, line, len(told.wanted)), ANSWERED_S)
    assert by_record(line.made()) == told.wanted
    print(f"{victim}: {told.open_at_kill[-1]} open at the kill, {len(told.wanted)} labelled")  # noqa: T201


def _has_failed(server: ModelServer, before: int) -> bool:
    return failures(server) > before


def _has_all(line: EnrichLine, count: int) -> bool:
    return len(line.made()) >= count


@pytest.fixture(scope="module", params=VICTIMS)
def told(
    request: pytest.FixtureRequest,
    stack: Stack,
    idle_server: ModelServer,
    tmp_path_factory: pytest.TempPathFactory,
    long_run: bool,
) -> Told:
    """Return what came of the rounds in which one part of the server was killed."""
    if request.param != VICTIMS[0] and not long_run:
        pytest.skip("`homeport test --long` kills the other parts, too")
    told, log, folder = Told(), Log(), tmp_path_factory.mktemp("signals")
    root = logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    with pytest.MonkeyPatch.context() as patch, closing(EnrichLine(stack.home)) as line:
        patch.setattr(patience, "MAX_WAIT_S", 1.0)
        if line.open_requests():
            with working(stack.home, HandMade()):
                wait_until("the requests of others", lambda: not line.open_requests())
        for number in range(ROUNDS if long_run else 1):
            if number % FRESH == 0 and number:
                idle_server.stop()
            asked = labeller(idle_server.ensure())
            with working(stack.home, Model(asked, load_tasks(), DIGEST), folder=folder):
                one_round(idle_server, line, asked, request.param, told)
        wait_until("all offsets are committed", lambda: not line.open_requests())
        told.found, told.decisions = list(line.made()), line.decisions()
        told.places = written(told.found, line, stack, idle_server, folder)
    told.places["worker's log, errors included"] = "\n".join(log.lines).encode()
    root.removeHandler(log)
    root.setLevel(level)
    return told


def written(
    found: Sequence[Record], line: EnrichLine, stack: Stack, server: ModelServer, folder: Path
) -> dict[str, bytes]:
    """Return all that may be read outside of the topics of texts."""
    files = {
        "worker's spans": folder.glob("*-spans.jsonl*"),
        "worker's metrics": folder.glob("*-metrics.jsonl*"),
        "logs of the model server": server.home.glob("logs/*"),
        "files of its supervisor": (p for p in server.home.rglob("*") if p.parent.name != "logs"),
        "logs of broker and database": stack.home.glob("logs/*"),
    }
    return {
        "label records": b"\n".join(b"%r\n%b\n%b" % (one, one.key, one.value) for one in found),
        "their headers": b"\n".join(
            b"%b %b" % (n.encode(), v) for r in found for n, v in r.headers
        ),
        "decisions": "\n".join(line.decision_rows()).encode(),
    } | {
        name: b"\n".join(path.read_bytes() for path in sorted(paths) if path.is_file())
        for name, paths in files.items()
    }


def test_each_text_is_labelled_exactly_once_and_none_is_lost(told: Told) -> None:
    found = by_record(told.found)

    assert found == told.wanted
    assert told.decisions == len(told.wanted)
    assert min(told.open_at_kill) > 0  # else nobody was killed under load


def test_no_process_of_a_killed_server_is_left(told: Told) -> None:
    assert told.left == []


def test_no_canary_is_in_any_record_log_span_metric_error_decision_or_leaf(
    told: Told, world: World, dsn: str
) -> None:
    """The label records go on through gate and ledger, to rows and expected rows."""
    world.gate = Gate.load("eu", APPROVED_FILE, {DIGEST})
    carrier = world.egress()
    carrier.carry([arrival_of(one) for one in told.found])
    world.die()
    with psycopg.connect(dsn) as connection:
        rows = [
            str(row)
            for table in ("ledger_index", "expected_rows", "parked_records")
            for row in connection.execute(f"SELECT t::text FROM {table} t")  # noqa: S608, our own
        ]
    leaves = [path for path in world.folder.rglob("*") if path.is_file()]

    places = told.places | {
        "ledger": b"\n".join(path.read_bytes() for path in leaves),
        "egress's tables": "\n".join(rows).encode(),
        "rows of the org": repr(world.org.rows).encode(),
    }

    assert len(world.org.rows) == len(told.wanted)
    assert search(places, told.canaries) == []
    assert blind_spots(places) == []
