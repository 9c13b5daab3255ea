"""Whether servers take requests: several are asked at once, and what they say is judged.

It is asked every few seconds beside a server that needs the processor, and of ports behind which anything
may be. So there is one thread, what is imported is small, and no answer may be slow or long.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cli.listeners import Address
from cli.output.text import fit, one_line

PATH = "/readyz"
_MAX_BYTES = 1 << 16
"""Of an answer; that of a server has some 600."""
_SHOWN_CHARS = 300
"""Of what an answer says."""
_OWN_FIELDS = {"status", "engine", "sandbox", "zygote_pid"}
"""By which an answer is known to be that of an mcp-v8."""


class Said(NamedTuple):
    """What came of asking at an address."""

    address: Address
    ready: bool
    known: bool
    """Whether it is an mcp-v8 that answers there."""
    why: str
    """Why it is not ready, or not known."""


class _Asked:
    """A connection, and what came by it."""

    def __init__(self, address: Address, request: bytes) -> None:
        self.address = address
        self.request = request
        self.answer = b""
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setblocking(False)

    def go_on(self) -> bool:
        """Send or receive what can be; whether that was all. Raises OSError."""
        if self.request:
            if failed := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(failed, os.strerror(failed))
            self.request = self.request[self.socket.send(self.request) :]
            return False
        received = self.socket.recv(_MAX_BYTES)
        self.answer += received
        return not received or len(self.answer) > _MAX_BYTES


def ask(
    addresses: Sequence[Address], seconds: float, *, host: str = "localhost", path: str = PATH
) -> list[Said]:
    """What the servers at the addresses say within ``seconds``; under the name ``host``."""
    deadline = time.monotonic() + seconds
    request = f"GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\r\n".encode("ascii")
    said: list[Said] = []
    with selectors.DefaultSelector() as selector:

        def end(asked: _Asked, failure: str | None) -> None:
            selector.unregister(asked.socket)
            asked.socket.close()
            if failure is None:
                said.append(judge(asked.address, asked.answer))
            else:
                said.append(Said(asked.address, ready=False, known=False, why=failure))

        for address in addresses:
            asked = _Asked(address, request)
            selector.register(asked.socket, selectors.EVENT_WRITE, asked)
            failed = asked.socket.connect_ex(tuple(address))
            if failed not in (0, errno.EINPROGRESS):
                end(asked, os.strerror(failed))
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                asked = key.data
                try:
                    if asked.go_on():
                        end(asked, None)
                    elif not asked.request:
                        selector.modify(asked.socket, selectors.EVENT_READ, asked)
                except OSError as error:
                    end(asked, error.strerror or str(error))
        for key in list(selector.get_map().values()):
            end(key.data, f"no answer within {seconds:g} s")
    return sorted(said, key=lambda one: addresses.index(one.address))


def judge(address: Address, answer: bytes) -> Said:
    """What an answer means, which may be anything."""
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/"):
        return Said(address, ready=False, known=False, why="no answer of HTTP")
    status = words[1].decode("ascii", "replace")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return Said(
            address, ready=False, known=False, why=f"status {status}, and not the answer of an mcp-v8"
        )
    why = ": ".join(str(told[name]) for name in ("status", "error") if name in told) or f"status {status}"
    why = fit(one_line(why[: 2 * _SHOWN_CHARS]), _SHOWN_CHARS)
    if not told.keys() >= _OWN_FIELDS:
        return Said(address, ready=False, known=False, why=why)
    return Said(address, ready=status == "200", known=True, why=why)


def complaint(said: Iterable[Said]) -> str | None:
    """Why there is not an mcp-v8 that is ready, or one of several is not; None if all are."""
    said = list(said)
    known = [one for one in said if one.known]
    if known and all(one.ready for one in known):
        return None
    return "; ".join(f"{one.address} is not ready ({one.why})" for one in known or said if not one.ready)
