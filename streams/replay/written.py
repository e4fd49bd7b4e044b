"""A replay's report on disk, and the ledger's leaf that says that it was made."""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from residency.keys import secret
from residency.ledger.note import Signer
from residency.replay.report import PURPOSE, key_name, leaf_of, sign
from schemas.errors import SetupError
from streams.leaf_requests import append_leaf, new_request
from streams.replay.page import page
from streams.replay.state import Job
from streams.settings import ReplaySettings


def write(settings: ReplaySettings, out: Path, job: Job, document: Mapping[str, Any]) -> int | None:
    """Write a report in its three forms, and the key that signed it; have its leaf appended.

    The replay does not hold the ledger's key: egress appends the leaf.

    Returns:
        The leaf's index; None if it waits for egress.

    Raises:
        SetupError: The folder cannot be written.

    """
    seed = secret(settings.folder / "keys", PURPOSE)
    signer = Signer(key_name(document["ledger"]["origin"]), seed)
    note = sign(document, signer)
    files = {
        "replay.note": note,
        "replay.json": note.partition(b"\n")[0] + b"\n",
        "vkey": f"{signer.verifier}\n".encode(),
    }
    _put(out, files)
    digest = sha256(note).hexdigest()
    leaf = append_leaf(
        settings.folder, leaf_of(document, digest, new_request(), job.since, job.until)
    )
    _put(out, {"replay.html": page(document, str(signer.verifier), digest, leaf).encode()})
    return leaf


def _put(folder: Path, files: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            with suppress(FileNotFoundError):
                (folder / name).unlink()
            (folder / name).write_bytes(data)
    except OSError as exc:
        msg = f"{folder}: cannot be written ({type(exc).__name__}); choose another --out"
        raise SetupError(msg) from exc
