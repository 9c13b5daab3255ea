from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from server_process import ServerProcess, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One real server for all tests here; each test takes session names of its own."""
    with running("--directory-path", str(tmp_path_factory.mktemp("store"))) as server:
        yield server


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=40) as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A session name that no other test uses."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[:128]
