"""Ports stay the same from run to run unless somebody else took one."""

import random
import socket

import pytest

from connectors.embedded import ports
from connectors.embedded.ports import PortError, answers, choose, is_free

PICK = random.Random(7)


def test_free_ports_are_below_the_range_of_outgoing_connections() -> None:
    chosen, lost = choose(["a", "b", "c"], {}, PICK)

    assert lost == {}
    assert len(set(chosen.values())) == 3
    assert all(ports.FIRST <= port <= ports.last_port() for port in chosen.values())
    assert all(is_free(port) for port in chosen.values())


def test_a_remembered_port_is_kept_while_it_is_free() -> None:
    first, _ = choose(["a", "b"], {}, PICK)

    again, lost = choose(["a", "b"], first, PICK)

    assert again == first
    assert lost == {}


def test_a_remembered_port_that_was_taken_is_replaced_and_named() -> None:
    first, _ = choose(["a", "b"], {}, PICK)
    with socket.create_server(("127.0.0.1", first["a"])):
        again, lost = choose(["a", "b"], first, PICK)

    assert lost == {"a": first["a"]}
    assert again["a"] not in first.values()
    assert again["b"] == first["b"]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - the foreign server
def test_a_port_is_taken_whichever_address_its_server_bound(address: str) -> None:
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]

        assert not is_free(port)
        assert answers(port)

    assert is_free(port)
    assert not answers(port)


def test_two_names_never_share_a_port() -> None:
    first, _ = choose(["a"], {}, PICK)

    both, lost = choose(["a", "b"], {"a": first["a"], "b": first["a"]}, PICK)

    assert both["a"] != both["b"]
    assert lost == {"b": first["a"]}


def test_no_free_port_is_said_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _port: False)

    with pytest.raises(PortError, match="no free port"):
        choose(["a"], {}, PICK)
