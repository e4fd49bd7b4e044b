"""Set the compose file's stack up: secrets on the host, then each region's broker and database.

On the host, once:   .venv/bin/python docker/setup.py secrets
In the containers:   setup.py kafka REGION, setup.py postgres REGION (compose runs these)
"""  # noqa: INP001 - a script, not a package

import base64
import json
import secrets as random
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from connectors.embedded import kafka_admin, postgres_admin
from connectors.embedded.broker import ADMIN, Broker, properties
from connectors.embedded.files import private_dir, write_json, write_private
from connectors.embedded.postgres import DATABASE, SUPERUSER
from inference import lock
from residency.keys import ledger_keys, secret, token_keys
from residency.regions import load_regions
from residency.topics import TOOLS
from residency.vault.keyfiles import FileKeyStore
from streams.services import SERVICES

HERE = Path(__file__).parent
SECRETS = HERE / "secrets"
ORG = HERE / "org.toml"
HOMES = Path("/homes")  # in the set-up container: one folder per service's home volume
RUN_SECRETS = Path("/run/secrets")
HOME = Path("/var/lib/homeport")
DATA = Path("/var/lib/kafka/data")
KAFKA_PORT, CONTROLLER_PORT, POSTGRES_PORT = 9092, 9093, 5432
HTTP_PORT, HEALTH_PORT = 8080, 9000
FIRST_PUBLIC_PORT = 8081  # the first region's gateway on the host; the next regions follow
PASSWORD_BYTES = 24
MODEL, MODEL_PORT = "minilm-gpu", 8000


@click.group()
def cli() -> None:
    """Prepare the compose file's stack."""


@cli.command("secrets")
@click.option(
    "--seal-raw",
    "sealing",
    multiple=True,
    type=click.Choice(list(load_regions())),
    help="Let this region's gateway seal raw records; compose then needs docker/seal-raw.yml too.",
)
def make_secrets(sealing: Sequence[str] = ()) -> None:
    """Write docker/secrets once; a second run changes nothing but the org's settings and sealing.

    docker/org.toml, if there, names the org: instance_url at the top and, in a table per
    region, consumer_key, username and private_key (a PEM file beside it).
    """
    regions = list(load_regions())
    org = tomllib.loads(ORG.read_text(encoding="utf-8")) if ORG.exists() else {}
    private_dir(SECRETS)
    gateways = {r: f"http://127.0.0.1:{FIRST_PUBLIC_PORT + n}" for n, r in enumerate(regions)}
    for region in regions:
        folder = private_dir(SECRETS / region)
        passwords = _passwords(folder / "provision.json")
        _write_broker(folder, region, passwords["kafka"][ADMIN])
        write_private(folder / "postgres.password", passwords["postgres"][SUPERUSER])
        for service in SERVICES:
            document = _service(region, service, passwords, gateways, org)
            if service == "gateway":  # it has a way to the database only where it needs one
                document |= {"seal_raw": True} if region in sealing else {"postgres": None}
            write_json(folder / f"{service}.json", document)
        _make_shared_keys(folder, region)
        write_json(folder / "vllm.json", _model_server())
        _write_org_key(folder, region, org)
    click.echo(f"secrets for {', '.join(regions)} are in {SECRETS}", err=True)
    if not org:
        click.echo(f"no {ORG.name}: egress will ask for an org when it starts", err=True)


@cli.command()
@click.argument("region")
def kafka(region: str) -> None:
    """Give the broker of REGION its users, rights and topics. It shares its network."""
    passwords = json.loads((RUN_SECRETS / "provision.json").read_text(encoding="utf-8"))["kafka"]
    login = kafka_admin.Login(KAFKA_PORT, ADMIN, passwords[ADMIN])
    services = {name: word for name, word in passwords.items() if name != ADMIN}
    first, *rest = [HOMES / service / "topics.json" for service in SERVICES]
    kafka_admin.provision(login, region, services, first)
    for other in rest:
        write_private(other, first.read_text(encoding="utf-8"))


@cli.command()
@click.argument("region")
def postgres(region: str) -> None:
    """Give the database of REGION its roles and schemas. It shares its network."""
    passwords = json.loads((RUN_SECRETS / "provision.json").read_text(encoding="utf-8"))["postgres"]
    roles = {name: word for name, word in passwords.items() if name != SUPERUSER}
    postgres_admin.provision(POSTGRES_PORT, passwords[SUPERUSER], roles)
    click.echo(f"{region}: the roles {', '.join(roles)} are there", err=True)


def _make_shared_keys(folder: Path, region: str) -> None:
    """Make the keys that several of a region's workers hold; each other is one worker's own."""
    token_keys(folder, region)
    secret(folder, "vault-index")
    secret(folder, "expected")
    ledger_keys(folder, region)  # with the root of its commitments
    FileKeyStore(folder).load()


def _passwords(path: Path) -> dict[str, dict[str, str]]:
    """Return a region's passwords by system and user, made on the first run and then kept."""
    if not path.exists():
        kafka_users = (ADMIN, *SERVICES, *TOOLS)
        postgres_users = (SUPERUSER, *postgres_admin.ROLES)
        new = {
            "kafka": {user: random.token_urlsafe(PASSWORD_BYTES) for user in kafka_users},
            "postgres": {user: random.token_urlsafe(PASSWORD_BYTES) for user in postgres_users},
        }
        write_json(path, new)
    known: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return known


def _write_broker(folder: Path, region: str, password: str) -> None:
    """Write the broker's settings: the embedded stack's, with this network's addresses."""
    if (folder / "server.properties").exists():
        return
    broker = Broker(region, DATA.parent, KAFKA_PORT, CONTROLLER_PORT, password)
    rows = dict(line.split("=", 1) for line in properties(broker).splitlines())
    rows["listeners"] = f"CLIENT://:{KAFKA_PORT},CONTROLLER://127.0.0.1:{CONTROLLER_PORT}"
    rows["advertised.listeners"] = f"CLIENT://{region}-kafka:{KAFKA_PORT}"
    rows["log.dirs"] = str(DATA)
    cluster = base64.urlsafe_b64encode(b"\0" + random.token_bytes(15)).decode().rstrip("=")
    arguments = (
        '-Xmx256m -cp "/opt/kafka/libs/*"\n'
        f"kafka.tools.StorageTool format --standalone -t {cluster}\n"
        f"-c {RUN_SECRETS / 'server.properties'}\n"
        f'--add-scram "SCRAM-SHA-256=[name={ADMIN},password={password}]"\n'
    )
    write_private(folder / "format.args", arguments)
    write_private(folder / "server.properties", "".join(f"{k}={v}\n" for k, v in rows.items()))
    for name in ("format.args", "server.properties"):
        # the image's own user reads them; the folder above is the owner's alone
        (folder / name).chmod(0o644)


def _served_model() -> str:
    """Return the name that the model servers serve and their clients ask for."""
    model = lock.locked(MODEL)
    return lock.served_name(MODEL, lock.model_digest(model, lock.task_digests()))


def _model_server() -> dict[str, Any]:
    """Return vLLM's options, as its --config reads them: JSON is YAML."""
    model = lock.locked(MODEL)
    return {
        "model": "/model",
        "served-model-name": _served_model(),
        "runner": model.engine,
        "dtype": model.dtype,
        "max-model-len": model.max_tokens,
        "host": "0.0.0.0",  # noqa: S104 - its container, in the region's network, publishes none
        "port": MODEL_PORT,
        "max-num-queued-reqs": 4_096,
        "disable-uvicorn-access-log": True,
        "disable-fastapi-docs": True,
    }


def _service(
    region: str,
    service: str,
    passwords: Mapping[str, Mapping[str, str]],
    gateways: Mapping[str, str],
    org: Mapping[str, Any],
) -> dict[str, Any]:
    """Return all that one service of one region may know."""
    document: dict[str, Any] = {
        "region": region,
        "service": service,
        "home": str(HOME),
        "kafka": {
            "bootstrap": f"{region}-kafka:{KAFKA_PORT}",
            "username": service,
            "password": passwords["kafka"][service],
        },
        "health_port": HEALTH_PORT,
    }
    if service in passwords["postgres"]:
        word = passwords["postgres"][service]
        document["postgres"] = {
            "dsn": f"host={region}-postgres port={POSTGRES_PORT} user={service} "
            f"dbname={DATABASE} password={word}"
        }
    if service == "gateway":
        document |= {"http_host": "0.0.0.0", "http_port": HTTP_PORT, "gateways": dict(gateways)}  # noqa: S104 - its container's only published port
    if service == "lookup":
        document |= {"http_host": "0.0.0.0", "http_port": HTTP_PORT}  # noqa: S104 - in the region's network, published nowhere
    if service == "enrich":
        document["inference"] = {
            "engine": lock.locked(MODEL).engine,
            "model": _served_model(),
            "url": f"http://{region}-vllm:{MODEL_PORT}",
        }
    if service == "egress" and org:
        document["salesforce"] = {
            "instance_url": org["instance_url"],
            "consumer_key": org[region]["consumer_key"],
            "username": org[region]["username"],
            "private_key_file": str(RUN_SECRETS / "org.key"),
        }
    return document


def _write_org_key(folder: Path, region: str, org: Mapping[str, Any]) -> None:
    """Copy the region's private key, or leave an empty file: compose wants one to mount."""
    source = (ORG.parent / org[region]["private_key"]) if org else None
    write_private(folder / "org.key", source.read_text(encoding="utf-8") if source else "")


if __name__ == "__main__":
    cli()
