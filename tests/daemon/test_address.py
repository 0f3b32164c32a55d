"""Addresses: how they are written, and which are too open."""

from __future__ import annotations

import pytest

from townsfolk.daemon.address import Address, check_exposure, parse_address
from townsfolk.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:50551", Address("127.0.0.1", 50551)),
        ("localhost:0", Address("127.0.0.1", 0)),
        ("[::1]:50551", Address("::1", 50551)),
        ("unix:/tmp/t.sock", Address(path="/tmp/t.sock")),
        ("unix:///tmp/t.sock", Address(path="/tmp/t.sock")),
    ],
)
def test_addresses_are_understood(text: str, expected: Address) -> None:
    assert parse_address(text) == expected
    assert parse_address(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "localhost:",
        "localhost:x",
        "localhost:65536",
        "localhost:-1",
        "localhost:²",
        ":50551",
        "::1:50551",
        "a b:1",
        "unix:",
        "unix:relative.sock",
        "unix:/" + "x" * 200,
        "http://127.0.0.1:1",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        parse_address(text)
    assert raised.value.field == "daemon.address"


@pytest.mark.parametrize(
    "text", ["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/s"]
)
def test_this_machine_needs_neither_tls_nor_token(text: str) -> None:
    check_exposure(parse_address(text), tls=False, token=False)


@pytest.mark.parametrize("text", ["0.0.0.0:1", "[::]:1", "192.168.1.5:1", "town.example:1", "[::ffff:10.0.0.1]:1"])
@pytest.mark.parametrize(("tls", "token"), [(False, False), (True, False), (False, True)])
def test_any_other_address_needs_both(text: str, tls: bool, token: bool) -> None:
    with pytest.raises(InvalidArgument, match="other machines"):
        check_exposure(parse_address(text), tls=tls, token=token)
    check_exposure(parse_address(text), tls=True, token=True)
