"""`kill -9` of the enrichment worker under load: each text labelled exactly once, none lost."""

import random
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import enrich_process
from enrich_line import EnrichLine, by_record, text, wait_until, working
from label_world import FIELDS, HandMade, label_of
from watched import watched

from connectors.embedded.stack import Stack
from connectors.kafka import headers
from schemas.events import LabelRequest

TEXTS = 300  # per round
PART = 20  # sent together
KILLS = 3  # per round


def test_kill_9_of_enrichment_under_load_labels_each_text_exactly_once(
    stack: Stack, tmp_path: Path, long_run: bool
) -> None:
    rounds = 20 if long_run else 1
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201, pytest shows it when the test fails
    rng = random.Random(seed)
    with closing(EnrichLine(stack.home)) as line:
        if line.open_requests():
            with working(stack.home, HandMade()):
                wait_until("the requests of others", lambda: not line.open_requests())
        wanted: dict[str, dict[str, str]] = {}
        down = tmp_path / "down"
        with watched(enrich_process.__file__, stack.home, down) as worker:
            line.send(line.requests(["warm up"]))
            line.wait_for(1)
            wanted |= {text(one, headers.RECORD): said("warm up") for one in line.made()}
            for number in range(rounds):
                requests = line.requests([f"{number} {n}" for n in range(TEXTS)])
                wanted |= {str(one.id): said(one.texts["text_body"] or "") for one in requests}
                sender = threading.Thread(target=trickle, args=(line, requests))
                sender.start()
                for _ in range(KILLS):
                    time.sleep(rng.uniform(0.2, 3.0))
                    worker.kill()
                    if rng.random() < 0.5:
                        down.touch()
                        time.sleep(rng.uniform(0, 1.0))
                        down.unlink()
                sender.join()
                found = line.wait_for(len(wanted))

                assert by_record(found) == wanted, f"round {number}"
                assert line.decisions() == len(wanted)
            wait_until("all offsets are committed", lambda: not line.open_requests())
        assert worker.kills == rounds * KILLS
        assert len(line.made()) == len(wanted)


def trickle(line: EnrichLine, requests: Sequence[LabelRequest]) -> None:
    """Send *requests* over some seconds, so that kills fall between them."""
    for start in range(0, len(requests), PART):
        line.send(requests[start:][:PART])
        time.sleep(0.1)


def said(word: str) -> dict[str, str]:
    return {field: label_of(task, word) for field, task in FIELDS.items()}
