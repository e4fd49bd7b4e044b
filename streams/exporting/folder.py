"""One export from question to folder. The folder is there whole, or not at all."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any, Final

import orjson

from connectors.embedded.files import PRIVATE_DIR, PRIVATE_FILE
from residency.ledger.accesses import Purpose
from residency.ledger.reader import VKEY
from residency.ledger.walk import Progress
from residency.release import release_digest
from residency.vault.looking import Term
from schemas.errors import HomeportError, SetupError
from streams.exporting.gather import Gathered, gather
from streams.looking.callers import Caller
from streams.looking.desk import Desk
from streams.proofs import write_proof
from streams.settings import ReplaySettings

FORMAT: Final = "homeport.subject-export/1"
DOCUMENT: Final = "subject.json"
README: Final = "README.md"
PROOFS: Final = "proofs"


class WhoError(HomeportError):
    """Nobody is found, or more than one person, so nothing is exported."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        request: Names the `access` leaf, also while that waits.
        leaf: Its index; None while it waits for egress.
        events: How many events.
        records: How many minimal records.
        rows: How many rows outside of the region.
        proofs: How many leaves have their proof beside them.

    """

    folder: Path
    request: str
    leaf: int | None
    events: int
    records: int
    rows: int
    proofs: int


def export(  # noqa: PLR0913, who wants what, why, from where and where to
    desk: Desk,
    settings: ReplaySettings,
    out: Path,
    *,
    caller: Caller,
    by: Term,
    purpose: Purpose,
    ticket: str,
    progress: Progress,
) -> Exported:
    """Write all that the region holds of one person to *out*, a folder that does not exist yet.

    Raises:
        RefusedError: The caller may not have it.
        WhoError: It is about nobody, or about several.
        SetupError: *out* exists or cannot be written; a key or the ledger is not here.
        RetriableError: Postgres or Kafka does not answer.

    """
    if out.exists():
        msg = f"{out} exists; name a new folder with --out"
        raise SetupError(msg)
    now = datetime.now(UTC)
    whose = desk.whose(caller, by, purpose, ticket, now)
    if len(whose.subjects) != 1:
        found = f"{len(whose.subjects)} persons have it" if whose.subjects else "nobody has it"
        msg = f"{found}; the ledger says that you asked: look by --customer or --token"
        raise WhoError(msg)
    (subject,) = whose.subjects
    gathered = gather(settings, subject, desk.events(subject), progress)
    head = {
        "format": FORMAT,
        "region": settings.region,
        "made_at": now.isoformat(timespec="seconds"),
        "release": release_digest(),
        "request": whose.request,
        "leaf": whose.leaf,
    }
    leaves = _proved(gathered, whose.leaf)
    document = {**head, **gathered.document, "proofs": leaves}
    _write(out, document, gathered, leaves)
    abroad = gathered.document["abroad"]
    return Exported(
        out,
        whose.request,
        whose.leaf,
        len(gathered.document["events"]),
        len(abroad["records"]),
        len(abroad["rows"]),
        len(leaves),
    )


def _proved(gathered: Gathered, leaf: int | None) -> list[int]:
    """Return the leaves that get a proof, the export's own among them."""
    own = set() if leaf is None else {leaf}
    return sorted({*gathered.leaves, *own})


def _write(out: Path, document: dict[str, Any], gathered: Gathered, leaves: list[int]) -> None:
    """Write everything beside *out*, then put it there in one step."""
    draft = out.with_name(f".{out.name}.part")
    try:
        if draft.exists():  # of a run that was killed
            shutil.rmtree(draft)
        (draft / PROOFS).mkdir(mode=PRIVATE_DIR, parents=True)
        draft.chmod(PRIVATE_DIR)
        try:
            for leaf in leaves:
                write_proof(gathered.reader, gathered.log, leaf, gathered.head.size, draft / PROOFS)
            _private(draft / VKEY, f"{gathered.log}\n".encode())
            _private(draft / README, _readme(document).encode())
            _private(draft / DOCUMENT, orjson.dumps(document, option=orjson.OPT_INDENT_2))
            draft.rename(out)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except OSError as exc:
        msg = f"{out}: cannot be written: {exc.strerror}; mend that and run it again"
        raise SetupError(msg) from exc


def _readme(document: dict[str, Any]) -> str:
    text = Template(Path(__file__).with_name(README).read_text("utf-8"))
    return text.substitute(
        region=document["region"],
        made_at=document["made_at"],
        request=document["request"],
        events=len(document["events"]),
        records=len(document["abroad"]["records"]),
    )


def _private(path: Path, data: bytes) -> None:
    path.touch(mode=PRIVATE_FILE)
    path.write_bytes(data)
