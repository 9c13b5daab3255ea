"""The image and its containers, in the container engine that this machine has.

All that a run of the tests makes has a name that begins with the run's own prefix; at the end all of that, and
nothing else, is removed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import shown_docker
from documents import ROOT
from ports import port_for_long

_log = logging.getLogger(__name__)

BUILD_SECONDS = 900
COMMAND_SECONDS = 120
_LAST = 8_081
"""The highest port of a server that is shown."""
READY_SECONDS = 60
"""For an image that finds its base image made; it shares its processors with other tests."""
PORT_INSIDE = 8080


def found_engine() -> str:
    """``$CONTAINER_ENGINE``, or the engine that there is; fails the test that asks where there is none."""
    asked = os.environ.get("CONTAINER_ENGINE")
    for engine in [asked] if asked else ["podman", "docker"]:
        if shutil.which(engine):
            return engine
    pytest.fail(
        f"the tests of the containers need {asked or 'podman or docker'}, which is not on this machine "
        "(Debian: apt-get install podman)",
        pytrace=False,
    )


def checkout(folder: Path) -> Path:
    """A copy of the project's files, as they are now, in which commands may leave what they like."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, timeout=60, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)  # with its time: what was built from it is found again
    return folder


class Containers:
    """The engine, and what this run of the tests made in it. ``folder`` is a copy of the checkout."""

    def __init__(self, engine: str, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self.prefix = f"mcp-v8-test-{secrets.token_hex(4)}"
        self.image = f"{self.prefix}:latest"

    def ended(self, *words: str, seconds: float = COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
        """A command of the engine, however it ended."""
        return subprocess.run(
            [self.engine, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def told(self, *words: str, seconds: float = COMMAND_SECONDS) -> str:
        """What a command of the engine, which must succeed, prints."""
        ended = self.ended(*words, seconds=seconds)
        assert ended.returncode == 0, f"{self.engine} {' '.join(words)}\n{ended.stdout}{ended.stderr}"
        return ended.stdout.strip()

    def build(self) -> None:
        """Make the image; ``$MCP_V8_TEST_IMAGE`` names one that is taken instead."""
        if ready := os.environ.get("MCP_V8_TEST_IMAGE"):
            self.told("tag", ready, self.image)
        else:
            self.told("build", "-t", self.image, str(self.folder), seconds=BUILD_SECONDS)

    def name(self, word: str) -> str:
        """A name for a container, a volume or a network, which is removed in the end."""
        return f"{self.prefix}-{word}"

    @contextmanager
    def running(
        self, *options: str, command: Sequence[str] = (), port: int = PORT_INSIDE, ready: bool = True
    ) -> Iterator[Container]:
        """A container of the image until the end of the block, once it answers on its ``port``.

        ``options`` are those of ``docker run``, without name and ports; ``command`` is what follows the image.
        """
        container = Container(self, self.name(secrets.token_hex(4)), {port: port_for_long()})
        published = f"127.0.0.1:{container.ports[port]}:{port}"
        run = ("run", "-d", "--name", container.name, "-p", published, *options, self.image, *command)
        try:
            self.told(*run)
            if ready:
                container.wait_until_ready()
            yield container
        finally:
            container.remove()

    def remove_all(self) -> None:
        """Remove what was made. Fails if something is left."""
        for kind, remove in (("ps", "rm"), ("volume", "volume rm"), ("network", "network rm")):
            for name in self.made(kind):
                self.ended(*remove.split(), "-f", name)
        for name in self.made("images"):
            self.ended("rmi", "-f", name)
        left = [name for kind in ("ps", "volume", "network", "images") for name in self.made(kind)]
        assert not left, f"left in {self.engine}: {left}"

    def published(self) -> list[int]:
        """The ports of this machine that lead to servers of this run, which have the image's own ports inside
        or one that a command chose; what else runs is for the tests themselves, above these.
        """
        listed = self.told("ps", "--filter", f"name={self.prefix}", "--format", "{{.Ports}}")
        return [int(port) for port, inside in re.findall(r":(\d+)->(\d+)", listed) if int(inside) <= _LAST]

    def made(self, kind: str) -> list[str]:
        """The names of this run's containers (``ps``), of its ``volume``, ``network`` or ``images``."""
        lists = {
            "ps": ("ps", "-a", "--format", "{{.Names}}"),
            "images": ("images", "--format", "{{.Repository}}:{{.Tag}}"),
        }
        words = lists.get(kind, (kind, "ls", "--format", "{{.Name}}"))
        return [name for name in self.told(*words).splitlines() if self.prefix in name]


class Container:
    """A container that was started. ``ports`` are free ones of this machine by those inside."""

    def __init__(self, containers: Containers, name: str, ports: Mapping[int, int]) -> None:
        self.name, self.ports = name, ports
        self._containers = containers

    @property
    def url(self) -> str:
        """Where its server answers."""
        return f"http://127.0.0.1:{next(iter(self.ports.values()))}"

    def do(self, verb: str, *options: str) -> str:
        """``stop``, ``kill``, ``start`` or another command of the engine for it; what that prints."""
        return self._containers.told(verb, *options, self.name)

    def inside(self, *words: str) -> str:
        """What a command in the container, which must succeed, prints."""
        return self._containers.told("exec", self.name, *words)

    def state(self) -> dict[str, Any]:
        """``.State`` of ``docker inspect``."""
        (state,) = [found["State"] for found in json.loads(self.do("inspect"))]
        return dict(state)

    def log(self) -> str:
        """Its stdout and stderr so far."""
        ended = self._containers.ended("logs", self.name)
        return ended.stdout + ended.stderr

    def wait_until_ready(self) -> dict[str, Any]:
        """What ``/readyz`` says, once it says 200. Fails, with the log, if the container ends or takes too long."""
        return until_ready(self.url, lambda: bool(self.state()["Running"]), self.log)

    def wait_until_ended(self) -> int:
        """Its exit status, once it has one."""
        deadline = time.monotonic() + READY_SECONDS
        while self.state()["Running"]:
            assert time.monotonic() < deadline, f"{self.name} goes on:\n{self.log()}"
            time.sleep(0.1)
        return int(self.state()["ExitCode"])

    def execute(self, code: str, **request: Any) -> dict[str, Any]:
        """The answer of ``/api/exec``."""
        answer = httpx2.post(f"{self.url}/api/exec", json={"code": code, **request}, timeout=60)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def remove(self) -> None:
        """End it, if it runs, and remove it."""
        self._containers.ended("rm", "-f", self.name)


def until_ready(url: str, runs: Callable[[], bool], log: Callable[[], str]) -> dict[str, Any]:
    """What ``/readyz`` says, once it says 200. Fails, with the log, if the server ends or takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = httpx2.get(f"{url}/readyz", timeout=5)
            if answer.is_success:
                return dict(answer.json())
        except httpx2.TransportError:  # not listening yet
            assert runs(), f"{url} has ended:\n{log()}"
        time.sleep(0.1)
    raise AssertionError(f"{url} is not ready after {READY_SECONDS} s:\n{log()}")


class Shown:
    """Runs the commands of ``texts`` (a document's blocks) exactly as they are shown, in a folder of its own."""

    def __init__(self, containers: Containers, texts: Sequence[str], bin: Path) -> None:
        ports = {port: port_for_long() for port in shown_docker.ports_in(texts)}
        names = shown_docker.names_in(texts)
        self.stage = shown_docker.Stage(containers.prefix, containers.image, names, ports)
        self._containers = containers
        compose = [f"{containers.engine}-compose"] if containers.engine == "podman" else ["docker", "compose"]
        shown_docker.shims(bin, self.stage, [containers.engine], compose, sys.executable)
        for file in containers.folder.glob("docker-compose*.yml"):
            file.write_text(self.stage.compose_file(file.read_text()))
        self._bin = bin
        self._environment = {
            **os.environ,
            "PATH": f"{bin}:{os.environ['PATH']}",
            "COMPOSE_PROJECT_NAME": f"{containers.prefix}-shown",
            "PUBLISH_PORT": str(ports.get(PORT_INSIDE, PORT_INSIDE)),  # of the compose files in the checkout
        }

    def program(self, name: str) -> str:
        """The path of ``docker``, or of what was put beside it."""
        return str(self._bin / name)

    def put(self, name: str, script: str) -> None:
        """Let shown commands find a program."""
        program = self._bin / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def set(self, variables: Mapping[str, str]) -> None:
        """Let shown commands have these variables."""
        self._environment |= variables

    def url(self, port: int) -> str:
        """Where that port of the document answers."""
        return f"http://127.0.0.1:{self.stage.ports[port]}"

    def ended(self, command: str, seconds: float = COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
        """A shell's run of ``command``, however it ended, with output in the names of the document."""
        _log.info("$ %s", command)
        run = self._words(command)
        ended = subprocess.run(run, **self._how(), timeout=seconds, check=False)
        ended.stdout, ended.stderr = self.stage.told(ended.stdout), self.stage.told(ended.stderr)
        return ended

    def told(self, command: str, seconds: float = COMMAND_SECONDS) -> str:
        """What ``command``, which must succeed, prints."""
        ended = self.ended(command, seconds)
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    @contextmanager
    def serving(self, command: str) -> Iterator[str]:
        """The address of the server that ``command`` runs in the foreground, until the end of the block.

        There it gets Ctrl-C, and must end well.
        """
        _log.info("$ %s", command)
        (port,) = shown_docker.ports_in([command])
        process = subprocess.Popen(self._words(command), **self._how(stderr=subprocess.STDOUT))
        try:
            until_ready(self.url(port), lambda: process.poll() is None, lambda: process.communicate()[0])
            yield self.url(port)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                log, _ = process.communicate(timeout=COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()  # the container is removed with all others
                raise
        assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{log}"

    def wait_until_all_are_ready(self) -> None:
        """As somebody who types does, after a server was started in the background."""
        for port in self._containers.published():
            until_ready(f"http://127.0.0.1:{port}", lambda: True, lambda: "")

    def _words(self, command: str) -> list[str]:
        return ["bash", "-c", self.stage.addresses(command)]

    def _how(self, stderr: int = subprocess.PIPE) -> dict[str, Any]:
        return {
            "cwd": self._containers.folder,
            "env": self._environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": stderr,
            "text": True,
        }
