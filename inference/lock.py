"""Which models may be served: every file by its SHA-256, and one digest that names it all.

The check reads the files just before the server does. It proves which files lay there at the
start, not what the server made of them in memory; `homeport models agree` asks for answers, too.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from inference.config import Engine
from residency.ledger.certificates import Identity
from schemas.errors import HaltError, SetupError

LOCK_FILE = Path(__file__).with_name("models.lock.toml")
TASKS = Path(__file__).with_name("tasks")
SHORT = 12  # hex digits of the digest in the served name: 48 bits tell versions apart
_RENEW = "review the change, then renew the lock with `homeport infer lock FOLDER`"


class ModelError(HaltError):
    """The model's files are not those of the lock: nothing may be served from them."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LockedModel:
    """One model that may be served.

    Attributes:
        engine: What it is for.
        package: The server's package.
        version: The package's version, exactly.
        dtype: The type it computes in.
        max_tokens: Longest text and answer together.
        files: Every file of its folder, by path with ``/``: SHA-256 in hex.
        folder: Where the environment's packages hold it; None for a folder of the operator's.

    """

    engine: Engine
    package: str
    version: str
    dtype: str
    max_tokens: int
    files: Mapping[str, str]
    folder: str | None = None


def read_lock(path: Path | None = None) -> Mapping[str, LockedModel]:
    """Return the models of a lock by name, of ours by default.

    Raises:
        SetupError: The file cannot be read, or says what no lock says.

    """
    path = path or LOCK_FILE
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
        return TypeAdapter(dict[str, LockedModel]).validate_python(rows)
    except OSError as exc:
        msg = f"{path}: cannot be read ({exc.strerror}); is the checkout complete?"
        raise SetupError(msg) from exc
    except (tomllib.TOMLDecodeError, ValidationError) as exc:
        msg = f"{path}: not a model lock ({type(exc).__name__}); see docs/inference.md"
        raise SetupError(msg) from exc


def locked(name: str, path: Path | None = None) -> LockedModel:
    """Return one model of a lock.

    Raises:
        SetupError: The lock cannot be read, or does not have it.

    """
    models = read_lock(path)
    if name not in models:
        msg = f"{path or LOCK_FILE}: no model {name!r}; it has {', '.join(models) or 'none'}"
        raise SetupError(msg)
    return models[name]


def task_digests(folder: Path = TASKS) -> Mapping[str, str]:
    """Return the SHA-256 of each task file by task name."""
    return {path.stem: _sha256(path) for path in sorted(folder.glob("*.toml"))}


def model_digest(model: LockedModel, tasks: Mapping[str, str]) -> str:
    """Return the SHA-256, in hex, over all that decides a label: model, server and tasks.

    Where it lies does not count.

    Args:
        model: From the lock.
        tasks: SHA-256 of each task file by name, as of `task_digests`.

    """
    return identity(model, tasks).digest


def identity(model: LockedModel, tasks: Mapping[str, str]) -> Identity:
    """Return that, part by part, as a certificate states it; arguments as of `model_digest`."""
    return Identity(
        model.engine,
        model.package,
        model.version,
        model.dtype,
        model.max_tokens,
        dict(model.files),
        dict(tasks),
    )


def served_name(name: str, digest: str) -> str:
    """Return the name the server gives the model, so that a client asks no other."""
    return f"{name}@{digest[:SHORT]}"


def served_digest(served: str) -> str:
    """Return the whole digest of the model that is served under a name.

    Raises:
        SetupError: It is none of our lock, with our tasks.

    """
    name = served.partition("@")[0]
    digest = model_digest(locked(name), task_digests())
    if served_name(name, digest) != served:
        msg = f"enrich: {served} is not {name} of our lock with our tasks; run `homeport up` again"
        raise SetupError(msg)
    return digest


def packages_folder(python: Path) -> Path:
    """Return where the environment of *python* keeps its packages.

    Raises:
        SetupError: There is no such environment.

    """
    found = sorted(python.parent.parent.glob("lib/python3.*/site-packages"))
    if not found:
        msg = f"{python}: no environment of the model server; `homeport infer up` makes it"
        raise SetupError(msg)
    return found[0]


def model_folder(model: LockedModel, python: Path, chosen: Path | None = None) -> Path:
    """Return where a model's files lie: *chosen*, or in the environment of *python*.

    Raises:
        SetupError: The lock says that the operator has it, and nobody chose a folder.

    """
    if chosen is not None:
        return chosen
    if model.folder is None:
        msg = "this model comes with no package: name its folder as `model_folder`"
        raise SetupError(msg)
    return packages_folder(python) / model.folder


def verify_model(model: LockedModel, folder: Path) -> None:
    """Check that *folder* holds the locked files, each byte as pinned, and no other file.

    Raises:
        ModelError: It does not; the text names the file and the next step.

    """
    here = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }
    for name in sorted(here.keys() - model.files.keys()):
        msg = f"{folder / name}: not in the model lock; remove it, or {_RENEW}"
        raise ModelError(msg)
    for name, wanted in sorted(model.files.items()):
        path = here.get(name)
        if path is None or not path.is_file():
            msg = f"{folder / PurePosixPath(name)}: missing; {_again(model)}"
            raise ModelError(msg)
        if _sha256(path) != wanted:
            msg = f"{path}: not the pinned bytes; {_again(model)}"
            raise ModelError(msg)


def verify_server(model: LockedModel, python: Path) -> None:
    """Check that the environment of *python* has the locked version of the server.

    Raises:
        ModelError: It has another version, or none.
        SetupError: There is no such environment.

    """
    folder = packages_folder(python)
    stem = model.package.replace("-", "_")
    found = sorted(path.name for path in folder.glob(f"{stem}-*.dist-info"))
    if found != [f"{stem}-{model.version}.dist-info"]:
        msg = (
            f"{folder}: {model.package} {model.version} is not what is installed there; {_INSTALL}"
        )
        raise ModelError(msg)


_INSTALL = "remove that environment, then `homeport infer up` installs it again"


def _again(model: LockedModel) -> str:
    return _INSTALL if model.folder is not None else f"fetch the model again, or {_RENEW}"


def hash_folder(folder: Path) -> Mapping[str, str]:
    """Return the SHA-256 of every file below *folder*, by its path with ``/``."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in paths}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
