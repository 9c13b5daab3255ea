"""Where servers of a user listen: the TCP sockets of this network namespace, as the kernel lists them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_LISTEN = "0A"
"""TCP_LISTEN of include/net/tcp_states.h."""
_ADDRESS, _STATE, _UID = 1, 3, 7
"""Columns of /proc/net/tcp, see proc_pid_net(5)."""
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (asked, not bound)
"""Where a server that is bound to any address is asked."""


class Address(NamedTuple):
    """Where a server can be asked."""

    host: str
    """An address in numbers, of IPv4 or IPv6."""
    port: int

    def __str__(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def listeners(uid: int, net: Path = Path("/proc/net")) -> list[Address]:
    """Those of the user, or for root (0) of all users, in the order of their ports."""
    found: set[Address] = set()
    for name in ("tcp", "tcp6"):
        try:
            text = (net / name).read_text()
        except FileNotFoundError:  # the kernel has no IPv6
            continue
        found.update(parse(text, uid))
    return sorted(found, key=lambda address: (address.port, address.host))


def parse(text: str, uid: int) -> Iterator[Address]:
    """The same, of the text of one such file."""
    for line in text.splitlines()[1:]:
        columns = line.split()
        if columns[_STATE] == _LISTEN and (uid == 0 or int(columns[_UID]) == uid):
            host, _, port = columns[_ADDRESS].partition(":")
            yield Address(_host(host), int(port, 16))


def _host(digits: str) -> str:
    """The kernel prints each 32 bits of an address as a number of the machine."""
    words = (digits[start : start + 8] for start in range(0, len(digits), 8))
    packed = b"".join(struct.pack("=I", int(word, 16)) for word in words)
    host = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
    return _LOOPBACK.get(host, host)
