"""The compose file of a cluster without sessions, up: executions are spread, and go on where a node dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx2
import pytest
from cluster_project import NODES, ClusterProject, cluster
from container_engine import Containers
from documents import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

STATELESS = ROOT / "docker-compose.cluster-stateless.yml"
CLIENTS = 4
ANSWER_SECONDS = 45


@pytest.fixture(scope="module")
def stateless(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProject]:
    """The file, up."""
    with cluster(containers, STATELESS, tmp_path_factory.mktemp("cluster")) as project:
        yield project


def execute(url: str, code: str) -> httpx2.Response:
    return httpx2.post(f"{url}/api/exec", json={"code": code}, timeout=ANSWER_SECONDS, trust_env=False)


def test_nothing_is_remembered_and_every_node_answers(stateless: ClusterProject) -> None:
    for _ in range(2 * len(NODES)):
        assert execute(stateless.url, "globalThis.n = 1").json()["status"] == "completed"
        assert execute(stateless.url, "typeof n").json()["result_json"] == "undefined"
    status = stateless.status()
    assert [one["state"] for one in status["nodes"]] == ["serving"] * len(NODES)
    assert status["archived"] is None


def test_the_death_of_a_node_costs_what_was_running_on_it_and_says_so(stateless: ClusterProject) -> None:
    stop, answers, troubles = threading.Event(), [0] * CLIENTS, list[str]()

    def work(client: int) -> None:
        while not stop.is_set():
            try:
                answer = execute(stateless.url, "6 * 7")
            except httpx2.TransportError as broken:
                troubles.append(repr(broken))
                continue
            if answer.status_code == 200 and answer.json()["result"] == "42":
                answers[client] += 1
            else:
                troubles.append(f"{answer.status_code} {answer.text[:300]}")

    threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        wait_for_more(answers)
        stateless.service("node-2").do("kill")
        wait_for_more(answers)
        stateless.service("node-2").do("start")
        stateless.wait_until_all_serve()
        before = len(troubles)
        wait_for_more(answers)
    finally:
        stop.set()
        for thread in threads:
            thread.join(2 * ANSWER_SECONDS)
    print(f"kill of a node without sessions: {sum(answers)} answers, troubles {troubles}")  # noqa: T201
    assert len(troubles) == before, "once it is back all is well"
    assert len(troubles) <= 4 * CLIENTS
    assert all(one.startswith(("502 ", "503 ", "RemoteProtocolError", "ReadError")) for one in troubles)


def wait_for_more(answers: list[int], count: int = 20, seconds: float = 60) -> None:
    """Until each client got so many answers more."""
    wanted = [one + count for one in answers]
    deadline = time.monotonic() + seconds
    while any(one < least for one, least in zip(answers, wanted, strict=True)):
        assert time.monotonic() < deadline, answers
        time.sleep(0.05)
