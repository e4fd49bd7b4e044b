"""Only the pinned bytes of Kafka ever run."""

import hashlib
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from connectors.embedded import jars
from connectors.embedded.jars import ChecksumError, Jar, ensure_jars, missing, read_lock
from schemas.errors import SetupError

GOOD = b"the bytes that were reviewed"
JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(GOOD).hexdigest())


def test_the_committed_lock_pins_every_jar_by_sha256_and_names_no_host() -> None:
    pinned = read_lock()

    assert len(pinned) == 46
    assert len({jar.filename for jar in pinned}) == 46
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in pinned)
    assert "http" not in jars.LOCK_FILE.read_text(encoding="utf-8")


def test_a_lock_line_without_four_fields_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "kafka.lock"
    lock.write_text("org.example thing 1.0\n", encoding="utf-8")

    with pytest.raises(SetupError, match=r"kafka\.lock:1"):
        read_lock(lock)


def test_pinned_bytes_need_no_network(tmp_path: Path) -> None:
    (tmp_path / JAR.filename).write_bytes(GOOD)

    assert ensure_jars(tmp_path, [JAR]) == tmp_path


def test_a_jar_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert missing([JAR], tmp_path / "nowhere") == [JAR]


@pytest.mark.parametrize("wrong", [b"", GOOD[:-1], GOOD + b"!", b"T" + GOOD[1:]])
def test_other_bytes_are_refused_by_file_and_next_step(tmp_path: Path, wrong: bytes) -> None:
    (tmp_path / JAR.filename).write_bytes(wrong)

    with pytest.raises(ChecksumError, match=r"thing-1\.0\.jar.*remove the file"):
        ensure_jars(tmp_path, [JAR])


def test_same_size_and_time_do_not_hide_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / JAR.filename
    path.write_bytes(GOOD)
    before = path.stat()
    ensure_jars(tmp_path, [JAR])

    path.write_bytes(GOOD[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(ChecksumError):
        ensure_jars(tmp_path, [JAR])


def test_a_file_that_nobody_pinned_is_refused(tmp_path: Path) -> None:
    (tmp_path / JAR.filename).write_bytes(GOOD)
    (tmp_path / "evil.jar").write_bytes(b"also on the class path")

    with pytest.raises(ChecksumError, match=r"evil\.jar is not in kafka\.lock"):
        ensure_jars(tmp_path, [JAR])


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a folder by HTTP as the Maven repository that jgo asks; yield where the jar lies."""
    root = tmp_path / "mirror"
    place = root / "org" / "example" / "thing" / "1.0" / JAR.filename
    place.parent.mkdir(parents=True)
    handler = partial(SimpleHTTPRequestHandler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings = tmp_path / "jgo.conf"
        url = f"http://127.0.0.1:{server.server_port}"
        settings.write_text(f"[repositories]\ncentral = {url}\n", encoding="utf-8")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
        yield place
        server.shutdown()
        thread.join()


def test_a_mirror_may_serve_the_pinned_bytes(tmp_path: Path, mirror: Path) -> None:
    mirror.write_bytes(GOOD)
    seen: list[tuple[int, int]] = []

    lib = ensure_jars(tmp_path / "kafka" / "lib", [JAR], lambda *count: seen.append(count))

    assert (lib / JAR.filename).read_bytes() == GOOD
    assert seen == [(1, 1)]


def test_wrong_bytes_from_the_registry_are_not_kept(tmp_path: Path, mirror: Path) -> None:
    mirror.write_bytes(b"not what was reviewed")
    lib = tmp_path / "kafka" / "lib"

    with pytest.raises(ChecksumError, match=r"thing-1\.0\.jar"):
        ensure_jars(lib, [JAR])

    assert list(lib.iterdir()) == []
    assert [path.name for path in lib.parent.iterdir() if path.name.startswith(".fetch")] == []


def test_no_network_says_which_jar_and_what_to_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = "http://127.0.0.1:1"  # nothing listens: refused at once
    settings = tmp_path / "jgo.conf"
    settings.write_text(f"[repositories]\ncentral = {closed}\n", encoding="utf-8")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))

    with pytest.raises(jars.FetchError, match=r"cannot download thing-1\.0\.jar.*network"):
        ensure_jars(tmp_path / "lib", [JAR])

    assert list((tmp_path / "lib").iterdir()) == []
