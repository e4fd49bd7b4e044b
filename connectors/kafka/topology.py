"""What `homeport up`, or the operator, wrote down about a region's topics."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient, TopicDescription  # type: ignore[attr-defined]

from residency import topics
from schemas.errors import HaltError, SetupError


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """One topic as it was created.

    Attributes:
        id: Kafka's own id; a recreated topic has another.
        generation: Which incarnation of the name, from 1; the high part of row versions.

    """

    id: str
    generation: int
    partitions: int


def load_topics(home: Path, region: str) -> dict[str, TopicInfo]:
    """Return the region's topics by name.

    Raises:
        SetupError: The file is missing: the stack was never up here. Or it lacks a topic: it was
            up last with an earlier release.

    """
    path = home / region / "topics.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        msg = f"{path}: missing; run `homeport up` first"
        raise SetupError(msg) from exc
    lacking = [name for name in topics.all_topics(region) if name not in rows]
    if lacking:
        msg = f"{path}: says nothing of {lacking[0]}; run `homeport up`, which makes it"
        raise SetupError(msg)
    return {name: TopicInfo(**row) for name, row in rows.items()}


def topic_id(described: TopicDescription) -> str:
    """Return a topic's id as Kafka's own tools write it: base64url, which librdkafka's is not."""
    return str(described.topic_id).translate(str.maketrans("+/", "-_"))


def check_topic_ids(config: dict[str, Any], known: dict[str, TopicInfo]) -> None:
    """Compare the broker's topic ids with the written ones.

    Raises:
        HaltError: A topic was recreated: its offsets start again, and without a new
            generation its records would look older than the rows they write.

    """
    admin = AdminClient(config)
    answers = admin.describe_topics(TopicCollection(list(known)), request_timeout=30)
    for name, answer in answers.items():
        found = topic_id(answer.result())
        if found != known[name].id:
            msg = f"{name}: recreated, its id changed; run `homeport up` to raise its generation"
            raise HaltError(msg)
