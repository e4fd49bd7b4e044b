"""How far an erasure is, for people and programs; no value, no token."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from residency.vault.erasure import STEPS, Erasure, Step
from streams.erasing.certificate import CERTIFICATE, FOLDER

WAITS = {
    Step.ASKED: "for vault, border and egress to pass what came before",
    Step.SETTLED: "for the rows abroad to be listed",
    Step.LISTED: "for the outcomes of the rows abroad",
    Step.ABROAD: "for the destruction at home",
    Step.HOME: "for the ledger's leaf",
    Step.LOGGED: "for the certificate",
    Step.CERTIFIED: "for the end",
}


TURNED = "for vault and border to pass what was sealed under the key that goes"


def told(one: Erasure, folder: Path) -> dict[str, Any]:
    """Return what there is to say of an erasure, as JSON; *folder* is the region's."""
    place = folder / FOLDER / one.request / CERTIFICATE
    return {
        "request": one.request,
        "step": one.step.value,
        "steps_left": len(STEPS) - 1 - STEPS.index(one.step),
        "waits": one.state.problem or _waits(one),
        "problem": one.state.problem,
        "asked_at": datetime.fromtimestamp(one.asked_at, UTC).isoformat(),
        "asked_by": one.asked_by,
        "leaf": one.leaf,
        "rows": len(one.state.rows),
        "counts": dict(one.state.counts),
        "undecided": list(one.state.undecided),
        "certificate": str(place) if place.exists() else None,
    }


def _waits(one: Erasure) -> str | None:
    is_turned = one.step is Step.ABROAD and one.state.turned is not None
    return TURNED if is_turned else WAITS.get(one.step)


def line(row: dict[str, Any]) -> str:
    """Return one line for a person."""
    if row["step"] == Step.DONE:
        counts = ", ".join(f"{n} {name}" for name, n in sorted(row["counts"].items())) or "nothing"
        return f"{row['request']}  done by leaf {row['leaf']}: {counts}; {row['certificate']}"
    return f"{row['request']}  {row['step']}; waits {row['waits']}"
