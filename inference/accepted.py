"""Which models' labels may leave a region: a reviewed list of digests, beside the lock.

The lock says what may be served now; a digest is over that and the tasks. Labels that an earlier
model gave may still wait, or be sent again from their stored decision, so a digest stays on the
list until somebody takes it off.
"""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from inference.lock import LockedModel, model_digest
from residency.ledger.certificates import WORD
from residency.ledger.forms import DIGEST
from schemas.errors import SetupError

ACCEPTED_FILE = Path(__file__).with_name("accepted.toml")
_HEAD = """\
# The models whose labels may leave a region, as SHA-256 over model, server and tasks: egress halts
# at labels of any other. `homeport models accept` adds what the lock and the tasks make; a line
# goes when no label of that model may be sent any more. A change here is a person's to review.
"""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Accepted:
    """One model that was accepted.

    Attributes:
        name: Its name in the lock.
        digest: See `inference.lock.model_digest`.

    """

    name: str
    digest: str

    def __post_init__(self) -> None:
        """Refuse what is no name or no digest.

        Raises:
            ValueError: It is not.

        """
        if not (WORD.fullmatch(self.name) and DIGEST.fullmatch(self.digest)):
            msg = "give a name of the lock and a digest of 64 hex digits"
            raise ValueError(msg)


_LIST = TypeAdapter(dict[Literal["model"], list[Accepted]])


def read_accepted(path: Path | None = None) -> tuple[Accepted, ...]:
    """Return a list, ours by default, in the file's order.

    Raises:
        SetupError: The file is missing, or is no such list.

    """
    path = path or ACCEPTED_FILE
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))
        return tuple(_LIST.validate_python(rows).get("model", ()))
    except OSError as exc:
        msg = f"{path}: cannot be read ({exc.strerror}); without it no label may leave"
        raise SetupError(msg) from exc
    except (ValueError, ValidationError):
        msg = f"{path}: not a list of [[model]] with name and digest (64 hex); see docs/models.md"
        raise SetupError(msg) from None


def accepted_models(path: Path | None = None) -> frozenset[str]:
    """Return the digests of the models whose labels may leave.

    Raises:
        SetupError: As `read_accepted`.

    """
    return frozenset(one.digest for one in read_accepted(path))


def present(models: Mapping[str, LockedModel], tasks: Mapping[str, str]) -> tuple[Accepted, ...]:
    """Return each model of a lock as it is with these *tasks*, by name."""
    return tuple(Accepted(name, model_digest(models[name], tasks)) for name in sorted(models))


def to_toml(models: Iterable[Accepted]) -> str:
    """Return the text of a list; the inverse of `read_accepted`."""
    rows = [
        f"\n[[model]]\nname = {json.dumps(one.name)}\ndigest = {json.dumps(one.digest)}\n"
        for one in models
    ]
    return "".join([_HEAD, *rows])
