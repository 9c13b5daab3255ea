"""Commands as documents show them, made to touch nothing but what the tests made.

A document says ``docker run -p 8080:8080 -v data:/tmp/mcp-v8-heaps mcp-v8:latest``. Here the engine may be
Podman, the image has another tag, and a developer may have a volume ``data`` and a server on port 8080. So
``docker`` on the PATH of a shown command is this module: it replaces names and ports and calls the engine.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

IMAGE = "mcp-v8:latest"
"""As the documents call it."""

_NAMED = re.compile(r"--(?:name|network|hostname)[ =]([\w.-]+)|(?:-v|--volume)[ =]([a-zA-Z][\w.-]*):/")
_MADE = re.compile(r"\b(?:volume|network) create ([\w.-]+)")
_MOUNTED = re.compile(r"(?<=\bsource=)[\w.-]+|(?<=\bsrc=)[\w.-]+")
_PUBLISHED = re.compile(r"(?:-p|--publish)[ =](?:[\d.]+:)?(\d+):\d+")
_MAPPED = re.compile(r"^(\s*- \"?)(?:[\d.]+:)?(\d+)(:\d+\"?)$", re.MULTILINE)
_ADDRESS = re.compile(r"\b(localhost|127\.0\.0\.1):(\d+)")
_OF_THE_ENGINE = re.compile(r"^time=\"\S+\" level=.*\n", re.MULTILINE)
"""Podman's log, such as that it has no systemd for health checks, or that it had to kill."""
_PUBLISH = ("-p", "--publish")
_MAKES_CONTAINER = ("run", "create")


@dataclass(frozen=True)
class Stage:
    """What stands for what the documents name."""

    prefix: str
    """What every name begins with that the tests give."""
    image: str = IMAGE
    names: Sequence[str] = ()
    """Containers, volumes and networks of the documents."""
    ports: Mapping[int, int] = field(default_factory=dict)
    """Free ports of this machine by those of the documents."""

    def engine_words(self, words: Sequence[str]) -> list[str]:
        """The words after ``docker`` as the engine gets them."""
        ours = self._words_of_the_engine(words)
        found = [self._word(word, before) for before, word in itertools.pairwise(["", *words[:ours]])]
        if (
            words[:1]
            and words[0] in _MAKES_CONTAINER
            and not any(w.startswith("--name") for w in words[:ours])
        ):
            found[1:1] = ["--name", f"{self.prefix}-{secrets.token_hex(4)}"]
        return [*found, *words[ours:]]

    def addresses(self, text: str) -> str:
        """A command with the ports that the tests use in its addresses."""
        return _ADDRESS.sub(lambda found: f"{found[1]}:{self._port(found[2])}", text)

    def compose_file(self, text: str) -> str:
        """A compose file with the ports that the tests use, on loopback, and their image."""
        text = re.sub(rf"(?<=image: ){re.escape(IMAGE)}$", self.image, text, flags=re.MULTILINE)
        return _MAPPED.sub(lambda found: f"{found[1]}127.0.0.1:{self._port(found[2])}{found[3]}", text)

    def told(self, text: str) -> str:
        """What a command printed, in the names of the documents, without the engine's own log."""
        shown = {str(used): str(port) for port, used in self.ports.items()}
        text = (
            _OF_THE_ENGINE.sub("", text).replace(f"localhost/{self.image}", IMAGE).replace(self.image, IMAGE)
        )
        text = text.replace(f"{self.prefix}-", "")
        return _ADDRESS.sub(lambda found: f"{found[1]}:{shown.get(found[2], found[2])}", text)

    def _words_of_the_engine(self, words: Sequence[str]) -> int:
        """How many of the words are not those of a command inside the container."""
        ends = {"run": [IMAGE], "create": [IMAGE], "exec": self.names}.get(words[0] if words else "", ())
        return next((index + 1 for index, word in enumerate(words) if word in ends), len(words))

    def _word(self, word: str, before: str) -> str:
        if before in _PUBLISH:
            return self._published(word)
        option, equals, value = word.partition("=")
        if equals and option in _PUBLISH:
            return f"{option}={self._published(value)}"
        if value == IMAGE or (equals and option.startswith("--")):
            return f"{option}={self._name(value)}"
        return _MOUNTED.sub(lambda found: self._name(found[0]), self._name(word))  # of ``--mount``

    def _name(self, word: str) -> str:
        if word == IMAGE:
            return self.image
        name, colon, rest = word.partition(":")
        return f"{self.prefix}-{name}{colon}{rest}" if name in self.names else word

    def _published(self, word: str) -> str:
        *_, outside, inside = word.split(":")
        return f"127.0.0.1:{self._port(outside)}:{inside}"

    def _port(self, port: str) -> int:
        return self.ports.get(int(port), int(port))


def names_in(texts: Iterable[str]) -> list[str]:
    """Of the containers, volumes and networks that the texts' commands make."""
    found = {name for text in texts for match in _NAMED.findall(text) for name in match if name}
    return sorted(found | {name for text in texts for name in _MADE.findall(text)})


def ports_in(texts: Iterable[str]) -> list[int]:
    """Of this machine, that the texts' commands and compose files publish."""
    found = {int(port) for text in texts for port in _PUBLISHED.findall(text)}
    return sorted(found | {int(match[1]) for text in texts for match in _MAPPED.findall(text)})


def shims(folder: Path, stage: Stage, engine: Sequence[str], compose: Sequence[str], python: str) -> None:
    """Write ``docker`` and ``docker-compose`` into ``folder``, for the PATH of the shown commands."""
    said = json.dumps({"stage": asdict(stage), "engine": list(engine), "compose": list(compose)})
    (folder / "stage.json").write_text(said)
    for name, before in (("docker", ""), ("docker-compose", " compose")):
        shim = folder / name
        run = f"{shlex.quote(python)} {shlex.quote(__file__)} {shlex.quote(str(folder / 'stage.json'))}"
        shim.write_text(f'#!/bin/sh\nexec {run}{before} "$@"\n')
        shim.chmod(0o755)


def main(file: str, *words: str) -> None:
    """Become the engine, or its compose, with the words of a shown command."""
    said = json.loads(Path(file).read_text())
    stage = said["stage"]
    stage["ports"] = {int(port): used for port, used in stage["ports"].items()}
    command = said["compose"] + list(words[1:])
    if words[:1] != ("compose",):
        command = said["engine"] + Stage(**stage).engine_words(words)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
