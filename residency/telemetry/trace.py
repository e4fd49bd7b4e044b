"""Trace context across Kafka, and errors on spans, without a way to carry content.

W3C Trace Context (Recommendation, 23 November 2021) lets a caller put free text into
``tracestate`` and ``baggage``: both are ignored here, and never written. What is read is a
link, not a parent: a sender from outside must not choose the ids of the border's traces.
"""

import re
from collections.abc import Iterable

from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, TraceFlags

from residency.telemetry.names import ERROR

TRACEPARENT = "traceparent"
_FORM = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")  # section 3.2


def inject(context: SpanContext) -> tuple[str, bytes]:
    """Return the Kafka header, 55 bytes, that names *context*: the only one we write."""
    sampled = int(context.trace_flags) & TraceFlags.SAMPLED
    text = f"00-{context.trace_id:032x}-{context.span_id:016x}-{sampled:02x}"
    return TRACEPARENT, text.encode("ascii")


def link_from(headers: Iterable[tuple[str, bytes | str | None]] | None) -> Link | None:
    """Return a link to the span that sent a record, or None if it does not name one.

    Exactly one ``traceparent`` of version 00 in lower case counts; anything else is nothing,
    never an error: a header must not decide what happens to a record.
    """
    found = [value for key, value in headers or () if key == TRACEPARENT]
    if len(found) != 1 or not isinstance(found[0], bytes):
        return None
    match = _FORM.fullmatch(found[0])
    if match is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in match.groups())
    sampled = TraceFlags(flags & TraceFlags.SAMPLED)
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=sampled)
    return Link(context) if context.is_valid else None


def fail(span: Span, error: BaseException) -> None:
    """Mark *span* failed with the class of *error* alone.

    ``Span.record_exception`` would export the message and the stack: messages of foreign
    libraries quote the value they choked on.
    """
    name = type(error).__name__
    span.set_attribute(ERROR, name)
    span.set_status(Status(StatusCode.ERROR, name))
