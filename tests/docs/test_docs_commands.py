"""What the documents show is what happens: their commands are run against a real server."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import httpx2
import pytest
import trio
from documents import DOCUMENTS, ROOT, Shown, command_lines, dialogues, fenced
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from server_process import ServerProcess, running

from benchmarks.processes import COMMAND, Server, free_port, serving
from cli.target.failures import DIFFERS
from transports import tokens

SERVER_COMMAND = re.compile(r"^\.venv/bin/mcp-v8 .*--(http|sse)-port 8080\b(?!.*--(tokens|s3-bucket))")
MCP_ADD = re.compile(r"^claude mcp add --transport http js '(http://localhost:8080/mcp\S*)'$")
ENDING_COMMAND = re.compile(r"^\.venv/bin/mcp-v8 (config|selftest|--help)\b")
OF_TOKENS = re.compile(r"\.venv/bin/mcp-v8 token |--tokens tokens\.txt$|\"Authorization: Bearer \$TOKEN\"$")
OF_FILES = re.compile(r"^\.venv/bin/mcp-v8 (ex|im)port ")
CONFIGURED_SERVER = re.compile(r"^\.venv/bin/mcp-v8 --config mcp-v8\.toml$")
CHECKED_ELSEWHERE = re.compile(
    r"^python3 -m venv \.venv && "  # set-up: .ci/run runs both lines as they are
    r"|^just "  # the Justfile, below
    r"|^claude mcp add "  # test_docs_clients.py
    r"|^\.venv/bin/mcp-v8 (store|verify|replay) "  # test_docs_deploy.py
    r"|^\.venv/bin/mcp-v8 .*--s3-bucket "  # test_docs_s3.py, all of which are in docs/s3.md
    r"|^docker |^head -c 32 "  # tests/containers
)

OPERATIONS = ROOT / "docs" / "operations.md"
IN_CONTAINERS = [ROOT / "docs" / "docker.md", ROOT / "docs" / "cluster.md"]
"""All of whose commands are run by tests/containers/test_docker_guide.py and test_cluster_guide.py."""
WITH_CONSOLE = [document for document in DOCUMENTS if document not in IN_CONTAINERS and dialogues(document)]
ENDING_LINES = [
    line for document in DOCUMENTS for line in command_lines(document) if ENDING_COMMAND.match(line)
]
SERVER_LINES = dict.fromkeys(
    line for document in DOCUMENTS for line in command_lines(document) if SERVER_COMMAND.match(line)
)


def typed(command: str, server: Server | ServerProcess, variables: dict[str, str]) -> str:
    """What a shell prints for ``command`` when the server's port is 8080, and ``MCP_V8_URL`` names it."""
    ended = subprocess.run(
        ["bash", "-c", command.replace("localhost:8080", f"localhost:{server.port}")],
        env={
            "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}",
            "MCP_V8_URL": f"http://localhost:{server.port}",
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    differs = command.startswith("mcp-v8 ") and ended.returncode == DIFFERS  # which is no failure to show
    assert ended.returncode == 0 or differs, ended.stderr
    return ended.stdout


def told_on_stderr(command: str) -> str:
    """What a shell says of ``command`` beside its output."""
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    return ended.stderr


def remembered(output: str) -> dict[str, str]:
    """``$ID``, ``$HEAP`` and ``$SESSION`` in a document stand for those of the last answer that had them."""
    fields = {
        "ID": r'"execution_id":"(\w+)"',
        "HEAP": r'"heap":"(\w+)"',
        "SESSION": r"mcp-session-id: (\w+)",
    }
    found = {name: re.search(pattern, output) for name, pattern in fields.items()}
    return {name: match[1] for name, match in found.items() if match}


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
@pytest.mark.parametrize("document", WITH_CONSOLE, ids=lambda path: path.name)
def test_every_command_shown_gives_the_answer_shown(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    variables: dict[str, str] = {}
    with running("--directory-path", str(tmp_path / "store")) as server:
        for shown in dialogues(document):
            actual = typed(shown.command, server, variables)
            assert shown.matches(actual), f"{shown.command}\nshown:  {shown.output}\nactual: {actual}"
            variables |= remembered(actual)


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
def test_a_session_of_the_readme_goes_on_after_a_kill_between_two_commands(tmp_path: Path) -> None:
    for shown in dialogues(ROOT / "README.md"):
        with running("--directory-path", str(tmp_path)) as server:
            actual = typed(shown.command, server, {})
            assert server.terminate(signal.SIGKILL) == -signal.SIGKILL
        assert shown.matches(actual), f"{shown.command}\nshown:  {shown.output}\nactual: {actual}"


@pytest.mark.parametrize("line", SERVER_LINES)
def test_every_server_command_shown_serves(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    port = free_port()
    command = line.replace(".venv/bin/mcp-v8", COMMAND).replace("8080", str(port))
    with serving(shlex.split(command), port):
        answer = httpx2.post(f"http://localhost:{port}/api/exec", json={"code": "1"}, timeout=30).json()
    assert answer["status"] == "completed"


@pytest.mark.parametrize("line", ENDING_LINES)
def test_every_other_command_shown_ends_well(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mcp-v8.toml").write_text(fenced(OPERATIONS, "toml")[0])
    subprocess.run(shlex.split(line.replace(".venv/bin/mcp-v8", COMMAND)), timeout=60, check=True)


def test_a_server_with_the_configuration_file_shown_is_set_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    port = free_port()
    text = fenced(OPERATIONS, "toml")[0].replace("8080", str(port))
    Path("mcp-v8.toml").write_text(text.replace("/var/lib", str(tmp_path)))
    assert any(CONFIGURED_SERVER.match(line) for line in command_lines(OPERATIONS))
    with serving([COMMAND, "--config", "mcp-v8.toml"], port):
        ready = httpx2.get(f"http://localhost:{port}/readyz", timeout=30).json()
    assert ready["store"] == f"sqlite:{tmp_path}/mcp-v8"


async def test_the_mcp_address_shown_leads_to_the_session_that_it_names(tmp_path: Path) -> None:
    lines = [match for line in command_lines(ROOT / "README.md") if (match := MCP_ADD.match(line))]
    assert len(lines) == 1
    with running("--directory-path", str(tmp_path)) as server:
        url = lines[0][1].replace("8080", str(server.port))
        with trio.fail_after(30):
            async with Client(url) as client:
                answer = await client.call_tool("run_js", {"code": "1 + 2"})
    text = answer.content[0].text
    assert text.splitlines()[0] == "=> 3"
    assert text.splitlines()[-1] == "[demo@1]"


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
async def test_the_token_that_is_made_as_shown_lets_its_owner_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    lines = [line for line in command_lines(OPERATIONS) if OF_TOKENS.search(line)]
    make, serve, curl, add = (line.replace(".venv/bin/mcp-v8", COMMAND) for line in lines)
    token = told_on_stderr(make).split()[-1]
    port = free_port()
    with serving(shlex.split(serve.replace("8080", str(port))), port) as server:
        assert typed(curl, server, {"TOKEN": token}) == '{"sessions":[],"next":null}'
        url, name, value = re.fullmatch(  # type: ignore[union-attr]
            r"claude mcp add --transport http js '(\S+)' --header \"(\w+): (.+)\"", add
        ).groups()
        headers = {name: value.replace("$TOKEN", token)}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            transport = streamable_http_client(url.replace("8080", str(port)), http_client=http)
            with trio.fail_after(30):
                async with Client(transport) as client:
                    answer = await client.call_tool("run_js", {"code": "1 + 2"})
    assert answer.content[0].text.splitlines() == ["=> 3", "[demo@1]"]


def test_every_command_of_files_shown_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    lines = [line for document in DOCUMENTS for line in command_lines(document) if OF_FILES.match(line)]
    assert len(lines) >= 6
    with running() as server:
        body = {"code": "1", "session": "demo"}
        httpx2.post(f"{server.url}/api/exec", json=body, timeout=30).raise_for_status()
        for line in lines:
            typed(
                line.replace(".venv/bin/mcp-v8", COMMAND), server, {"XDG_STATE_HOME": str(tmp_path / "state")}
            )


def test_the_file_of_tokens_shown_is_one() -> None:
    (shown,) = [text for text in fenced(OPERATIONS, "text") if "tokens.txt" in text]
    assert len(tokens.parse(shown)) == 3


def test_no_command_shown_escapes_these_tests() -> None:
    for document in DOCUMENTS:
        for line in command_lines(document) if document not in IN_CONTAINERS else ():
            ways = (SERVER_COMMAND, CONFIGURED_SERVER, ENDING_COMMAND, MCP_ADD, CHECKED_ELSEWHERE)
            covered = any(way.match(line) for way in (*ways, OF_FILES)) or OF_TOKENS.search(line)
            assert covered, f"{document.name}: nothing runs {line!r}"


def test_every_recipe_named_exists() -> None:
    recipes = set(re.findall(r"^([a-z-]+)[^:=\n]*:(?!=)", (ROOT / "Justfile").read_text(), re.MULTILINE))
    named = {name for document in DOCUMENTS for name in re.findall(r"`just ([\w-]+)", document.read_text())}
    assert named
    assert named <= recipes


def test_an_ellipsis_stands_for_anything_and_nothing_else_does() -> None:
    assert Shown("", '{"a":"…","b":1}\n').matches('{"a":"xyz","b":1}')
    assert not Shown("", '{"a":"…","b":1}\n').matches('{"a":"xyz","b":2}')
    assert not Shown("", '{"a.c":1}').matches('{"abc":1}')
