"""The gateway: services publish CloudEvents here, and only the customer's own region takes them.

``POST /events`` with a CloudEvent (structured JSON, or a batch of them). Every event is
answered for: 202 once Kafka has it, 202 for a repeat that was dropped, 400 malformed, 413
too large, 421 another region's customer, 422 a country nobody serves.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka.config import MAX_MESSAGE_BYTES
from connectors.kafka.errors import FatalWatch, name_of
from connectors.kafka.headers import Headers
from connectors.weblog import web_log
from residency import topics
from residency.keys import secret
from residency.plan.book import MAX_VALUE_BYTES
from residency.regions import load_regions, region_of
from residency.telemetry.setup import Telemetry, telemetry
from residency.telemetry.trace import inject
from residency.vault.subjects import subject_of
from schemas.codec import encode
from schemas.errors import HaltError
from schemas.plainjson import from_plain
from schemas.registry import EventSchema, load_registry
from schemas.scalars import PlainJsonError
from streams.repeats import Repeats
from streams.settings import Settings
from streams.vault.rawsealer import DELIVERY_S, sealer_of

LOG = logging.getLogger("homeport.gateway")
MAX_BODY_BYTES = 4 * 2**20
MAX_BATCH = 500  # events
SPEC_VERSION = "1.0"  # of CloudEvents
BATCH_TYPE = "application/cloudevents-batch+json"
TYPES = {"application/cloudevents+json", "application/json"}
STOP_TIMEOUT_S = 8  # twice at most: for the answers under way, then for Kafka


class Refusal(Exception):  # noqa: N818, an answer to the client, not a fault of ours
    """Why an event is not taken. Names the field, never its value."""

    def __init__(self, status: int, error: str, **more: str) -> None:
        """Take the HTTP status, a word from a closed list, and what helps the client."""
        super().__init__(error)
        self.status = status
        self.body = {"error": error, **more}


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in text)  # JSON can write half a pair


def _encoded(schema: EventSchema, data: Mapping[str, Any]) -> bytes:
    value = encode(schema, data)
    if len(value) > MAX_VALUE_BYTES:
        raise Refusal(413, "too-large", path="data")
    return value


class Publisher:
    """An idempotent producer whose deliveries are asyncio futures."""

    def __init__(self, config: Mapping[str, object]) -> None:
        """Connect; a thread of its own serves the deliveries."""
        self.watch = FatalWatch()
        self._producer = Producer({**config, "error_cb": self.watch})
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="deliveries", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._halt.is_set():
            self._producer.poll(0.1)

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> "asyncio.Future[str]":
        """Return a future that holds ``topic[partition]@offset`` once Kafka has the record."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()

        def settle(error: KafkaError | None, message: Message) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(ConnectionError(error.name()))
            else:
                at = f"{message.topic()}[{message.partition()}]@{message.offset()}"
                future.set_result(at)

        def delivered(error: KafkaError | None, message: Message) -> None:
            loop.call_soon_threadsafe(settle, error, message)

        self._producer.produce(topic, value, key, headers=headers, on_delivery=delivered)
        return future

    def close(self) -> int:
        """Wait for what is in flight; return how many records are not acknowledged."""
        left: int = self._producer.flush(STOP_TIMEOUT_S)
        self._halt.set()
        self._thread.join(STOP_TIMEOUT_S)
        return left


class Gateway:
    """One region's gateway. ``run`` blocks, as the shell wants it."""

    def __init__(self, settings: Settings, signals: Telemetry) -> None:
        """Take the gateway's own settings; connects in `run`."""
        self._settings = settings
        self._signals = signals
        self._regions = tuple(load_regions().values())
        self._registry = load_registry()
        self._key = secret(settings.folder / "keys", "partition")
        self._repeats = Repeats()
        self._publisher: Publisher | None = None
        self._sealer = sealer_of(settings)
        self._counts = {"published": 0, "repeated": 0, "refused": 0}

    def health(self) -> Mapping[str, Any]:
        """Return the counters since start, and whether raw records hold no plaintext."""
        is_sealing = self._sealer is not None
        return {"ready": self._publisher is not None, "sealing": is_sealing, **self._counts}

    def run(self, halt: threading.Event) -> None:
        """Serve until *halt*; answers what is in flight before it ends."""
        asyncio.run(self._serve(halt))

    async def _serve(self, halt: threading.Event) -> None:
        if self._settings.http_port is None:
            msg = "the gateway's settings name no http_port; run `homeport up` again"
            raise HaltError(msg)
        config = self._settings.kafka.librdkafka(
            enable_idempotence=True,
            linger_ms=5,
            compression_type="lz4",
            delivery_timeout_ms=int(DELIVERY_S * 1000),
            message_max_bytes=MAX_MESSAGE_BYTES,
        )
        if self._sealer is not None:
            await self._sealer.begin(halt)
        self._publisher = Publisher(config)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/events", self._events)
        runner = web.AppRunner(
            app, access_log=None, logger=web_log("gateway"), shutdown_timeout=STOP_TIMEOUT_S
        )
        await runner.setup()
        await web.TCPSite(runner, self._settings.http_host, self._settings.http_port).start()
        while not halt.is_set():
            self._publisher.watch.check()
            if self._sealer is not None:
                self._sealer.check()
            await asyncio.sleep(0.1)
        await runner.cleanup()
        if self._sealer is not None:
            await self._sealer.close()
        left = await asyncio.to_thread(self._publisher.close)
        self._signals.shutdown()
        if left:
            LOG.warning("%d events were not acknowledged; their senders must repeat them", left)

    async def _events(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except (ValueError, LookupError, RecursionError):  # no JSON, no such charset, too deep
            return web.json_response({"error": "not-json"}, status=400)
        if request.content_type == BATCH_TYPE:
            if not isinstance(body, list) or len(body) > MAX_BATCH:
                more = {"error": "bad-batch", "hint": f"a list of at most {MAX_BATCH} events"}
                return web.json_response(more, status=400)
            answers = await asyncio.gather(*(self._take(event) for event in body))
            return web.json_response([{"status": s, **a} for s, a in answers], status=200)
        if request.content_type not in TYPES:
            return web.json_response({"error": "unsupported-media-type"}, status=415)
        status, answer = await self._take(body)
        return web.json_response(answer, status=status)

    async def _take(self, event: Any) -> tuple[int, dict[str, Any]]:  # noqa: ANN401, JSON
        """Return the HTTP status and the answer for one event."""
        try:
            schema, source, event_id, data = self._read(event)
            value = _encoded(schema, data)
            self._check_residence(data)
        except Refusal as refusal:
            self._count("refused")
            return refusal.status, refusal.body
        future, is_mine = self._repeats.claim(source, event_id, time.monotonic())
        if is_mine:
            await self._publish(schema, data, value, future)
        try:
            record = await asyncio.shield(future)
        except ConnectionError as exc:
            return 503, {"error": "not-acknowledged", "code": str(exc)}
        self._count("published" if is_mine else "repeated")
        return 202, {"record": record, "duplicate": not is_mine}

    async def _publish(
        self,
        schema: EventSchema,
        data: Mapping[str, Any],
        value: bytes,
        future: "asyncio.Future[str]",
    ) -> None:
        if self._publisher is None:
            future.set_exception(ConnectionError("starting"))
            return
        topic = topics.raw(self._settings.region, schema.domain)
        key = subject_of(self._key, data["customer"]["customer_id"])
        with self._signals.span("gateway.publish") as span:
            try:
                if self._sealer is not None:
                    value = await self._sealer.seal(topic, key, value)
                header = inject(span.get_span_context())
                future.set_result(await self._publisher.send(topic, key, value, [header]))
                self._signals.recorder.add("homeport.events", 1, domain=schema.domain)
            except BufferError:
                future.set_exception(ConnectionError("_QUEUE_FULL"))
            except KafkaException as exc:
                future.set_exception(ConnectionError(name_of(exc)))
            except ConnectionError as exc:
                future.set_exception(ConnectionError(str(exc)))  # Kafka's name of it, or ours

    def _read(self, event: Any) -> tuple[EventSchema, str, str, dict[str, Any]]:  # noqa: ANN401
        """Return schema, source, id and data of a CloudEvent."""
        if not isinstance(event, dict):
            raise Refusal(400, "not-a-cloudevent")
        if event.get("specversion", SPEC_VERSION) != SPEC_VERSION:
            raise Refusal(400, "unsupported-specversion", path="specversion")
        texts = [event.get(name) for name in ("type", "source", "id")]
        for name, text in zip(("type", "source", "id"), texts, strict=True):
            if not isinstance(text, str) or not text or not _is_unicode(text):
                raise Refusal(400, "missing-attribute", path=name)
        kind, source, event_id = (str(text) for text in texts)
        schema = self._schema(kind, event.get("schemaversion"))
        try:
            data = from_plain(schema, event.get("data"))
        except PlainJsonError as exc:
            raise Refusal(
                400,
                "malformed",
                path=f"data.{exc.path}" if exc.path else "data",
                problem=exc.problem,
            ) from None
        return schema, source, event_id, data

    def _schema(self, kind: str, version: object) -> EventSchema:
        try:
            return self._registry.event(kind, version)
        except KeyError as unknown:
            if unknown.args == (kind,):
                raise Refusal(400, "unknown-type", path="type") from None
            raise Refusal(400, "unknown-schema-version", path="schemaversion") from None

    def _check_residence(self, data: Mapping[str, Any]) -> None:
        residence = data["customer"]["residence"]
        served = region_of(residence["country"], residence.get("subdivision"), self._regions)
        if served is None:
            raise Refusal(422, "unserved-country", path="data.customer.residence.country")
        home = served[1]
        if home != self._settings.region:
            urls = self._settings.gateways or {}
            known = {"gateway": urls[home]} if home in urls else {}
            raise Refusal(421, "wrong-region", region=home, **known)

    def _count(self, what: str) -> None:
        self._counts[what] += 1
        if what != "repeated":
            self._signals.recorder.add("homeport.records", 1, stage="gateway", outcome=what)


def build(settings: Settings) -> Gateway:
    """Return the gateway of *settings*; the shell runs it."""
    folder = settings.folder / "telemetry"
    return Gateway(settings, telemetry("gateway", settings.region, folder, os.environ))
