"""Who may look into a region's vault: registered callers, each with a role and a bearer token.

A caller is a desk, a team or a tool. Its token is shown once, when it is made; the region keeps
the SHA-256, which is as good as the token only to who can make one of 256 random bits.
"""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Self

from residency.keyfiles import alone, load_or_create, replace_file
from residency.ledger.accesses import CALLER, OPERATOR
from residency.vault.access import OPERATOR_ROLE, Role, load_roles
from residency.vault.looking import Refused, RefusedError
from schemas.errors import SetupError

FOLDER: Final = "lookup"  # in a region's folder
FILE: Final = "callers.json"
TOKEN_BYTES: Final = 32
PREFIX: Final = "hpc_"  # so that scanners for secrets find a token where it does not belong


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may look.

    Attributes:
        name: Stands in ledger leaves.
        role: Id of a row in ``access.toml``.
        added_at: When, UTC, as RFC 3339 writes it.

    """

    name: str
    role: str
    added_at: str = ""

    @classmethod
    def operator(cls) -> Self:
        """Return whoever runs a command in the region's home."""
        return cls(OPERATOR, OPERATOR_ROLE)

    def may(self) -> Role:
        """Return what the caller's role may do.

        Raises:
            RefusedError: ``access.toml`` has no such role any more.

        """
        role = load_roles().get(self.role)
        if role is None:
            msg = f"role {self.role} is not in access.toml any more: register the caller again"
            raise RefusedError(Refused.CALLER, msg)
        return role


class Callers:
    """The callers of one region, in a 0600 file that is read at each use."""

    def __init__(self, region_folder: Path) -> None:
        """Take the region's folder."""
        self._path = region_folder / FOLDER / FILE

    def all(self) -> tuple[Caller, ...]:
        """Return the callers by name."""
        rows = self._rows().values()
        return tuple(sorted((_caller(row) for row in rows), key=lambda one: one.name))

    def by_token(self, token: str) -> Caller:
        """Return whose token it is.

        Raises:
            RefusedError: Nobody's.

        """
        row = self._rows().get(_digest(token))
        if row is None:
            raise RefusedError(Refused.CALLER, "no caller has this token")
        return _caller(row)

    def add(self, name: str, role: str, now: datetime) -> str:
        """Register a caller and return its token, which nobody can see again.

        Raises:
            SetupError: The name is not of the form, or taken; or there is no such role.

        """
        if name == OPERATOR or not CALLER.fullmatch(name):
            msg = "a caller is a desk, a team or a tool, such as desk-returns; never a person"
            raise SetupError(msg)
        if role not in load_roles():
            msg = f"no role {role!r} in access.toml; have {', '.join(load_roles())}"
            raise SetupError(msg)
        self._rows()
        with alone(self._path):
            rows = self._rows()
            if any(row["name"] == name for row in rows.values()):
                msg = f"{name} is registered already; remove it first to give it a new token"
                raise SetupError(msg)
            token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
            caller = Caller(name, role, now.astimezone(UTC).isoformat(timespec="seconds"))
            replace_file(self._path, {"callers": {**rows, _digest(token): asdict(caller)}})
        return token

    def remove(self, name: str) -> bool:
        """Let a caller look no more, from the next look-up on; return whether there was one."""
        self._rows()
        with alone(self._path):
            rows = self._rows()
            rest = {key: row for key, row in rows.items() if row["name"] != name}
            replace_file(self._path, {"callers": rest})
        return len(rest) < len(rows)

    def _rows(self) -> Mapping[str, Any]:
        """Return the callers' rows by the SHA-256 of their tokens.

        Raises:
            SetupError: Others can read the file, or it is none of ours.

        """
        try:
            raw = load_or_create(self._path, lambda: {"callers": {}})
            rows: Mapping[str, Any] = raw["callers"]
            for row in rows.values():
                _caller(row)
        except (KeyError, TypeError, AttributeError, ValueError):
            msg = f"{self._path}: no list of callers; restore it, or remove it and register anew"
            raise SetupError(msg) from None
        return rows


def _caller(row: Mapping[str, Any]) -> Caller:
    return Caller(**row)


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
