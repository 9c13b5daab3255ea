"""What the documents show of docker: what is shown, and what becomes of it before it is run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import guide
import pytest
import shown_docker
from documents import FENCE, ROOT, command_lines
from shown_docker import Stage

from cli.entry import DOCKER

STAGE = Stage("t", "t:latest", names=("m", "data", "net"), ports={8080: 40_001, 8081: 40_002, 9090: 40_003})


@pytest.mark.parametrize(
    ("shown", "run"),
    [
        ("build -t mcp-v8:latest .", "build -t t:latest ."),
        (
            "run -d --name m -p 9090:8080 -v data:/tmp/mcp-v8-heaps mcp-v8:latest",
            "run -d --name t-m -p 127.0.0.1:40003:8080 -v t-data:/tmp/mcp-v8-heaps t:latest",
        ),
        (
            "run --name=m --publish=0.0.0.0:8080:8080 --volume=data:/d mcp-v8:latest",
            "run --name=t-m --publish=127.0.0.1:40001:8080 --volume=t-data:/d t:latest",
        ),
        (
            "run --name m --mount type=volume,source=data,target=/d --network net mcp-v8:latest",
            "run --name t-m --mount type=volume,source=t-data,target=/d --network t-net t:latest",
        ),
        (
            "run --name m -v ./data:/data:ro -e PORT= mcp-v8:latest --http-port 8080",
            "run --name t-m -v ./data:/data:ro -e PORT= t:latest --http-port 8080",
        ),
        ("exec m mcp-v8 show m", "exec t-m mcp-v8 show m"),
        ("exec -e A=m m ls data", "exec -e A=m t-m ls data"),
        ("stop m", "stop t-m"),
        ("cp m:/tmp/x data", "cp t-m:/tmp/x t-data"),
        ("volume rm data", "volume rm t-data"),
        ("ps -q --filter ancestor=mcp-v8:latest", "ps -q --filter ancestor=t:latest"),
    ],
)
def test_names_and_ports_of_the_engine_are_replaced_and_nothing_inside_the_container(
    shown: str, run: str
) -> None:
    assert shlex.join(STAGE.engine_words(shlex.split(shown))) == run


@pytest.mark.parametrize("command", ["run --rm mcp-v8:latest --help", "create mcp-v8:latest"])
def test_a_container_without_a_name_gets_one_by_which_it_is_found_and_removed(command: str) -> None:
    kind, flag, name, *_ = STAGE.engine_words(command.split())
    assert (kind, flag) == (command.split()[0], "--name")
    assert re.fullmatch(r"t-[0-9a-f]{8}", name)


def test_addresses_lead_to_the_ports_that_are_published() -> None:
    shown = "curl http://localhost:8080/mcp 127.0.0.1:9090 localhost:1234 example.com:8080"
    run = "curl http://localhost:40001/mcp 127.0.0.1:40003 localhost:1234 example.com:8080"
    assert STAGE.addresses(shown) == run


def test_a_compose_file_publishes_on_loopback_and_uses_the_image_of_the_tests() -> None:
    shown = """\
services:
  mcp-v8:
    image: mcp-v8:latest
    ports:
      - "8080:8080"
      - 127.0.0.1:8081:8081
"""
    run = """\
services:
  mcp-v8:
    image: t:latest
    ports:
      - "127.0.0.1:40001:8080"
      - 127.0.0.1:40002:8081
"""
    assert STAGE.compose_file(shown) == run


def test_what_is_printed_is_read_in_the_names_of_the_document() -> None:
    printed = 'time="2026-11-29T06:38:25Z" level=error msg="no systemd"\nlocalhost/t:latest t-m 127.0.0.1:40003 t:latest localhost:1'
    assert STAGE.told(printed) == "mcp-v8:latest m 127.0.0.1:9090 mcp-v8:latest localhost:1"


def test_names_and_ports_are_found_in_what_is_shown() -> None:
    shown = ["docker run --name m -v data:/x -v ./here:/y -p 8080:8080", "docker volume create spare"]
    assert shown_docker.names_in(shown) == ["data", "m", "spare"]
    assert shown_docker.ports_in([*shown, 'ports:\n  - "127.0.0.1:8081:8081"\n', "-p 127.0.0.1:1:2"]) == [
        1,
        8080,
        8081,
    ]


def test_a_shell_that_calls_docker_calls_the_engine(tmp_path: Path) -> None:
    shown_docker.shims(tmp_path, STAGE, ["echo", "engine"], ["echo", "compose"], sys.executable)
    told = subprocess.run(
        [
            "sh",
            "-c",
            "docker logs m | cat; docker compose up -d; docker-compose down; docker run -p 8080:8080 -ti --name m mcp-v8:latest sh -c 'echo $PORT | cat'",
        ],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.splitlines() == [
        "engine logs t-m",
        "compose up -d",
        "compose down",
        "engine run -p 127.0.0.1:40001:8080 -ti --name t-m t:latest sh -c echo $PORT | cat",
    ]


def test_every_block_of_the_guide_is_one_that_the_tests_of_the_image_run() -> None:
    assert {language for language, _ in FENCE.findall(guide.GUIDE.read_text())} == set(guide.RUN_HERE)
    assert guide.GUIDE.read_text().count("\n```") == 2 * sum(len(each.blocks) for each in guide.sections())
    assert all(not line.endswith("\\") for line in guide.shown_commands()), "a command is one line"


def test_what_the_readme_and_other_systems_are_told_of_docker_is_shown_by_the_guides() -> None:
    told = [line for line in command_lines(ROOT / "README.md") if re.match("docker |head ", line)]
    assert len(told) == 4
    shown = {*guide.shown_commands(), *command_lines(ROOT / "docs" / "cluster.md")}
    assert {DOCKER, *told} <= shown
