"""Set OpenTelemetry up for one process: to files in the region's folder, or to its collector.

Nothing here is global: a process makes one `Telemetry`, passes it down and shuts it down.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from opentelemetry.trace import Link, Span, SpanKind

from residency.telemetry.files import LineFile
from residency.telemetry.names import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    SPANS,
    TOOLS,
    CounterName,
    GaugeName,
    HistogramName,
    SpanName,
    check_labels,
)
from residency.telemetry.trace import fail
from residency.topics import SERVICES

if TYPE_CHECKING:  # the SDK takes a third of a second to import; only a worker pays for it
    from opentelemetry.metrics import Counter, Histogram, Meter
    from opentelemetry.metrics import _Gauge as Gauge
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

VERSION = "0.1.0"  # of pyproject.toml; a test holds them equal
EXPORT_EVERY_MS = 5_000
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Recorder:
    """Counts and measures, under names and labels of the closed sets only."""

    def __init__(self, meter: "Meter") -> None:
        """Make every instrument of `names` on *meter*."""
        self._counters: dict[str, Counter] = {
            name: meter.create_counter(name, metric.unit, metric.meaning)
            for name, metric in COUNTERS.items()
        }
        self._histograms: dict[str, Histogram] = {
            name: meter.create_histogram(name, metric.unit, metric.meaning)
            for name, metric in HISTOGRAMS.items()
        }
        self._gauges: dict[str, Gauge] = {
            name: meter.create_gauge(name, metric.unit, metric.meaning)
            for name, metric in GAUGES.items()
        }

    def add(self, name: CounterName, n: int = 1, **labels: str) -> None:
        """Count *n* more of *name*.

        Raises:
            ValueError: No such counter, or labels outside its closed sets.

        """
        if name not in COUNTERS:
            msg = "no such counter; see residency/telemetry/names.py"
            raise ValueError(msg)
        check_labels(name, COUNTERS[name], labels)
        self._counters[name].add(n, labels)

    def set(self, name: GaugeName, value: float, **labels: str) -> None:
        """Say that *name* is *value* now, in the metric's unit.

        Raises:
            ValueError: No such gauge, or labels outside its closed sets.

        """
        if name not in GAUGES:
            msg = "no such gauge; see residency/telemetry/names.py"
            raise ValueError(msg)
        check_labels(name, GAUGES[name], labels)
        self._gauges[name].set(value, labels)

    def record(self, name: HistogramName, value: float, **labels: str) -> None:
        """Add *value*, in the metric's unit, to the distribution of *name*.

        Raises:
            ValueError: No such histogram, or labels outside its closed sets.

        """
        if name not in HISTOGRAMS:
            msg = "no such histogram; see residency/telemetry/names.py"
            raise ValueError(msg)
        check_labels(name, HISTOGRAMS[name], labels)
        self._histograms[name].record(value, labels)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What one process uses to say how it is doing.

    Attributes:
        tracer: For spans that `span` does not fit; what is exported is scrubbed either way.
        recorder: For metrics.

    """

    tracer: "Tracer" = field(repr=False)
    recorder: Recorder = field(repr=False)
    _stop: Sequence[Callable[[], object]] = field(repr=False)

    @contextmanager
    def span(
        self, name: SpanName, links: Sequence[Link] = (), start_ns: int | None = None
    ) -> Iterator[Span]:
        """Open a span around a block; an exception marks it failed by class and goes on.

        Args:
            name: One of the closed set.
            links: Who sent the records, from `trace.link_from`.
            start_ns: When it began, since 1970; None: now.

        Raises:
            ValueError: No such span name.

        """
        if name not in SPANS:
            msg = "no such span; see residency/telemetry/names.py"
            raise ValueError(msg)
        with self.tracer.start_as_current_span(
            name,
            kind=SpanKind.INTERNAL,
            links=links,
            start_time=start_ns,
            record_exception=False,  # these two would export the exception's text
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                fail(span, error)
                raise

    def shutdown(self) -> None:
        """Export what is left and close. Call once, last."""
        for stop in self._stop:
            stop()


def telemetry(
    service: str, region: str, folder: Path | None, environ: Mapping[str, str]
) -> Telemetry:
    """Return the telemetry of one *service* of one *region*.

    Args:
        service: One of `residency.topics.SERVICES`, or of `names.TOOLS`.
        region: Region id.
        folder: Where ``<service>-spans.jsonl`` and ``<service>-metrics.jsonl`` go, or None
            for no files.
        environ: With ``OTEL_EXPORTER_OTLP_ENDPOINT`` set, both go to that collector by
            OTLP over HTTP instead. It must be the region's own.

    Raises:
        ValueError: No such service.

    """
    if service not in (*SERVICES, *TOOLS):
        msg = f"telemetry is for the services {', '.join((*SERVICES, *TOOLS))}"
        raise ValueError(msg)
    from opentelemetry.sdk.metrics import (  # noqa: PLC0415 - slow; see TYPE_CHECKING above
        AlwaysOffExemplarFilter,
        MeterProvider,
    )
    from opentelemetry.sdk.metrics.export import (  # noqa: PLC0415
        PeriodicExportingMetricReader,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    from residency.telemetry.scrub import ScrubbingExporter  # noqa: PLC0415

    # not Resource.create: its detectors add the process, the host and OTEL_RESOURCE_ATTRIBUTES
    resource = Resource(
        {"service.name": service, "homeport.region": region, "service.version": VERSION}
    )
    spans, metrics, files = _exporters(service, folder, environ)
    tracing = TracerProvider(resource=resource)
    if spans is not None:
        tracing.add_span_processor(
            BatchSpanProcessor(ScrubbingExporter(spans), schedule_delay_millis=EXPORT_EVERY_MS)
        )
    readers = (
        [PeriodicExportingMetricReader(metrics, export_interval_millis=EXPORT_EVERY_MS)]
        if metrics is not None
        else []
    )
    metering = MeterProvider(readers, resource, exemplar_filter=AlwaysOffExemplarFilter())
    return Telemetry(
        tracing.get_tracer("homeport"),
        Recorder(metering.get_meter("homeport")),
        (tracing.shutdown, metering.shutdown, *(file.close for file in files)),
    )


def _exporters(
    service: str, folder: Path | None, environ: Mapping[str, str]
) -> tuple["SpanExporter | None", "MetricExporter | None", Sequence[LineFile]]:
    """Return where spans and metrics go, and the files to close at the end."""
    if endpoint := environ.get(ENDPOINT):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import (  # noqa: PLC0415
            OTLPMetricExporter,
        )
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )

        base = endpoint.rstrip("/")
        return OTLPSpanExporter(f"{base}/v1/traces"), OTLPMetricExporter(f"{base}/v1/metrics"), ()
    if folder is None:
        return None, None, ()
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

    span_file = LineFile(folder / f"{service}-spans.jsonl")
    metric_file = LineFile(folder / f"{service}-metrics.jsonl")
    return (
        ConsoleSpanExporter(
            out=cast("IO[str]", span_file), formatter=lambda s: s.to_json(indent=None) + "\n"
        ),
        ConsoleMetricExporter(
            out=cast("IO[str]", metric_file), formatter=lambda m: m.to_json(indent=None) + "\n"
        ),
        (span_file, metric_file),
    )
