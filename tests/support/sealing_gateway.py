"""A gateway that seals, in a thread, beside whatever else a home runs."""

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import requests
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connectors.postgres.connection import CONNECT_S
from residency.telemetry.setup import telemetry
from streams.demo.generate import Publication
from streams.gateway import Gateway
from streams.settings import PostgresConfig, Settings, database, load_settings

WAIT_S = 30.0
ONE_TYPE = "application/cloudevents+json"


@dataclass(frozen=True)
class Sealing:
    """A gateway at work."""

    gateway: Gateway
    url: str

    def post(self, event: Publication) -> tuple[int, str]:
        """Return the status, and where the record lies or what the answer says instead."""
        with requests.Session() as session:
            session.trust_env = False
            headers = {"Content-Type": ONE_TYPE}
            given = {"json": event.cloudevent(), "headers": headers, "timeout": WAIT_S}
            answer = session.post(f"{self.url}/events", **given)
        said = answer.json()
        return answer.status_code, str(said.get("record") or said.get("code"))


def sealing_settings(home: Path, region: str = "eu") -> Settings:
    """Return a gateway's settings with a way to its database, as `up --seal-raw` writes them."""
    admin = database(load_settings(home, region, "admin").postgres, "admin")
    password = secrets.token_hex(16)
    with psycopg.connect(admin, autocommit=True, connect_timeout=CONNECT_S) as connection:
        role = sql.SQL("ALTER ROLE gateway PASSWORD {}").format(sql.Literal(password))
        connection.execute(role)
    info = conninfo_to_dict(admin) | {"user": "gateway", "password": password}
    dsn = make_conninfo("", **info)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    settings = load_settings(home, region, "gateway")
    return replace(settings, seal_raw=True, http_port=port, postgres=PostgresConfig(dsn))


@contextmanager
def sealing(home: Path, region: str = "eu", folder: Path | None = None) -> Iterator[Sealing]:
    """Run one; what it raises is raised at the end."""
    settings = sealing_settings(home, region)
    gateway = Gateway(settings, telemetry("gateway", region, folder, {}))
    halt = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(gateway.run, halt)
        try:
            deadline = time.monotonic() + WAIT_S
            while not done.done() and time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", settings.http_port or 0)) == 0:
                        break
                time.sleep(0.05)
            yield Sealing(gateway, f"http://127.0.0.1:{settings.http_port}")
        finally:
            halt.set()
        done.result(WAIT_S)
