"""The reviewed list of approved plans, as egress reads it: by digest, what a person let it do."""

import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from schemas.errors import SetupError

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PLAN_KEYS: Final = frozenset({"region", "digest", "subject", "schema_id"})
_NOT_AFTER: Final = "not_after"  # a day; absent if the plan rests on nothing that ends
_HARD: Final = "hard_deletes"  # objects; absent if the plan deletes none for good
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")


def load_approved(file: Path, region: str) -> dict[str, date | None]:
    """Return the digests that *file* approves for *region* and each one's last day, if any.

    The file has ``[[plan]]`` rows of ``region``, ``digest``, ``subject``, ``schema_id`` and,
    where something it rests on ends, ``not_after``; for ``hard_deletes`` see `load_hard_deletes`.

    Raises:
        SetupError: It is missing, is not TOML, or has a row of another shape.

    """
    return {row["digest"]: row.get(_NOT_AFTER) for row in _rows(file) if row["region"] == region}


def load_hard_deletes(file: Path, region: str) -> frozenset[tuple[str, str]]:
    """Return (digest, object) of the rows that *region*'s plans delete for good, in *file*.

    All others are deleted softly: they lie in the org's recycle bin for a while.

    Raises:
        SetupError: As `load_approved`.

    """
    rows = (row for row in _rows(file) if row["region"] == region)
    return frozenset((row["digest"], name) for row in rows for name in row.get(_HARD, ()))


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{file.name}: cannot be read as TOML; without it no plan is approved"
        raise SetupError(msg) from error
    rows = document.pop("plan", [])
    if document or not isinstance(rows, list):
        msg = f"{file.name}: has more than [[plan]] rows"
        raise SetupError(msg)
    for number, row in enumerate(rows, 1):
        if not _is_approval(row):
            msg = (
                f"{file.name}: plan {number}: give region, digest (64 hex), subject, schema_id,"
                " if it ends, the day not_after, and, if it deletes for good, the objects"
                " hard_deletes"
            )
            raise SetupError(msg)
    return rows


def _is_approval(row: Mapping[str, Any]) -> bool:
    day, names = row.get(_NOT_AFTER), row.get(_HARD, [])
    is_day = day is None or (isinstance(day, date) and not isinstance(day, datetime))
    is_hard = isinstance(names, list) and all(
        isinstance(name, str) and _NAME.fullmatch(name) for name in names
    )
    keys_fit = row.keys() - {_NOT_AFTER, _HARD} == _PLAN_KEYS
    return keys_fit and bool(_DIGEST.fullmatch(str(row["digest"]))) and is_day and is_hard
