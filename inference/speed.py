"""How fast a model server answers: texts per second and latencies, over the way clients take."""

import asyncio
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inference.canary import connect, question
from inference.config import InferenceConfig
from schemas.errors import RetriableError

# made up, about 30 tokens each; no customer ever wrote them
SUBJECTS = ("The blue jacket", "My second parcel", "The lamp from last week", "A pair of boots")
EVENTS = ("came with a torn seam", "has not arrived yet", "was charged twice", "is the wrong size")
WISHES = (
    "please tell me how I can send it back and when the money will be on my card again",
    "could somebody look at the tracking, because it has not moved for three days now",
    "I would rather have it exchanged than refunded if that is at all possible this week",
    "thank you all the same for the quick and friendly help that I had on the telephone",
)


@dataclass(frozen=True, slots=True)
class Speed:
    """What one load came to.

    Attributes:
        batch: Texts in one request.
        concurrency: Requests in flight.
        texts_per_s: Over all of them.
        p50_ms: Half of the requests took no longer.
        p99_ms: 99 of 100 took no longer.

    """

    batch: int
    concurrency: int
    texts_per_s: float
    p50_ms: float
    p99_ms: float


def texts(count: int) -> list[str]:
    """Return *count* made-up messages, as different as 64 sentences and a number can be."""
    sentences = itertools.cycle(itertools.product(SUBJECTS, EVENTS, WISHES))
    parts = itertools.islice(sentences, count)
    return [f"Order {n}. {a} {b}, {c}." for n, (a, b, c) in enumerate(parts)]


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of *values* that *share* of them do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


async def measure(config: InferenceConfig, batch: int, concurrency: int, seconds: float) -> Speed:
    """Return the speed of a server under one load, held for so many *seconds*.

    Raises:
        RetriableError: It does not answer, or refuses.

    """
    path, canary = question(config.engine, config.model)
    pool = texts(64 * batch)
    bodies: list[dict[str, Any]] = [
        {**canary, "input": pool[at : at + batch]} if config.engine == "pooling" else dict(canary)
        for at in range(0, len(pool), batch)
    ]
    size = batch if config.engine == "pooling" else 1
    took: list[float] = []
    deadline = time.monotonic() + seconds

    async with connect(config) as session:

        async def ask(body: dict[str, Any]) -> None:
            began = time.monotonic()
            try:
                async with session.post(path, json=body) as answer:
                    await answer.read()
                    if not answer.ok:
                        msg = f"the model server answered {answer.status}; see its log"
                        raise RetriableError(msg)
            except (OSError, TimeoutError) as exc:
                msg = f"the model server does not answer ({type(exc).__name__})"
                raise RetriableError(msg) from None
            took.append(time.monotonic() - began)

        async def client(number: int) -> None:
            for body in itertools.islice(itertools.cycle(bodies), number, None):
                if time.monotonic() > deadline:
                    return
                await ask(body)

        await ask(bodies[0])  # the first answer is always late
        took.clear()
        began = time.monotonic()
        await asyncio.gather(*(client(number) for number in range(concurrency)))
        lasted = time.monotonic() - began
    return Speed(
        batch=size,
        concurrency=concurrency,
        texts_per_s=size * len(took) / lasted,
        p50_ms=1000 * quantile(took, 0.5),
        p99_ms=1000 * quantile(took, 0.99),
    )
