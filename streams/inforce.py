"""Say in the ledger which rules are in force, before the first record that crosses under them.

The leaf is written by egress itself, once for each change: a mark beside the switch,
``<home>/<region>/egress/policy.json``, names the newest one. A mark that is lost, or names another
leaf, costs a leaf that says the same again.
"""

import logging
from collections.abc import Mapping
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson

from residency.gate.approvals import load_approved
from residency.ledger.disk import POSIX, replace_durably
from residency.ledger.files import Ledger
from residency.ledger.leaves import parse_leaf, quantise
from residency.ledger.policies import PolicyLeaf
from residency.regions import load_regions
from streams.leaf_requests import new_request

LOG = logging.getLogger("homeport.egress")
MARK: Final = "policy.json"
POLICY: Final = Path(__file__).parents[1] / "residency/policy"
PACKS: Final = "packs"


class InForce:
    """The rules that this process works by, and whether its ledger says so."""

    def __init__(
        self, folder: Path, plans: Mapping[str, date | None], files: Mapping[str, str]
    ) -> None:
        """Take egress's folder, the approved plans with their last days, and the files' digests."""
        self._path = folder / MARK
        self._plans = {
            name: None if day is None else day.isoformat() for name, day in plans.items()
        }
        self._files = dict(files)
        self._is_stated = False

    def state(self, ledger: Ledger, now: datetime) -> None:
        """Append the leaf unless the ledger has it; durable under the signed head then.

        Raises:
            FormatError: There are more plans or files than a leaf holds.
            LedgerError: The ledger cannot be written; nothing may be sent.

        """
        if self._is_stated:
            return
        if not self._stands(ledger):
            leaf = PolicyLeaf(quantise(now), new_request(), self._plans, self._files)
            (index,) = ledger.append([leaf.to_bytes()])
            LOG.info("leaf %d names the rules that are in force", index)
            self._mark(index)
        self._is_stated = True

    def _stands(self, ledger: Ledger) -> bool:
        """Return whether the leaf that the mark names says the same."""
        try:
            leaf = orjson.loads(self._path.read_bytes())["leaf"]
        except (OSError, ValueError, TypeError, LookupError):
            return False
        if type(leaf) is not int or not 0 <= leaf < ledger.size:
            return False
        (entry,) = ledger.read(leaf, leaf + 1)
        said = parse_leaf(entry)
        return isinstance(said, PolicyLeaf) and (said.plans, said.files) == (
            self._plans,
            self._files,
        )

    def _mark(self, index: int) -> None:
        try:
            replace_durably(POSIX, self._path, orjson.dumps({"leaf": index}))
        except OSError as error:
            text = "%s is not written, so the next start says it again: %s"
            LOG.warning(text, MARK, error.strerror)


def policy_files() -> dict[str, Path]:
    """Return every policy file by its path, as an export and a leaf name it."""
    return {path.relative_to(POLICY).as_posix(): path for path in sorted(POLICY.rglob("*.toml"))}


def rules_of(region: str, approved: Path) -> tuple[dict[str, date | None], dict[str, str]]:
    """Return the plans that *region* may use and the digests of the policy files that count there.

    Of the packs, those of the region count.

    Args:
        region: Its id.
        approved: The list of approved plans.

    Raises:
        SetupError: *approved* or the list of regions cannot be read.

    """
    packs = {f"{PACKS}/{name}.toml" for name in load_regions()[region].packs}
    files = {
        name: sha256(path.read_bytes()).hexdigest()
        for name, path in policy_files().items()
        if name in packs or not name.startswith(f"{PACKS}/")
    }
    return load_approved(approved, region), files
