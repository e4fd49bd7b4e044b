"""What can be wrong with a ledger. All of it stops a worker: the log is the proof."""

from schemas.errors import HaltError


class LedgerError(HaltError):
    """The ledger cannot be trusted or written; the text names the file or leaf."""


class FormatError(LedgerError):
    """Some bytes are not the one way to write what they mean."""


class UnknownKindError(FormatError):
    """A leaf is of a kind that this release does not know."""


class LockedError(LedgerError):
    """Another process writes this ledger."""
