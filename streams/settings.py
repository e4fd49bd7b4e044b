"""What one service process may know: read once from its own 0600 file, passed down."""

import json
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from connectors.kafka.config import KafkaConfig
from connectors.kms import KmsConfig
from connectors.salesforce.config import SalesforceConfig
from connectors.webhook import WebhookConfig
from inference.config import InferenceConfig, ServerConfig
from schemas.errors import SetupError
from streams.backlog import BatchPolicy
from streams.limit import LimitPolicy

T = TypeVar("T")
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class PostgresConfig:
    """A connection string with the service's own role."""

    dsn: str = field(repr=False)


@dataclass(frozen=True, config=_STRICT)
class VaultConfig:
    """Where the vault's key-encryption keys lie: in a file, or in one that a KMS opens."""

    kms: KmsConfig | None = None


def database(known: PostgresConfig | None, who: str) -> str:
    """Return the connection string of *who*.

    Raises:
        SetupError: Their settings have none.

    """
    if known is None:
        msg = f"{who}: no postgres in its settings; run `homeport up` to write them again"
        raise SetupError(msg)
    return known.dsn


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """One service of one region.

    Attributes:
        health_port: The worker's health page, on loopback; admin has none.
        http_port: The gateway's public port, or the look-up's.
        http_host: The address it listens on: loopback, except in a container of its own.
        slot: Which of several workers of this service; each has its own from 0.
        gateways: Public gateway URLs by region; the gateway alone knows them.
        seal_raw: Whether the gateway seals events under their subjects' keys: raw topics then
            hold no plaintext. See docs/raw-sealing.md.
        inference: The region's model server; enrich alone knows it.
        quarantine_limit: How much quarantine stops border and egress.
        egress_batch: How many records egress settles together.
        parked_alarm_s: How long a record may be parked before egress raises an alert.
        webhook: Whom to tell that egress is halted; egress alone knows it.
        vault: Where its keys lie; only who opens sealed events reads it.

    """

    region: str
    service: str
    home: Path
    kafka: KafkaConfig
    health_port: int | None = None
    slot: int = 0
    postgres: PostgresConfig | None = None
    salesforce: SalesforceConfig | None = None
    http_port: int | None = None
    http_host: str = "127.0.0.1"
    gateways: Mapping[str, str] | None = None
    seal_raw: bool = False
    inference: InferenceConfig | None = None
    quarantine_limit: LimitPolicy = field(default_factory=LimitPolicy)
    egress_batch: BatchPolicy = field(default_factory=BatchPolicy)
    parked_alarm_s: float = 3_600.0
    webhook: WebhookConfig | None = None
    vault: VaultConfig = field(default_factory=VaultConfig)

    @property
    def folder(self) -> Path:
        """The region's folder in the home."""
        return self.home / self.region


@dataclass(frozen=True, config=_STRICT)
class ReconcileSettings:
    """What reconciliation may know: no address of Kafka, no key of tokens or commitments.

    Attributes:
        postgres: By a role that reads egress's tables.
        salesforce: As a user that reads all rows and fields of our objects, and writes none.
        sinks: Names of the users that the region writes as.

    """

    region: str
    home: Path
    postgres: PostgresConfig
    salesforce: SalesforceConfig
    sinks: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """The region's folder in the home."""
        return self.home / self.region


@dataclass(frozen=True, config=_STRICT)
class ReplaySettings:
    """What a replay or a resend may know: no org, no address of another service.

    Attributes:
        kafka: With a principal of its own, whose rights `residency.topics` has.
        postgres: With a role that reads the decisions about texts and the archive (a replay's),
            or who is suppressed (a resend's).
        vault: Where the keys of the archive lie.

    """

    region: str
    home: Path
    kafka: KafkaConfig
    postgres: PostgresConfig | None = None
    vault: VaultConfig = field(default_factory=VaultConfig)

    @classmethod
    def of(cls, service: Settings) -> "ReplaySettings":
        """Return what of a service's own settings a replay needs."""
        return cls(service.region, service.home, service.kafka, service.postgres, service.vault)

    @property
    def folder(self) -> Path:
        """The region's folder in the home."""
        return self.home / self.region


def load_replay(home: Path, region: str, tool: str = "replay") -> ReplaySettings:
    """Return the settings of a region's replay, or of its resend.

    Raises:
        SetupError: The file is missing, readable by others, or has a key we do not know.

    """
    path = _must_exist(home / region / "services" / f"{tool}.json")
    return _checked(path, ReplaySettings, lambda raw: raw, "run `homeport up` to write it again")


def load_reconcile(home: Path, region: str, path: Path | None = None) -> ReconcileSettings:
    """Return the settings of a region's reconciliation, from *path* if given.

    Raises:
        SetupError: The file is missing, readable by others, or has a key we do not know.

    """
    path = path or home / region / "services" / "reconcile.json"
    return _checked(path, ReconcileSettings, lambda raw: raw, "see docs/reconcile.md")


def load_settings(home: Path, region: str, service: str) -> Settings:
    """Return the settings of one service.

    Raises:
        SetupError: The file is missing, readable by others, or has a key we do not know.

    """
    path = _must_exist(home / region / "services" / f"{service}.json")
    return _checked(path, Settings, lambda raw: raw, "run `homeport up` to write it again")


def load_server(home: Path, region: str) -> ServerConfig:
    """Return what the supervisor of a region's model server may know.

    Raises:
        SetupError: The file is missing, readable by others, or has a key we do not know.

    """
    path = home / region / "services" / "inference.json"
    return _checked(path, ServerConfig, lambda raw: raw, "see docs/inference.md")


def load_org(path: Path) -> SalesforceConfig:
    """Return the way into an org that a file holds, alone or as ``salesforce`` of a service's.

    Raises:
        SetupError: The file is missing, readable by others, or has a key we do not know.

    """

    def way_in(raw: Any) -> Any:  # noqa: ANN401, JSON
        return raw.get("salesforce", raw) if isinstance(raw, dict) else raw

    return _checked(path, SalesforceConfig, way_in, "see docs/salesforce-org.md")


def _must_exist(path: Path) -> Path:
    if not path.exists():
        msg = f"{path}: missing; run `homeport up` first"
        raise SetupError(msg)
    return path


def _checked(path: Path, kind: type[T], part: Callable[[Any], Any], step: str) -> T:
    """Return *part* of a file of credentials as a *kind*; *step* mends a file that is none."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if path.stat().st_mode & 0o077:
            msg = f"{path}: others can read these credentials; run `chmod 600` on it"
            raise SetupError(msg)
        return TypeAdapter(kind).validate_python(part(raw))
    except OSError as exc:
        msg = f"{path}: cannot be read ({type(exc).__name__}); {step}"
        raise SetupError(msg) from exc
    except ValidationError as exc:
        faults = "; ".join(map(_fault, exc.errors()))
        msg = f"{path}: {faults}; mend that, or {step}"
        raise SetupError(msg) from None  # the cause quotes what it refused
    except ValueError:
        msg = f"{path}: not JSON; {step}"
        raise SetupError(msg) from None


def _fault(error: ErrorDetails) -> str:
    """Return which key is wrong, if it is one alone, and what of it."""
    key = ".".join(map(str, error["loc"]))
    text = error["msg"].removeprefix("Value error, ")
    return f"{key}: {text}" if key else text
