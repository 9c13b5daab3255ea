"""Appends and puts one after another, and says so before each and when it is acknowledged.

``acknowledged.py directory [shim]``: with the shim preloaded, its trace goes to the same output.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable
from pathlib import Path

import trio
from log_samples import History, checkpoint_of
from points import Shim, tables_are_small

from persistence import writer
from persistence.directory_blobs import DirectoryBlobStore
from persistence.sqlite import open_sqlite_log


async def told(what: str, work: Awaitable[object]) -> None:
    os.write(1, f"said\ttry\t{what}\n".encode())
    await work
    os.write(1, f"said\tdone\t{what}\n".encode())


async def main(directory: Path) -> None:
    a, b = History("a"), History("b")
    async with open_sqlite_log(directory / "store") as log:
        blobs = DirectoryBlobStore(directory / "store")
        await told("append", log.append([a.created()]))
        await told("append", log.append([b.created(), b.executed()]))
        for size in range(0, 30_000, 1_500):
            await told("append", log.append([a.executed(code="x" * size)]))
            await told("append", log.append([b.executed(), b.tagged(0, n=str(size))]))
            if size % 6_000 == 0:
                data = b"x" * size * 4
                await told("put", blobs.put(data))
                await told("put", blobs.put(data))
                await told("append", log.add_checkpoint(checkpoint_of(a.head)))
        await told("append", log.append([b.closed()]))


if __name__ == "__main__":
    directory = Path(sys.argv[1])
    writer.connect = tables_are_small
    if sys.argv[2:] == ["shim"]:
        shim = Shim()
        shim.arm(directory, "none", 0, 0)
        shim.trace(1)
    trio.run(main, directory)
