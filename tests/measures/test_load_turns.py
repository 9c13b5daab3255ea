"""Clients of the load repeat a request each, or take all requests in turns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks import load
from benchmarks.load import Plan


class Answering(BaseHTTPRequestHandler):
    """Answers every GET with its path."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def asked() -> Iterator[tuple[int, list[str]]]:
    """The port of a server, and the paths that it was asked for."""
    paths: list[str] = []
    handler = type("Handler", (Answering,), {"asked": paths})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, paths
        server.shutdown()
        thread.join()


def test_one_client_takes_all_requests_in_turns(asked: tuple[int, list[str]]) -> None:
    port, paths = asked
    requests = [load.get(path) for path in ("/a", "/b", "/c")]
    tally = load.run(Plan(port=port, requests=requests, clients=1, seconds=60, most=7))
    assert paths == ["/a", "/b", "/c", "/a", "/b", "/c", "/a"]
    assert len(tally.latencies_us) == 7


def test_each_client_repeats_its_request(asked: tuple[int, list[str]]) -> None:
    port, paths = asked
    requests = [load.get(f"/{name}-{load.COUNTER.decode()}") for name in "ab"]
    load.run(Plan(port=port, requests=requests, seconds=60, most=20))
    assert len(paths) == len(set(paths)) == 20
    assert {path[1] for path in paths} == {"a", "b"}
