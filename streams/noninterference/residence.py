"""The declared residence: it selects the region, so both sides live where the same one serves."""

import random
from dataclasses import dataclass, field
from typing import Any

from residency.regions import load_regions, region_of
from streams.noninterference.draw import Bytes2, Draw
from streams.noninterference.pools import Pools
from streams.noninterference.wire import SMALL, sized

HOME_SHARE = 100  # of this many residences, all but one are in the region itself
AT_FIRST = 5  # the same, until the country has varied: a region may serve one country alone
SUBDIVISIONS = (None, "CA", "NY", "BY", "SCT", "ZH")
Home = tuple[str, str | None]  # country, subdivision


class Residence:
    """Where the customers of both sides live."""

    def __init__(
        self, region: str, pools: Pools, rng: random.Random, kept: tuple[bool, bool], number: int
    ) -> None:
        """Sort homes by what is equal on both sides.

        Args:
            region: Most of them are its own.
            pools: For what no country is called.
            rng: Chooses among the pools.
            kept: Whether country and subdivision leave as they are.
            number: Of the country's leaf.

        """
        regions = tuple(load_regions().values())
        codes = [code for r in regions for code in r.jurisdictions if "-" not in code]
        strange = [text for text in rng.sample(pools.texts, 40) if len(text) < 200]  # noqa: PLR2004
        own: dict[Any, list[Home]] = {}
        other: dict[Any, list[Home]] = {}
        for country in [*codes, *strange, "ZZ", "XX", "CH"]:
            for subdivision in (*SUBDIVISIONS, *rng.sample(strange, 2)):
                served = region_of(country, subdivision, regions)
                where = served[1] if served else None
                key = (where, kept[0] and country, kept[1] and (subdivision,))
                groups = own if where == region else other
                groups.setdefault(key, []).append((country, subdivision))
        self._number, self._is_kept = number, kept[0]
        self._own = list(own.values())
        self._other = list(other.values())

    def homes(self, draw: Draw) -> tuple[Home, Home]:
        """Return both sides' residence; asked twice for one pair, the same."""
        if "residence" not in draw.memo:
            is_new = draw.varied[self._number] == 0 and not self._is_kept
            at_home = draw.rng.random() * (AT_FIRST if is_new else HOME_SHARE) >= 1
            group = draw.pick(self._own if at_home else self._other)
            draw.memo["residence"] = draw.pick(group), draw.pick(group)
        return draw.memo["residence"]  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class ResidenceLeaf:
    """Country or subdivision of the residence.

    Attributes:
        part: 0 for the country, 1 for the subdivision.
        nullable: The index of null in its union; None where the type is plain text.

    """

    number: int
    residence: Residence = field(repr=False)
    part: int
    nullable: int | None

    def pair(self, draw: Draw) -> Bytes2:
        """See Node."""
        a, b = self.choose(draw)
        if a != b:
            draw.varied[self.number] += 1
        return self._encoded(a), self._encoded(b)

    def one(self, draw: Draw) -> bytes:
        """See Node."""
        return self._encoded(self.choose(draw)[0])

    def choose(self, draw: Draw) -> tuple[str | None, str | None]:
        """See Chosen."""
        a, b = self.residence.homes(draw)
        return a[self.part], b[self.part]

    def _encoded(self, text: str | None) -> bytes:
        if self.nullable is None:
            return sized((text or "").encode())
        if text is None:
            return SMALL[self.nullable]
        return SMALL[1 - self.nullable] + sized(text.encode())
