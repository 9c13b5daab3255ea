"""The layers of an execution are differences that add up to the whole."""

from __future__ import annotations

import pytest

from benchmarks import layers_report
from benchmarks.figures import Table
from benchmarks.layers import Layers
from benchmarks.processes import Cpu

FOUND = Layers(
    rest=Cpu(0.9, 0.0, 0.45),
    mcp=Cpu(1.5, 0.0, 0.4),
    mcp_session=Cpu(2.7, 0.0, 0.4),
    bare=Cpu(0.2),
    engine=Cpu(0.6, 0.0, 0.4),
    log=Cpu(0.2),
    worker=Cpu(0.1, 0.0, 0.4),
    isolate=0.25,
)


def test_layers_add_up_to_what_server_and_workers_take() -> None:
    found = layers_report.layers(FOUND)
    assert sum(found.values()) == pytest.approx(0.9 + 0.45)
    assert list(found.values()) == pytest.approx([0.2, 0.1, 0.3, 0.2, 0.1, 0.2, 0.25])


def test_shares_add_up_to_all_of_it() -> None:
    table = layers_report.parts(FOUND)[0]
    assert isinstance(table, Table)
    shares = [share for share in table.column("of all %") if isinstance(share, float)]
    assert sum(shares[:-1]) == pytest.approx(shares[-1], abs=0.01)
    assert shares[-1] == 100
