"""Cuts the golden history of the current event format: ``PYTHONPATH=tests python tests/golden/cut.py``.

Done once, when a format is new. It is to be kept as it is from then on: a file that is there is never written
over, and there is no way to cut one of an older format but the program that had it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import trio
from engines import opened
from histories import path_of, write
from recording import accept, record, recorded

from engine.chain import Record
from engine.events import FORMAT_VERSION


async def cut(folder: Path) -> list[Record]:
    """Record everything anew."""
    async with opened(folder / "store", folder / "cache") as engine:
        sessions = await record(engine)
    async with opened(folder / "store", folder / "cache") as engine:
        await accept(engine)
        return await recorded(engine, sessions)


def main() -> None:
    path = path_of(FORMAT_VERSION)
    if path.exists():
        sys.exit(f"{path} is there already: it is to stay as it is")
    with tempfile.TemporaryDirectory() as folder:
        records = trio.run(cut, Path(folder))
    write(path, records)
    print(f"{path}: {len(records)} events of format {FORMAT_VERSION}")  # noqa: T201


if __name__ == "__main__":
    main()
