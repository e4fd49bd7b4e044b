"""Certificates: made once, private, bound to this machine, renewed in time, never mismatched."""

import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from connectors.embedded import pki
from connectors.sandbox.logins.apps import read_apps


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_everything_is_stable_over_calls(tmp_path: Path) -> None:
    def make() -> tuple[bytes, bytes, pki.App]:
        ca = pki.ensure_ca(tmp_path).read_bytes()
        leaf = pki.ensure_server_certificate(tmp_path)[0].read_bytes()
        return ca, leaf, pki.ensure_app(tmp_path, "eu")

    assert make() == make()


def test_two_at_once_make_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        apps = list(pool.map(lambda _: pki.ensure_app(tmp_path, "eu"), range(8)))

    assert len(set(apps)) == 1


def test_only_the_owner_reads_anything(tmp_path: Path) -> None:
    home = tmp_path / "home"
    pki.ensure_server_certificate(home)
    pki.write_apps(home, [pki.ensure_app(home, "eu")])

    for path in (home, *home.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_the_ca_vouches_for_this_machine_only(tmp_path: Path) -> None:
    ca = certificate(pki.ensure_ca(tmp_path))

    permitted = ca.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    assert [str(name.value) for name in permitted or ()] == ["127.0.0.0/8", "localhost"]
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_server_certificate_names_the_loopback_and_chains_to_the_ca(tmp_path: Path) -> None:
    cert_file, key_file = pki.ensure_server_certificate(tmp_path)
    leaf, ca = certificate(cert_file), certificate(pki.ensure_ca(tmp_path))

    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    leaf.verify_directly_issued_by(ca)
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file)


def test_a_leaf_near_its_end_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as short:
        short.setattr(pki, "SERVER_LIFE", timedelta(days=29))
        old = pki.ensure_server_certificate(tmp_path)[0].read_bytes()

    new_file, _ = pki.ensure_server_certificate(tmp_path)

    assert new_file.read_bytes() != old
    assert certificate(new_file).not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)


def test_a_new_ca_means_a_new_leaf(tmp_path: Path) -> None:
    old = pki.ensure_server_certificate(tmp_path)[0].read_bytes()
    (tmp_path / "ca/ca.pem").unlink()

    new_file, _ = pki.ensure_server_certificate(tmp_path)

    assert new_file.read_bytes() != old
    certificate(new_file).verify_directly_issued_by(certificate(pki.ensure_ca(tmp_path)))


@pytest.mark.parametrize("key", ["sandbox/server.key", "ca/ca.key"])
def test_a_key_without_its_certificate_is_mended(tmp_path: Path, key: str) -> None:
    pki.ensure_server_certificate(tmp_path)
    other = tmp_path / "other"
    pki.ensure_server_certificate(other)
    (tmp_path / key).write_bytes((other / key).read_bytes())  # a crash between the two writes

    cert_file, key_file = pki.ensure_server_certificate(tmp_path)

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file)
    certificate(cert_file).verify_directly_issued_by(certificate(pki.ensure_ca(tmp_path)))


def test_an_app_has_a_key_that_salesforce_takes_and_its_certificate(tmp_path: Path) -> None:
    app = pki.ensure_app(tmp_path, "uk")

    key = load_pem_private_key(app.private_key_file.read_bytes(), None)
    cert = x509.load_pem_x509_certificate(app.certificate.encode())
    assert app.private_key_file == tmp_path / "uk/keys/salesforce.pem"
    assert app.username == "integration.uk@homeport.example"
    assert app.name == "Region_Sink_UK"
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert key.public_key() == cert.public_key()


def test_a_lost_key_gets_a_new_certificate_and_keeps_the_consumer_key(tmp_path: Path) -> None:
    old = pki.ensure_app(tmp_path, "eu")
    old.private_key_file.unlink()

    new = pki.ensure_app(tmp_path, "eu")

    assert new.consumer_key == old.consumer_key
    assert new.certificate != old.certificate


def test_the_org_reads_back_what_was_registered_and_no_private_key(tmp_path: Path) -> None:
    apps = [pki.ensure_app(tmp_path, region) for region in ("eu", "uk", "us")]

    file = pki.write_apps(tmp_path, apps)

    assert file == tmp_path / "sandbox/apps.json"
    assert "PRIVATE" not in file.read_text()
    assert [(a.name, a.consumer_key, a.username) for a in read_apps(file)] == [
        (a.name, a.consumer_key, a.username) for a in apps
    ]
    assert len({a.consumer_key for a in apps}) == 3
