"""The compose files at the root, up: what they promise of the container and of its server."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import compose_project
import httpx2
import pytest
import trio
from compose_project import Compose, Project
from container_engine import Container, Containers
from documents import ROOT
from mcp import Client

pytestmark = pytest.mark.containers

STATEFUL, STATELESS = (ROOT / f"docker-compose.single-{kind}.yml" for kind in ("stateful", "stateless"))
STOP_SECONDS = 10
MIB = 1 << 20

OpenProject = Callable[..., Project]


@pytest.fixture(scope="module")
def open_project(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenProject]:
    """Makes projects of compose files, which are taken down with their volumes in the end."""
    of_engine = compose_project.of_engine(containers.engine)
    with ExitStack() as opened:

        def open_(file: Path, compose: Compose | None = None, **how: Any) -> Project:
            project = Project(
                containers, compose or of_engine, file, tmp_path_factory.mktemp("project"), **how
            )
            opened.callback(project.ended, "down", "-v", "-t", "1")
            return project

        yield open_


@pytest.fixture(scope="module")
def stateful(open_project: OpenProject) -> Project:
    """The file with a store, up."""
    project = open_project(STATEFUL)
    project.up()
    return project


@pytest.fixture(scope="module")
def stateless(open_project: OpenProject) -> Project:
    """The file without a store, up."""
    project = open_project(STATELESS)
    project.up()
    return project


@pytest.fixture(params=["stateful", "stateless"])
def container(request: pytest.FixtureRequest) -> Container:
    """That of each file."""
    project: Project = request.getfixturevalue(request.param)
    return project.container


def test_its_server_answers_curl_on_the_published_port(container: Container) -> None:
    code = json.dumps({"code": "6 * 7"})
    request = ["curl", "-sS", f"{container.url}/api/exec", "-H", "Content-Type: application/json", "-d", code]
    answer = json.loads(subprocess.run(request, capture_output=True, timeout=60, check=True).stdout)
    assert (answer["status"], answer["result"]) == ("completed", "42")


async def test_its_server_answers_the_official_mcp_client(container: Container) -> None:
    with trio.fail_after(60):
        async with Client(f"{container.url}/mcp") as client:
            answer = await client.call_tool("run_js", {"code": "6 * 7"})
    assert answer.content[0].text.startswith("=> 42")


def test_it_runs_as_user_1000_without_any_right_and_the_sandbox_is_whole(container: Container) -> None:
    lines = (line.partition(":") for line in container.inside("cat", "/proc/1/status").splitlines())
    status = {name: value.split() for name, _, value in lines}
    assert status["Uid"] == ["1000"] * 4
    assert {int(status[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == ["1"]
    sandbox = container.wait_until_ready()["sandbox"]
    assert (sandbox["seccomp"], sandbox["forks"], sandbox["user"]) == (True, "asked", "server")
    assert sandbox["landlock_abi"] > 0


def test_nothing_can_be_written_but_the_store_and_a_little_in_tmp(container: Container) -> None:
    mounts = [line.split() for line in container.inside("cat", "/proc/mounts").splitlines()]
    options = {where: set(how.split(",")) for _, where, _, how, *_ in mounts}
    assert "ro" in options["/"]
    assert {"size=65536k", "noexec", "nosuid", "nodev"} <= options["/tmp"]
    written = "for folder in / /etc /usr/local /home/mcpuser /tmp; do touch $folder/x 2>/dev/null && echo $folder; done; true"
    assert container.inside("sh", "-c", written) == "/tmp"


def test_its_limits_are_in_force(container: Container) -> None:
    (found,) = json.loads(container.do("inspect"))
    limits = found["HostConfig"]
    assert (limits["Memory"], limits["PidsLimit"]) == (2048 * MIB, 512)
    assert limits["NanoCpus"] == 2 * 10**9 or limits["CpuQuota"] == 2 * limits["CpuPeriod"]
    assert limits["LogConfig"]["Type"] == "json-file"
    settings = json.loads(container.inside("mcp-v8", "config", "--json"))
    assert settings["max_workers"]["value"] == 16  # half of the memory at 64 MiB each


def test_it_is_healthy(containers: Containers, container: Container) -> None:
    compose_project.until_healthy(containers, container)


def test_compose_shows_what_is_up_and_its_log(stateful: Project) -> None:
    assert stateful.container.name in stateful.told("ps")
    assert "Store: /tmp/mcp-v8-heaps" in stateful.told("logs")


def test_nothing_is_remembered_without_a_store(stateless: Project) -> None:
    assert stateless.container.execute("globalThis.x = 1")["status"] == "completed"
    assert stateless.container.execute("typeof x")["result_json"] == "undefined"


def test_a_session_survives_a_kill_and_its_containers_removal_until_its_volume_is_removed(
    containers: Containers, open_project: OpenProject
) -> None:
    project = open_project(STATEFUL)
    assert project.up().execute("globalThis.n = 1", session="a")["event"] == 1
    project.container.do("kill")
    assert project.up().execute("n += 1", session="a")["event"] == 2
    project.told("down")
    assert project.up().execute("n", session="a")["result_json"] == 2
    project.told("down", "-v")
    assert not [name for name in containers.made("volume") if project.name in name]


def test_what_runs_is_answered_when_it_is_stopped_and_the_exit_status_is_0(stateful: Project) -> None:
    container = stateful.container
    with ThreadPoolExecutor() as threads:
        code = "console.log('begun'); await new Promise(done => setTimeout(done, 1500)); 'done'"
        answer = threads.submit(container.execute, code, session="stopped")
        while container.wait_until_ready()["running"] == 0:
            assert not answer.done(), answer.result()
            time.sleep(0.05)
        stateful.told("stop")
        assert answer.result()["result_json"] == "done"
    assert container.wait_until_ended() == 0
    (asked,) = re.findall(r"^(\S+) .*SIGTERM: draining", container.log(), re.MULTILINE)
    ended = datetime.fromisoformat(container.state()["FinishedAt"])
    assert (ended - datetime.fromisoformat(asked)).total_seconds() < STOP_SECONDS
    assert stateful.up().execute("1", session="stopped")["event"] == 2


def test_an_execution_that_takes_the_containers_memory_is_undone_and_its_server_goes_on(
    open_project: OpenProject,
) -> None:
    project = open_project(STATEFUL, MEMORY_LIMIT="400m", MCP_V8_HEAP_MEMORY_MAX="2048")
    container = project.up()
    server = container.state()["StartedAt"]
    container.execute("globalThis.kept = 'kept'", session="a")
    hog = "kept = 'lost'; const all = []; for (;;) all.push(new Array(100_000).fill(1.5 + all.length))"
    answer = container.execute(hog, session="a", heap_memory_max_mb=2048)
    assert answer["status"] == "crashed", answer
    assert container.execute("kept", session="a")["result_json"] == "kept"
    assert container.state()["StartedAt"] == server


def test_a_wrong_value_in_the_environment_file_is_named_in_a_sentence(open_project: OpenProject) -> None:
    project = open_project(STATEFUL, MCP_V8_HEAP_MEMORY="lots")
    project.told("up", "-d", "--no-build")
    deadline = time.monotonic() + 60
    while "the variable MCP_V8_HEAP_MEMORY: 'lots' is not a valid" not in (log := project.container.log()):
        assert time.monotonic() < deadline, log
        time.sleep(0.2)


def test_tokens_are_a_secret_once_their_lines_are_no_comments(open_project: OpenProject) -> None:
    token = "a-token-of-at-least-16-characters"
    project = open_project(STATEFUL, tokens=f"{token} alice\n", MCP_V8_TOKENS="/run/secrets/tokens")
    url = f"{project.up().url}/api/sessions"
    assert httpx2.get(url).status_code == 401
    assert httpx2.get(url, headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_docker_compose_waits_until_it_is_healthy(
    containers: Containers, open_project: OpenProject, tmp_path: Path
) -> None:
    with compose_project.docker_compose(containers.engine, tmp_path) as compose:
        if compose is None:
            pytest.skip("there is no `docker compose` here")
        project = open_project(STATEFUL, compose)
        waiting = subprocess.Popen(
            project.command("up", "-d", "--no-build", "--wait"),
            env=project.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            while waiting.poll() is None and not project.made():
                time.sleep(0.1)
            compose_project.until_healthy(containers, project.container)
            _, told = waiting.communicate(timeout=60)
        finally:
            waiting.kill()
        assert waiting.returncode == 0, told
        test_its_limits_are_in_force(project.container)
        test_it_runs_as_user_1000_without_any_right_and_the_sandbox_is_whole(project.container)
        assert project.container.name in project.told("ps")
        assert "Listening on" in project.told("logs")
        project.told("down", "-v")
