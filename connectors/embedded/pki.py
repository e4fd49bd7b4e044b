"""Certificates of the embedded stack: a CA for the test org, a key pair for each region's app.

The CA is name-constrained to this machine, so trusting it never vouches for another host.
Every function makes what is missing, keeps what is there, and may be called at any time by
several processes at once.
"""

import json
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from connectors.embedded.files import exclusive, read_json, write_json, write_private
from schemas.errors import SetupError

# What an app's user may do (connectors/sfdx has the sets), its name, the file of its key.
SINK = ("Region_Sink", "integration", "salesforce.pem")
RECONCILE = ("Region_Reconcile", "reconcile", "salesforce-reconcile.pem")
CA_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=397)  # the longest that common TLS clients accept
APP_LIFE = timedelta(days=730)
RENEW_BEFORE = timedelta(days=30)
BACKDATE = timedelta(minutes=5)  # a client's clock may be a little behind ours
_PUBLIC = ("name", "consumer_key", "username", "certificate", "permission_set")
APP_KEY_BITS = 2048  # Salesforce verifies RS256 only, RSA of at least 2048 bits


@dataclass(frozen=True, slots=True)
class App:
    """One region's External Client App, as the org and the region's egress know it.

    Attributes:
        region: The region's id.
        name: API name in the org, such as ``Region_Sink_EU``.
        consumer_key: OAuth client id; the ``iss`` of the region's assertions.
        username: The integration user; the ``sub`` of the region's assertions.
        certificate: PEM that the org verifies assertions with.
        permission_set: What the integration user may do.
        private_key_file: PEM, 0600, read by the region's egress only.

    """

    region: str
    name: str
    consumer_key: str
    username: str
    certificate: str
    permission_set: str
    private_key_file: Path


def ensure_ca(home: Path) -> Path:
    """Return ``<home>/ca/ca.pem``, making the CA and its key (0600) on first use."""
    with _locked(home):
        return _ensure_ca(home)


def ensure_server_certificate(home: Path) -> tuple[Path, Path]:
    """Return (certificate, key) for 127.0.0.1 and localhost, signed by the home's CA.

    A certificate that expires within 30 days, or that another CA signed, is replaced.
    """
    cert_file, key_file = home / "sandbox/server.pem", home / "sandbox/server.key"
    with _locked(home):
        ca_file = _ensure_ca(home)
        ca = x509.load_pem_x509_certificate(ca_file.read_bytes())
        if not _is_current(cert_file, key_file, issuer=ca):
            key = ec.generate_private_key(ec.SECP256R1())
            ca_key = _load_ec_key(home / "ca/ca.key")
            write_private(key_file, _pem(key))
            leaf = _server_certificate(key, ca, ca_key, datetime.now(UTC))
            write_private(cert_file, _pem_of(leaf))
    return cert_file, key_file


def ensure_app(home: Path, region: str, kind: tuple[str, str, str] = SINK) -> App:
    """Return the region's app, making its RSA key, certificate and consumer key on first use.

    A certificate that expires within 30 days is issued anew for its key; see `write_apps`.
    """
    permission_set, user, file = kind
    key_file = home / region / "keys" / file
    app_file = key_file.with_suffix(".json")
    with _locked(home):
        if not key_file.exists():
            new = rsa.generate_private_key(public_exponent=65537, key_size=APP_KEY_BITS)
            write_private(key_file, _pem(new))
        known = read_json(app_file)
        app = App(
            region=region,
            name=f"{permission_set}_{region.upper()}",
            consumer_key=known.get("consumer_key") or f"3MVG9{secrets.token_urlsafe(60)}",
            username=f"{user}.{region}@homeport.example",
            certificate=known.get("certificate", ""),
            permission_set=permission_set,
            private_key_file=key_file,
        )
        if _is_current(app.certificate, key_file):
            return app
        issued = _app_certificate(_load_rsa_key(key_file), app.name, datetime.now(UTC))
        pem = _pem_of(issued)
        row = {"consumer_key": app.consumer_key, "certificate": pem}
        write_json(app_file, row)
    return replace(app, certificate=pem)


def write_apps(home: Path, apps: Sequence[App]) -> Path:
    """Register *apps* with the test org and return ``<home>/sandbox/apps.json``.

    The file holds public certificates only. The org reads it whenever it changes, so a running
    one need not be restarted. Other apps stay registered, and what an administrator has set for
    an app (blocked, limits) stays set.

    Raises:
        SetupError: The file is there and is not a list of apps.

    """
    path = home / "sandbox/apps.json"
    with _locked(home):
        rows = _registered(path)
        for app in apps:
            told = {member: getattr(app, member) for member in _PUBLIC}
            rows[app.name] = rows.get(app.name, {}) | told
        write_json(path, list(rows.values()))
    return path


def _registered(path: Path) -> dict[str, dict[str, object]]:
    """Return the rows of the file of apps by name, none if there is no file."""
    try:
        return {row["name"]: row for row in json.loads(path.read_text("utf-8"))}
    except FileNotFoundError:
        return {}
    except (TypeError, KeyError, ValueError) as exc:
        msg = f"{path} is not a list of apps; mend it, or remove it and run again"
        raise SetupError(msg) from exc


def _locked(home: Path) -> AbstractContextManager[object]:
    """Hold the home's certificate lock: two processes must not each make a CA."""
    return exclusive(home / "ca/lock", wait=True, busy="")


def _ensure_ca(home: Path) -> Path:
    cert_file, key_file = home / "ca/ca.pem", home / "ca/ca.key"
    if not _is_current(cert_file, key_file):
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(key_file, _pem(key))
        certificate = _ca_certificate(key, datetime.now(UTC))
        write_private(cert_file, _pem_of(certificate))
    return cert_file


def _ca_certificate(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _name("Homeport local CA")
    here = [x509.IPAddress(IPv4Network("127.0.0.0/8")), x509.DNSName("localhost")]
    return (
        _builder(name, name, key.public_key(), now, CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(here, None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA256())
    )


def _server_certificate(
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    return (
        _builder(_name("localhost"), ca.subject, key.public_key(), now, SERVER_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )


def _app_certificate(key: rsa.RSAPrivateKey, name: str, now: datetime) -> x509.Certificate:
    subject = _name(name)
    return (
        _builder(subject, subject, key.public_key(), now, APP_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .sign(key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _is_current(
    certificate: Path | str, key_file: Path, issuer: x509.Certificate | None = None
) -> bool:
    """Return whether the PEM (a file or its text) is long valid, the key's and the issuer's.

    A crash between writing a key and its certificate leaves a pair that does not match.
    """
    if isinstance(certificate, Path):
        certificate = certificate.read_text("ascii") if certificate.exists() else ""
    if not (certificate and key_file.exists()):
        return False
    cert = x509.load_pem_x509_certificate(certificate.encode("ascii"))
    key = load_pem_private_key(key_file.read_bytes(), password=None)
    if cert.public_key() != key.public_key():
        return False
    if cert.not_valid_after_utc - datetime.now(UTC) < RENEW_BEFORE:
        return False
    if issuer is None:
        return True
    try:
        cert.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError):
        return False
    return True


def _load_ec_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = f"{path} is not an EC key: remove {path.parent} and start again"
        raise SetupError(msg)
    return key


def _load_rsa_key(path: Path) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        msg = f"{path} is not an RSA key: remove it and start again"
        raise SetupError(msg)
    return key


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
