"""What ``homeport demo`` says at its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from streams.cli.processes import org_page

if TYPE_CHECKING:
    from streams.demo.erased import Erased
    from streams.demo.observe import Counts
    from streams.demo.outcome import Outcome


def tell(outcome: "Outcome", seed: int, home: Path) -> None:
    """Print what came of a run, the evidence, and what to type next; *home* as it was typed."""
    from rich.console import Console  # noqa: PLC0415, slow to import
    from rich.table import Table  # noqa: PLC0415

    from connectors.embedded.stack import Stack  # noqa: PLC0415, so is this

    console = Console()
    told = outcome.to_json()
    table = Table("records", *outcome.regions, "all", title="What became of every record")
    columns = [_numbers(counts) for counts in outcome.regions.values()]
    for name in _NAMES:
        found = [column[name] for column in columns]
        table.add_row(name, *(str(n) for n in (*found, sum(found))))
    console.print(table)
    lines = {
        "events": f"{told['published']} published = {told['refused']} refused"
        f" + {told['duplicates_dropped']} dropped as duplicate + {told['raw']} raw",
        "records": f"{told['minimal']} minimal = {told['delivered']} delivered"
        f" + {told['superseded']} superseded + {told['rejected']} rejected"
        f" + {told['gate_refused']} gate-refused",
        "org": f"{told['rows']} rows read back, {told['duplicates']} surplus",
        "labels": f"{told['labelled']} answers to {told['label_requests']} requests,"
        f" {told['rows_with_labels']} rows have labels"
        if outcome.with_inference
        else f"{told['label_requests']} requests wait in their regions: no model servers ran",
        "leaks": f"{told['leaks_found']} found; {told['canaries']} canaries looked for in"
        f" {told['searched_bytes'] / 1e6:.1f} MB, the search found all it had planted"
        if not outcome.blind
        else "the search is blind in places",
        "time": f"{told['seconds']} s, {told['setup_seconds']} of them starting; seed {seed}",
    }
    lines["look at it"] = org_page(home, Stack(home).status())
    for region, report in outcome.ledgers.items():
        state = "verifies" if report.verified else "DOES NOT VERIFY"
        lines[f"ledger {region}"] = f"{state}: {report.size} leaves, {home}/{region}/ledger"
    lines |= _erasures(outcome, home)
    for name, line in lines.items():
        console.print(f"[bold]{name:<10}[/] {line}", highlight=False, soft_wrap=True)
    for problem in outcome.problems():
        console.print(f"[red]wrong[/]      {problem}", highlight=False)
    console.print("[green]It all adds up.[/]" if not outcome.problems() else "[red]It does not.[/]")
    for hint in _next(outcome, home):
        console.print(hint, highlight=False, soft_wrap=True)


def _erasures(outcome: "Outcome", home: Path) -> dict[str, str]:
    """Return what became of the requests for erasure, and of one in each region, by heading."""
    asked = outcome.erased
    if not asked:
        return {}
    done = [one for one in asked if one.is_done]
    state = f"{len(asked)} asked for by events, {len(done)} done"
    if done and not any(one.wrong for one in done):
        state += (
            f"; the proofs of {len(done)} certificates hold"
            f" ({len(done)} erasures, {sum(one.proofs for one in done)} transfers),"
            " and the org holds of their rows what they say"
        )
    if len(done) < len(asked):
        state += (
            "; the others go on while the stack runs. Deletions wait for ten minutes where egress"
            " was started over an older ledger: docs/erasure.md"
        )
    found = {"erasures": state}
    for one in outcome.shown():
        lines = [f"request {one.request}: {' > '.join(one.reached) or 'not read yet'}"]
        if one.certificate is not None:
            rows = "; ".join(f"{n} x {text}" for text, n in one.rows.items()) or "none"
            proof = "is NOT proved" if one.tree is None else f"is proved in a tree of {one.tree}"
            lines += [
                f"rows in the org: {rows}",
                f"certificate: {_folder(one, home)}/{one.certificate.name}",
                f"its leaf of kind `erasure`: {one.leaf}, which {proof}",
            ]
        else:
            lines.append(f"waits {one.waits}")
        found[f"erased {one.region}"] = f"\n{_INDENT}".join(lines)
    return found


def _next(outcome: "Outcome", home: Path) -> list[str]:
    """Return what to type next."""
    done = [one for one in outcome.shown() if one.certificate is not None]
    if not done:
        return []
    one = done[0]
    proof = f"{_folder(one, home)}/{one.leaf}"
    here, vkey = f"--region {one.region} --home {home}", f"{home}/{one.region}/ledger/vkey"
    return [
        "To type next, on the files alone, by whoever has them:",
        f"  homeport ledger check {proof}.tlog-proof {proof}.json --vkey {vkey}",
        f"  homeport ledger show {one.leaf} {here}",
        "and while the stack runs (`homeport up`):",
        f"  homeport subject status {one.request} {here}",
        f"  homeport subject erase {here} --customer ID --ticket T-1 --reason 'by letter' --wait",
    ]


def _folder(one: "Erased", home: Path) -> str:
    """Return the folder of a certificate, under the home as it was typed."""
    return f"{home}/{one.region}/erasures/{one.request}"


_INDENT = " " * 11  # below a heading's text
_NAMES = (
    "raw", "with records", "nothing", "quarantined", "minimal",
    "delivered", "superseded", "rejected", "gate-refused",
)  # fmt: skip


def _numbers(counts: "Counts") -> Mapping[str, int]:
    border, results = counts.border, counts.results
    values = (
        counts.raw, border.sent, border.nothing, border.quarantined, counts.minimal,
        results.get("accepted", 0), results.get("superseded", 0),
        results.get("rejected", 0), results.get("gate-refused", 0),
    )  # fmt: skip
    return dict(zip(_NAMES, values, strict=True))
