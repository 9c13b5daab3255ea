"""Requests as the target ``routes`` makes them, to a server with sessions and a store."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Any

from server_process import running

from fuzz import corpus
from fuzz.data import Data
from fuzz.targets.routes import request

REQUESTS = 150


def sent(scope: dict[str, Any], body: bytes) -> bytes:
    """The request on a connection of its own."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    lines = [b"%b %b%b HTTP/1.1" % (scope["method"].encode(), scope["raw_path"], query)]
    lines += [b"%b: %b" % field for field in scope["headers"] if field[0] != b"content-length"]
    lines += [b"content-length: %d" % len(body), b"connection: close", b"", body]
    return b"\r\n".join(lines)


def answered(port: int, data: bytes) -> bytes:
    """All that a server says to it."""
    told = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(data)
        while chunk := connection.recv(1 << 16):
            told += chunk
    return told


def test_a_server_answers_every_request_and_fails_at_none(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    source = random.Random(seed)
    inputs = [*corpus.load("routes"), *(source.randbytes(source.randrange(400)) for _ in range(REQUESTS))]
    with running("--directory-path", str(tmp_path)) as server:
        for one in inputs:
            data = sent(*request(Data(one)))
            told = answered(server.port, data)
            status = told.partition(b" ")[2][:3]
            assert status.isdigit(), (one, data, told)
            assert 200 <= int(status) < 500, (one, data, told)
        log = server.log
    assert "internal error" not in log
    assert "Traceback" not in log
