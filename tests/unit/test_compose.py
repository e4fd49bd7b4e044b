"""Promise 6 in the compose file: region-bound networks and secrets. Docker is not needed."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from inference.lock import locked
from residency.regions import load_regions
from residency.topics import PRINCIPALS, TOOLS
from streams.cli import COMMANDS
from streams.services import SERVICES as RUNNABLE

ROOT = Path(__file__).parents[2]
REGIONS = tuple(load_regions())
SHARED_KEYS = {
    "border": ["tokens"],
    "egress": ["commitments", "expected", "ledger", "ledger-public"],
    "erase": [
        *("commitments", "expected", "ledger-public"),
        *("tokens", "vault-index", "vault-kek"),
    ],
    "lookup": ["commitments", "vault-index", "vault-kek"],
    "vault": ["tokens", "vault-index", "vault-kek"],
}
MAY_LEAVE = ("gateway", "egress")  # the only services with a way out
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def region_of(name: str) -> str:
    return name.split("-", 1)[0]


def is_model_server(name: str) -> bool:
    return name.split("-")[1] == "vllm"


def networks(name: str) -> set[str]:
    """Return the networks of a service, also those it shares with another."""
    service = SERVICES[name]
    shared = service.get("network_mode", "")
    if shared:
        return networks(shared.removeprefix("service:"))
    return set(service["networks"])


def ways_out() -> set[str]:
    return {name for name, network in COMPOSE["networks"].items() if not network.get("internal")}


def test_the_file_follows_the_compose_specification() -> None:
    tool = Path(sys.executable).with_name("check-jsonschema")

    done = subprocess.run(
        [tool, "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_all_that_a_service_names_exists(name: str) -> None:
    service = SERVICES[name]

    assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert networks(name) <= set(COMPOSE["networks"])
    assert {s["source"] for s in service.get("secrets", [])} <= set(COMPOSE["secrets"])
    volumes = {v.split(":")[0] for v in service.get("volumes", [])}
    assert {v for v in volumes if not v.startswith(".")} <= set(COMPOSE["volumes"])
    assert all((ROOT / v).exists() for v in volumes if v.startswith("."))


def test_nothing_is_declared_that_no_service_uses() -> None:
    used = {s["source"] for service in SERVICES.values() for s in service.get("secrets", [])}
    mounted = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", [])}

    assert used == set(COMPOSE["secrets"])
    assert set(COMPOSE["volumes"]) <= mounted


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_is_pinned_to_a_version(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?", SERVICES[name]["image"])


def test_the_image_we_build_starts_from_a_pinned_one_and_installs_by_hash() -> None:
    dockerfile = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")

    assert re.search(r"^FROM python:\d+\.\d+-slim$", dockerfile, re.MULTILINE)
    assert "--require-hashes" in dockerfile


@pytest.mark.parametrize("name", SERVICES)
def test_only_gateway_and_egress_have_a_way_out(name: str) -> None:
    kind = name.split("-", 1)[1]

    assert bool(networks(name) & ways_out()) == (kind in MAY_LEAVE)


def test_each_region_has_a_network_without_a_way_out() -> None:
    assert all(COMPOSE["networks"][region]["internal"] is True for region in REGIONS)
    assert ways_out() == {f"{region}-exit" for region in REGIONS}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_touches_its_own_region_only(name: str) -> None:
    service = SERVICES[name]
    region = region_of(name)
    others = service.get("secrets", [])

    assert service["profiles"] == [f"{region}-gpu" if is_model_server(name) else region]
    assert {region_of(network) for network in networks(name)} == {region}
    assert {region_of(secret["source"]) for secret in others} <= {region}
    assert {region_of(other) for other in service.get("depends_on", {})} <= {region}
    named = [v for v in service.get("volumes", []) if not v.startswith(".")]
    assert {region_of(volume) for volume in named} <= {region}


@pytest.mark.parametrize("region", REGIONS)
def test_a_worker_gets_its_own_secret_and_no_other_services(region: str) -> None:
    for service in RUNNABLE:
        mounted = {s["source"] for s in SERVICES[f"{region}-{service}"]["secrets"]}
        own = {
            service,
            *SHARED_KEYS.get(service, ()),
            *(["org-key"] if service == "egress" else []),
        }

        assert mounted == {f"{region}-{name}" for name in own}


def test_what_seals_and_opens_raw_records_gets_the_keyring_by_a_file_of_its_own() -> None:
    sealing = YAML(typ="safe").load(ROOT / "docker/seal-raw.yml")["services"]

    assert sealing == {
        f"{region}-{service}": {
            "profiles": SERVICES[f"{region}-{service}"]["profiles"],
            "secrets": [
                s for s in SERVICES[f"{region}-vault"]["secrets"]
                if s["source"] == f"{region}-vault-kek"
            ],
        }
        for region in REGIONS
        for service in ("gateway", "border")
    }  # fmt: skip


@pytest.mark.parametrize("region", REGIONS)
def test_every_service_that_runs_has_its_container(region: str) -> None:
    workers = {n for n in SERVICES if n.startswith(f"{region}-")}

    assert {f"{region}-{service}" for service in RUNNABLE} <= workers
    for service in RUNNABLE:
        command = SERVICES[f"{region}-{service}"]["command"]
        assert command == ["worker", "--region", region, "--service", service]
    assert "worker" in COMMANDS


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_an_environment_variable(name: str) -> None:
    environment = SERVICES[name].get("environment", {})

    secret = re.compile("password|secret|token|key", re.IGNORECASE)
    assert [k for k in environment if secret.search(k) and not k.endswith("_FILE")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_for_long_says_whether_it_is_well(name: str) -> None:
    service = SERVICES[name]

    assert ("healthcheck" in service) == (not name.endswith("-setup"))
    for other, how in service.get("depends_on", {}).items():
        wanted = "completed_successfully" if other.endswith("-setup") else "healthy"
        assert how["condition"] == f"service_{wanted}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of secrets as docker/setup.py makes them, run twice."""
    folder = tmp_path_factory.mktemp("docker")
    setup = importlib.util.spec_from_file_location("docker_setup", ROOT / "docker/setup.py")
    assert setup is not None
    assert setup.loader is not None
    module = importlib.util.module_from_spec(setup)
    setup.loader.exec_module(module)
    org = {"instance_url": "https://example.my.salesforce.com"}
    (folder / "eu.key").write_text("not a key\n", encoding="utf-8")
    rows = "".join(
        f'[{r}]\nconsumer_key = "ck-{r}"\nusername = "integration.{r}@homeport.example"\n'
        'private_key = "eu.key"\n'
        for r in REGIONS
    )
    (folder / "org.toml").write_text(f'instance_url = "{org["instance_url"]}"\n{rows}', "utf-8")
    module.SECRETS, module.ORG = folder / "secrets", folder / "org.toml"
    module.make_secrets.callback()
    before = {p: p.read_bytes() for p in (folder / "secrets").rglob("*") if p.is_file()}
    module.make_secrets.callback()
    assert before == {p: p.read_bytes() for p in (folder / "secrets").rglob("*") if p.is_file()}
    return folder / "secrets"


def test_set_up_makes_every_secret_file_and_nothing_else(made: Path) -> None:
    declared = {Path(s["file"]).relative_to("docker/secrets") for s in COMPOSE["secrets"].values()}

    assert declared == {p.relative_to(made) for p in made.rglob("*") if p.is_file()}


def test_a_services_file_loads_as_settings_of_its_own_region(made: Path, tmp_path: Path) -> None:
    from streams.settings import load_settings  # noqa: PLC0415 - heavy, and only here

    for region in REGIONS:
        for service in RUNNABLE:
            target = tmp_path / region / "services" / f"{service}.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(mode=0o600)
            text = (made / region / f"{service}.json").read_text(encoding="utf-8")
            key = str(made / region / "org.key")  # where the container sees it, it is not here
            target.write_text(text.replace("/run/secrets/org.key", key), encoding="utf-8")

            settings = load_settings(tmp_path, region, service)

            assert settings.kafka.bootstrap == f"{region}-kafka:9092"
            assert (settings.salesforce is not None) == (service == "egress")
            assert (settings.gateways is not None) == (service == "gateway")


def test_no_two_credentials_are_the_same(made: Path) -> None:
    words = [
        word
        for region in REGIONS
        for users in json.loads((made / region / "provision.json").read_text("utf-8")).values()
        for word in users.values()
    ]

    assert len(words) == len(set(words))
    assert len(words) >= len(REGIONS) * (len(RUNNABLE) + 3)
    assert set(RUNNABLE) <= set(PRINCIPALS)


def test_the_broker_knows_the_tools_of_people_too(made: Path) -> None:
    for region in REGIONS:
        known = json.loads((made / region / "provision.json").read_text("utf-8"))

        assert set(known["kafka"]) == {"admin", *RUNNABLE, *TOOLS}


def test_secrets_are_for_their_owner_alone(made: Path) -> None:
    read_by_an_image = {"server.properties", "format.args"}  # in a folder that is not open
    folders = [made, *(p for p in made.iterdir())]

    assert {p.stat().st_mode & 0o077 for p in folders} == {0}
    for path in made.rglob("*.*"):
        assert bool(path.stat().st_mode & 0o077) == (path.name in read_by_an_image)


def test_the_broker_authenticates_and_authorises_as_in_the_embedded_stack(made: Path) -> None:
    text = (made / "eu" / "server.properties").read_text(encoding="utf-8")
    rows = dict(line.split("=", 1) for line in text.splitlines())

    assert rows["authorizer.class.name"].endswith("StandardAuthorizer")
    assert rows["allow.everyone.if.no.acl.found"] == "false"
    assert rows["listener.security.protocol.map"] == (
        "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT"
    )
    assert rows["advertised.listeners"] == "CLIENT://eu-kafka:9092"
    assert rows["listeners"] == "CLIENT://:9092,CONTROLLER://127.0.0.1:9093"


@pytest.mark.parametrize("region", REGIONS)
def test_a_model_is_checked_before_it_is_served_and_read_by_its_region_alone(region: str) -> None:
    server, check = SERVICES[f"{region}-vllm"], SERVICES[f"{region}-vllm-setup"]

    assert server["depends_on"] == {
        f"{region}-vllm-setup": {"condition": "service_completed_successfully"}
    }
    assert check["command"][:2] == ["infer", "verify"]
    assert server["volumes"] == check["volumes"] == [f"{region}-model:/model:ro"]
    assert networks(f"{region}-vllm") == {region}
    assert "ports" not in server


def test_a_client_asks_for_the_very_model_that_its_server_is_told_to_serve(made: Path) -> None:
    for region in REGIONS:
        served = json.loads((made / region / "vllm.json").read_text("utf-8"))
        asked = json.loads((made / region / "enrich.json").read_text("utf-8"))["inference"]
        name = SERVICES[f"{region}-vllm-setup"]["command"][2]

        assert asked["model"] == served["served-model-name"]
        assert asked["model"].startswith(f"{name}@")
        assert asked["url"] == f"http://{region}-vllm:{served['port']}"
        assert SERVICES[f"{region}-vllm"]["image"].endswith(f":v{locked(name).version}")
