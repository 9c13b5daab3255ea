"""docs/docker.md: every block does what the guide says."""

from __future__ import annotations

import json
import platform
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import guide
import httpx2
import official_tools
import pytest
import trio
from container_engine import Containers, Shown
from documents import FENCE, dialogue
from documents import Shown as Dialogue
from guide import Section
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

pytestmark = [
    pytest.mark.containers,
    # the official client leaves generators of its HTTP library to the garbage collector
    pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning"),
]

CLIENT_SECONDS = 60
COMPOSE_SECONDS = 600
"""It may build."""

_IN_FOREGROUND = re.compile(r"^docker run (?!.*(?:-d|--rm) ).*-p ")
_IN_BACKGROUND = re.compile(r"^docker run -d .*-p |^docker start |^docker[ -]compose\b.* up -d")
_FAILING = re.compile(r"^…?(?:Error|mcp-v8): ", re.MULTILINE)
"""How the output of a container begins that is shown to fail."""
_TOKEN = re.compile(r"shown only now: (\S+)")
_ARCHITECTURES = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}


@pytest.fixture(scope="module")
def shown(shown_of: Callable[[Sequence[str]], Shown], in_s3: Mapping[str, str]) -> Shown:
    """Runs the guide's commands."""
    shown = shown_of([text for _, text in FENCE.findall(guide.GUIDE.read_text())])
    shown.set(in_s3)
    return shown


@pytest.mark.parametrize("section", guide.sections(), ids=lambda section: section.title)
def test_every_block_of_the_guide_does_what_it_shows(
    section: Section, shown: Shown, containers: Containers
) -> None:
    tokens: list[str] = []
    with leaving_nothing(containers), ExitStack() as foreground:
        for language, text in section.blocks:
            if language == "sh":
                for command in guide.commands(text):
                    if _IN_FOREGROUND.match(command):
                        foreground.close()
                        url = foreground.enter_context(shown.serving(command))
                        clients_are_served(url, command, tokens)
                    else:
                        tokens += _TOKEN.findall(succeeds(shown, command))
            elif language == "console":
                for each in dialogue(text):
                    if each.command.startswith("docker run -d "):
                        foreground.close()  # a reader ends what has the port
                    actual = answer(shown, each.command, fails=is_shown_to_fail(each))
                    assert each.matches(actual), f"{each.command}\nshown:  {each.output}\nactual: {actual}"
            elif language == "yaml":
                (containers.folder / "docker-compose.yml").write_text(shown.stage.compose_file(text))
            else:
                client_s_program_serves(text, shown)


@contextmanager
def leaving_nothing(containers: Containers) -> Iterator[None]:
    """Remove the containers that are left at the end: where one section fails, the next has its ports."""
    before = containers.made("ps")
    try:
        yield
    finally:
        if left := [name for name in containers.made("ps") if name not in before]:
            containers.ended("rm", "-f", *left)


def succeeds(shown: Shown, command: str) -> str:
    """Its output, and what it says beside that."""
    if command.startswith("npx "):
        tools = official_tools.install()
        launcher = ("@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js")
        shown.put("npx", f'shift\nexec {shlex.join(tools.command(*launcher))} "$@"')  # the package's name
    # The other architecture's stand-in of the base image is not everywhere.
    command = re.sub(r"(?<=--platform )\S+", _ARCHITECTURES[platform.machine()], command)
    ended = shown.ended(command, COMPOSE_SECONDS)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    if _IN_BACKGROUND.match(command):
        shown.wait_until_all_are_ready()
    return ended.stdout + ended.stderr


def is_shown_to_fail(each: Dialogue) -> bool:
    return each.command.startswith("docker run ") and bool(_FAILING.search(each.output))


def answer(shown: Shown, command: str, *, fails: bool) -> str:
    """What is on the terminal after it."""
    ended = shown.ended(re.sub(r"^curl ", "curl -sS ", command))
    assert (ended.returncode != 0) == fails, f"{command}\n{ended.stdout}{ended.stderr}"
    if _IN_BACKGROUND.match(command):
        shown.wait_until_all_are_ready()
    return ended.stdout + ended.stderr


def clients_are_served(url: str, command: str, tokens: Sequence[str]) -> None:
    """By REST, and by MCP in all ways that the server has. The last token is shown where there must be one."""
    headers = {"authorization": f"Bearer {tokens[-1]}"} if "--tokens" in command else {}
    told = httpx2.post(f"{url}/api/exec", json={"code": "1 + 2"}, headers=headers, timeout=CLIENT_SECONDS)
    assert told.json()["result"] == "3", told.text
    assert trio.run(run_js, url, headers)[0] == "=> 3"
    if "--sse-port" in command:
        assert trio.run(run_js_over_sse, f"{url}/sse") == ["so far", "=> 3"]
    if "--tokens" in command:
        assert httpx2.get(f"{url}/api/sessions", timeout=CLIENT_SECONDS).status_code == 401


async def run_js(url: str, headers: dict[str, str]) -> list[str]:
    """The lines of a result that the official client gets over streamable HTTP."""
    with trio.fail_after(CLIENT_SECONDS):
        async with (
            httpx2.AsyncClient(headers=headers, timeout=CLIENT_SECONDS) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            result = await client.call_tool("run_js", {"code": "1 + 2"})
    return str(result.content[0].text).splitlines()  # type: ignore[union-attr]


async def run_js_over_sse(url: str) -> list[str]:
    """What comes over the stream: a line of the console before the execution's end, and its result."""
    code = "console.log('so far'); await new Promise(done => setTimeout(done, 500)); 3"
    heard: list[str] = []
    with trio.fail_after(CLIENT_SECONDS):
        async with Client(sse_client(url)) as client:

            async def progress(_done: float, _total: float | None, message: str | None) -> None:
                heard.append(message or "")

            result = await client.call_tool("run_js", {"code": code}, progress_callback=progress)
    return [*heard[:1], str(result.content[0].text).splitlines()[-2]]  # type: ignore[union-attr]


def client_s_program_serves(text: str, shown: Shown) -> None:
    """A client's settings name a command that serves MCP on stdin and stdout."""
    (server,) = json.loads(text)["mcpServers"].values()
    command = shown.stage.addresses(server["command"])
    where = StdioServerParameters(command=shown.program(command), args=server["args"])

    async def call() -> list[str]:
        with trio.fail_after(CLIENT_SECONDS):
            async with Client(where) as client:
                result = await client.call_tool("run_js", {"code": "1 + 2"})
        return str(result.content[0].text).splitlines()  # type: ignore[union-attr]

    lines = trio.run(call)
    assert lines[0] == "=> 3"
    assert re.fullmatch(r"\[mine@\d+\]", lines[-1])
