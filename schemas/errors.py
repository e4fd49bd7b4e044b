"""Every error Homeport raises, grouped by what the caller should do next.

Messages name records by coordinates, fields by path, rules by id. They never hold a
value: an exception's text ends up in logs, traces and tickets, and those cross borders.
"""

from enum import StrEnum


class HomeportError(Exception):
    """Base of all errors raised by this project."""


class RetriableError(HomeportError):
    """Try again later: the same call may succeed."""


class HaltError(HomeportError):
    """Stop the worker: going on could move data that must stay, or lose a record."""


class Cause(StrEnum):
    """Why a region's egress is halted. A closed list: ledger leaves and alerts show it."""

    GATE = "gate"  # a record our own code should never have made, or too many that look personal
    PLAN = "plan"  # a record's plan is not approved, or has ended
    MODEL = "model"  # labels of a model that nobody accepted, or of none
    UNLOGGED = "unlogged"  # something was about to be sent that the ledger does not hold
    LEDGER = "ledger"  # the ledger does not verify, or cannot be written
    RECONCILE = "reconcile"  # org, expected rows and ledger do not agree
    SWITCH = "switch"  # what says whether egress may run is missing or damaged


class BreachError(HaltError):
    """A promise is broken, or was about to be: a region's egress stays halted until resumed.

    Attributes:
        cause: Of the closed list.
        records: Names of the records that show it, safe to log; may be empty.

    """

    cause: Cause = Cause.GATE
    records: tuple[str, ...] = ()

    def __init__(
        self, text: str, cause: Cause | None = None, records: tuple[str, ...] | None = None
    ) -> None:
        """Take the text, which names no value; what is None is the class's own."""
        super().__init__(text)
        self.cause = self.cause if cause is None else cause
        self.records = self.records if records is None else records


class SetupError(HomeportError):
    """The machine or its configuration lacks something; the text says the next step."""


class Reason(StrEnum):
    """Why a record is in quarantine. A closed list: dashboards and `dry-run` show it."""

    MALFORMED = "malformed"  # not the wire format, or not the schema's bytes
    UNKNOWN_SCHEMA = "unknown-schema"
    NO_APPROVED_PLAN = "no-approved-plan"
    UNKNOWN_JURISDICTION = "unknown-jurisdiction"
    WRONG_REGION = "wrong-region"
    WRONG_TOPIC = "wrong-topic"  # an order event on the customers' topic, say
    FORMAT = "format"  # a kept string does not match its declared pattern
    OVERSIZE = "oversize"
    SCANNER = "scanner"  # the gate found personal data in a grammatical value
    REJECTED = "rejected"  # the org refused the row's data
    GATE = "gate"  # it breaks the gate's rules, and a person said that it stays
    ERASED_SUBJECT = "erased-subject"  # of a person whose erasure was asked for
    UNOPENED = "unopened"  # the gateway sealed it, and no key of its subject opens it


class QuarantineError(HomeportError):
    """Send this record to the region's quarantine topic and go on.

    Attributes:
        reason: One of the closed list.
        path: The field's path, such as ``items[].sku``, or None for the whole record.
        plan: Digest of the plan under which it could not be decided, or None where there
            was no plan yet.

    """

    def __init__(self, reason: Reason, path: str | None = None, plan: str | None = None) -> None:
        """Name the reason, the field and the plan, not the field's value."""
        where = f" at {path}" if path else ""
        super().__init__(f"{reason}{where}: the record goes to quarantine")
        self.reason = reason
        self.path = path
        self.plan = plan
