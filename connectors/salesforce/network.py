"""What it means that a call got no answer, and how long to wait for one."""

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from connectors.salesforce.errors import OrgUnavailableError
from schemas.errors import HaltError, HomeportError

LEAST_S = 1.0  # a try that is made at all gets so long
UNSENT = (ConnectTimeoutError, NewConnectionError)  # NameResolutionError is one of the latter


def within(timeouts: tuple[float, float], left_s: float) -> tuple[float, float]:
    """Return (connect, read) time-outs in seconds, no longer than what is left of the call."""
    connect_s, read_s = timeouts
    left_s = max(LEAST_S, left_s)
    return min(connect_s, left_s), min(read_s, left_s)


def network_failure(what: str, exc: OSError) -> HomeportError:
    """Return the error to raise for a call that got no answer. Never *exc*'s text: it has URLs."""
    if not isinstance(exc, requests.RequestException):
        return HaltError(f"{what}: the file ca_file names cannot be read")
    if "CERTIFICATE_VERIFY_FAILED" in str(exc):
        return HaltError(
            f"{what}: the org's certificate is not signed by an authority in ca_file, "
            "or is for another host than instance_url's"
        )
    text = f"{what}: no answer from Salesforce ({type(exc).__name__})"
    return OrgUnavailableError(text, fate_unknown=not _is_unsent(exc))


def _is_unsent(exc: requests.RequestException) -> bool:
    """Return whether there was no connection to send anything over."""
    cause = exc.args[0] if exc.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(exc, requests.ConnectTimeout) or isinstance(reason, UNSENT)
