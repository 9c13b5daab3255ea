"""A server that is told to stop while S3 is silent ends in time, and loses nothing that it has answered."""

from __future__ import annotations

import signal
from itertools import repeat

import httpx2
import pytest
import trio
from restarts import execute, restarting
from s3_proxy import SILENCE_AFTER, proxied
from s3_server import S3, environment

from persistence.place import Bucket

pytestmark = pytest.mark.usefixtures("aws")


async def test_a_stop_does_not_wait_for_an_s3_that_is_silent(moto: S3) -> None:
    store = Bucket(moto.settings())
    refused = trio.Event()
    with proxied(moto.endpoint) as proxy, trio.fail_after(120):
        variables = {**environment(), "AWS_ENDPOINT_URL": proxy.endpoint}
        async with restarting(store, "--drain-seconds", "1", environment=variables) as server:

            async def ask() -> None:
                """For what is put in the bucket, and not answered."""
                async with httpx2.AsyncClient(timeout=60) as client:
                    request = {"session": "s", "code": "n += 1"}
                    answer = await client.post(f"{process.url}/api/exec", json=request)
                assert answer.status_code == 500
                refused.set()

            assert (await execute(server, session="s", code="globalThis.n = 1"))["result"] == "1"
            proxy.keep_failing(repeat(SILENCE_AFTER))
            asked, process = len(proxy.requests), server.process
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                while not any("/log/" in path for _, path in proxy.requests[asked:]):  # noqa: ASYNC110
                    await trio.sleep(0.01)
                # which fails after 20 s; S3 is silent for ever
                assert await trio.to_thread.run_sync(process.terminate, signal.SIGTERM) == 1
            assert refused.is_set()
            assert "whether the last events were stored is not known" in process.log
            proxy.keep_failing(None)
            await server.start()
            assert (await execute(server, session="s", code="n"))["result"] == "2"
