"""Whose events a region decides: those of the customers whom it serves."""

from collections.abc import Mapping
from typing import Final

from residency.plan.strip import look_up
from residency.regions import load_regions, region_of
from schemas.errors import QuarantineError, Reason

COUNTRY, SUBDIVISION = "customer.residence.country", "customer.residence.subdivision"
MAX_RESIDENCES: Final = 4_096  # remembered as this region's


class Residence:
    """What one region says to where a customer lives."""

    def __init__(self, region: str) -> None:
        """Take the region's id."""
        self._region = region
        self._regions = tuple(load_regions().values())
        self._served: set[tuple[bytes | None, ...]] = set()

    def is_ours(self, residence: tuple[bytes | None, ...]) -> bool:
        """Tell whether customers of a residence, as its bytes, are this region's; few are others'.

        Args:
            residence: Country and subdivision in UTF-8, None where there is none.

        """
        if residence in self._served:
            return True
        country, subdivision = (None if text is None else text.decode() for text in residence)
        served = region_of(country or "", subdivision, self._regions)
        if served is None or served[1] != self._region:
            return False
        if len(self._served) < MAX_RESIDENCES:  # a subdivision is free text
            self._served.add(residence)
        return True

    def check(self, values: Mapping[str, object]) -> None:
        """Refuse an event whose customer is not this region's.

        Raises:
            QuarantineError: No region serves the residence, or another one does.

        """
        country = look_up(values, COUNTRY) or ""
        served = region_of(country, look_up(values, SUBDIVISION), self._regions)
        if served is None:
            raise QuarantineError(Reason.UNKNOWN_JURISDICTION, COUNTRY)
        if served[1] != self._region:
            raise QuarantineError(Reason.WRONG_REGION, COUNTRY)
