"""docs/docker.md: the image does what the guide says."""

from __future__ import annotations

import time

import pytest
from container_engine import Containers

pytestmark = pytest.mark.containers

STOP_SECONDS = 10
"""What ``docker stop`` waits for before it kills."""


def test_a_session_survives_the_kill_of_its_container_which_then_stops_well(containers: Containers) -> None:
    volume = f"{containers.name('kept')}:/tmp/mcp-v8-heaps"
    with containers.running("-v", volume) as container:
        container.execute("let xs = [1, 2]", session="demo")
        container.do("kill")
        container.do("start")
        container.wait_until_ready()
        answer = container.execute("xs.push(3); xs", session="demo")
        assert (answer["event"], answer["result"]) == (2, "[ 1, 2, 3 ]")
        before = time.monotonic()
        container.do("stop")
        assert time.monotonic() - before < STOP_SECONDS
        assert container.wait_until_ended() == 0
