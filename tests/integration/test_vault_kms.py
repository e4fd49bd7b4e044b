"""The vault's keys behind a KMS that is not ours: moto's server answers as AWS's API does."""

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.kms import KEK_FILE, KmsConfig, KmsKeyStore
from residency.vault.keyring import Keyring
from schemas.errors import RetriableError, SetupError
from streams.settings import VaultConfig
from streams.vault.keystores import open_keystore

START_S = 60
SUBJECT = b"s" * 16


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def kms() -> Iterator[KmsConfig]:
    """Make a key in a KMS; yield how to reach it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    names = {f"AWS_{name}": "testing" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}
    with (
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(command, stdout=quiet, stderr=quiet) as server,
    ):
        for name, value in names.items():
            patch.setenv(name, value)
        try:
            config = KmsConfig("", "eu-central-1", f"http://127.0.0.1:{port}")
            yield replace(config, key_id=new_key(config))
        finally:
            server.terminate()


def new_key(config: KmsConfig) -> str:
    deadline = time.monotonic() + START_S
    while True:
        try:
            answer: dict[str, Any] = client(config).create_key()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            key: str = answer["KeyMetadata"]["KeyId"]
            return key


def client(config: KmsConfig) -> Any:
    import boto3  # noqa: PLC0415 - only here

    return boto3.client("kms", region_name=config.aws_region, endpoint_url=config.endpoint)


def opens(keyring: Keyring, version: int, wrapped: bytes) -> bool:
    return keyring.unwrap(SUBJECT, version, wrapped) == b"k" * 32


def test_the_file_alone_opens_nothing_and_the_kms_opens_it_again(
    kms: KmsConfig, tmp_path: Path
) -> None:
    first = KmsKeyStore(tmp_path, "eu", kms).load()

    again = KmsKeyStore(tmp_path, "eu", kms).load()

    version, wrapped = first.wrap(SUBJECT, b"k" * 32)
    assert opens(again, version, wrapped)
    file = tmp_path / KEK_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert first.current.key.hex() not in file.read_text()
    assert not {*tmp_path.iterdir()} - {file}


def test_a_rotation_adds_a_version_and_retiring_takes_the_old_one_away(
    kms: KmsConfig, tmp_path: Path
) -> None:
    store = KmsKeyStore(tmp_path, "eu", kms)
    version, wrapped = store.load().wrap(SUBJECT, b"k" * 32)

    added = store.add()

    assert [kek.version for kek in added.keks] == [1, 2]
    assert opens(KmsKeyStore(tmp_path, "eu", kms).load(), version, wrapped)
    assert [kek.version for kek in store.retire(1).keks] == [2]
    assert [kek.version for kek in store.load().keks] == [2]
    with pytest.raises(SetupError, match="current key"):
        store.retire(2)


def test_another_regions_file_or_version_does_not_open(kms: KmsConfig, tmp_path: Path) -> None:
    KmsKeyStore(tmp_path, "eu", kms).load()

    with pytest.raises(SetupError, match="InvalidCiphertextException"):
        KmsKeyStore(tmp_path, "uk", kms).load()

    file = tmp_path / KEK_FILE
    file.write_text(file.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(SetupError, match="InvalidCiphertextException"):
        KmsKeyStore(tmp_path, "eu", kms).load()


def test_a_kms_that_is_away_is_waited_for_and_a_key_that_is_gone_is_told(
    kms: KmsConfig, tmp_path: Path
) -> None:
    KmsKeyStore(tmp_path, "eu", kms).load()
    away = replace(kms, endpoint=f"http://127.0.0.1:{free_port()}")

    with pytest.raises(RetriableError, match="EndpointConnectionError"):
        KmsKeyStore(tmp_path, "eu", away).load()

    other = replace(kms, key_id="00000000-0000-4000-8000-000000000000")
    with pytest.raises(SetupError, match="NotFoundException"):
        KmsKeyStore(tmp_path / "new", "eu", other).load()


def test_settings_choose_the_store(kms: KmsConfig, tmp_path: Path) -> None:
    class Told:
        folder, region, vault = tmp_path, "eu", VaultConfig(kms)

    open_keystore(Told).load()  # type: ignore[arg-type]

    assert [path.name for path in (tmp_path / "keys").iterdir()] == [KEK_FILE]
    assert "AWS_ACCESS_KEY_ID" in os.environ
