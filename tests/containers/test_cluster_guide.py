"""docs/cluster.md: what it shows is typed, from its first line to its last, and comes out so."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import stand_ins
from container_engine import Containers, Shown
from documents import FENCE, ROOT, dialogue

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1_800)]

GUIDE = ROOT / "docs" / "cluster.md"
BLOCKS = [(language, text) for language, text in FENCE.findall(GUIDE.read_text()) if language != "text"]
FILES = ("docker-compose.cluster-stateful.yml", "docker-compose.cluster-stateless.yml")
PUBLISHED = "-p 8080:8080"
"""As the files have it, by a variable."""
BEGINS = re.compile(r"docker compose -f (\S+) (up -d|start)\b")
READY_SECONDS = 180
COMMAND_SECONDS = 600
"""It may build."""


@pytest.fixture
def shown(
    containers: Containers, shown_of: Callable[[Sequence[str]], Shown], tmp_path: Path
) -> Iterator[Shown]:
    """Runs the commands."""
    for image in (stand_ins.ETCD, stand_ins.HAPROXY, stand_ins.SEAWEEDFS):
        made_of = tmp_path / image.rpartition("/")[2]
        made_of.mkdir()
        stand_ins.provide(containers, image, made_of)
    made = shown_of([PUBLISHED, *(text for _, text in BLOCKS)])
    yield made
    for file in FILES:
        made.ended(f"docker compose -f {file} down -v -t 1")


def wait_until_it_serves(shown: Shown, file: str) -> None:
    """As somebody who types does."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        ended = shown.ended(f"docker compose -f {file} exec -T node-2 mcp-v8 cluster status --json")
        if (
            ended.returncode == 0
            and [one["state"] for one in json.loads(ended.stdout)["nodes"]] == ["serving"] * 3
        ):
            break
        assert time.monotonic() < deadline, ended.stdout + ended.stderr
        time.sleep(0.5)
    shown.wait_until_all_are_ready()


def test_all_that_is_shown_works(shown: Shown) -> None:
    is_up = ""
    for language, text in BLOCKS:
        assert language in ("sh", "console"), "what would be done with it?"
        commands = [(line, None) for line in text.splitlines() if line.strip()]
        if language == "console":
            commands = [(one.command, one) for one in dialogue(text)]
        for command, expected in commands:
            begins = BEGINS.match(command)
            if begins and is_up not in ("", begins[1]):  # a reader ends what has the port
                shown.told(f"docker compose -f {is_up} down -v -t 1")
            ended = shown.ended(re.sub(r"^curl ", "curl -sS ", command), COMMAND_SECONDS)
            assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
            if expected is not None:
                actual = ended.stdout + ended.stderr
                assert expected.matches(actual), f"{command}\nshown: {expected.output}\nactual: {actual}"
            if begins:
                is_up = begins[1]
                wait_until_it_serves(shown, is_up)
            elif " down" in command:
                is_up = ""
