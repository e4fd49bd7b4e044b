"""What a service exports besides records: metrics, spans, log lines; as values to compare."""

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

# Their values tell when records arrived, not what they were; each is still compared in name,
# unit, labels and in what is listed. Whatever is not here is compared whole.
BY_TIMING: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "homeport.batch.duration": ("how long a batch took", frozenset()),
    "homeport.batch.records": ("how many records were polled together", frozenset({"sum"})),
    "homeport.transactions": ("how many batches there were", frozenset()),
    "homeport.parked.age": ("how long a record has waited", frozenset()),
    "homeport.enrich.latency": ("how long a request waited for its labels", frozenset()),
    "homeport.enrich.request": ("how long the model took", frozenset()),
    "homeport.enrich.fill": ("how many texts were asked about together", frozenset()),
    "homeport.lookup.duration": ("how long a look-up took", frozenset()),
    "homeport.pauses": ("how often model or database did not answer", frozenset()),
}
# Made of librdkafka's statistics, every few seconds: whether there is any yet is timing, too.
# Their labels are of closed sets, which residency/telemetry/names.py checks.
BY_STATISTICS: Final = frozenset(
    {
        "homeport.kafka.lag",
        "homeport.kafka.queue",
        "homeport.kafka.records",
        "homeport.kafka.round_trip",
        "homeport.vault.waiting",
    }
)
_POINT: Final = ("value", "count", "sum", "bucket_counts", "explicit_bounds", "min", "max")
_AT = re.compile(r"([a-z0-9.-]+)\[(\d+)\]@(\d+)")
Rename = Callable[[str], str]


def notes() -> tuple[str, ...]:
    """Return what is not compared of the signals, and why."""
    statistics = sorted(BY_STATISTICS)
    left_out = [
        f"metric {name}: {why}" + (f"; its {', '.join(sorted(kept))} is" if kept else "")
        for name, (why, kept) in BY_TIMING.items()
    ]
    left_out += [f"metric {name}: as of librdkafka's last statistics" for name in statistics]
    return (*left_out, "how many spans there were, and to which traces: one per batch")


def renamed(starts: Mapping[tuple[str, int], int]) -> Rename:
    """Return what writes record names in a text as if each partition had begun at offset 0.

    Args:
        starts: The first offset of the side, by topic and partition.

    """

    def shifted(match: re.Match[str]) -> str:
        topic, partition, offset = match[1], int(match[2]), int(match[3])
        return f"{topic}[{partition}]@{offset - starts.get((topic, partition), 0)}"

    return lambda text: _AT.sub(shifted, text)


def metrics(file: Path) -> dict[str, Any]:
    """Return what was last exported of every instrument: ``name{labels} part`` to value."""
    rows = file.read_text(encoding="utf-8").splitlines()
    found: dict[str, Any] = {}
    exported = json.loads(rows[-1]) if rows else {"resource_metrics": []}
    for resource in exported["resource_metrics"]:
        found["resource"] = json.dumps(resource["resource"], sort_keys=True)
        for scope in resource["scope_metrics"]:
            for metric in scope["metrics"]:
                found |= _metric(metric)
    return found


def _metric(metric: Mapping[str, Any]) -> dict[str, Any]:
    name = metric["name"]
    if name in BY_STATISTICS:
        return {}
    compared = BY_TIMING[name][1] if name in BY_TIMING else frozenset(_POINT)
    found: dict[str, Any] = {}
    for point in metric["data"]["data_points"]:
        labels = ",".join(f"{k}={v}" for k, v in sorted(point["attributes"].items()))
        found[f"{name}{{{labels}}} unit"] = metric["unit"]
        for part in _POINT:
            if part in point and part in compared:
                found[f"{name}{{{labels}}} {part}"] = point[part]
    return found


def spans(file: Path, rename: Rename) -> frozenset[str]:
    """Return every different span, without ids and times: as JSON."""
    rows = (json.loads(row) for row in file.read_text(encoding="utf-8").splitlines())
    return frozenset(
        rename(
            json.dumps(
                {
                    "name": span["name"],
                    "kind": span["kind"],
                    "status": span["status"],
                    "attributes": span["attributes"],
                    "events": [event["name"] for event in span["events"]],
                    "links": sorted({json.dumps(link["attributes"]) for link in span["links"]}),
                    "resource": span["resource"],
                    "child": span["parent_id"] is not None,
                },
                sort_keys=True,
            )
        )
        for span in rows
    )


class Lines(logging.Handler):
    """Remembers every log line of its time, as it would be written."""

    def __init__(self) -> None:
        """Take every level."""
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self.texts.append(self.format(record))

    def counted(self, rename: Rename) -> Counter[str]:
        """Return the lines, whatever their order: threads take turns as they like."""
        return Counter(rename(text) for text in self.texts)


@contextmanager
def listening() -> Iterator[Lines]:
    """Yield what hears all that is logged meanwhile, ours from debug on."""
    lines, ours = Lines(), logging.getLogger("homeport")
    level = ours.level
    ours.setLevel(logging.DEBUG)
    logging.getLogger().addHandler(lines)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(lines)
        ours.setLevel(level)
