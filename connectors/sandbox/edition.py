"""Calls and deployments side by side: a call sees the org as it was, or as it is, never half.

A call looks at what is deployed first, and at rows later, on another thread; in between a
deployment may have changed both. Such a call begins again.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class OutdatedError(Exception):
    """The org was deployed to since the call looked at it; the call has changed nothing yet."""


class Editions(Protocol):
    """An org, as far as it is deployed to.

    Attributes:
        edition: Changes before a deployment is committed, and again once every call sees it.

    """

    edition: int

    async def rest(self) -> None:
        """Return once no deployment is between the two."""


async def settled(org: Editions, work: Callable[[int], Awaitable[T]]) -> T:
    """Return what *work* does in one edition of *org*, which it is given."""
    while True:
        edition = org.edition
        try:
            return await work(edition)
        except OutdatedError:
            await org.rest()


def check_edition(org: Editions, edition: int) -> None:
    """Refuse to go on in another edition of *org* than *edition*.

    Raises:
        OutdatedError: It is another one by now.

    """
    if org.edition != edition:
        raise OutdatedError
