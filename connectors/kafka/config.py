"""How one service connects to its region's Kafka."""

from dataclasses import dataclass, field
from typing import Any

# What a producer may send, headers included: a little above our own limit on values, a little
# below the broker's 1 MiB and 12 bytes.
MAX_MESSAGE_BYTES = 1_040_000


@dataclass(frozen=True, slots=True)
class KafkaConfig:
    """Address and credentials of one principal.

    Attributes:
        bootstrap: ``host:port``, several by comma.
        ca_file: Given: SASL_SSL, checked against it. Absent: SASL_PLAINTEXT, which only
            the embedded stack on loopback uses.

    """

    bootstrap: str
    username: str
    password: str = field(repr=False)
    ca_file: str | None = None

    def librdkafka(self, **extra: Any) -> dict[str, Any]:  # noqa: ANN401, librdkafka's own
        """Return librdkafka's configuration, with *extra* keys as `dotted` writes them."""
        tls = {"ssl.ca.location": self.ca_file} if self.ca_file else {}
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_SSL" if self.ca_file else "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": self.username,
            "sasl.password": self.password,
            **tls,
            **dotted(**extra),
        }


def dotted(**extra: Any) -> dict[str, Any]:  # noqa: ANN401, librdkafka's own
    """Return librdkafka's keys: ``_`` stands for a dot, but in ``log_level`` and ``..._cb``."""
    return {
        name if name.endswith("_cb") or name == "log_level" else name.replace("_", "."): value
        for name, value in extra.items()
    }
