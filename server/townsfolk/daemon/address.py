"""Where the daemon listens, and who could reach it there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from townsfolk.errors import InvalidArgument

MAX_SOCKET_PATH_BYTES = 100  # the kernel's field has 104 (macOS) to 108 (Linux), the closing NUL included


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address, or with ``path`` a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether only programs of this machine can connect."""
        if self.path:
            return True
        try:
            ip = ipaddress.ip_address(self.host)
        except ValueError:
            return False  # a name may resolve to anything
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            return ip.ipv4_mapped.is_loopback
        return ip.is_loopback


def parse_address(text: str) -> Address:
    """An address from ``host:port``, ``[::1]:port`` or ``unix:/path``. Raises ``InvalidArgument``.

    ``localhost`` becomes 127.0.0.1: as a name it stands for two addresses, of which gRPC is content to get one.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        path = "/" + path.lstrip("/") if path.startswith("//") else path
        if not path.startswith("/") or "\0" in path or len(path.encode()) > MAX_SOCKET_PATH_BYTES:
            raise _bad(text, f"a socket needs an absolute path of at most {MAX_SOCKET_PATH_BYTES} bytes")
        return Address(path=path)
    host, colon, port = text.rpartition(":")
    if not colon:
        raise _bad(text, "it has no port")
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise _bad(text, f"{port!r} is no port (0 to 65535)")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise _bad(text, "an IPv6 address stands in brackets, as in [::1]:50551")
    if not host or any(c.isspace() or c in "/[]" for c in host):
        raise _bad(text, "it has no host; use 127.0.0.1 for this machine only")
    return Address("127.0.0.1" if host.lower() == "localhost" else host, int(port))


def check_exposure(address: Address, *, tls: bool, token: bool) -> None:
    """Raise ``InvalidArgument`` if others than this machine could call without encryption and a token."""
    missing = [
        what for what, there in (("TLS (daemon.tls_certificate, daemon.tls_key)", tls), ("a token", token)) if not there
    ]
    if missing and not address.local:
        raise InvalidArgument(
            f"{address} can be reached from other machines, which needs {' and '.join(missing)}; "
            "set that, or listen on 127.0.0.1",
            field="daemon.address",
        )


def _bad(text: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"daemon.address {text[:200]!r} is no address: {why}", field="daemon.address")
