"""docs/deploy.md: a container is backed up while it serves, and comes back from the backup, as shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx2
import pytest
from container_engine import Shown
from documents import ROOT, command_lines

pytestmark = pytest.mark.containers

LINES = [line for line in command_lines(ROOT / "docs" / "deploy.md") if line.startswith("docker ")]
IN_BACKGROUND = re.compile(r"^docker run -d ")


@pytest.fixture
def shown(shown_of: Callable[[Sequence[str]], Shown]) -> Iterator[Shown]:
    """Runs the commands."""
    made = shown_of(LINES)
    yield made
    made.ended("docker rm -f m")


def run(shown: Shown, code: str) -> dict[str, Any]:
    body = {"code": code, "session": "demo"}
    return dict(httpx2.post(f"{shown.url(8080)}/api/exec", json=body, timeout=60).json())


def test_what_a_container_has_answered_comes_back_from_a_backup(shown: Shown) -> None:
    begun = 0
    for line in LINES:
        if line.startswith("docker rm "):
            assert run(shown, "n = 0")["event"] == 2, "which the backup has not"
        told = shown.told(line)
        if " store copy " in line or " verify " in line:
            assert "1 session, 2 events" in told
            assert "all as they were written" in told
        if IN_BACKGROUND.match(line):
            begun += 1
            shown.wait_until_all_are_ready()
            if begun == 1:
                run(shown, "let n = 41")
    assert begun == 2
    assert run(shown, "n + 1")["result"] == "42"
