"""The embedded key store: one 0600 file per purpose, made on first use and kept.

A process opens only the purposes it needs (promise 6): the border opens ``tokens`` and
``quarantine``, the gateway ``partition``, egress ``ledger``, ``expected`` and
``quarantine-egress``. In production a KMS stands behind the same three functions.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.errors import SetupError

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """The roots from which a region's token keys are derived.

    Attributes:
        identity: 32 bytes; external ids and joins. Scheduled rotation leaves it alone.
        attribute: 32 bytes; everything else that is tokenised.

    """

    region: str
    identity: bytes = field(repr=False)
    attribute: bytes = field(repr=False)
    identity_version: int = 1
    attribute_version: int = 1


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
    """Return the token keys in *folder*, making them on first use."""
    raw = _load_or_create(
        folder / "tokens.json", lambda: {"identity": _fresh(), "attribute": _fresh()}
    )
    return TokenKeys(region, bytes.fromhex(raw["identity"]), bytes.fromhex(raw["attribute"]))


def ledger_keys(folder: Path, region: str) -> LedgerKeys:
    """Return the ledger keys in *folder*, making them on first use."""
    raw = _load_or_create(
        folder / "ledger.json",
        lambda: {
            "origin": f"ledger.{region}.homeport.example/transfers",
            "seed": _fresh(),
            "root": _fresh(),
        },
    )
    return LedgerKeys(raw["origin"], bytes.fromhex(raw["seed"]), bytes.fromhex(raw["root"]))


def secret(folder: Path, purpose: str) -> bytes:
    """Return the 32-byte key for one *purpose* (``partition``, ``expected``)."""
    raw = _load_or_create(folder / f"{purpose}.json", lambda: {"key": _fresh()})
    return bytes.fromhex(raw["key"])


def derive(root: bytes, *label: str) -> bytes:
    """Return the 32-byte key for a *label*: two labels give unrelated keys.

    Source: HKDF-SHA256, RFC 5869; the label parts are joined by U+001F.
    """
    info = "\x1f".join(("homeport", *label)).encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(root)


def _fresh() -> str:
    return secrets.token_hex(KEY_BYTES)


def _load_or_create(path: Path, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(make()), encoding="utf-8")
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # atomic, and the first of two writers wins
        draft.unlink()
    if path.stat().st_mode & 0o077:
        msg = f"{path}: others can read this key file; run `chmod 600` on it"
        raise SetupError(msg)
    raw: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return raw
