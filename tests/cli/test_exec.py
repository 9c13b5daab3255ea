"""``mcp-v8 exec``: code that is run in a session, from pipes and in a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import pytest
from server_process import COMMAND, ServerProcess, running
from talking import CTRL_C, talking
from typed import SECONDS, piped

LOOP = "console.log('looping'); for (;;);"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on a store of its own."""
    with running("--directory-path", str(tmp_path_factory.mktemp("served"))) as server:
        yield server


@pytest.fixture(params=["store", "server"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The options that name a target: a store, or a server."""
    if request.param == "store":
        return ("--directory-path", str(tmp_path / "store"))
    return ("--url", request.getfixturevalue("served").url)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A session for the test."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:100]


def test_what_code_prints_and_its_value_are_on_stdout_and_the_rest_on_stderr(
    where: tuple[str, str], name: str
) -> None:
    code = "console.log('one'); console.warn('two'); console.error('three'); let xs = [1, 2]; xs"
    told = piped("exec", "--session", name, code, *where)
    assert told.out == "one\n=> [ 1, 2 ]\n"
    assert told.err == f"two\nthree\n[{name}@1]\n"
    assert piped("exec", "--session", name, "xs.push(3)", *where).out == "=> 3\n"


def test_code_is_an_argument_or_a_file_or_stdin(where: tuple[str, str], name: str, tmp_path: Path) -> None:
    script, other = tmp_path / "script.mjs", tmp_path / "script.txt"
    script.write_text("\ufeff'from a file'")
    other.write_text("'of another name'")
    to = ("--session", name, *where)
    assert piped("exec", str(script), *to).out == "=> 'from a file'\n"
    assert piped("exec", "--file", str(other), *to).out == "=> 'of another name'\n"
    assert piped("exec", "-", *to, stdin="'from\\nstdin'\n").out == "=> 'from\\nstdin'\n"
    assert piped("exec", *to, stdin="'unasked'").out == "=> 'unasked'\n"
    assert piped("exec", "'no such file.js'", *to).out == "=> 'no such file.js'\n"


def test_code_that_fails_shows_its_line_and_ends_with_1(where: tuple[str, str], name: str) -> None:
    told = piped("exec", "--session", name, "let rows = []\nrows[0].id", *where, status=1)
    assert told.out == ""
    assert told.err == (
        "TypeError: Cannot read properties of undefined (reading 'id')\n"
        "  1 | let rows = []\n"
        "> 2 | rows[0].id\n"
        "    |         ^\n"
        "  at exec-1.js:2:9\n"
        f"Earlier changes kept. [{name}@1]\n"
    )


def test_limits_are_those_that_were_asked_for(where: tuple[str, str], name: str) -> None:
    to = ("--session", name, *where)
    late = piped("exec", LOOP, "--timeout", "0.2", *to, status=1)
    assert late.out == "looping\n"
    assert late.err == f"timed_out after 0.2 s. Call undone. [{name}@1]\n"
    full = piped(
        "exec",
        "let a = []; for (;;) a.push(new Array(1e5).fill(1.5))",
        "--heap-memory-mb",
        "16",
        *to,
        status=1,
    )
    assert full.err.startswith("out_of_memory after")
    assert "ask for more heap with --heap-memory-mb." in full.err


def test_input_is_bound_as_it_was_written(where: tuple[str, str], name: str) -> None:
    to = ("--session", name, *where)
    assert piped("exec", "input.a", "--input", '{"a": [7, null]}', *to).out == "=> [ 7, null ]\n"
    assert piped("exec", "input", "--input", "null", *to).out == "=> null\n"
    assert "is not JSON" in piped("exec", "input", "--input", "{a: 7}", *to, status=2).err


def test_a_point_of_the_past_is_branched_off(where: tuple[str, str], name: str) -> None:
    piped("exec", "--session", name, "let n = 1", *where)
    piped("exec", "--session", name, "n = 2", *where)
    told = piped("exec", "--session", f"{name}@1", "n", *where)
    assert told.out == "=> 1\n"
    assert told.err.startswith("[s_")
    assert told.err.endswith("@3]\n")


def test_one_key_runs_once(where: tuple[str, str], name: str) -> None:
    piped("exec", "--session", name, "let n = 0", *where)
    for _ in range(2):
        told = piped("exec", "--session", name, "console.log('ran'); ++n", "--idempotency-key", name, *where)
        assert told.out == "ran\n=> 1\n"


def test_json_is_what_the_http_api_answers(where: tuple[str, str], name: str) -> None:
    told = piped("exec", "--json", "--session", name, "console.log('hi'); ({ a: [1] })", *where)
    answer = msgspec.json.decode(told.out)
    assert (answer["status"], answer["result_json"], answer["output"]) == ("completed", {"a": [1]}, "hi\n")
    assert told.err == ""
    failed = piped("exec", "--json", "--session", name, "throw 1", *where, status=1)
    assert msgspec.json.decode(failed.out)["error"] == "Uncaught 1"


def test_what_cannot_be_run_is_one_sentence(where: tuple[str, str], name: str, tmp_path: Path) -> None:
    to = ("--session", name, *where)
    piped("exec", "1", *to)
    missing = piped("exec", "--session", f"{name}@99", "1", *where, status=3)
    assert missing.err == "mcp-v8: this session has no event 99\n"
    assert (
        "no session s_aaaaaaaaaaaaaaaa"
        in piped("exec", "--session", "s_aaaaaaaaaaaaaaaa", "1", *where, status=3).err
    )
    assert "one of them" in piped("exec", "1", "--file", __file__, *to, status=2).err
    (tmp_path / "latin.js").write_bytes(b"'\xe9'")
    assert "is not UTF-8" in piped("exec", tmp_path / "latin.js", *to, status=2).err
    assert "1048576 are accepted" in piped("exec", "-", *to, stdin="1;" * 600_000, status=2).err


def test_no_wait_prints_the_id_and_leaves_it_to_the_server(
    served: ServerProcess, name: str, tmp_path: Path
) -> None:
    told = piped("exec", "--no-wait", "--session", name, "7", "--url", served.url)
    answer = httpx2.get(f"{served.url}/api/executions/{told.out.strip()}?wait=10").json()
    assert (answer["status"], answer["result"]) == ("completed", "7")
    refused = piped("exec", "--no-wait", "7", "--directory-path", tmp_path, status=2)
    assert "--no-wait is for a server" in refused.err


def test_a_store_that_a_server_has_open_names_its_process_and_the_way_to_it(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path)) as server:
        told = piped("exec", "1", "--directory-path", tmp_path, status=1)
        assert str(server.process.pid) in told.err
        assert "--url" in told.err
    assert piped("exec", "1", "--directory-path", tmp_path).out == "=> 1\n"


def test_console_lines_come_while_the_code_runs(where: tuple[str, str], name: str) -> None:
    with talking("exec", LOOP, "--session", name, *where) as talk:
        talk.see("looping")
        talk.type(CTRL_C)
        talk.see("it is being stopped")
        talk.see("cancelled after")
        assert talk.end() == 130


def test_ctrl_c_undoes_the_execution_and_the_session_goes_on(where: tuple[str, str], name: str) -> None:
    piped("exec", "let n = 1", "--session", name, *where)
    process = subprocess.Popen(
        [COMMAND, "exec", f"n = 2; {LOOP}", "--session", name, *where],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "looping\n"
        process.send_signal(signal.SIGINT)
        assert "being stopped" in process.stderr.readline()
        assert process.stderr.read().endswith(f"Call undone. [{name}@2]\n")
        assert process.wait(SECONDS) == 130
    assert piped("exec", "n", "--session", name, *where).out == "=> 1\n"


def test_a_second_ctrl_c_leaves_at_once(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path)) as server:
        process = subprocess.Popen(
            [COMMAND, "exec", LOOP, "--session", "a", "--url", server.url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "looping\n"
            os.kill(server.process.pid, signal.SIGSTOP)  # so that it answers nothing any more
            process.send_signal(signal.SIGINT)
            assert "being stopped" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 130
            assert "Traceback" not in process.stderr.read()
            os.kill(server.process.pid, signal.SIGCONT)


def test_a_server_that_dies_meanwhile_is_told_of(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path)) as server:
        process = subprocess.Popen(
            [COMMAND, "exec", LOOP, "--session", "a", "--url", server.url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "looping\n"
            server.process.kill()
            server.wait()
            assert process.wait(SECONDS) == 1
            told = process.stderr.read()
            assert told.startswith(f"mcp-v8: the connection to the server at {server.url} broke: ")
            assert re.search(r"; what became of e_\w+ is in the session's log, if it is there\n$", told)
            assert told.count("\n") == 1
    gone = piped("exec", "1", "--url", server.url, status=1)
    assert gone.err.startswith(f"mcp-v8: the server at {server.url} does not answer: ")


def test_nothing_that_code_prints_steers_a_terminal(where: tuple[str, str], name: str) -> None:
    with talking("exec", "console.log('a\\x1b]0;title\\x07b'); 'c\\x9bd'", "--session", name, *where) as talk:
        talk.see("a␛]0;title␇b")
        talk.see("=> 'c\\x9Bd'")
        talk.see(f"[{name}@1]")
        assert talk.end() == 0
    raw = piped("exec", "console.log('a\\tb\\x1b')", "--session", name, *where)
    assert raw.out.startswith("a\tb\x1b\n")  # a pipe gets what was printed


def test_whoever_reads_no_further_ends_it_quietly(where: tuple[str, str], name: str) -> None:
    code = "for (let n = 0; n < 5000; n++) console.log('line ' + n)"
    command = f"'{COMMAND}' exec \"$0\" {' '.join(where)} --session {name} | head -n 1"
    ended = subprocess.run(
        ["bash", "-c", command, code], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    assert (ended.stdout, ended.stderr) == ("line 0\n", "")
