"""Apache Kafka's jars: pinned by SHA-256, fetched once per checkout, refused if they differ.

jgo resolves Maven coordinates but enforces no lock (a wrong checksum only logs), so the lock is
ours: ``kafka.lock`` has a line ``group artifact version sha256`` for each jar. After an upgrade:
``python -m connectors.embedded.jars --relock`` and review the change.
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from connectors.embedded.files import exclusive
from schemas.errors import SetupError

KAFKA_VERSION = "4.3.1"
LOCK_FILE = Path(__file__).with_name("kafka.lock")
ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    # Kafka brings no SLF4J binding and would log nothing, denials included. The "!" keeps this
    # jar's BOM out: it would bring kafka-clients 3.9.1, with which the broker does not start.
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4!",
)
FETCH_THREADS = 8  # mostly waiting for the network
TRIES = 2  # per jar: the second meets a registry that hiccupped
TIMEOUT_S = 20  # per request

Progress = Callable[[int, int], None]  # (jars done, jars in all)


def quiet(done: int, total: int) -> None:
    """Report nothing."""
    del done, total


class ChecksumError(SetupError):
    """A jar's bytes are not the pinned ones."""


class FetchError(SetupError):
    """A jar could not be downloaded."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """Return the name in the lib folder."""
        return f"{self.artifact}-{self.version}.jar"


def default_lib() -> Path:
    """Return the folder of the jars: in the virtual environment, shared by all homes."""
    return Path(sys.prefix) / "share" / "homeport" / f"kafka-{KAFKA_VERSION}" / "lib"


def read_lock(path: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """Return the pinned jars in the file's order.

    Raises:
        SetupError: A line does not have four fields.

    """
    jars = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match line.split("#")[0].split():
            case []:
                continue
            case [group, artifact, version, sha256]:
                jars.append(Jar(group, artifact, version, sha256))
            case _:
                msg = f"{path.name}:{number}: expected group, artifact, version, SHA-256"
                raise SetupError(msg)
    return tuple(jars)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def missing(jars: Sequence[Jar], lib: Path) -> list[Jar]:
    """Return the jars that are not in *lib*, after every file there has been hashed.

    All bytes are read each time (45 MB, about 0.05 s): a stamp of sizes and times would let
    changed bytes through.

    Raises:
        ChecksumError: A file has other bytes, or is none of *jars*.

    """
    pinned = {jar.filename: jar for jar in jars}
    files = sorted(lib.iterdir()) if lib.is_dir() else []
    for file in files:
        if file.name not in pinned:
            msg = f"{file} is not in {LOCK_FILE.name}; remove it and run `homeport up` again"
            raise ChecksumError(msg)
    with ThreadPoolExecutor(max_workers=2) as pool:
        digests = dict(zip((f.name for f in files), pool.map(sha256_of, files), strict=True))
    for name, digest in digests.items():
        _check(lib / name, digest, pinned[name])
    return [jar for jar in jars if jar.filename not in digests]


def _check(path: Path, digest: str, jar: Jar) -> None:
    if digest != jar.sha256:
        msg = (
            f"{path} has SHA-256 {digest}, {LOCK_FILE.name} says {jar.sha256}: "
            "not used; remove the file and run `homeport up` again"
        )
        raise ChecksumError(msg)


def ensure_jars(
    lib: Path | None = None,
    jars: Sequence[Jar] | None = None,
    progress: Progress = quiet,
) -> Path:
    """Return the folder with exactly the pinned jars, after fetching those that lack.

    Raises:
        ChecksumError: Other bytes, here or from the registry; nothing of them is kept.
        FetchError: No network, or the registry has no such jar.

    """
    lib = lib or default_lib()
    jars = read_lock() if jars is None else jars
    if not missing(jars, lib):
        return lib
    lib.mkdir(parents=True, exist_ok=True)
    # another home of this checkout may be fetching: wait for it, then look again
    with exclusive(lib.parent / ".lock", wait=True, busy=""):
        absent = missing(jars, lib)
        _fetch_all(absent, lib, len(jars), progress)
    return lib


def _fetch_all(jars: Sequence[Jar], lib: Path, total: int, progress: Progress) -> None:
    # a cache of our own: a killed download leaves a short file that jgo would take for the jar
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=lib.parent) as cache:
        pool = ThreadPoolExecutor(max_workers=FETCH_THREADS)
        try:
            context = _context(Path(cache))
            futures = [pool.submit(_fetch, context, jar, lib) for jar in jars]
            for done, future in enumerate(as_completed(futures), total - len(jars) + 1):
                future.result()
                progress(done, total)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C: what is in flight ends by its time-out


def _context(cache: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202 - jgo has no types for mypy
    # imported on use: 0.2 s, and only when a jar lacks
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    # a company's mirror in jgo's own settings is welcome: the bytes are checked in any case
    remotes = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    return MavenContext(repo_cache=cache, remote_repos=remotes, timeout=TIMEOUT_S)


def _fetch(context, jar: Jar, lib: Path) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    import requests  # noqa: PLC0415 - slow to import, and only when a jar lacks

    artifact = (
        context.project(jar.group, jar.artifact).at_version(jar.version).artifact(packaging="jar")
    )
    for left in reversed(range(TRIES)):
        try:
            path = Path(artifact.resolve())
        except (requests.RequestException, OSError, RuntimeError) as exc:
            artifact.cached_path.unlink(missing_ok=True)
            if not left:
                msg = (
                    f"cannot download {jar.filename} ({type(exc).__name__}): check the network, or "
                    "a proxy (HTTPS_PROXY) or mirror (jgo's settings), and run `homeport up` again"
                )
                raise FetchError(msg) from exc
        else:
            _check(Path(jar.filename), sha256_of(path), jar)
            shutil.move(path, lib / jar.filename)  # same file system: a rename
            return


def relock(target: Path = LOCK_FILE) -> int:
    """Resolve the roots anew, write the lock file and return the number of jars."""
    with tempfile.TemporaryDirectory() as cache:
        context = _context(Path(cache))
        inputs, transitive = context.resolver.resolve(
            [context.create_dependency(root) for root in ROOTS]
        )
        lines = []
        for dependency in [*inputs, *transitive]:
            group, artifact = dependency.groupId, dependency.artifactId
            component = context.project(group, artifact).at_version(dependency.version)
            digest = sha256_of(Path(component.artifact(packaging="jar").resolve()))
            lines.append(f"{group} {artifact} {dependency.version} {digest}")
    header = "# group artifact version sha256; made by: python -m connectors.embedded.jars --relock"
    target.write_text("\n".join([header, *sorted(lines)]) + "\n", encoding="utf-8")
    return len(lines)


if __name__ == "__main__":
    if sys.argv[1:] != ["--relock"]:
        sys.exit("usage: python -m connectors.embedded.jars --relock")
    print(f"{relock()} jars pinned in {LOCK_FILE}")  # noqa: T201 - a maintainer's script
