"""Publish events through the gateways as a commerce service would."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp

from streams.demo.generate import Publication

CONCURRENCY = 64  # requests under way
TRIES = 5
RETRY_WAIT_S = 0.5
HEADERS = {"Content-Type": "application/cloudevents+json"}


@dataclass(slots=True)
class Published:
    """What the gateways answered.

    Attributes:
        taken: Every accepted event with the coordinates of its raw record.
        surprises: How often an answer was not the expected one, by trap and answer.

    """

    published: int = 0
    accepted: int = 0
    duplicates_dropped: int = 0
    refused: int = 0
    taken: list[tuple[Publication, str]] = field(default_factory=list, repr=False)
    answers: Counter[str] = field(default_factory=Counter)
    surprises: Counter[str] = field(default_factory=Counter)


async def publish(
    events: Iterable[Publication],
    gateways: Mapping[str, str],
    on_answer: Callable[[], None] = lambda: None,
) -> Published:
    """Send every event to its gateway and return what came back.

    An answer that says nothing of the event (503, a broken connection) is asked again: the
    gateway drops the repeat if it already has it. Events of one customer go one after the
    other, as a shop would send them.
    """
    result = Published()
    stories: dict[str, list[Publication]] = {}
    for event in events:
        stories.setdefault(_customer(event), []).append(event)
    gate = asyncio.Semaphore(CONCURRENCY)
    async with aiohttp.ClientSession(trust_env=False) as session:

        async def tell(story: list[Publication]) -> None:
            for event in story:
                async with gate:
                    status, body = await _send(session, gateways[event.region], event)
                _note(result, event, status, body)
                on_answer()

        await asyncio.gather(*(tell(story) for story in stories.values()))
    return result


def _customer(event: Publication) -> str:
    customer = event.data.get("customer")
    return str(customer.get("customer_id")) if isinstance(customer, Mapping) else event.id


async def _send(
    session: aiohttp.ClientSession, gateway: str, event: Publication
) -> tuple[int, Mapping[str, Any]]:
    body = event.cloudevent()
    for attempt in range(1, TRIES + 1):
        try:
            async with session.post(f"{gateway}/events", json=body, headers=HEADERS) as answer:
                if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR or attempt == TRIES:
                    return answer.status, await answer.json()
        except aiohttp.ClientError:
            if attempt == TRIES:
                raise
        await asyncio.sleep(RETRY_WAIT_S * attempt)
    return 0, {}


def _note(result: Published, event: Publication, status: int, body: Mapping[str, Any]) -> None:
    result.published += 1
    taken = "duplicate" if body.get("duplicate") else "accepted"
    got = taken if status == HTTPStatus.ACCEPTED else "refused"
    if got == "accepted":
        result.accepted += 1
        result.taken.append((event, body["record"]))
    result.duplicates_dropped += got == "duplicate"
    result.refused += got == "refused"
    result.answers[f"{status} {body.get('error', got)}"] += 1
    if got != event.expect:
        result.surprises[f"{event.trap or 'plain'}: {status} {body.get('error', got)}"] += 1
