"""The server over REST: whether it lives and takes requests, what it is, and what it has counted."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from quart import Response, request

from transports.asgi import JsonAnswer
from transports.metrics import Metrics
from transports.rest.routes import Asked, Content, NoQuery, Route, json_answer

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


class HealthAnswer(Struct, frozen=True):
    """The process lives."""

    status: Literal["ok"] = "ok"


class ReadyAnswer(Struct, frozen=True, kw_only=True):
    """Whether requests are taken, and by what."""

    status: Literal["ready", "draining", "store_failed"]
    store: str
    sandbox: dict[str, Any]
    engine: str
    workers: int
    zygote_pid: int
    sessions: int
    awake: int
    running: int
    queued: int
    held: int
    store_bytes: int | None
    """What log and blobs take; null without a store."""
    max_store_bytes: int | None
    """What they may take: from there on executions are refused with ``store_full``."""
    error: str | UnsetType = UNSET
    """Why the store takes no events, if it does not."""


class VersionAnswer(Struct, frozen=True):
    """What the server is."""

    name: str
    version: str
    engine: str
    """Names V8, its flags and the base image."""


class RootAnswer(Struct, frozen=True):
    """Where to go from here."""

    name: str
    version: str
    docs: str = "/docs"
    openapi: str = "/openapi.json"
    llms: str = "/llms.txt"
    mcp: str = "/mcp"


class ServerViews:
    """The views."""

    def __init__(
        self, engine: Supervisor, store: str, failing: Callable[[], str | None], metrics: Metrics
    ) -> None:
        self._engine = engine
        self._store = store
        self._failing = failing
        self._metrics = metrics

    async def healthy(self, asked: Asked[NoQuery, None]) -> JsonAnswer:  # noqa: ARG002
        """The process lives."""
        return json_answer(HealthAnswer())

    async def ready(self, asked: Asked[NoQuery, None]) -> JsonAnswer:  # noqa: ARG002
        """Whether requests are taken."""
        status, error = self._engine.status(), self._failing()
        ready = status.pop("ready")
        if error is not None:
            status["error"] = error
            status["status"] = "store_failed" if ready else status["status"]
        status["sandbox"] = msgspec.to_builtins(status["sandbox"])
        told = ReadyAnswer(store=self._store, **status)
        return json_answer(told, 200 if ready and error is None else 503)

    async def version(self, asked: Asked[NoQuery, None]) -> JsonAnswer:  # noqa: ARG002
        """What the server is."""
        return json_answer(VersionAnswer("mcp-v8", version("mcp-v8"), self._engine.engine_id))

    async def root(self, asked: Asked[NoQuery, None]) -> JsonAnswer:  # noqa: ARG002
        """Where to go."""
        return json_answer(RootAnswer("mcp-v8", version("mcp-v8")))

    async def metrics(self, asked: Asked[NoQuery, None]) -> Response:
        """What was counted."""
        text, kind = self._metrics.text(request.headers.get("accept", ""), asked.owner)
        return Response(text, content_type=kind)


def routes(
    engine: Supervisor, store: str, failing: Callable[[], str | None], metrics: Metrics
) -> list[Route]:
    """The routes of the server itself."""
    views = ServerViews(engine, store, failing, metrics)

    def get(name: str, path: str, summary: str, **what: Any) -> Route:
        return Route(name=name, method="GET", path=path, group="server", summary=summary, **what)

    return [
        get(
            "get_version",
            "/api/version",
            "Version of the server and its engine",
            view=views.version,
            answers={200: Content("The version", VersionAnswer)},
        ),
        get(
            "healthz",
            "/healthz",
            "Whether the process lives",
            view=views.healthy,
            answers={200: Content("It does", HealthAnswer)},
        ),
        get(
            "readyz",
            "/readyz",
            "Whether requests are taken",
            text="503 while the server stops, and from an event that could not be stored to the next one.",
            view=views.ready,
            answers={
                200: Content("They are", ReadyAnswer),
                503: Content("They are not", ReadyAnswer),
            },
        ),
        get(
            "metrics",
            "/metrics",
            "Metrics for Prometheus",
            view=views.metrics,
            answers={200: Content("Text or OpenMetrics, as `Accept` asks", media="text/plain")},
        ),
        get(
            "root",
            "/",
            "Where to go from here",
            view=views.root,
            answers={200: Content("The addresses", RootAnswer)},
        ),
    ]
