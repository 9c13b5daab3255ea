"""What clients are told while a bucket does not answer, refuses, or belongs to another server by now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import trio
from mcp import Client
from mcp_types import TextContent
from s3_memory import MemoryObjects, Operation

from engine.limits import LimitPolicy
from engine.opening import open_supervisor
from engine.supervisor import Stores
from persistence import sqlite
from persistence.s3 import journal
from persistence.s3.blobs import S3BlobStore
from persistence.s3.log import open_s3_log
from persistence.s3.objects import ObjectsError, Refused, Unanswered
from transports import app
from transports.metrics import Metrics
from transports.settings import DEFAULTS

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

SENTENCE = "S3 at http://localhost:8333 does not answer: look at it"


class Bucket(MemoryObjects):
    """``trouble`` is what every call comes to, if there is any."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: ObjectsError | None = None
        self.before_call = self._fail

    def _fail(self, operation: Operation, key: str) -> None:  # noqa: ARG002
        if self.trouble is not None:
            raise self.trouble


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """No attempt is long after the one before it."""
    monkeypatch.setattr(journal, "LONGEST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(sqlite, "PROBE_SECONDS", 0.1)
    return Bucket()


@asynccontextmanager
async def served(bucket: Bucket, index: Path, cache_dir: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A server on the bucket, which ends at the end of the block."""
    metrics = Metrics()
    common = {"policy": LimitPolicy(), "cache_dir": cache_dir, "max_workers": 2}
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    stop, started = trio.Event(), trio.Event()
    with trio.fail_after(60):
        async with (
            open_s3_log(bucket, index) as log,
            open_supervisor(
                stores=Stores(log, S3BlobStore(bucket)), observers=(metrics,), **common
            ) as engine,  # type: ignore[arg-type]
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(
                app.serve, engine, listeners, DEFAULTS, stop, started.set, lambda: log.failing, metrics
            )
            await started.wait()
            async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
                yield client
            stop.set()


async def execute(client: httpx2.AsyncClient, code: str) -> httpx2.Response:
    return await client.post("/api/exec", json={"session": "demo", "code": code})


async def until_ready(client: httpx2.AsyncClient, status: int) -> httpx2.Response:
    """The answer of ``/readyz`` once it has that status."""
    while (answer := await client.get("/readyz")).status_code != status:  # noqa: ASYNC110 (nobody tells)
        await trio.sleep(0.02)
    return answer


async def test_while_s3_does_not_answer_executions_wait_and_the_server_says_why(
    bucket: Bucket, tmp_path: Path, cache_dir: Path
) -> None:
    async with served(bucket, tmp_path / "index", cache_dir) as client:
        assert (await execute(client, "var n = 1")).json()["event"] == 1
        bucket.trouble = Unanswered(SENTENCE)
        answers: list[httpx2.Response] = []

        async def wait() -> None:
            answers.append(await execute(client, "n + 1"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            told = (await until_ready(client, 503)).json()
            assert (told["status"], told["error"]) == ("store_failed", SENTENCE)
            events = await client.get("/api/sessions/demo/events")  # what is in the log can be read
            assert (events.status_code, answers) == (200, [])
            bucket.trouble = None
        assert answers[0].json()["result"] == "2"
        assert (await until_ready(client, 200)).json()["status"] == "ready"


async def test_while_s3_refuses_executions_are_refused_with_its_sentence_until_it_is_over(
    bucket: Bucket, tmp_path: Path, cache_dir: Path
) -> None:
    async with served(bucket, tmp_path / "index", cache_dir) as client:
        await execute(client, "var n = 1")
        bucket.trouble = Refused("s3:PutObject is not allowed: allow it")
        refused = await execute(client, "n = 2")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.json()["code"] == "store_failed"
        assert "s3:PutObject is not allowed: allow it" in refused.json()["error"]
        assert "s3:PutObject" in (await client.get("/readyz")).json()["error"]
        bucket.trouble = None
        await until_ready(client, 200)
        assert (await execute(client, "n")).json()["result"] == "1"


async def test_a_server_whose_store_another_one_has_says_so_at_every_door(
    bucket: Bucket, tmp_path: Path, cache_dir: Path
) -> None:
    async with served(bucket, tmp_path / "index", cache_dir) as client:
        await execute(client, "1")
        async with open_s3_log(bucket, tmp_path / "other"):
            for _ in range(2):  # it notices at the first, and knows it at the second
                refused = await execute(client, "2")
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
                told = refused.json()
                assert told["code"] == "store_taken_over"
                assert told["error"].startswith("another server has taken over the store")
                assert "--s3-prefix" in told["error"]
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["status"]) == (503, "store_failed")
            assert ready.json()["error"] == told["error"]
            read = await client.get("/api/sessions/demo")  # which the other may have changed
            assert (read.status_code, read.json()["code"]) == (503, "store_taken_over")
            assert (await client.get("/healthz")).status_code == 200
            async with Client(f"{client.base_url}/mcp?session=demo", mode="legacy") as model:
                result = await model.call_tool("run_js", {"code": "3"})
            assert result.is_error
            (content,) = result.content
            assert isinstance(content, TextContent)
            assert content.text.startswith(f"store_taken_over: {told['error']}")
