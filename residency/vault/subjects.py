"""A subject: the region's own pseudonym of a customer, which keys its raw records.

16 bytes of HMAC-SHA256 under the region's key of the purpose ``partition``; written as 32 hex
digits. It never leaves the region, and without the key nobody makes it of a customer id.
"""

import hmac

from residency.normalise import normalise

SUBJECT_BYTES = 16
NOBODY = bytes(SUBJECT_BYTES)  # of raw records whose key is no subject


def subject_of(partition_key: bytes, customer_id: str) -> bytes:
    """Return the subject of a customer, whichever way the id is spelt.

    Normalised as for the row's token: spellings of one id are one row, and must be one
    partition, since only offsets of one partition say which event is newer.
    """
    customer = normalise("", customer_id).encode("utf-8", "surrogatepass")
    return hmac.digest(partition_key, customer, "sha256")[:SUBJECT_BYTES]


def subject_of_key(key: bytes) -> bytes:
    """Return the subject that a raw record's key is; `NOBODY` if it is none."""
    return key if len(key) == SUBJECT_BYTES else NOBODY
