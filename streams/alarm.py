"""What egress does while it is halted: tell a person once, and wait to be resumed.

It has stopped sending before any of this begins, so whoever does not answer here delays nothing.
Told once means: one line in the log and one alert by webhook per halt, also over restarts;
``alert.json`` remembers. The webhook is tried again until it answers or the halt ends. A process
that dies between its answer and that note tells twice: ``halt`` in the document is the same then.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from connectors.webhook import WebhookConfig, tell
from residency.ledger.disk import POSIX, make_durably, replace_durably
from residency.telemetry.setup import Recorder
from residency.topics import raw_topics
from schemas.errors import Cause, RetriableError
from schemas.events import RecordId
from streams.halts import Halt
from streams.switch import Switch

LOG = logging.getLogger("homeport.egress")
ALERT: Final = "alert.json"
POLL_S: Final = 0.2  # between two looks whether somebody resumed
FIRST_WAIT_S, MAX_WAIT_S = 1.0, 60.0  # between two tries of the webhook
MEANINGS: Final[Mapping[Cause, str]] = {
    Cause.GATE: "the gate stopped a record that must not leave",
    Cause.PLAN: "a record came under a plan that is not approved, or has ended",
    Cause.MODEL: "labels came of a model that nobody accepted",
    Cause.UNLOGGED: "something was about to be sent that the ledger does not hold",
    Cause.LEDGER: "the ledger does not verify, or cannot be written",
    Cause.RECONCILE: "the org does not hold what the ledger says was accepted",
    Cause.SWITCH: "what says whether egress may run is missing or damaged",
}


@dataclass(frozen=True, slots=True)
class Told:
    """Who was told of which halt."""

    halt: str = ""
    logged: bool = False
    delivered: bool = False


def told_of(switch: Switch) -> Told:
    """Return who was told of the last halt; nobody, where that cannot be read."""
    try:
        row = orjson.loads((switch.folder / ALERT).read_bytes())
        return Told(str(row["halt"]), row["logged"] is True, row["delivered"] is True)
    except (OSError, ValueError, KeyError, TypeError):
        return Told()


def document(region: str, halt: Halt) -> dict[str, Any]:
    """Return what an alert says: record ids and words of closed lists, nothing else.

    The halt's own text stays in the region: it names fields and rules. So do names that are none
    of this region's records; they count as more.
    """
    names = [name for name in halt.records if _is_ours(region, name)]
    return {
        "kind": "egress-halted",
        "region": region,
        "halt": halt.id,
        "cause": halt.cause.value,
        "meaning": MEANINGS[halt.cause],
        "by": halt.by,
        "since": halt.since.isoformat(timespec="seconds"),
        "records": names,
        "more": halt.more + len(halt.records) - len(names),
        "leaf": halt.leaf,
        "next": f"homeport egress status --region {region}",
    }


def _is_ours(region: str, name: str) -> bool:
    try:
        found = RecordId.parse(name)
    except ValueError:
        return False
    return name.isascii() and str(found) == name and found.at.topic in raw_topics(region)


def sentence(told: Mapping[str, Any]) -> str:
    """Return what `document` says as a line for people."""
    about = list(told["records"])
    if told["more"]:
        about.append(f"and {told['more']} more")
    if told["leaf"] is not None:
        about.append(f"first bad leaf {told['leaf']}")
    what = f" ({', '.join(about)})" if about else ""
    return (
        f"Homeport: egress of {told['region']} is halted since {told['since']}: "
        f"{told['meaning']}{what}. Nothing is sent until somebody resumes it: {told['next']}"
    )


class Alarm:
    """Tells of the halts of one region. For one thread."""

    def __init__(
        self,
        switch: Switch,
        region: str,
        webhook: WebhookConfig | None,
        recorder: Recorder,
        deliver: Callable[[WebhookConfig, Mapping[str, Any], str], None] = tell,
    ) -> None:
        """Take whom to tell; without a webhook, the log alone."""
        self._switch = switch
        self._region = region
        self._webhook = webhook
        self._recorder = recorder
        self._deliver = deliver

    def wait(self, stop: threading.Event, last: Halt | None = None) -> None:
        """Return once egress is not halted, or *stop* is set; a person is told meanwhile.

        *last* is the halt that this process made, if it did: it stands without a file, too, where
        the disk took none, until there is a permit again.
        """
        while not stop.is_set():
            halt = self._switch.standing_after(last)
            if halt is None:
                return
            over = threading.Event()
            self._tell(halt, over)
            try:
                while not stop.wait(POLL_S):
                    now = self._switch.standing_after(last)
                    if now is None or now.id != halt.id:
                        break
            finally:
                over.set()

    def _tell(self, halt: Halt, over: threading.Event) -> None:
        told = told_of(self._switch)
        if told.halt != halt.id:
            told = Told(halt.id)
        said = document(self._region, halt)
        if not told.logged:
            LOG.critical("%s", sentence(said))
            self._recorder.add("homeport.alerts", kind="egress-halted")
            told = self._note(Told(halt.id, logged=True, delivered=told.delivered))
        else:
            LOG.warning("still halted, since %s", said["since"])
        if self._webhook is not None and not told.delivered:
            work = threading.Thread(
                target=self._deliver_until, args=(self._webhook, said, over), daemon=True
            )
            work.start()

    def _deliver_until(
        self, webhook: WebhookConfig, said: Mapping[str, Any], over: threading.Event
    ) -> None:
        wait_s = FIRST_WAIT_S
        while not over.is_set():
            try:
                self._deliver(webhook, said, sentence(said))
            except RetriableError as error:
                LOG.warning("%s; trying again in %.0f s", error, wait_s)
            else:
                if not over.is_set():
                    self._note(Told(str(said["halt"]), logged=True, delivered=True))
                return
            over.wait(wait_s)
            wait_s = min(2 * wait_s, MAX_WAIT_S)

    def _note(self, told: Told) -> Told:
        """Remember who was told; on a disk that fails, a restart tells again."""
        row = {"halt": told.halt, "logged": told.logged, "delivered": told.delivered}
        try:
            make_durably(POSIX, self._switch.folder)
            replace_durably(POSIX, self._switch.folder / ALERT, orjson.dumps(row))
        except OSError as exc:
            LOG.warning("%s cannot be written: %s", ALERT, exc.strerror or "I/O error")
        return told
