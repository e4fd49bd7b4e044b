"""What no label may state: the special categories of the policy, by words."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from residency.policy.files import Finding, PolicyFile, shown, text_of
from residency.policy.packs import load_limits

FILE = Path(__file__).parents[1] / "denied_meanings.toml"
Denied = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Block:
    """A category of the policy and beginnings of the words that state it."""

    category: str
    words: tuple[str, ...]


def load_denied() -> tuple[Denied, Sequence[Finding]]:
    """Return the words of the shipped list by category, and what is wrong with it."""
    findings: list[Finding] = []
    file = PolicyFile(shown(FILE), text_of(FILE))
    special = [one.category for one in load_limits().special]
    denied = read_denied(file, special, findings)
    return denied, findings


def read_denied(file: PolicyFile, special: Iterable[str], findings: list[Finding]) -> Denied:
    """Return the words by category; a finding for each fault, and for each category left out.

    Args:
        file: The list.
        special: Every category that a law singles out.
        findings: Takes what is wrong.

    """
    rows = file.table(findings).get("denied", [])
    read = [file.row(row, ("denied", number), Block, findings) for number, row in enumerate(rows)]
    denied = {block.category: block.words for block in read if block is not None and block.words}
    wanted = set(special)
    for category in sorted(wanted - denied.keys()):
        told = f"{category} has no words here, and a law singles it out; add a [[denied]] block"
        findings.append(file.finding((), "not-denied", told))
    for number, block in enumerate(read):
        if block is not None and block.category not in wanted:
            told = f"{block.category} is not among the special categories of the policy"
            findings.append(file.finding(("denied", number), "unknown-category", told))
    return denied


def denied_by(denied: Denied, text: str) -> Sequence[str]:
    """Return the categories that a label's name and meaning state, sorted."""
    spoken = text.casefold() + " "
    return sorted(
        category
        for category, words in denied.items()
        if any(re.search(rf"\b{re.escape(word.casefold())}", spoken) for word in words)
    )
