"""What can be wrong with a ledger. All of it stops a worker: the log is the proof."""

from schemas.errors import BreachError, Cause, HaltError


class LedgerError(BreachError):
    """The ledger cannot be trusted or written; the text names the file or leaf."""

    cause = Cause.LEDGER


class FormatError(LedgerError):
    """Some bytes are not the one way to write what they mean."""


class UnknownKindError(FormatError):
    """A leaf is of a kind that this release does not know."""


class LockedError(HaltError):
    """Another process writes this ledger; that says nothing against the ledger."""


class UnloggedError(BreachError):
    """Something was about to be sent that the ledger does not hold; nothing of it was."""

    cause = Cause.UNLOGGED
