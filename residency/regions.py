"""Regions and the jurisdictions they serve, read from ``regions.toml``."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from schemas.errors import SetupError

REGIONS_FILE = Path(__file__).with_name("regions.toml")


@dataclass(frozen=True, slots=True)
class Region:
    """A data-residency zone with its own Kafka, vault, ledger and keys."""

    id: str
    name: str
    jurisdictions: tuple[str, ...]
    packs: tuple[str, ...]


@cache
def load_regions(path: Path = REGIONS_FILE) -> Mapping[str, Region]:
    """Return every region by id, in the file's order.

    Raises:
        SetupError: The file cannot be read, or a jurisdiction is mapped to two regions.

    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
        regions = {
            key: TypeAdapter(Region).validate_python({"id": key, **row})
            for key, row in rows.items()
        }
    except (OSError, tomllib.TOMLDecodeError, TypeError, ValidationError) as exc:
        msg = f"{path.name}: cannot be read; `homeport policy lint` says where it is wrong"
        raise SetupError(msg) from exc
    owner: dict[str, str] = {}
    for region in regions.values():
        for code in region.jurisdictions:
            if owner.setdefault(code, region.id) != region.id:
                msg = f"{path.name}: {code} is mapped to {owner[code]} and {region.id}"
                raise SetupError(msg)
    return regions


def region_of(
    country: str, subdivision: str | None, regions: Iterable[Region]
) -> tuple[str, str] | None:
    """Return (jurisdiction, region id) that serve a residence, or None if none does.

    Args:
        country: ISO 3166-1 alpha-2, upper case.
        subdivision: The part after the dash of ISO 3166-2, such as ``CA``, or None.
        regions: The regions to search.

    """
    codes = ([f"{country}-{subdivision}"] if subdivision else []) + [country]
    for code in codes:
        for region in regions:
            if code in region.jurisdictions:
                return code, region.id
    return None
