"""The vault's key-encryption keys behind AWS KMS: a file holds them, encrypted by a key of KMS.

One call of KMS per version and process start. Each is bound to its region and version by the
encryption context, which KMS writes to its own log. Wrapping a customer's key needs no call.

Source: AWS KMS Developer Guide, "Data keys" and "Encryption context"; API Reference,
GenerateDataKey and Decrypt.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from residency.keyfiles import alone, load_or_create, replace_file
from residency.vault.keyring import Kek, Keyring, without
from schemas.errors import RetriableError, SetupError

T = TypeVar("T")

KEK_FILE: Final = "vault-kek-kms.json"
CONNECT_S, READ_S, TRIES = 5, 10, 3
# What trying again does not mend. Source: Common Errors, and those of the two calls.
_FINAL: Final = frozenset(
    {
        *("AccessDeniedException", "NotFoundException", "DisabledException"),
        *("InvalidCiphertextException", "IncorrectKeyException", "InvalidKeyUsageException"),
        *("KMSInvalidStateException", "UnrecognizedClientException", "ValidationException"),
        *("InvalidSignatureException", "ExpiredTokenException", "MissingAuthenticationToken"),
    }
)


@dataclass(frozen=True, slots=True)
class KmsConfig:
    """Which key of KMS. Credentials come from where AWS's own tools find them.

    Attributes:
        key_id: Its id, ARN or alias.
        aws_region: Where it lies: in the region's own jurisdiction.
        endpoint: Of an endpoint of one's own in the network; None: AWS's.

    """

    key_id: str
    aws_region: str
    endpoint: str | None = None


class KmsKeyStore:
    """Keys in ``vault-kek-kms.json`` of a folder, which KMS alone opens: a `KeyStore`."""

    def __init__(self, folder: Path, region: str, config: KmsConfig) -> None:
        """Take the folder of the region's keys; calls nobody yet.

        Raises:
            SetupError: boto3 is not installed.

        """
        self._path = folder / KEK_FILE
        self._region = region
        self._config = config
        self._client = _client(config)

    def load(self) -> Keyring:
        """See `KeyStore.load`."""
        try:
            raw = load_or_create(self._path, lambda: {"keks": [self._row(*self._make(1))]})
            return Keyring([self._open(row) for row in raw["keks"]])
        except (KeyError, TypeError, ValueError):
            msg = f"{self._path}: no keyring of the vault; restore it, or no sealed event opens"
            raise SetupError(msg) from None

    def add(self) -> Keyring:
        """See `KeyStore.add`."""
        self.load()
        with alone(self._path):
            keyring, rows = self.load(), self._rows()
            kek, wrapped = self._make(keyring.current.version + 1)
            replace_file(self._path, {"keks": [*rows, self._row(kek, wrapped)]})
            return Keyring([*keyring.keks, kek])

    def retire(self, version: int) -> Keyring:
        """See `KeyStore.retire`."""
        with alone(self._path):
            keyring = without(self.load(), version)
            rows = [row for row in self._rows() if row["version"] != version]
            replace_file(self._path, {"keks": rows})
            return keyring

    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = load_or_create(self._path, dict)["keks"]
        return rows

    def _make(self, version: int) -> tuple[Kek, bytes]:
        """Return a new key, and the same encrypted by KMS."""
        made = self._call(
            self._client.generate_data_key,
            KeyId=self._config.key_id,
            KeySpec="AES_256",
            EncryptionContext=self._context(version),
        )
        return Kek(version, made["Plaintext"]), made["CiphertextBlob"]

    def _open(self, row: Mapping[str, Any]) -> Kek:
        version = int(row["version"])
        opened = self._call(
            self._client.decrypt,
            KeyId=self._config.key_id,
            CiphertextBlob=base64.b64decode(row["wrapped"], validate=True),
            EncryptionContext=self._context(version),
        )
        return Kek(version, opened["Plaintext"])

    def _context(self, version: int) -> dict[str, str]:
        return {"purpose": "homeport-vault", "region": self._region, "version": str(version)}

    @staticmethod
    def _row(kek: Kek, wrapped: bytes) -> dict[str, Any]:
        return {"version": kek.version, "wrapped": base64.b64encode(wrapped).decode()}

    def _call(self, call: Callable[..., T], **arguments: Any) -> T:  # noqa: ANN401, AWS's own
        """Return KMS's answer; its errors by their code, their texts name keys and accounts."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as `_client`

        try:
            return call(**arguments)
        except ClientError as exc:
            code = str(exc.response.get("Error", {}).get("Code", "unknown"))
            msg = f"KMS: {code} at the key of the vault of {self._region}"
            if code in _FINAL:
                msg += f"; see its policy, and whether {KEK_FILE} is this region's"
                raise SetupError(msg) from None
            raise RetriableError(msg) from None
        except BotoCoreError as exc:
            msg = f"KMS does not answer ({type(exc).__name__}); see the network and credentials"
            raise RetriableError(msg) from None


def _client(config: KmsConfig) -> Any:  # noqa: ANN401, boto3 has no types
    """Return boto3's client of KMS; imported on use: only who has a KMS installs it."""
    try:
        import boto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
    except ImportError as exc:
        msg = "the vault's settings name a KMS and boto3 is missing; install requirements-kms.lock"
        raise SetupError(msg) from exc
    limits = Config(
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"max_attempts": TRIES, "mode": "standard"},
    )
    return boto3.client(
        "kms", region_name=config.aws_region, endpoint_url=config.endpoint, config=limits
    )
