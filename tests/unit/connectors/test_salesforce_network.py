"""Silence has kinds: only where nothing can have been sent is the request's fate known."""

import socket

import pytest
import requests

from connectors.salesforce.errors import OrgUnavailableError
from connectors.salesforce.network import network_failure, within


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_without_a_connection_nothing_was_sent(host: str) -> None:
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get(f"http://{host}:{free_port()}", timeout=5)

    error = network_failure("call", caught.value)

    assert isinstance(error, OrgUnavailableError)
    assert not error.fate_unknown
    assert str(error) == "call: no answer from Salesforce (ConnectionError)"


@pytest.mark.parametrize(
    ("exc", "is_unknown"),
    [
        (requests.ConnectTimeout(), False),
        (requests.ReadTimeout(), True),
        (requests.ConnectionError("Connection aborted."), True),
        (requests.exceptions.ChunkedEncodingError(), True),
        (requests.exceptions.SSLError("EOF"), True),
    ],
)
def test_once_there_was_a_connection_something_may_have_been_sent(
    exc: requests.RequestException, is_unknown: bool
) -> None:
    error = network_failure("call", exc)

    assert isinstance(error, OrgUnavailableError)
    assert error.fate_unknown is is_unknown


@pytest.mark.parametrize(
    ("left_s", "timeouts"),
    [(100.0, (5.0, 60.0)), (30.0, (5.0, 30.0)), (3.0, (3.0, 3.0)), (-1.0, (1.0, 1.0))],
)
def test_no_wait_is_longer_than_what_is_left_of_the_call(
    left_s: float, timeouts: tuple[float, float]
) -> None:
    assert within((5.0, 60.0), left_s) == timeouts
