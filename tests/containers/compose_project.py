"""A compose file of this checkout, up in the container engine as a project of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from container_engine import COMMAND_SECONDS, READY_SECONDS, Container, Containers
from ports import port_for_long
from shown_docker import IMAGE

PORT_INSIDE = 8080
IN_COMMENTS = ("    # secrets: ", "# secrets:", "#   tokens:", "#     file: ")
"""How the lines of a compose file begin that give tokens to the server, once their # is taken away."""


class Compose:
    """A program that reads compose files. ``variables`` say which engine it uses."""

    def __init__(self, words: Sequence[str], variables: dict[str, str] | None = None) -> None:
        self.words, self.variables = [*words], variables or {}


def of_engine(engine: str) -> Compose:
    """The one that comes with the engine; fails the test that asks where there is none."""
    words = ["podman-compose"] if engine == "podman" else ["docker", "compose"]
    if not shutil.which(words[0]):
        pytest.fail(
            f"the tests of the compose files need {words[0]} (pip install podman-compose)", pytrace=False
        )
    return Compose(words)


@contextmanager
def docker_compose(engine: str, folder: Path) -> Iterator[Compose | None]:
    """``docker compose``, on Podman through a socket in ``folder``; None where it is not on this machine."""
    words = ["docker", "compose"]
    if (
        not shutil.which("docker")
        or subprocess.run([*words, "version"], capture_output=True, check=False).returncode
    ):
        yield None
    elif engine != "podman":
        yield Compose(words)
    else:
        address = f"unix://{folder / 'engine.sock'}"
        service = subprocess.Popen(
            ["podman", "system", "service", "-t", "0", address], stderr=subprocess.DEVNULL
        )
        try:
            yield Compose(words, {"DOCKER_HOST": address, "DOCKER_BUILDKIT": "0"})
        finally:
            service.terminate()
            service.wait(COMMAND_SECONDS)


class Project:
    """A compose file and its ``.env``, in a folder of their own, with the image of this run of the tests.

    ``variables`` are the lines of ``.env``, beside a free port. With ``tokens`` (lines of a token file) what the
    file has for them in comments is none.
    """

    def __init__(
        self,
        containers: Containers,
        compose: Compose,
        file: Path,
        folder: Path,
        tokens: str | None = None,
        **variables: str,
    ) -> None:
        self.name = containers.name(secrets.token_hex(4))
        self.port = port_for_long()
        self._containers, self._compose, self._folder = containers, compose, folder
        text = file.read_text().replace(f"image: {IMAGE}", f"image: {containers.image}")
        assert containers.image in text
        if tokens is not None:
            text = with_tokens(text)
            (folder / "tokens.txt").write_text(tokens)
        self.file = folder / file.name
        self.file.write_text(text)
        self.set(**variables)

    def set(self, **variables: str) -> None:
        """Write ``.env`` anew."""
        lines = [f"{name}={value}\n" for name, value in {"PUBLISH_PORT": str(self.port), **variables}.items()]
        (self._folder / ".env").write_text("".join(lines))

    def command(self, *words: str) -> list[str]:
        """The words of a command of compose on this project."""
        return [*self._compose.words, "-p", self.name, "-f", str(self.file), *words]

    def environment(self) -> dict[str, str]:
        """For that command: without what a developer has set for other projects."""
        own = ("PUBLISH_", "COMPOSE_", "MCP_V8_", "RUST_LOG")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        return {**inherited, **self._compose.variables}

    def ended(self, *words: str, seconds: float = COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
        """A command of compose on this project, however it ended."""
        return subprocess.run(
            self.command(*words),
            cwd=self._folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def told(self, *words: str) -> str:
        """What such a command, which must succeed, prints."""
        ended = self.ended(*words)
        assert ended.returncode == 0, f"{' '.join(words)}\n{ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    def up(self) -> Container:
        """Its container, once that answers."""
        self.told("up", "-d", "--no-build")
        self.container.wait_until_ready()
        return self.container

    def made(self) -> list[str]:
        """The names of its containers: one, or none while it is down."""
        label = f"label=com.docker.compose.project={self.name}"
        return self._containers.told("ps", "-a", "--filter", label, "--format", "{{.Names}}").split()

    @property
    def container(self) -> Container:
        """The container that is or was up."""
        (name,) = self.made()
        return Container(self._containers, name, {PORT_INSIDE: self.port})


def with_tokens(text: str) -> str:
    """A compose file's text in which the lines about tokens are no comments."""
    lines = text.splitlines(keepends=True)
    assert all(any(line.startswith(start) for line in lines) for start in IN_COMMENTS)
    return "".join(line.replace("# ", "", 1) if line.startswith(IN_COMMENTS) else line for line in lines)


def until_healthy(containers: Containers, container: Container) -> None:
    """Run the container's health check until it says so: Podman without systemd has no timer that does."""
    deadline = time.monotonic() + READY_SECONDS
    while (ended := containers.ended("healthcheck", "run", container.name)).returncode:
        assert time.monotonic() < deadline, ended.stdout + ended.stderr
        time.sleep(0.1)
