"""Commands that are tested on a ``store`` of the module's, and on a server on the same store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import ServerProcess, running


@pytest.fixture(scope="module")
def served(store: Path) -> Iterator[ServerProcess]:
    """A server on the module's store."""
    with running("--directory-path", str(store)) as server:
        yield server


@pytest.fixture(params=["store", "server"])
def where(request: pytest.FixtureRequest, store: Path, served: ServerProcess) -> tuple[str, str]:
    """The options that name a target: the store, beside the server, or the server."""
    return ("--directory-path", str(store)) if request.param == "store" else ("--url", served.url)
