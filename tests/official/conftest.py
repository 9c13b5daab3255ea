from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import official_tools
import pytest
from official_tools import OfficialTools
from server_process import ServerProcess, running

FIXTURE_SERVER = (sys.executable, str(Path(__file__).with_name("fixture_server.py")))


@pytest.fixture(scope="session")
def tools() -> OfficialTools:
    return official_tools.install()


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server as users start it, with every door that a port has."""
    with running("--directory-path", str(tmp_path_factory.mktemp("store")), port_flag="--sse-port") as server:
        yield server


@pytest.fixture(scope="session")
def fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The same doors with the conformance suite's tools behind them."""
    with running("--directory-path", str(tmp_path_factory.mktemp("store")), command=FIXTURE_SERVER) as server:
        yield server
