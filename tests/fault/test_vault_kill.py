"""`kill -9` of the vault's writer under load: each raw record is kept once, and none is lost."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence

import vault_process
from vault_line import ERASURE, PLACED, REGISTERED, Raw, VaultLine, writing
from watched import watched

from connectors.embedded.stack import Stack
from schemas.events import Coordinates

PEOPLE, EACH = 40, 10  # of a round
KILLS = 2
PART = 40  # sent together


def test_kill_9_of_the_writer_under_load_keeps_each_record_once(
    stack: Stack, long_run: bool
) -> None:
    rounds = 20 if long_run else 1
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201, pytest shows it when the test fails
    rng = random.Random(seed)
    line = VaultLine(stack.home)
    with writing(stack.home):
        line.wait_for(line.send([line.person().event(REGISTERED)]))  # what others left is done
    sent: dict[str, bytes] = {}
    erased: set[bytes] = set()
    with watched(vault_process.__file__, stack.home) as worker:
        for _ in range(rounds):
            people = [line.person() for _ in range(PEOPLE)]
            raws = [person.event(PLACED) for _ in range(EACH) for person in people]
            leaver = rng.choice(people)
            raws.insert(rng.randrange(len(raws)), leaver.event(ERASURE))
            erased.add(leaver.subject)
            places: list[Coordinates] = []
            sender = threading.Thread(target=trickle, args=(line, raws, places))
            sender.start()
            for _ in range(KILLS):
                time.sleep(rng.uniform(0.5, 2.5))
                worker.kill()
            sender.join()
            line.wait_for(places)
            sent |= {str(at): raw.key for at, raw in zip(places, raws, strict=True)}

    subjects = set(sent.values())
    names = Counter(kept.name for subject in subjects for kept in line.kept(subject))
    named = line.rows('SELECT topic_id, partition, "offset" FROM vault.erased')
    topics = {topic_id: topic for topic, topic_id in line.topic_ids.items()}
    withheld = {str(Coordinates(topics[row[0]], row[1], row[2])) for row in named}
    assert set(names.values()) == {1}
    assert {name for name in sent if name not in names} == withheld & sent.keys()
    assert {sent[name] for name in withheld & sent.keys()} <= erased
    assert worker.kills == rounds * KILLS
    asked = line.rows("SELECT subject FROM vault.erasures WHERE subject = ANY(%s)", list(subjects))
    assert sorted(row[0] for row in asked) == sorted(erased)


def trickle(line: VaultLine, raws: Sequence[Raw], places: list[Coordinates]) -> None:
    """Send over some seconds, so that kills fall between them."""
    for start in range(0, len(raws), PART):
        places += line.send(raws[start:][:PART])
        time.sleep(0.3)
