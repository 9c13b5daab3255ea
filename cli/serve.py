"""``mcp-v8 serve``: the server as a process, from its sockets to its exit status."""

from __future__ import annotations

import errno
import logging
import os
import resource
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib import import_module
from importlib.metadata import version
from ipaddress import ip_address
from typing import TYPE_CHECKING, NoReturn

import click
import msgspec
import trio
from msgspec import structs

from cli import orphans
from cli.config import Settings
from cli.executionlog import ExecutionLog
from cli.logformat import FIELDS
from cli.logs import logging_to_stderr
from engine.errors import EngineError, StoreCorrupt
from engine.isolate.sandbox.layers import Layers
from engine.observer import Observer
from engine.opening import open_supervisor
from engine.supervisor import Stores, Supervisor
from persistence.place import Bucket, Directory, Place
from persistence.stores import Opened, open_stores
from transports.metrics import Metrics
from transports.tokens import BrokenTokens, TokenFile

if TYPE_CHECKING:
    from cluster.node import Node

_log = logging.getLogger(__name__)

EXIT_FAILED = 1
EXIT_CORRUPT = 4

_DESCRIPTORS = 65_536
"""Open files wanted: connections, and what each worker takes."""
_DESCRIPTORS_PER_WORKER = 3
"""Its socket, its pidfd, and the listener for its forks."""
_OWN_DESCRIPTORS = 64
"""Open files that the server needs beside these."""
_LEAST_CONNECTIONS = 16


def run(settings: Settings, warnings: Sequence[str]) -> None:
    """Serve until SIGTERM or SIGINT, after logging warnings about the settings.

    Exits with one sentence if the server cannot start or fails.
    """
    open_standard_streams()
    try:
        with logging_to_stderr(settings.log_level, settings.log_format):
            for warning in warnings:
                _log.warning(warning)
            trio.run(_serve, settings, strict_exception_groups=True)
    except (EngineError, OSError) as failed:
        _fail(failed)
    except BaseExceptionGroup as group:
        expected = [error for error in _leaves(group) if isinstance(error, EngineError | OSError)]
        if len(expected) != len(list(_leaves(group))):
            raise
        _fail(expected[0])


def open_standard_streams() -> None:
    """Where stdin, stdout or stderr is closed, make it /dev/null: the next file or connection would get its
    number, and then what is written to stderr.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


async def _serve(settings: Settings) -> None:
    http = structs.replace(settings.http, connections=_connections(settings, _raise_descriptor_limit()))
    tokens = _tokens(settings)
    expected = (signal.SIGTERM, signal.SIGINT, *(() if tokens is None else (signal.SIGHUP,)))
    with trio.open_signal_receiver(*expected) as signals:
        listeners = await _listen(settings)
        serving, stop = trio.Event(), trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, signals, serving, stop, nursery.cancel_scope, tokens)
            nursery.start_soon(orphans.watch)
            if tokens is not None:
                nursery.start_soon(tokens.watch)
            metrics = Metrics()
            observers = (ExecutionLog(), metrics)
            async with _open_node(settings) as node, _open_stores(settings, metrics, node) as stores:
                if stores is not None and isinstance(settings.store, Bucket):
                    _watch_bucket(stores, metrics)
                imported = trio.Event()
                nursery.start_soon(_import, settings, imported)
                async with _open_engine(settings, stores, observers, node) as engine:

                    def started() -> None:
                        serving.set()
                        _announce(settings, engine, listeners)

                    await imported.wait()
                    if node is not None:
                        await node.join(engine)
                    if settings.port is None:
                        from transports.mcp import stdio

                        await stdio.serve(engine, http, settings.session_id, stop, started)
                    else:
                        from transports import app

                        if node is not None:
                            metrics.watch_cluster(node)

                        def failing() -> str | None:
                            of_node = None if node is None else node.failing
                            return of_node or (None if stores is None else stores.log.failing)

                        await app.serve(
                            engine, listeners, http, stop, started, failing, metrics, tokens, node
                        )
            nursery.cancel_scope.cancel()


def _watch_bucket(stores: Opened, metrics: Metrics) -> None:
    """Let the metrics tell of stores in a bucket."""
    from persistence.s3.cache import CachedBlobStore  # what others start without
    from persistence.s3.log import S3EventLog

    if isinstance(stores.log, S3EventLog):
        metrics.watch_bucket(stores.log)
    if isinstance(stores.blobs, CachedBlobStore):
        metrics.watch_cache(stores.blobs)


async def _import(settings: Settings, imported: trio.Event) -> None:
    """Import the doors, which takes as long as V8 needs to start in another process."""
    door = "transports.mcp.stdio" if settings.port is None else "transports.app"
    await trio.to_thread.run_sync(import_module, door)
    imported.set()


def _open_engine(
    settings: Settings, stores: Opened | None, observers: Sequence[Observer], node: Node | None
) -> AbstractAsyncContextManager[Supervisor]:
    if settings.placement is not None:
        # This thread alone: the log's, which is there already, mostly waits and computes outside
        # of Python, and may do so anywhere.
        os.sched_setaffinity(0, settings.placement.server)
    return open_supervisor(
        stores=None if stores is None else Stores(*stores),
        policy=settings.policy,
        cache_dir=settings.cache_dir,
        max_workers=settings.max_workers,
        max_executions=settings.max_executions,
        idle_seconds=settings.idle_seconds,
        max_store_bytes=settings.max_store_bytes,
        session_ttl_seconds=settings.session_ttl_seconds,
        restore_target_seconds=settings.restore_target_seconds,
        max_recovery_seconds=settings.max_recovery_seconds,
        sandbox=settings.sandbox,
        placement=settings.placement,
        isolation=settings.isolation,
        observers=observers,
        nodes=node,
    )


@asynccontextmanager
async def _open_node(settings: Settings) -> AsyncIterator[Node | None]:
    if settings.cluster is None:
        yield None
        return
    from cluster.opening import open_node  # what servers by themselves start without

    async with open_node(settings.cluster, f"mcp-v8 {version('mcp-v8')}") as node:
        yield node


@asynccontextmanager
async def _open_stores(
    settings: Settings, metrics: Metrics, node: Node | None
) -> AsyncIterator[Opened | None]:
    if settings.store is None:
        yield None
        return
    if node is not None:
        from cluster.opening import open_shared_stores

        assert isinstance(settings.store, Bucket)
        async with open_shared_stores(node, settings.store, metrics.asked_s3) as stores:
            yield stores
        return
    async with open_stores(settings.store, metrics.asked_s3) as stores:
        yield stores


async def _listen(settings: Settings) -> list[trio.SocketListener]:
    """Sockets bound to the address; the port is ours before anything slow is done. None on stdio."""
    if settings.port is None:
        return []
    try:
        return await trio.open_tcp_listeners(settings.port, host=settings.bind_host)
    except OSError as error:
        flag = "--sse-port" if settings.http.sse else "--http-port"
        why = {
            errno.EADDRINUSE: f"the port is taken: choose another one with {flag}",
            errno.EACCES: f"user {os.geteuid()} may not use such a low port: choose a higher one with {flag}",
            errno.EADDRNOTAVAIL: "this machine does not have that address: choose one with --bind-host",
        }.get(error.errno or 0, error.strerror or str(error))
        raise OSError(f"cannot listen on {settings.bind_host}:{settings.port}: {why}") from error


def _tokens(settings: Settings) -> TokenFile | None:
    """The tokens that let clients in over HTTP. Raises OSError if they cannot be used."""
    if settings.tokens is None or settings.port is None:
        return None
    try:
        return TokenFile(settings.tokens)
    except BrokenTokens as broken:
        raise OSError(f"--tokens: {broken}") from broken


async def _watch(
    signals: AsyncIterator[int],
    serving: trio.Event,
    stop: trio.Event,
    scope: trio.CancelScope,
    tokens: TokenFile | None,
) -> None:
    """SIGHUP reads the tokens again. The first other signal asks for a drain, the second cuts it short; one
    that comes before anything is served ends the start.
    """
    async for number in signals:
        if number == signal.SIGHUP and tokens is not None:
            await tokens.reload()
            continue
        if stop.is_set() or not serving.is_set():
            scope.cancel()
            return
        stop.set()
        _log.info("%s: draining; once more to stop at once", signal.Signals(number).name)


def _announce(settings: Settings, engine: Supervisor, listeners: list[trio.SocketListener]) -> None:
    urls = [_url(listener) for listener in listeners]
    addresses = [listener.socket.getsockname()[0] for listener in listeners]
    if settings.tokens is None and not all(map(is_loopback, addresses)):
        _log.warning(
            "whoever reaches %s can run code and read all sessions: give --tokens FILE, "
            "or --bind-host 127.0.0.1",
            f"{settings.bind_host or 'any address'} port {listeners[0].socket.getsockname()[1]}",
        )
    if settings.log_format == "json":  # nothing else shall be on stderr
        told = {"urls": urls, "store": settings.http.store, "sandbox": engine.status()["sandbox"]}
        _log.info("listening", extra={FIELDS: msgspec.to_builtins(told)})
        return
    layers: Layers = engine.status()["sandbox"]
    store = _described(settings.store)
    where = "Serving MCP on stdin and stdout"
    if urls:
        sse = f", over SSE at {urls[0]}/sse" if settings.http.sse else ""
        where = f"Listening on {', '.join(urls)} (MCP at {urls[0]}/mcp{sse})"
    lines = [where, f"Store: {store}", f"Sandbox: {layers.describe()}"]
    if urls:
        code = '{"code":"1 + 2"}'
        lines.append(f"Try: curl -X POST {urls[0]}/api/exec -H 'Content-Type: application/json' -d '{code}'")
    _tell("\n".join(lines))


def _described(store: Place | None) -> str:
    if store is None:
        return "none: stateless, nothing is kept"
    return str(store.path) if isinstance(store, Directory) else str(store)


def _tell(text: str) -> None:
    with suppress(OSError):  # nobody reads stderr any more, and the server does not need that
        click.echo(text, err=True)


def is_loopback(address: str) -> bool:
    """Whether only clients on this machine reach it."""
    return ip_address(address.partition("%")[0]).is_loopback


def _url(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (shown, not bound)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _raise_descriptor_limit() -> int:
    """Files that may be open then. Raises OSError if it is too few to begin with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft != resource.RLIM_INFINITY and soft < 2 * _OWN_DESCRIPTORS:
        raise OSError(f"{soft} files may be open, but {2 * _OWN_DESCRIPTORS} are needed: see `ulimit -n`")
    return _DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def _connections(settings: Settings, descriptors: int) -> int:
    """Connections that may be open: clients that hold them must not leave workers without descriptors."""
    room = max(
        _LEAST_CONNECTIONS, descriptors - _OWN_DESCRIPTORS - _DESCRIPTORS_PER_WORKER * settings.max_workers
    )
    if settings.http.connections > room:
        _log.warning(
            "at most %d files may be open (ulimit -n), so %d connections are taken, not %d",
            descriptors,
            room,
            settings.http.connections,
        )
    return min(settings.http.connections, room)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _fail(error: EngineError | OSError) -> NoReturn:
    _tell(f"mcp-v8: {_sentence(error)}")
    raise SystemExit(EXIT_CORRUPT if isinstance(error, StoreCorrupt) else EXIT_FAILED)


def _sentence(error: EngineError | OSError) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.filename or 'the system'}: {os.strerror(error.errno)}"
    return str(error)
