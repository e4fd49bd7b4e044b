"""What a replay takes from the vault where the topic's copy opens for nobody."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from connectors.kafka.config import KafkaConfig
from residency.replay.books import Place
from residency.vault.rawseal import RawSeal
from schemas.events import RawBatch
from streams.replay.archive import Archive
from streams.settings import PostgresConfig, ReplaySettings

PLACE = Place("eu.commerce.orders.v1", 2, "dG9waWM", 1)
SEALED = RawSeal(bytes(16), bytes(32)).close(PLACE.topic, b"of before")


class Vault:
    """Stands for the vault's reader: it has one record."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []

    def record(self, *at: Any) -> SimpleNamespace | None:
        self.asked.append(at)
        return SimpleNamespace(value=b"kept") if at[2] == 8 else None


def test_a_record_that_stays_sealed_is_taken_from_the_archive_if_it_is_there(
    tmp_path: Path,
) -> None:
    settings = ReplaySettings(
        "eu", tmp_path, KafkaConfig("127.0.0.1:1", "replay", "x"), PostgresConfig("host=nowhere")
    )
    archive, vault = Archive(settings), Vault()
    archive._reader = vault  # type: ignore[assignment]  # noqa: SLF001
    values = [b"plain", SEALED, SEALED]
    raw = RawBatch([PLACE.topic] * 3, [2] * 3, [7, 8, 9], values, [bytes(16)] * 3)
    plain = raw.part([0])

    found = archive.instead(PLACE, raw)

    assert found.values == [b"plain", b"kept", SEALED]
    assert vault.asked == [("dG9waWM", 2, 8), ("dG9waWM", 2, 9)]
    assert archive.instead(PLACE, plain) is plain
