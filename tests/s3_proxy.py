"""Between a client and S3: answers late, wrongly, in part, or not at all, as a test has planned it.

It knows only as much of HTTP as boto3 and the servers of the tests use: a request has a length, and so has an
answer. Each connection is served by a thread of its own, each request goes on in a connection of its own.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

END_SECONDS = 10
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked[^\r]*", re.IGNORECASE)
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
_EXPECT = re.compile(rb"\r\nexpect: [^\r]*", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection: [^\r]*", re.IGNORECASE)


@dataclass(frozen=True)
class Fault:
    """What happens to one request, and to the answer to it."""

    reaches: bool = True
    """Whether the request gets to the service, which then does what it says."""
    answer: Literal["as it is", "none", "silence"] | bytes = "as it is"
    """None: the connection is closed. Silence: it stays open. Bytes: these are the answer."""
    cut: int | None = None
    """The answer's body ends after so many bytes, with the connection. Negative: before the last ones."""
    flip: int | None = None
    """This byte of the body is another one."""
    pause: float = 0
    """Seconds before each ``piece`` bytes of the body."""
    piece: int = 1 << 10


DROPPED = Fault(reaches=False, answer="none")
DROPPED_AFTER = Fault(answer="none")
SILENCE = Fault(reaches=False, answer="silence")
SILENCE_AFTER = Fault(answer="silence")


def status(
    number: int, code: str = "", *, reaches: bool = False, message: str = "as planned", more: str = ""
) -> Fault:
    """An answer that is an error, of S3's form if it has a code; by default of a request that is not done."""
    body = (
        f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>" if code else "<html>no</html>"
    )
    kind = "application/xml" if code else "text/html"
    head = f"HTTP/1.1 {number} Planned\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return Fault(reaches=reaches, answer=(head + body).encode())


def at_random(seed: int, share: float) -> Iterator[Fault | None]:
    """Faults that end at once, for ``share`` of all requests; the same for the same seed."""
    chance = random.Random(seed)
    kinds = (
        DROPPED,
        DROPPED_AFTER,
        status(500, "InternalError"),
        status(503, "SlowDown"),
        status(500, "InternalError", reaches=True),
        Fault(cut=0),
        Fault(cut=-1),
    )
    while True:
        yield chance.choice(kinds) if chance.random() < share else None


class Proxy:
    """Stands for the service at ``to`` (a URL). Made by ``proxied``."""

    def __init__(self, to: str) -> None:
        self._to = (urlsplit(to).hostname, urlsplit(to).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._planned: dict[str, deque[Fault | None]] = {}
        self._always: Iterator[Fault | None] | None = None
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._ending = threading.Event()
        self.requests: list[tuple[str, str]] = []
        """Method and path of all that came."""
        self.connections = 0

    @property
    def endpoint(self) -> str:
        """URL."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def plan(self, method: str, *faults: Fault | None) -> None:
        """What happens to the next requests of this method, in the order in which they come."""
        with self._lock:
            self._planned.setdefault(method, deque()).extend(faults)

    def keep_failing(self, faults: Iterator[Fault | None] | None) -> None:
        """What happens to requests for which nothing is planned. None: nothing."""
        with self._lock:
            self._always = faults

    @property
    def planned(self) -> int:
        """Faults that have not come."""
        return sum(map(len, self._planned.values()))

    def run(self) -> None:
        """Until ``close``."""
        while not self._ending.is_set():
            with contextlib.suppress(OSError):  # the listener was closed
                client, _ = self._listener.accept()
                self.connections += 1
                self._serve(client)

    def close(self) -> None:
        """End all connections and threads."""
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(END_SECONDS)
            assert not thread.is_alive(), "a connection of the proxy did not end"

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        thread = threading.Thread(target=self._connection, args=(client,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _connection(self, client: socket.socket) -> None:
        # the client ends its connection whenever it likes
        with client, contextlib.suppress(ConnectionError, TimeoutError):
            while (request := _message(client)) and self._answer(client, request):
                pass
        with self._lock:
            self._open.discard(client)

    def _answer(self, client: socket.socket, request: bytes) -> bool:
        """Whether the connection goes on."""
        method, path, _ = request.split(b" ", 2)
        fault = self._next(method.decode(), path.decode()) or Fault()
        answer = self._ask(request) if fault.reaches else b""
        if isinstance(fault.answer, bytes):
            answer = fault.answer
        elif fault.answer == "silence":
            client.settimeout(END_SECONDS)
            client.recv(1)  # until the client has had enough
            return False
        elif fault.answer == "none":
            return False
        head, _, body = answer.partition(b"\r\n\r\n")
        if fault.flip is not None:
            body = body[: fault.flip] + bytes([body[fault.flip] ^ 1]) + body[fault.flip + 1 :]
        client.sendall(head + b"\r\n\r\n")
        self._send(client, body if fault.cut is None else body[: fault.cut], fault)
        return fault.cut is None and method != b"HEAD"

    def _send(self, client: socket.socket, body: bytes, fault: Fault) -> None:
        if not fault.pause:
            client.sendall(body)
            return
        for at in range(0, len(body), fault.piece):
            if self._ending.wait(fault.pause):
                return
            client.sendall(body[at : at + fault.piece])

    def _next(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.requests.append((method, path))
            planned = self._planned.get(method)
            if planned:
                return planned.popleft()
            return next(self._always) if self._always is not None else None

    def _ask(self, request: bytes) -> bytes:
        """The service's answer, as one that may be followed by another in the same connection."""
        head, _, body = request.partition(b"\r\n\r\n")
        head = _CONNECTION.sub(b"", head) + b"\r\nConnection: close"
        with socket.create_connection(self._to, timeout=END_SECONDS) as service:
            service.sendall(head + b"\r\n\r\n" + body)
            answer = b"".join(iter(lambda: service.recv(1 << 20), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        head = _CONNECTION.sub(b"", head)
        if _CHUNKED.search(head):
            head, body = _CHUNKED.sub(b"", head), _joined(body)
        if not _LENGTH.search(head):
            head += b"\r\nContent-Length: %d" % len(body)
        return head + b"\r\n\r\n" + body


@contextmanager
def proxied(to: str) -> Iterator[Proxy]:
    """A proxy that runs until the end of the block."""
    proxy = Proxy(to)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(END_SECONDS)


def _joined(chunks: bytes) -> bytes:
    """The body that came in chunks."""
    body = b""
    while True:
        size, _, chunks = chunks.partition(b"\r\n")
        if not (length := int(size, 16)):
            return body
        body, chunks = body + chunks[:length], chunks[length + 2 :]


def _message(client: socket.socket) -> bytes:
    """A whole request; nothing if the client is gone."""
    data = bytearray()
    while (end := data.find(b"\r\n\r\n")) < 0:
        if not (more := client.recv(1 << 20)):
            return b""
        data += more
    if _EXPECT.search(data[:end]):
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        data[:end] = (head := _EXPECT.sub(b"", data[:end]))
        end = len(head)
    length = _LENGTH.search(data[:end])
    whole = end + 4 + (int(length[1]) if length else 0)
    while len(data) < whole:
        if not (more := client.recv(1 << 20)):
            return b""
        data += more
    return bytes(data)
