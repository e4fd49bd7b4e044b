"""Have a region's model certified: ask it the golden set, and have its ledger say what came out.

Egress appends the leaf; whoever certifies holds no key. What the ledger says already, or is about
to, is not said again.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from inference.config import InferenceConfig, ServerConfig
from inference.golden import certificate
from inference.labelling import Labeller, labeller
from inference.lock import LockedModel, locked, model_digest, served_name, task_digests
from inference.supervisor import State
from residency.ledger.agreement import first_difference
from residency.ledger.certificates import Certificate, ModelLeaf
from residency.ledger.leaves import quantise
from residency.ledger.newest import newest
from residency.ledger.reader import CHECKPOINT, Reader, open_head
from residency.ledger.requests import FOLDER, Requests
from residency.release import release_digest
from schemas.errors import HomeportError, SetupError
from streams import models
from streams.leaf_requests import PATIENCE_S, append_leaf, new_request
from streams.settings import load_server

LOG = logging.getLogger("homeport.inference")


@dataclass(frozen=True, slots=True)
class Served:
    """A region's model, and how to ask it.

    Attributes:
        name: In the lock.
        model: From the lock.
        client: Where its server is.

    """

    name: str
    model: LockedModel
    client: InferenceConfig


@dataclass(frozen=True, slots=True)
class Certified:
    """What became of a certificate.

    Attributes:
        leaf: Index of its leaf, or of the one that says the same; None: it waits for egress.
        is_new: Whether the ledger did not say it yet.

    """

    certificate: Certificate
    leaf: int | None
    is_new: bool


def served(home: Path, region: str) -> Served:
    """Return a region's model and how to ask it.

    Raises:
        SetupError: No model server is set up, or its client asks for a model that the lock and
            the tasks do not make.

    """
    client = models.find_client(home, region)
    if client is None:
        msg = f"{home}: {region} has no model server; `homeport infer up` sets it up"
        raise SetupError(msg)
    is_ours = models.server_file(home, region).exists()
    lock_file = load_server(home, region).lock_file if is_ours else None
    name = client.model.partition("@")[0]
    model = locked(name, lock_file)
    wanted = served_name(name, model_digest(model, task_digests()))
    if client.model != wanted:
        msg = (
            f"{region}: its client asks for {client.model}, lock and tasks make {wanted}; "
            "`homeport up` starts the server anew"
        )
        raise SetupError(msg)
    return Served(name, model, client)


def supervised(config: ServerConfig) -> Served:
    """Return what a supervisor's own server serves, by its own settings and no other's."""
    model = locked(config.model, config.lock_file)
    name = served_name(config.model, model_digest(model, task_digests()))
    return Served(config.model, model, InferenceConfig(model.engine, name, uds=config.uds))


def certify(
    folder: Path,
    one: Served,
    now: datetime,
    asked: Labeller | None = None,
    patience_s: float = PATIENCE_S,
) -> Certified:
    """Ask a region's model the golden set; have its ledger say so unless it does already.

    Args:
        folder: The region's.
        one: Its model.
        now: The time, with a time zone.
        asked: Whom to ask; the model's server by default.
        patience_s: How long to wait for egress.

    Raises:
        RetriableError: The model server does not answer.
        HaltError: It serves another model.
        LedgerError: The ledger does not hold.
        SetupError: The request for the leaf cannot be written.

    """
    said = certificate(
        one.name, one.model, task_digests(), asked or labeller(one.client), release_digest()
    )
    latest = latest_certificate(folder / "ledger")
    if latest is not None and first_difference(latest[1].certificate, said) is None:
        return Certified(said, latest[0], is_new=False)
    for waiting in Requests(folder / FOLDER).waiting():
        if isinstance(waiting, ModelLeaf) and first_difference(waiting.certificate, said) is None:
            return Certified(said, None, is_new=False)
    leaf = ModelLeaf(quantise(now), new_request(), said)
    return Certified(said, append_leaf(folder, leaf, patience_s=patience_s), is_new=True)


def latest_certificate(ledger: Path) -> tuple[int, ModelLeaf] | None:
    """Return a region's newest certificate and its index, by the key that lies beside the ledger.

    None where the ledger has none, or does not exist yet.

    Raises:
        LedgerError: The ledger does not hold.

    """
    if not (ledger / CHECKPOINT).exists():
        return None
    reader = Reader(ledger)
    return newest(reader, open_head(reader), ModelLeaf)


def at_ready(folder: Path, config: ServerConfig) -> Callable[[State], None]:
    """Return what certifies the model of a supervisor, beside all else, when its server is ready.

    A certificate that fails is logged: the server serves on, `homeport models certify` tries
    again, and `homeport models agree` tells of a region that has none.

    Args:
        folder: The region's.
        config: The server's.

    """
    was_ready = False

    def run() -> None:
        try:
            done = certify(folder, supervised(config), datetime.now(UTC))
        except (HomeportError, OSError) as error:
            why = str(error) if isinstance(error, HomeportError) else type(error).__name__
            LOG.warning("the model is not certified: %s", why)
            return
        place = "waits for egress" if done.leaf is None else f"is leaf {done.leaf}"
        LOG.info("the model's certificate %s%s", place, " (new)" if done.is_new else "")

    def told(state: State) -> None:
        nonlocal was_ready
        if state.phase == "ready" and not was_ready:
            threading.Thread(target=run, name="certify", daemon=True).start()
        was_ready = state.phase == "ready"

    return told
