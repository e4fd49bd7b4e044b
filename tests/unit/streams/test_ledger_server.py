"""The served ledger: C2SP paths and headers, nothing unsigned, no entries unless told."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from residency.ledger.files import Ledger

ORIGIN = "ledger.eu.example/transfers"
TOP = Path(__file__).parents[3]
FOREVER = "max-age=31536000, immutable"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "ledger"
    with Ledger.open(folder, ORIGIN, bytes(32)) as ledger:
        ledger.append([b"entry %d" % n for n in range(300)])
    tiles = folder / "tile/0/001.p"
    (tiles / "200").write_bytes((tiles / "44").read_bytes() + bytes(32 * 156))  # a torn append
    (folder.parent / "secret").write_text("not for you")
    return folder


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    where = ("--ledger", str(folder), "--vkey", str(folder / "vkey"))
    return subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "ledger", "serve", "--json", *where, *options],
        cwd=TOP,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@contextmanager
def serving(folder: Path, *options: str, by: signal.Signals = signal.SIGTERM) -> Iterator[str]:
    with start(folder, "--port", "0", *options) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        try:
            yield told["url"]
        finally:
            process.send_signal(by)
            rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (130 if by is signal.SIGINT else 0, "")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with serving(folder) as found:
        yield found


def get(url: str, path: str) -> requests.Response:
    session = requests.Session()
    session.trust_env = False
    return session.get(f"{url}/{path}", timeout=30)


def test_checkpoint_and_tiles_are_served_with_the_types_and_caching_of_tlog_tiles(
    url: str, folder: Path
) -> None:
    checkpoint, full, part = (
        get(url, path) for path in ("checkpoint", "tile/0/000", "tile/0/001.p/44")
    )
    vkey = get(url, "vkey")

    assert checkpoint.content == (folder / "checkpoint").read_bytes()
    assert vkey.content == (folder / "vkey").read_bytes()
    assert full.content == (folder / "tile/0/000").read_bytes()
    assert part.content == (folder / "tile/0/001.p/44").read_bytes()
    assert checkpoint.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert full.headers["Content-Type"] == "application/octet-stream"
    assert full.headers["Cache-Control"] == f"public, {FOREVER}"
    assert {part.headers["Cache-Control"], checkpoint.headers["Cache-Control"]} == {"no-cache"}


def test_a_narrower_partial_tile_of_an_earlier_checkpoint_is_still_served(
    url: str, folder: Path
) -> None:
    answer = get(url, "tile/0/001.p/10")

    assert answer.content == (folder / "tile/0/001.p/44").read_bytes()[:320]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/001.p/200",  # lies in the folder, and no checkpoint covers it
        "tile/0/001",
        "tile/0/x000/000",  # not the one way to write it
        "tile/0/..%2f..%2fcheckpoint",
        "tile/..%2f..%2fsecret",
        "%2e%2e/secret",
        "..%2fsecret",
        ".lock",
        "tile/entries/000",  # entries are off unless told
        "tile/entries/001.p/44",
    ],
)
def test_nothing_else_is_served(url: str, path: str) -> None:
    assert get(url, path).status_code == 404


def test_nothing_can_be_changed(url: str) -> None:
    session = requests.Session()
    session.trust_env = False

    answers = [session.request(verb, f"{url}/checkpoint") for verb in ("POST", "PUT", "DELETE")]

    assert [answer.status_code for answer in answers] == [405, 405, 405]


def test_entries_are_served_when_told_and_kept_from_shared_caches(folder: Path) -> None:
    with serving(folder, "--entries", by=signal.SIGINT) as url:
        bundle = get(url, "tile/entries/000")

    assert bundle.content == (folder / "tile/entries/000").read_bytes()
    assert bundle.headers["Cache-Control"] == f"private, {FOREVER}"


def test_a_port_that_is_taken_is_said_with_exit_3(folder: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, start(folder, "--port", str(taken.getsockname()[1])) as process:
        out, said = process.communicate(timeout=60)

    assert (process.returncode, out) == (3, "")
    assert "choose another port" in said


def test_a_ledger_whose_checkpoint_is_no_longer_signed_is_not_served(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, ORIGIN, bytes(32)) as ledger:
        ledger.append([b"one"])

    with serving(tmp_path) as url:
        before = get(url, "tile/0/000.p/1").status_code
        (tmp_path / "checkpoint").write_bytes(b"nothing signed")
        after = get(url, "tile/0/000.p/1").status_code

    assert (before, after) == (200, 503)


def test_what_is_no_http_is_not_quoted_on_stderr(folder: Path) -> None:
    with start(folder, "--port", "0") as process:
        assert process.stdout is not None
        port = int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
            line.sendall(b"GET /checkpoint HTTP/1.1\r\nHost: x\r\nSECRET\r\n\r\n")
            answer = line.recv(65_536)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)

    assert answer.split(b" ")[1] == b"400"
    assert "a request failed: " in said
    assert "SECRET" not in said
    assert "Traceback" not in said
