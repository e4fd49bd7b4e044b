"""The embedded key store: one 0600 file per purpose, made on first use and kept.

A process opens only the purposes it needs (promise 6): the border opens ``tokens`` and
``quarantine``, the gateway ``partition``, egress ``ledger``, ``commitments``, ``expected`` and
``quarantine-egress``, a replay ``tokens``, ``commitments``, ``ledger-public`` and ``replay``, the
vault's writer ``tokens``, ``vault-index`` and what opens subjects' keys (docs/vault-keys.md). A
gateway that seals raw records holds that too, and so does who reads them (docs/raw-sealing.md).
"""

import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from residency.keyfiles import alone, load_or_create, replace_file
from residency.ledger.note import Signer, Verifier
from schemas.errors import HaltError, SetupError

KEY_BYTES = 32
TOKENS_FILE = "tokens.json"
PUBLIC_FILE = "ledger-public.json"
COMMITMENTS = "commitments"  # the purpose of the root that the months' keys are derived from
MAX_VERSION = 9_999  # the gate's grammars allow four digits in a token


@dataclass(frozen=True, slots=True)
class AttributeKey:
    """One version of the root that attribute tokens come from.

    Attributes:
        version: From 1; tokens and ledger leaves name it.
        root: 32 bytes.
        valid_from: When it became the current one, UTC; None for the first.
        overlap_until: Until when people may still look its tokens up, UTC; None while it
            is the current one.

    """

    version: int
    root: bytes = field(repr=False)
    valid_from: datetime | None = None
    overlap_until: datetime | None = None

    def overlaps(self, now: datetime) -> bool:
        """Say whether the org may still hold tokens of it that nobody has renewed."""
        return self.overlap_until is None or now <= self.overlap_until


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The roots from which a region's token keys are derived.

    Attributes:
        identity: 32 bytes; external ids and joins. Scheduled rotation leaves it alone.
        attribute: 32 bytes; everything else that is tokenised.
        older: Versions of the attribute root before the current one, oldest first.
        valid_from: When the current one became so, UTC; None for the first.

    """

    region: str
    identity: bytes = field(repr=False)
    attribute: bytes = field(repr=False)
    identity_version: int = 1
    attribute_version: int = 1
    older: tuple[AttributeKey, ...] = ()
    valid_from: datetime | None = None

    @property
    def versions(self) -> tuple[AttributeKey, ...]:
        """Return all versions of the attribute root, the current one last."""
        return (*self.older, AttributeKey(self.attribute_version, self.attribute, self.valid_from))

    def at(self, key: AttributeKey) -> "TokenKeys":
        """Return the keys with another version of the attribute root in force."""
        return replace(
            self,
            attribute=key.root,
            attribute_version=key.version,
            older=(),
            valid_from=key.valid_from,
        )


@dataclass(frozen=True, slots=True)
class LedgerKeys:
    """What signs and commits in a region's ledger.

    Attributes:
        origin: The ledger's name, also its key's name.
        seed: 32 bytes, Ed25519 private key.
        root: 32 bytes; the months' commitment keys are derived from it.

    """

    origin: str
    seed: bytes = field(repr=False)
    root: bytes = field(repr=False)


def token_keys(folder: Path, region: str) -> TokenKeys:
    """Return the token keys in *folder*, making them on first use.

    Raises:
        SetupError: Others can read the file, or it is no keyring.

    """
    path = folder / TOKENS_FILE
    identity, attribute = ({"version": 1, "key": _fresh()} for _ in range(2))
    fresh = {"identity": identity, "attribute": [attribute]}
    try:
        raw = load_or_create(path, lambda: fresh)
        identity = raw["identity"]
        *older, current = [_attribute(row) for row in raw["attribute"]]
        return TokenKeys(
            region,
            bytes.fromhex(identity["key"]),
            current.root,
            identity["version"],
            current.version,
            tuple(older),
            current.valid_from,
        )
    except (KeyError, TypeError, ValueError):
        msg = f"{path}: no token keyring; restore it, for without it no row is found again"
        raise SetupError(msg) from None


def rotate(folder: Path, region: str, now: datetime, overlap: timedelta) -> TokenKeys:
    """Add a version of the attribute root, current from *now* on, and return the keys.

    The identity root stays. The version before can be looked up until the overlap ends
    and stays in the file after that, for replays.

    Args:
        folder: Holds the keyring; it must be there already.
        region: Whose it is.
        now: UTC.
        overlap: How long both versions are in use.

    Raises:
        SetupError: There is no keyring yet, or no version is left.

    """
    path = folder / TOKENS_FILE
    if not path.exists():
        msg = f"{path}: no keys to rotate yet; the first border or dry-run makes them"
        raise SetupError(msg)
    with alone(path):
        keys = token_keys(folder, region)
        if keys.attribute_version >= MAX_VERSION:
            msg = f"{path}: version {MAX_VERSION} is the last that the gate's grammar allows"
            raise SetupError(msg)
        *older, current = keys.versions
        retired = replace(current, overlap_until=now + overlap)
        fresh = AttributeKey(current.version + 1, secrets.token_bytes(KEY_BYTES), now)
        identity = {"version": keys.identity_version, "key": keys.identity.hex()}
        rows = [_row(key) for key in (*older, retired, fresh)]
        replace_file(path, {"identity": identity, "attribute": rows})
    return token_keys(folder, region)


def _attribute(row: dict[str, Any]) -> AttributeKey:
    version, root = int(row["version"]), bytes.fromhex(row["key"])
    times = [row.get(name) for name in ("valid_from", "overlap_until")]
    since, until = (None if at is None else datetime.fromisoformat(at) for at in times)
    return AttributeKey(version, root, since, until)


def _row(key: AttributeKey) -> dict[str, Any]:
    row: dict[str, Any] = {"version": key.version, "key": key.root.hex()}
    for name, at in (("valid_from", key.valid_from), ("overlap_until", key.overlap_until)):
        if at is not None:
            row[name] = at.isoformat(timespec="seconds")
    return row


def ledger_keys(folder: Path, region: str) -> LedgerKeys:
    """Return the ledger keys in *folder*, making them on first use.

    The commitment root and the public key lie in files of their own, so that who checks a ledger
    need not open the one with the seed.
    """
    raw = load_or_create(
        folder / "ledger.json",
        lambda: {"origin": f"ledger.{region}.homeport.example/transfers", "seed": _fresh()},
    )
    origin, seed = raw["origin"], bytes.fromhex(raw["seed"])
    load_or_create(folder / PUBLIC_FILE, lambda: {"vkey": str(Signer(origin, seed).verifier)})
    return LedgerKeys(origin, seed, secret(folder, COMMITMENTS))


def ledger_verifier(folder: Path) -> Verifier:
    """Return the ledger's public key, as whoever made the key wrote it down in *folder*.

    Raises:
        SetupError: It is not there, or is none.

    """
    path = folder / PUBLIC_FILE
    try:
        return Verifier.parse(json.loads(path.read_text(encoding="utf-8"))["vkey"])
    except (OSError, KeyError, TypeError, ValueError, HaltError):
        msg = f"{path}: no ledger's public key; egress writes it at its start"
        raise SetupError(msg) from None


def secret(folder: Path, purpose: str) -> bytes:
    """Return the 32-byte key for one *purpose* (``partition``, ``expected``)."""
    raw = load_or_create(folder / f"{purpose}.json", lambda: {"key": _fresh()})
    return bytes.fromhex(raw["key"])


def derive(root: bytes, *label: str) -> bytes:
    """Return the 32-byte key for a *label*: two labels give unrelated keys.

    Source: HKDF-SHA256, RFC 5869; the label parts are joined by U+001F.
    """
    info = "\x1f".join(("homeport", *label)).encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(root)


def _fresh() -> str:
    return secrets.token_hex(KEY_BYTES)
