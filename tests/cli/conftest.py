"""Commands that are tested on a ``store`` of the module's, and on a server on the same store."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from server_process import ServerProcess, running


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Of a test that is for a store and for a server the usual run has one, which its name decides.

    Both are run by ``-m "torture or not torture"``. Each starts processes, and what differs between the two is
    tested by itself (test_target.py, test_sse_reader.py).
    """
    for item in items:
        way = getattr(item, "callspec", None)
        if way is None or Path(item.path).parent != Path(__file__).parent:
            continue
        for name in ("where", "broken"):
            if way.params.get(name) in ("store", "server"):
                base = item.nodeid.partition("[")[0]
                if ("store", "server")[zlib.crc32(base.encode()) % 2] != way.params[name]:
                    item.add_marker(pytest.mark.torture)


@pytest.fixture(scope="module")
def served(store: Path) -> Iterator[ServerProcess]:
    """A server on the module's store."""
    with running("--directory-path", str(store)) as server:
        yield server


@pytest.fixture(params=["store", "server"])
def where(request: pytest.FixtureRequest, store: Path, served: ServerProcess) -> tuple[str, str]:
    """The options that name a target: the store, beside the server, or the server."""
    return ("--directory-path", str(store)) if request.param == "store" else ("--url", served.url)
