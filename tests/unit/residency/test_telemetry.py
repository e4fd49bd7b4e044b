"""Promise 7: telemetry has closed sets of names, labels and attributes, and no content."""

import json
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import Link, SpanContext, TraceFlags, TraceState

from inference.tasks import load_tasks
from residency.telemetry import names
from residency.telemetry.files import LineFile
from residency.telemetry.setup import VERSION, Telemetry, telemetry
from residency.telemetry.trace import fail, inject, link_from

CANARY = "ada.lovelace@example.org"
ROOT = Path(__file__).parents[3]
# the example of W3C Trace Context, section 3.2.3
VALID = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def eu(tmp_path: Path) -> Iterator[Telemetry]:
    made = telemetry("border", "eu", tmp_path / "telemetry", {})
    yield made
    made.shutdown()


def exported(folder: Path, what: str) -> list[dict[str, Any]]:
    text = (folder / "telemetry" / f"border-{what}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def everything(folder: Path) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.jsonl"))


def test_each_name_has_one_entry_and_each_entry_a_name() -> None:
    assert set(get_args(names.CounterName)) == set(names.COUNTERS)
    assert set(get_args(names.HistogramName)) == set(names.HISTOGRAMS)
    assert set(get_args(names.LabelName)) == set(names.LABELS)
    assert set(get_args(names.SpanName)) == names.SPANS


def test_a_count_is_in_the_file_after_shutdown_with_its_labels(tmp_path: Path) -> None:
    made = telemetry("border", "eu", tmp_path / "telemetry", {})

    made.recorder.add("homeport.records", 3, stage="border", outcome="minimal")
    made.recorder.record("homeport.batch.duration", 0.25, stage="border")
    made.shutdown()

    scope = exported(tmp_path, "metrics")[-1]["resource_metrics"][0]["scope_metrics"][0]
    points = {m["name"]: m["data"]["data_points"][0] for m in scope["metrics"]}
    assert points["homeport.records"]["value"] == 3
    assert points["homeport.records"]["attributes"] == {"stage": "border", "outcome": "minimal"}
    assert points["homeport.batch.duration"]["sum"] == 0.25


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("homeport.nothing", {"stage": "border"}),  # unknown metric
        ("homeport.records", {"stage": "border", "outcome": CANARY}),  # free text
        ("homeport.records", {"stage": "border"}),  # a label is missing
        ("homeport.records", {"stage": "border", "outcome": "minimal", "who": "x"}),  # one more
    ],
)
def test_what_is_outside_the_closed_sets_is_refused_without_repeating_it(
    eu: Telemetry, name: str, labels: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=r"names\.py") as refused:
        eu.recorder.add(cast("names.CounterName", name), 1, **labels)

    assert CANARY not in str(refused.value)


def test_a_histogram_refuses_the_same(eu: Telemetry) -> None:
    with pytest.raises(ValueError, match=r"names\.py"):
        eu.recorder.record("homeport.batch.duration", 1.0, stage=CANARY)
    with pytest.raises(ValueError, match=r"names\.py"):
        eu.recorder.record(cast("names.HistogramName", CANARY), 1.0)


def test_a_gauge_says_its_last_value_and_refuses_the_same(tmp_path: Path) -> None:
    made = telemetry("border", "eu", tmp_path / "telemetry", {})

    for lag in (7, 3):
        made.recorder.set("homeport.kafka.lag", lag, domain="orders", partition="0")
    with pytest.raises(ValueError, match=r"names\.py"):
        made.recorder.set("homeport.kafka.lag", 1, domain="orders", partition=CANARY)
    with pytest.raises(ValueError, match=r"names\.py"):
        made.recorder.set(cast("names.GaugeName", CANARY), 1)
    made.shutdown()

    scope = exported(tmp_path, "metrics")[-1]["resource_metrics"][0]["scope_metrics"][0]
    (lag_metric,) = (m for m in scope["metrics"] if m["name"] == "homeport.kafka.lag")
    (point,) = lag_metric["data"]["data_points"]
    assert point["value"] == 3
    assert point["attributes"] == {"domain": "orders", "partition": "0"}


def test_the_resource_says_service_region_and_version_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"customer={CANARY}")
    made = telemetry("border", "eu", tmp_path / "telemetry", {})

    with made.span("border.batch"):
        made.recorder.add("homeport.events", domain="orders")
    made.shutdown()

    expected = {"service.name": "border", "homeport.region": "eu", "service.version": VERSION}
    assert exported(tmp_path, "spans")[0]["resource"]["attributes"] == expected
    metrics = exported(tmp_path, "metrics")[-1]["resource_metrics"][0]
    assert metrics["resource"]["attributes"] == expected


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == VERSION


def test_an_error_leaves_its_class_and_not_its_text(tmp_path: Path) -> None:
    made = telemetry("border", "eu", tmp_path / "telemetry", {})

    with pytest.raises(KeyError), made.span("border.batch") as live:
        raise KeyError(CANARY)
    made.shutdown()

    (span,) = exported(tmp_path, "spans")
    assert span["status"] == {"status_code": "ERROR", "description": "KeyError"}
    assert span["attributes"] == {"error.type": "KeyError"}
    assert CANARY not in cast("Any", live).to_json()  # nor before the scrubbing
    assert CANARY not in everything(tmp_path)


def test_what_a_library_puts_on_a_span_does_not_reach_the_file(tmp_path: Path) -> None:
    made = telemetry("border", "eu", tmp_path / "telemetry", {})

    def library() -> None:
        attributes = {"db.query": CANARY, names.RECORD: CANARY, names.OUTCOME: CANARY}
        sender = SpanContext(1, 2, is_remote=True, trace_state=TraceState([("vendor", CANARY)]))
        with made.tracer.start_as_current_span(
            f"SELECT {CANARY}", attributes=attributes, links=[Link(sender)]
        ) as span:
            span.set_attribute(names.RECORDS, 7)
            raise ValueError(CANARY)  # OpenTelemetry records its message and stack by default

    with pytest.raises(ValueError, match="ada"):
        library()
    made.shutdown()

    (span,) = exported(tmp_path, "spans")
    assert CANARY not in everything(tmp_path)
    assert span["name"] == "unnamed"
    assert span["attributes"] == {names.RECORDS: 7}


@pytest.mark.parametrize("name", ["eu.commerce.orders.v1[0]@7", "eu.commerce.orders.v1[0]@7#1+2"])
def test_a_record_is_named_by_its_record_id(tmp_path: Path, name: str) -> None:
    made = telemetry("border", "eu", tmp_path / "telemetry", {})

    with made.span("border.batch") as span:
        span.set_attribute(names.RECORD, name)
    made.shutdown()

    assert exported(tmp_path, "spans")[0]["attributes"] == {names.RECORD: name}


def test_a_span_outside_the_closed_set_is_refused(eu: Telemetry) -> None:
    with pytest.raises(ValueError, match=r"names\.py"), eu.span(cast("names.SpanName", CANARY)):
        pass


def test_a_service_outside_the_closed_set_is_refused() -> None:
    with pytest.raises(ValueError, match="services"):
        telemetry(CANARY, "eu", None, {})


@given(
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    flags=st.integers(0, 255),
)
def test_a_link_is_the_inverse_of_inject(trace_id: int, span_id: int, flags: int) -> None:
    state = TraceState([("vendor", CANARY)])
    sent = SpanContext(
        trace_id, span_id, is_remote=False, trace_flags=TraceFlags(flags), trace_state=state
    )

    link = link_from([inject(sent)])

    assert link is not None
    assert (link.context.trace_id, link.context.span_id) == (trace_id, span_id)
    assert link.context.trace_flags == flags & 1
    assert not link.context.trace_state


def test_inject_writes_the_published_example() -> None:
    link = link_from([("traceparent", VALID)])

    assert link is not None
    assert inject(link.context) == ("traceparent", VALID)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        [("traceparent", None)],
        [("traceparent", VALID.decode())],  # Kafka gives bytes; text came from elsewhere
        [("traceparent", VALID), ("traceparent", VALID)],  # two senders: neither
        [("Traceparent", VALID)],
        [("traceparent", VALID.upper())],  # section 3.2: lower case only
        [("traceparent", VALID + b"\n")],
        [("traceparent", VALID + b"-ada")],
        [("traceparent", b"01" + VALID[2:])],
        [("traceparent", b"ff" + VALID[2:])],
        [("traceparent", b"00-" + b"0" * 32 + VALID[35:])],  # trace id of zeros
        [("traceparent", VALID[:36] + b"0" * 16 + b"-01")],  # span id of zeros
    ],
)
def test_anything_but_one_well_formed_traceparent_is_no_link(headers: Any) -> None:
    assert link_from(headers) is None


def test_inbound_trace_state_and_baggage_are_dropped(tmp_path: Path) -> None:
    made = telemetry("border", "eu", tmp_path / "telemetry", {})
    inbound = [
        ("baggage", CANARY.encode()),
        ("traceparent", VALID),
        ("tracestate", f"vendor={CANARY}".encode()),
    ]

    with made.span("border.batch", [cast("Link", link_from(inbound))]) as span:
        outbound = inject(span.get_span_context())
    made.shutdown()

    (written,) = exported(tmp_path, "spans")
    assert written["links"][0]["context"]["trace_id"] == "0x4bf92f3577b34da6a3ce929d0e0e4736"
    assert written["parent_id"] is None
    assert VALID[3:35] not in outbound[1]  # a new trace, not the sender's
    assert CANARY not in everything(tmp_path)


def test_fail_names_the_class_only(eu: Telemetry) -> None:
    with eu.span("border.batch") as span:
        fail(span, RuntimeError(CANARY))

        assert CANARY not in repr(vars(span))


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    telemetry("border", "eu", tmp_path / "telemetry", {}).shutdown()

    paths = [tmp_path / "telemetry", *(tmp_path / "telemetry").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in paths} == {0}
    assert len(paths) == 3


def test_a_file_is_bounded_and_keeps_the_newest_lines(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_text("older\n", encoding="utf-8")

    with LineFile(path, max_bytes=20) as file:
        for n in range(9):
            file.write(f"line {n}\n")

    kept = path.with_name("spans.jsonl.1").read_text(encoding="utf-8") + path.read_text("utf-8")
    assert kept.endswith("line 7\nline 8\n")
    assert all(p.stat().st_size <= 20 for p in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2


class _Collector(BaseHTTPRequestHandler):
    """Accepts OTLP and remembers the paths."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        cast("Any", self.server).paths.add(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_with_an_endpoint_everything_goes_to_the_collector_and_no_file(tmp_path: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Collector)
    cast("Any", server).paths = set()
    thread = Thread(target=server.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}/"

    made = telemetry("border", "eu", tmp_path, {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    with made.span("border.batch"):
        made.recorder.add("homeport.events", domain="orders")
    made.shutdown()

    server.shutdown()
    thread.join()
    server.server_close()
    assert cast("Any", server).paths == {"/v1/traces", "/v1/metrics"}
    assert not list(tmp_path.iterdir())


def test_importing_telemetry_does_not_import_the_sdk() -> None:
    code = "import residency.telemetry.setup, sys; sys.exit('opentelemetry.sdk' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT)

    assert done.returncode == 0


def test_every_task_may_be_counted() -> None:
    """A task outside the closed set would stop the worker at its first label."""
    assert load_tasks().keys() == names.LABELS["task"]
