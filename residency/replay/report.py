"""A replay's report: canonical JSON under a signature of the region's replay key.

A key of its own, not the ledger's: that one signs checkpoints and nothing else, so no text that
it signed can be taken for a tree. The report is a signed note whose text is one line of JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785

from residency.ledger.errors import FormatError
from residency.ledger.note import Checkpoint, Signer, Verifier, encode_base64, open_note
from residency.ledger.replays import ReplayLeaf
from residency.replay.books import Place
from residency.replay.claims import Terms
from residency.replay.found import (
    FINE,
    MAX_FINDINGS,
    NEXT_STEP,
    NO_LEAF,
    Found,
    Verdict,
    total,
    word,
)
from residency.replay.resend import Stays

FORMAT = 1
KINDS = ("homeport-replay", "homeport-resend")
PURPOSE = "replay"  # of the key, see `residency.keys`


@dataclass(frozen=True, slots=True)
class Part:
    """What was found on one partition.

    Attributes:
        start: The first offset that was replayed.
        stop: The first one that was not.

    """

    place: Place
    start: int
    stop: int
    found: Found

    def to_json(self) -> dict[str, Any]:
        """Return what a report says of it."""
        return {
            "topic": self.place.topic,
            "topic_id": self.place.topic_id,
            "partition": self.place.partition,
            "start": self.start,
            "stop": self.stop,
            "raw": self.found.raw,
            "counts": _counts(self.found),
        }


def report(  # noqa: PLR0913, PLR0917, one argument per thing that a report names
    region: str,
    time: str,
    release: str,
    head: Checkpoint,
    parts: Sequence[Part],
    strays: Found,
    terms: Sequence[Terms],
) -> dict[str, Any]:
    """Return the report; the same spans give the same one, but for its *time*.

    Args:
        region: Whose.
        time: When, as of `residency.ledger.leaves.quantise`.
        release: Digest of the code that replayed.
        head: The ledger's, to which all leaves below its size were read.
        parts: By topic and partition.
        strays: What leaves say of topics and partitions that are none now.
        terms: What all leaves in the span name.

    """
    whole = total([*(part.found for part in parts), strays])
    found = {v: n for v, n in whole.counts.items() if v not in FINE and n}
    return {
        "kind": "homeport-replay",
        "format": FORMAT,
        "region": region,
        "time": time,
        "release": release,
        "ledger": _ledger(head),
        "is_fine": not found,
        "raw": whole.raw,
        "counts": _counts(whole),
        "erased": [
            {"leaf": None if leaf == NO_LEAF else leaf, "records": whole.erased[leaf]}
            for leaf in sorted(whole.erased)
        ],
        "parts": [part.to_json() for part in parts],
        "findings_total": sum(found.values()),
        "findings": [finding.to_json() for finding in whole.findings],
        "next_steps": {v.value: NEXT_STEP[v] for v in sorted(found)},
        "plans": sorted({one.plan for one in terms}),
        "keys": sorted({one.keys for one in terms}),
        "releases": sorted({one.release for one in terms}),
    }


def resend_report(  # noqa: PLR0913, one argument per thing that a report names
    *,
    region: str,
    time: str,
    release: str,
    head: Checkpoint,
    wanted: Mapping[str, Any],
    raw: int,
    sent: Sequence[str],
    already: int,
    stays: Sequence[Stays],
) -> dict[str, Any]:
    """Return the report of a resend.

    Args:
        region: Whose.
        time: When, as of `residency.ledger.leaves.quantise`.
        release: Digest of the code that sent them again.
        head: The ledger's, by which was chosen.
        wanted: What the operator asked for, and why.
        raw: Raw records read.
        sent: Names of the records, with their new resend numbers.
        already: How many an earlier run of this resend had sent.
        stays: What was wanted and is not sent.

    """
    return {
        "kind": "homeport-resend",
        "format": FORMAT,
        "region": region,
        "time": time,
        "release": release,
        "ledger": _ledger(head),
        **wanted,
        "raw": raw,
        "already": already,
        "sent_total": len(sent),
        "sent": list(sent[:MAX_FINDINGS]),
        "stays_total": len(stays),
        "stays": [{"record": one.record, "why": one.why} for one in stays[:MAX_FINDINGS]],
    }


def _ledger(head: Checkpoint) -> dict[str, Any]:
    return {"origin": head.origin, "size": head.size, "root": encode_base64(head.root)}


def _counts(found: Found) -> dict[str, int]:
    return {verdict.value: found.counts[verdict] for verdict in Verdict if found.counts[verdict]}


def leaf_of(
    document: Mapping[str, Any], digest: str, request: str, since: str | None, until: str | None
) -> ReplayLeaf:
    """Return the leaf that says that a report was made.

    Args:
        document: The report.
        digest: SHA-256 of it, signed, hex.
        request: See `residency.ledger.notices`.
        since: What was asked for, see `ReplayLeaf`.
        until: Likewise.

    """
    return ReplayLeaf(
        time=document["time"],
        request=request,
        report=digest,
        size=document["ledger"]["size"],
        release=document["release"],
        topics=tuple(sorted({part["topic"] for part in document["parts"]})),
        since=since,
        until=until,
        raw=document["raw"],
        counts={word(Verdict(name)): n for name, n in document["counts"].items()},
    )


def key_name(origin: str) -> str:
    """Return the name of a region's replay key: beside the ledger's *origin*."""
    return f"{origin.rpartition('/')[0] or origin}/replay"


def sign(document: Mapping[str, Any], signer: Signer) -> bytes:
    """Return *document* as a signed note: its canonical JSON (RFC 8785) is the one line of text."""
    return bytes(signer.sign(rfc8785.dumps(dict(document)).decode() + "\n"))


def open_report(note: bytes, verifier: Verifier) -> dict[str, Any]:
    """Return the report in *note*, of a replay or a resend, signed by that key.

    The inverse of `sign`.

    Raises:
        FormatError: It is no signed note, or not a report.
        SignatureError: That key did not sign it.

    """
    text = open_note(note, [verifier]).text
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict) or document.get("kind") not in KINDS:
        msg = "the note is not a replay's report"
        raise FormatError(msg)
    return document
