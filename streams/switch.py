"""Whether a region's egress may run: two small files that every process of the region can ask.

``permit.json`` lets it run and ``halt.json`` stops it; egress runs while the first is there and
the second is not. So halting is making one file or removing the other, and works on a full disk
too. The first halt stands: it is put in place by a link, which fails where there is one. A file
that is missing, cannot be read or is not what we wrote means halted. Whoever watches the region
(reconciliation, a verification) may halt it; only `Switch.resuming` ends that.
What is found while a halt stands, or is being resumed, is not remembered: who found it must look
again.

    <home>/<region>/egress/permit.json       {"leaf": of the `resume` leaf, null at first use}
    <home>/<region>/egress/halt.json         a `Halt`
    <home>/<region>/egress/stays.json        names of records that stay: a person said so
    <home>/<region>/egress/resumed/<id>.json that halt, with why and when it ended
"""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from residency.ledger.disk import POSIX, make_durably, replace_durably, write_durably
from schemas.errors import BreachError, Cause, HaltError
from streams.halts import ID_DIGITS, By, Halt, HaltedError, damaged

HALT, PERMIT, STAYS, RESUMED = "halt.json", "permit.json", "stays.json", "resumed"
_STEP: Final = "look at `homeport egress status`, then `homeport egress resume`"


class Switch:
    """The files of one region. Any number of processes and threads may have one each."""

    def __init__(self, region_folder: Path) -> None:
        """Take the region's folder in the home; changes nothing."""
        self.folder = region_folder / "egress"
        self._permit: bytes | None = None

    def halted(self) -> Halt | None:
        """Return the halt that stands, if one does."""
        path = self.folder / HALT
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            return damaged(b"", f"{path} cannot be read; {_STEP}", datetime.now(UTC))
        try:
            return Halt.from_json(orjson.loads(data))
        except (ValueError, KeyError, TypeError):
            since = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            return damaged(data, f"{path} is not what a halt wrote; {_STEP}", since)

    def permitted(self) -> int | None:
        """Return the `resume` leaf by which egress may run; None: it may since its first use.

        Raises:
            BreachError: The permit is missing or is none.

        """
        data = self._read_permit()
        if data is None:
            msg = f"{self.folder / PERMIT} is missing, so nobody permits egress to run; {_STEP}"
            raise BreachError(msg, Cause.SWITCH)
        try:
            leaf = orjson.loads(data)["leaf"]
        except (ValueError, KeyError, TypeError):
            leaf = ""
        if leaf is not None and type(leaf) is not int:
            msg = f"{self.folder / PERMIT} is no permit; {_STEP}"
            raise BreachError(msg, Cause.SWITCH)
        self._permit = data
        return leaf

    def resumed_by(self) -> int | None:
        """Return the leaf of the permit, if there is one."""
        return None if self._read_permit() is None else self.permitted()

    def standing(self, *, is_new: bool = False, now: datetime | None = None) -> Halt | None:
        """Return the halt that stands; a missing or damaged permit is one, unless all *is_new*."""
        halt = self.halted()
        if halt is not None or (is_new and self._read_permit() is None):
            return halt
        try:
            self.permitted()
        except BreachError as error:
            return damaged(b"permit", str(error), now or datetime.now(UTC))
        return None

    def standing_after(self, last: Halt | None) -> Halt | None:
        """Return the halt that stands; *last*, where it could not be written and nobody resumed."""
        return self.halted() or (last if self._read_permit() is None else None)

    def stays(self) -> frozenset[str]:
        """Return the names of the records that stay if the gate halts at them.

        Raises:
            BreachError: The list is damaged.

        """
        path = self.folder / STAYS
        try:
            return frozenset(map(str, orjson.loads(path.read_bytes())))
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError, TypeError):
            msg = f"{path} is no list of records that stay; restore or remove it"
            raise BreachError(msg, Cause.SWITCH) from None

    def keep(self, names: Iterable[str]) -> None:
        """Add to the names of the records that stay; call it while `resuming`."""
        everything = sorted(self.stays() | set(names))
        replace_durably(POSIX, self.folder / STAYS, orjson.dumps(everything))

    def first_use(self) -> None:
        """Permit egress to run: its ledger is empty, so nothing was ever sent or halted."""
        if self._read_permit() is None:
            make_durably(POSIX, self.folder)
            self._write_permit(None)

    def check(self) -> None:
        """Pass while egress may run. Costs two looks at the disk, some 12 us.

        Raises:
            BreachError: It may not, or not any more.

        """
        halt = self.halted()
        if halt is not None:
            raise HaltedError(halt)
        if self._permit is not None and self._read_permit() != self._permit:
            msg = f"{self.folder / PERMIT} went away or changed; {_STEP}"
            raise BreachError(msg, Cause.SWITCH)

    def halt(
        self, error: BreachError, by: By, *, leaf: int | None = None, now: datetime | None = None
    ) -> Halt:
        """Halt the region's egress durably; return the halt that stands, the first one.

        Raises:
            HaltError: Neither could that be written nor the permit removed.

        """
        standing = self.halted()
        if standing is not None:
            return standing
        fresh = Halt.of(
            error, by, secrets.token_hex(ID_DIGITS // 2), now or datetime.now(UTC), leaf
        )
        try:
            self._put(fresh)
        except OSError as exc:
            self._withdraw(exc)
            return fresh
        with suppress(OSError):
            self._withdraw()
        return self.halted() or fresh

    @contextmanager
    def resuming(self, reason: str, now: datetime) -> Iterator["Resuming"]:
        """Yield what a `resume` leaf is to say; if the block ends well, egress may run again.

        The block appends the leaf and calls `Resuming.logged`. Interrupted at any step, egress
        stays halted, and the next try appends a leaf of its own.

        Raises:
            HaltError: Egress is not halted, or the folder cannot be written.

        """
        halt = self.standing(now=now)
        if halt is None:
            msg = "egress is not halted: there is nothing to resume"
            raise HaltError(msg)
        found = Resuming(halt)
        told: dict[str, Any] = {
            "halt": halt.to_json(),
            "reason": reason,
            "resumed": now.isoformat(),
        }
        try:
            make_durably(POSIX, self.folder / RESUMED)
            path = self.folder / RESUMED / f"{halt.id}.json"
            replace_durably(POSIX, path, orjson.dumps(told, option=orjson.OPT_INDENT_2))
            yield found
            told["leaf"] = found.leaf
            replace_durably(POSIX, path, orjson.dumps(told, option=orjson.OPT_INDENT_2))
            self._write_permit(found.leaf)  # first: egress asks for it as soon as the halt is gone
            (self.folder / HALT).unlink(missing_ok=True)
            write_durably(POSIX, [], [self.folder])
        except OSError as exc:
            msg = f"{self.folder}: {exc.strerror or 'I/O error'}; egress stays halted"
            raise HaltError(msg) from exc

    def _read_permit(self) -> bytes | None:
        try:
            return (self.folder / PERMIT).read_bytes()
        except OSError:
            return None

    def _write_permit(self, leaf: int | None) -> None:
        replace_durably(POSIX, self.folder / PERMIT, orjson.dumps({"leaf": leaf}))

    def _put(self, halt: Halt) -> None:
        """Put *halt* in place unless there is one."""
        make_durably(POSIX, self.folder)
        draft = self.folder / f".{HALT}.{halt.id}"
        try:
            write_durably(POSIX, [(draft, orjson.dumps(halt.to_json()))])
            with suppress(FileExistsError):
                os.link(draft, self.folder / HALT)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        write_durably(POSIX, [], [self.folder])

    def _withdraw(self, cause: OSError | None = None) -> None:
        """Remove the permit: all that is left where no file can be written."""
        try:
            (self.folder / PERMIT).unlink(missing_ok=True)
            write_durably(POSIX, [], [self.folder])
        except OSError as exc:
            if cause is None:
                raise
            msg = (
                f"{self.folder}: egress could not be halted there "
                f"({cause.strerror or 'I/O error'}); stop its process"
            )
            raise HaltError(msg) from exc


@dataclass(slots=True)
class Resuming:
    """What ends: the halt; and the leaf that says so, once it is durable."""

    halt: Halt
    leaf: int | None = None

    def logged(self, leaf: int) -> None:
        """Take the index of the `resume` leaf, now durable."""
        self.leaf = leaf
