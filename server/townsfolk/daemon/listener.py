"""Opening the port or socket that the daemon listens on, with a sentence for every way in which that fails."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

import grpc

from townsfolk.config import DaemonSettings
from townsfolk.daemon.address import Address
from townsfolk.errors import InvalidArgument, Unavailable

CONNECT_TIMEOUT_S = 1.0  # to a socket of this machine
MAX_PEM_BYTES = 1024 * 1024


def listen(server: grpc.aio.Server, address: Address, credentials: grpc.ServerCredentials | None) -> Address:
    """Bind a server that has not started; returns the address with the port it really got.

    Raises ``Unavailable`` if somebody else has the address, ``InvalidArgument`` if nobody could have it.
    """
    if address.path:
        _clear_socket(Path(address.path))
    elif address.port:
        _probe(address)
    try:
        if credentials is None:
            port = server.add_insecure_port(str(address))
        else:
            port = server.add_secure_port(str(address), credentials)
    except RuntimeError as error:
        raise InvalidArgument(f"cannot listen on {address}; see the log above", field="daemon.address") from error
    return address if address.path else Address(address.host, port)


def tls_credentials(settings: DaemonSettings) -> grpc.ServerCredentials | None:
    """The credentials of ``daemon.tls_certificate`` and ``daemon.tls_key``; ``None`` without.

    Raises ``InvalidArgument`` for files that cannot be used.
    """
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise InvalidArgument(
            "TLS needs both daemon.tls_certificate and daemon.tls_key",
            field="daemon.tls_key" if key is None else "daemon.tls_certificate",
        )
    pair = (_read_pem(key, "daemon.tls_key"), _read_pem(certificate, "daemon.tls_certificate"))
    return grpc.ssl_server_credentials([pair])


def remove_socket(address: Address) -> None:
    """Remove the file of a Unix socket that is no longer listened on."""
    if address.path:
        with suppress(OSError):
            os.unlink(address.path)


def _read_pem(path: Path, field: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PEM_BYTES)
    except OSError as error:
        raise InvalidArgument(f"{field} {path} cannot be read: {error.strerror}", field=field) from error
    if b"-----BEGIN " not in content:
        raise InvalidArgument(f"{field} {path} is not a PEM file", field=field)
    return content


def _probe(address: Address) -> None:
    """Bind and let go: gRPC itself does not tell why it cannot, and writes to stderr."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InvalidArgument(f"the host of {address} is not known: {error}", field="daemon.address") from error
    with socket.socket(family, kind, protocol) as probe:
        if os.name == "posix":  # elsewhere this option would let us steal a port that is in use
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            raise Unavailable(
                f"cannot listen on port {address.port} of {address.host}: {error.strerror}; is another daemon running? "
                "Stop it, or choose another daemon.address",
                field="daemon.address",
            ) from error


def _clear_socket(path: Path) -> None:
    """Remove the socket that a killed daemon left behind, and nothing else: gRPC would replace a live one silently."""
    if not hasattr(socket, "AF_UNIX"):
        raise InvalidArgument("this system has no Unix sockets; use 127.0.0.1", field="daemon.address")
    if not path.parent.is_dir():
        raise InvalidArgument(f"the folder {path.parent} for the socket does not exist", field="daemon.address")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise InvalidArgument(f"{path} exists and is not a socket; choose another path", field="daemon.address")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise Unavailable(f"cannot listen on {path}: {error.strerror}", field="daemon.address") from error
    raise Unavailable(
        f"another daemon listens on {path}; stop it, or choose another daemon.address", field="daemon.address"
    )
