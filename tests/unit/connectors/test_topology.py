"""What is written down about a region's topics, and what is said where something lacks."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from connectors.kafka.topology import TopicInfo, load_topics
from residency import topics
from schemas.errors import SetupError

KNOWN = {name: TopicInfo(f"id-{n}", 1, 4) for n, name in enumerate(topics.all_topics("eu"))}


def write(home: Path, known: dict[str, TopicInfo]) -> None:
    (home / "eu").mkdir()
    document = {name: asdict(info) for name, info in known.items()}
    (home / "eu" / "topics.json").write_text(json.dumps(document), encoding="utf-8")


def test_the_topics_of_a_region_are_told_by_name(tmp_path: Path) -> None:
    write(tmp_path, KNOWN)

    assert load_topics(tmp_path, "eu") == KNOWN


def test_a_home_that_was_never_up_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"topics\.json: missing; run `homeport up` first"):
        load_topics(tmp_path, "eu")


@pytest.mark.parametrize("lacks", [topics.labels("eu"), topics.raw_topics("eu")[0]])
def test_a_home_that_an_earlier_release_made_is_told_which_topic_it_lacks(
    tmp_path: Path, lacks: str
) -> None:
    write(tmp_path, {name: info for name, info in KNOWN.items() if name != lacks})

    with pytest.raises(SetupError, match=f"says nothing of {lacks}; run `homeport up`"):
        load_topics(tmp_path, "eu")
