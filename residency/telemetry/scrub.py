"""The last look at a span before it is exported: what is not in the closed sets goes."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, Status

from residency.telemetry.names import ERROR, SPANS, is_attribute

UNNAMED = "unnamed"


class ScrubbingExporter(SpanExporter):
    """Hands scrubbed copies of spans to another exporter."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Stand before *exporter*."""
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See SpanExporter.export."""
        return self._exporter.export([scrub(span) for span in spans])

    def shutdown(self) -> None:
        """See SpanExporter.shutdown."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See SpanExporter.force_flush."""
        return self._exporter.force_flush(timeout_millis)


def scrub(span: ReadableSpan) -> ReadableSpan:
    """Return *span* with only the name, attributes and ids that may leave.

    Events go entirely: the only ones libraries add are exceptions with their messages. So
    does the status text, unless it repeats the error's class.
    """
    attributes = {k: v for k, v in (span.attributes or {}).items() if is_attribute(k, v)}
    status = span.status
    is_class = status.description is not None and status.description == attributes.get(ERROR)
    return ReadableSpan(
        name=span.name if span.name in SPANS else UNNAMED,
        context=_bare(span.context),
        parent=_bare(span.parent),
        resource=span.resource,
        attributes=attributes,
        links=[Link(bare) for link in span.links if (bare := _bare(link.context)) is not None],
        kind=span.kind,
        status=Status(status.status_code, status.description if is_class else None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _bare(context: SpanContext | None) -> SpanContext | None:
    """Return *context* without its trace state, which has room for free text."""
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)
