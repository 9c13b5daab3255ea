"""What a client is told of the console while code runs."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from mcp import Client
from mcp_types import LoggingMessageNotificationParams
from server_process import ServerProcess

from engine.events import Line
from transports.mcp import console

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning",
    "ignore:The logging capability is deprecated",
)

TALK = """console.debug('quiet'); console.log('a'); console.warn('b');
await new Promise(done => setTimeout(done, 700)); 'over'"""


class Told:
    """What a client hears, beside results."""

    def __init__(self) -> None:
        self.progress: list[tuple[float, str | None]] = []
        self.log: list[tuple[str, str]] = []

    async def on_progress(self, progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        self.progress.append((progress, message))

    async def on_log(self, params: LoggingMessageNotificationParams) -> None:
        assert params.logger == "console"
        self.log.append((params.level, params.data))


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_lines_are_progress_for_who_asked_for_it(server: ServerProcess, mode: Any) -> None:
    told = Told()
    async with Client(f"{server.url}/mcp", mode=mode) as client:
        with trio.fail_after(40):
            await client.call_tool("run_js", {"code": TALK}, progress_callback=told.on_progress)
    assert told.progress[-1][0] == 3
    assert "\n".join(str(message) for _, message in told.progress) == "quiet\na\nb"


async def test_lines_are_log_notifications_from_the_level_that_the_client_sets(server: ServerProcess) -> None:
    told = Told()
    async with Client(f"{server.url}/mcp", mode="legacy", logging_callback=told.on_log) as client:
        with trio.fail_after(40):
            await client.call_tool("run_js", {"code": TALK})
            assert told.log == [("info", "a"), ("warning", "b")]
            await client.set_logging_level("warning")
            await client.call_tool("run_js", {"code": TALK})
            assert told.log[2:] == [("warning", "b")]
            await client.set_logging_level("debug")
            await client.call_tool("run_js", {"code": TALK})
    assert told.log[3:] == [("debug", "quiet"), ("info", "a"), ("warning", "b")]


async def test_in_2026_each_request_asks_for_its_log(server: ServerProcess) -> None:
    told = Told()
    async with Client(f"{server.url}/mcp", mode="2026-07-28", logging_callback=told.on_log) as client:
        with trio.fail_after(40):
            await client.call_tool("run_js", {"code": TALK})
            assert told.log == []
            level = {"io.modelcontextprotocol/logLevel": "warning"}
            await client.call_tool("run_js", {"code": TALK}, meta=level)  # type: ignore[arg-type]
    assert told.log == [("warning", "b")]


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["a", "b"], "a\nb"),
        (["x" * 3_000, "y" * 3_000, "z"], "x" * 3_000 + "\n… 2 lines more"),
        (["x" * 5_000], "x" * 4_000 + "…"),
        (["x" * 5_000, "y"], "x" * 4_000 + "…\n… 1 line more"),
        (["a\x1b[31m"], "a␛[31m"),
    ],
)
def test_a_notification_has_bounded_legible_text(texts: list[str], shown: str) -> None:
    ((level, text),) = console._by_level([Line("log", text) for text in texts])
    assert (level, text) == ("info", shown)
