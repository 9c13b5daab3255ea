"""The server behind nginx, with the very configuration that deploy/ has, over TLS on loopback."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import httpx2
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from documents import ROOT
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from server_process import ServerProcess, running
from trio_websocket import open_websocket_url

from benchmarks.processes import free_port
from engine.limits import LimitPolicy
from transports.execute import MAX_WAIT
from transports.hypercorn_trio.config import ServerConfig
from transports.mcp.sessions import IDLE_SECONDS
from transports.settings import DEFAULTS

SHOWN = ROOT / "deploy" / "nginx.conf"
NAME = "mcp.example.com"
TOKEN = "a-token-of-this-test-alone"
AUTHORIZED = {"Host": NAME, "Authorization": f"Bearer {TOKEN}"}
SECONDS = 30

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = pytest.mark.skipif(
    NGINX is None and not os.environ.get("CI"), reason="there is no nginx here, and no CI that promises one"
)


class Proxy:
    """nginx in the foreground, as one process, before the server on ``behind``."""

    def __init__(self, folder: Path, behind: int) -> None:
        """Makes ``folder`` with a certificate and the configuration."""
        folder.mkdir()
        self.port = free_port()
        self._folder = folder
        authority = certificate(folder)
        self.tls = ssl.create_default_context(cafile=str(authority))
        shown = SHOWN.read_text()
        for here, there in (
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            ("listen [::]:443 ssl;", f"listen 127.0.0.2:{self.port} ssl;"),
            ("server 127.0.0.1:8080;", f"server 127.0.0.1:{behind};"),
            ("/etc/ssl/mcp-v8", str(folder)),
        ):
            assert here in shown
            shown = shown.replace(here, there)
        (folder / "mcp-v8.conf").write_text(shown)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        (folder / "nginx.conf").write_text(
            "daemon off; master_process off; error_log stderr; pid nginx.pid;\nevents {}\nhttp {\n"
            + "".join(f"{kind}_temp_path {kind};\n" for kind in kinds)
            + "access_log off; include mcp-v8.conf;\n}\n"
        )

    def command(self, *flags: str) -> list[str]:
        """nginx with this configuration."""
        assert NGINX is not None, "CI has nginx"
        return [NGINX, "-p", str(self._folder), "-c", "nginx.conf", "-e", "stderr", *flags]

    @contextmanager
    def started(self) -> Iterator[None]:
        """nginx for the duration of the block; what it says is shown only if it fails."""
        with (self._folder / "stderr").open("w+b") as log:
            process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                deadline = time.monotonic() + SECONDS
                while not listens(self.port):
                    assert process.poll() is None, (self._folder / "stderr").read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                yield
            finally:
                process.terminate()
                process.wait(SECONDS)

    def client(self, **more: Any) -> httpx2.Client:
        """A client that may come in."""
        return httpx2.Client(
            base_url=f"https://127.0.0.1:{self.port}",
            verify=self.tls,
            timeout=SECONDS,
            headers=AUTHORIZED,
            **more,
        )


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def certificate(folder: Path) -> Path:
    """A certificate and its key under the names of the configuration; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.IPAddress(IPv4Address("127.0.0.1"))])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    chain = folder / "fullchain.pem"
    chain.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return chain


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("served")
    tokens = folder / "tokens.txt"
    tokens.write_text(f"{TOKEN} alice\n")
    tokens.chmod(0o600)
    flags = ("--directory-path", str(folder / "store"), "--allowed-hosts", NAME, "--tokens", str(tokens))
    with running(*flags) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path_factory.mktemp("nginx") / "etc", server.port)
    with proxy.started():
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx2.Client]:
    with proxy.client() as client:
        yield client


def run(client: httpx2.Client, session: str, code: str, **headers: str) -> dict[str, Any]:
    answer = client.post("/api/exec", json={"code": code, "session": session}, headers=headers)
    told = answer.json()
    assert isinstance(told, dict)
    return told


@asynccontextmanager
async def mcp_client(proxy: Proxy, session: str) -> AsyncIterator[Client]:
    """An MCP client of that session; all that is done with it has ``SECONDS``."""
    url = f"https://127.0.0.1:{proxy.port}/mcp?session={session}"
    async with httpx2.AsyncClient(verify=proxy.tls, timeout=SECONDS, headers=AUTHORIZED) as http_client:
        with trio.fail_after(SECONDS):
            async with Client(streamable_http_client(url, http_client=http_client)) as client:
                yield client


def shown(directive: str) -> list[int]:
    """What the configuration shown gives to ``directive``, in seconds or bytes, wherever it is."""
    units = {"s": 1, "m": 60} if directive.endswith("timeout") else {"m": 1 << 20}
    found = re.findall(rf"^\s*{directive} (\d+)([sm]);", SHOWN.read_text(), re.MULTILINE)
    return [int(number) * units[unit] for number, unit in found]


def raw(port: int, path: str, source: str = "127.0.0.1", **headers: str) -> tuple[int, bytes]:
    """Status and body of the answer to a request from the address ``source``, whose headers are these."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=SECONDS, source_address=(source, 0), context=unchecked
    )
    connection.request("GET", path, headers={**AUTHORIZED, **headers})
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def test_nginx_finds_no_fault_in_the_configuration_and_warns_of_nothing(proxy: Proxy) -> None:
    checked = subprocess.run(proxy.command("-t", "-q"), capture_output=True, text=True, timeout=SECONDS)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_a_session_remembers_over_rest_under_the_servers_own_name(client: httpx2.Client) -> None:
    assert run(client, "rest", "let xs = [1, 2]")["created"] is True
    assert run(client, "rest", "xs.push(3); xs")["result"] == "[ 1, 2, 3 ]"


def test_a_token_is_asked_for_behind_the_proxy_as_before_it(client: httpx2.Client) -> None:
    answer = client.get("/api/sessions", headers={"Authorization": "Bearer another-one-that-is-not-known"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"]


def test_a_name_that_is_not_the_servers_is_refused_by_the_server(client: httpx2.Client) -> None:
    assert client.get("/", headers={"Host": "rebound.example.net"}).json()["code"] == "host_not_allowed"


def test_pages_of_the_name_may_call_and_others_may_not(client: httpx2.Client) -> None:
    assert client.get("/api/sessions", headers={"Origin": f"https://{NAME}"}).status_code == 200
    assert client.get("/api/sessions", headers={"Origin": "https://evil.example"}).status_code == 403


async def test_an_mcp_client_works_over_https(proxy: Proxy) -> None:
    async with mcp_client(proxy, "mcp") as mcp:
        answer = await mcp.call_tool("run_js", {"code": "1 + 2"})
    assert answer.content[0].text.splitlines() == ["=> 3", "[mcp@1]"]


# the official client leaves generators of its HTTP library to the garbage collector
@pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")
async def test_an_mcp_client_hears_of_progress_while_its_call_runs(
    proxy: Proxy, client: httpx2.Client
) -> None:
    heard = trio.Event()

    async def hear(_done: float, _total: float | None, _message: str | None) -> None:
        heard.set()

    def cancel() -> None:
        (running,) = client.get("/api/executions?session=progress").json()["executions"]
        assert running["status"] == "running"
        client.post(f"/api/executions/{running['execution_id']}/cancel").raise_for_status()

    async def cancel_then() -> None:
        await heard.wait()
        await trio.to_thread.run_sync(cancel)

    async with mcp_client(proxy, "progress") as mcp, trio.open_nursery() as nursery:
        nursery.start_soon(cancel_then)
        answer = await mcp.call_tool("run_js", {"code": "console.log(1); for (;;);"}, progress_callback=hear)
    assert answer.content[0].text.splitlines()[1].startswith("cancelled")


def test_an_event_arrives_while_the_execution_that_sends_it_still_runs(client: httpx2.Client) -> None:
    begun = run(client, "events", "console.log('here'); for (;;);", prefer="respond-async")["execution_id"]
    with client.stream("GET", f"/api/executions/{begun}/events") as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event: ")) == "event: console"
        assert client.get(f"/api/executions/{begun}").json()["status"] == "running"
        assert client.post(f"/api/executions/{begun}/cancel").json()["ok"] is True
        assert next(line for line in lines if line.startswith("event: ")) == "event: done"


async def test_a_session_is_followed_over_a_websocket(proxy: Proxy, client: httpx2.Client) -> None:
    run(client, "followed", "let n = 1")
    url = f"wss://127.0.0.1:{proxy.port}/api/sessions/followed/stream"
    headers = [("Authorization", f"Bearer {TOKEN}")]
    with trio.fail_after(SECONDS):
        async with open_websocket_url(url, proxy.tls, extra_headers=headers) as follower:
            kinds = [json.loads(await follower.get_message())["type"]]
            await trio.to_thread.run_sync(run, client, "followed", "n + 1")
            while kinds[-1] != "event":
                kinds.append(json.loads(await follower.get_message())["type"])
    assert kinds[0] == "begun"


def test_no_other_protocol_is_upgraded_to_behind_the_rules(proxy: Proxy) -> None:
    h2c = {
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA",
        "Connection": "Upgrade, HTTP2-Settings",
    }
    assert raw(proxy.port, "/healthz", **h2c)[0] == 200


def test_a_body_that_the_server_would_take_goes_through_and_a_larger_one_is_refused(
    client: httpx2.Client,
) -> None:
    room = DEFAULTS.body_bytes - len('{"code":"input.length","input":""}')
    body = '{"code":"input.length","input":"' + "x" * room + '"}'
    json_type = {"Content-Type": "application/json"}
    fits = client.post("/api/exec", content=body, headers=json_type)
    assert fits.json()["result_json"] == room
    over = client.post("/api/exec", content=body + " ", headers=json_type)
    assert over.status_code == 413
    assert (over.json()["code"], over.json()["field"]) == ("too_large", None)


def test_an_exported_session_that_is_larger_than_a_body_comes_in_again(client: httpx2.Client) -> None:
    for seed in range(2):
        noise = base64.b64encode(Random(seed).randbytes(3_000_000)).decode()
        client.post("/api/exec", json={"session": "exported", "code": "1", "input": noise}).raise_for_status()
    file = client.get("/api/sessions/exported/export").content
    assert len(file) > DEFAULTS.body_bytes
    assert client.post("/api/import", content=file).json()["imported"] is False


def test_metrics_are_for_this_machine_alone_however_their_path_is_written(proxy: Proxy) -> None:
    assert raw(proxy.port, "/metrics")[0] == 200
    for path in ("/metrics", "//metrics", "/api/../metrics", "/%6detrics", "/metrics?x=1"):
        assert raw(proxy.port, path, source="127.0.0.2")[0] == 403, path
    assert raw(proxy.port, "/healthz", source="127.0.0.2")[0] == 200


def test_a_server_that_is_not_there_is_told_at_once_and_one_that_comes_is_heard_word_by_word(
    tmp_path: Path,
) -> None:
    was_heard = Event()

    class Slow(BaseHTTPRequestHandler):
        """Speaks on when it was heard; nothing in its headers says so."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"one")
            assert was_heard.wait(SECONDS)
            self.wfile.write(b"two")

    port = free_port()
    proxy = Proxy(tmp_path / "etc", port)
    with proxy.started(), proxy.client() as client:
        answer = client.get("/", timeout=5)
        assert answer.status_code == 502
        assert (answer.json()["code"], answer.headers["retry-after"]) == ("unavailable", "1")
        with HTTPServer(("127.0.0.1", port), Slow) as server, ThreadPoolExecutor() as threads:
            served = threads.submit(server.handle_request)
            with client.stream("GET", "/") as stream:
                parts = stream.iter_bytes()
                assert next(parts) == b"one"
                was_heard.set()
                assert b"".join(parts) == b"two"
            served.result(SECONDS)


def test_the_limits_of_the_proxy_fit_those_of_the_server() -> None:
    assert min(shown("proxy_read_timeout")) > max(IDLE_SECONDS, MAX_WAIT)
    assert max(shown("keepalive_timeout")) < ServerConfig.keep_alive_timeout
    assert shown("client_max_body_size") == [DEFAULTS.body_bytes, LimitPolicy().max_import_bytes]
