"""Whom a command asks: by option, by variable, or by default."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pytest
from made_sessions import executed, make
from server_process import COMMAND
from typed import run

from cli.target.options import bucket
from persistence.s3.settings import Settings


def asked(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that has ended."""
    return run(*words, environment={**os.environ, "XDG_STATE_HOME": "/nonexistent", **variables})


def test_an_option_goes_before_the_variable_of_the_other_one(tmp_path: Path) -> None:
    nobody, store = "http://localhost:1", str(tmp_path)
    at_the_store = asked("log", "a", "--directory-path", store, MCP_V8_URL=nobody)
    assert at_the_store.returncode == 3
    assert f"there is no store in {store}" in at_the_store.stderr
    at_the_server = asked("log", "a", "--url", nobody, MCP_V8_DIRECTORY_PATH=store)
    assert at_the_server.returncode == 1
    assert f"the server at {nobody} does not answer" in at_the_server.stderr


def test_both_options_are_a_wrong_command_line(tmp_path: Path) -> None:
    both = asked("log", "a", "--url", "http://localhost:1", "--directory-path", str(tmp_path))
    assert both.returncode == 2
    assert "give one of them" in both.stderr


def test_a_bucket_is_not_followed_since_nothing_would_ever_come() -> None:
    ended = asked("log", "a", "--follow", "--s3-bucket", "sessions", "--s3-prefix", "p")
    assert ended.returncode == 2
    assert ended.stderr.startswith("mcp-v8: s3://sessions/p is read as it was when the command began: ")


def test_a_bucket_is_reached_and_encrypted_as_the_variables_of_its_server_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of a container in which a command runs beside the server."""
    with click.Context(click.Command("log")):
        assert bucket("sessions", "p").settings == Settings(bucket="sessions", prefix="p")
        monkeypatch.setenv("MCP_V8_S3_PATH_STYLE", "0")
        monkeypatch.setenv("MCP_V8_S3_ENCRYPTION", "aws:kms")
        monkeypatch.setenv("MCP_V8_S3_KMS_KEY", "alias/mine")
        assert bucket("sessions", "p").settings == Settings(
            bucket="sessions", prefix="p", path_style=False, encryption="aws:kms", kms_key="alias/mine"
        )


def test_a_wrong_variable_of_the_server_is_told_by_name() -> None:
    for words in (("log", "a", "--s3-bucket", "sessions"), ("store", "copy", "s3://sessions")):
        ended = asked(*words, MCP_V8_S3_ENCRYPTION="none")
        assert ended.returncode == 2
        assert "Invalid value for the variable MCP_V8_S3_ENCRYPTION: 'none' is not one of" in ended.stderr


def test_without_any_of_them_the_servers_default_store_is_asked() -> None:
    ended = asked("log", "a")
    assert ended.returncode == 3
    assert ended.stderr.startswith("mcp-v8: there is no store in /nonexistent/mcp-v8: ")
    assert ended.stdout == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8080",
        "ftp://localhost",
        "http://",
        "http://[::1",
        "http://localhost:99999",
        "http://localhost:x",
        "http://a b",
        "http://a\nb",
        "http://localhost:8080/?a=b",
    ],
)
def test_what_is_no_address_is_a_wrong_command_line(url: str) -> None:
    for words in (["log", "a"], ["log", "a", "--follow"], ["exec", "1"]):
        ended = asked(*words, "--url", url)
        assert ended.returncode == 2
        assert "is no address of a server, as http://localhost:8080 is one" in ended.stderr
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("token", ["secrät", "sec\nret", "sec ret"])
def test_what_is_no_token_is_refused_without_being_shown(token: str) -> None:
    ended = asked("log", "a", "--url", "http://localhost:1", "--token", token)
    assert ended.returncode == 2
    assert "a token is printable ASCII, without spaces" in ended.stderr
    assert token not in ended.stderr


_COMMANDS = [
    ["sessions"],
    ["log", "a", "--follow"],
    ["find", "x"],
    ["state", "a"],
    ["diff", "a", "b"],
    ["replay", "a", "--to", "3"],
    ["replay", "--all"],
    ["exec", "1"],
    ["fork", "a@1"],
    ["export", "a"],
    ["verify"],
    ["gc", "--yes"],
    ["report", "a"],
]


@pytest.mark.parametrize("words", _COMMANDS, ids=" ".join)
def test_a_server_of_something_else_is_told_in_a_sentence(words: list[str]) -> None:
    with serving(b"<h1>it works</h1>") as url:
        ended = asked(*words, "--url", url)
    assert ended.returncode == 1
    assert ended.stderr.startswith("mcp-v8: the answer is not one of mcp-v8, or of another version (")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("page", [b"{}", b"[]\n", b'"a"\n1\n', b"\xff", b""])
def test_so_is_what_is_json_or_next_to_it(page: bytes) -> None:
    with serving(page) as url:
        for words in (["sessions"], ["verify"]):
            ended = asked(*words, "--url", url)
            assert ended.returncode == 1, words
            assert ended.stderr.startswith("mcp-v8: the answer "), words
            assert "Traceback" not in ended.stderr, words


def test_a_server_that_sends_elsewhere_is_told_in_a_sentence() -> None:
    with serving(b"<h1>Moved</h1>", status=302) as url:
        ended = asked("sessions", "--url", url)
    assert ended.returncode == 1
    assert ended.stderr == (
        "mcp-v8: the answer, with status 302, is not one of mcp-v8: is the address right?\n"
    )


def test_what_the_system_refuses_is_told_in_a_sentence(tmp_path: Path) -> None:
    make(tmp_path / "store", "a", [executed("1")])
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        ended = subprocess.run(
            [COMMAND, "log", "a", "--directory-path", tmp_path / "store"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, "mcp-v8: No space left on device\n")
    (tmp_path / "no-store" / "events.db").mkdir(parents=True)
    ended = asked("exec", "1", "--directory-path", str(tmp_path / "no-store"))
    assert ended.returncode == 1
    assert ended.stderr == f"mcp-v8: {tmp_path}/no-store/events.db: Is a directory\n"


@contextmanager
def serving(page: bytes, *, status: int = 200) -> Iterator[str]:
    """The address of a server that answers everything with ``page``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_POST = do_GET  # noqa: N815 (it is the base's name)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    ended = asked("log", "a", "--url", "https://ann:hunter2@localhost:1")
    assert ended.returncode == 2
    assert "give --token" in ended.stderr
    assert "hunter2" not in ended.stderr
