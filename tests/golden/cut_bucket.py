"""Cuts the golden bucket of the current formats in S3 (``just cut-bucket``).

It has an object of every kind: a base, which is the newest golden store; segments and an import after it; the
manifest that names them; batches of every kind of change, of a server that ended in good order; a blob. As
with ``cut.py``, what is there is never written over.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import msgspec
import trio
from buckets import CONTENT, GOLDEN, write
from histories import FOLDER
from indexes import content
from log_samples import History, checkpoint_of
from s3_memory import MemoryObjects

from persistence.copysources import from_directory
from persistence.copytargets import to_bucket
from persistence.place import Bucket
from persistence.s3.blobs import S3BlobStore
from persistence.s3.compaction import Compaction
from persistence.s3.log import S3EventLog, open_s3_log
from persistence.s3.segments import newest
from persistence.s3.settings import Settings
from persistence.schema import DATABASE_NAME
from persistence.storecopy import StoreCopy


async def based(objects: MemoryObjects, folder: Path) -> None:
    """Let the newest golden store be the base."""
    (folder / "copy").mkdir()
    shutil.copy(max((FOLDER / "stores").glob("*.db")), folder / DATABASE_NAME)
    place = Bucket(Settings(bucket="golden"))
    async with from_directory(folder) as source, to_bucket(objects, place, folder / "copy") as target:
        copy = StoreCopy(source, target)
        await copy.copy_log(lambda done, of: None)
        await copy.send_log(lambda done, of: None)
        copy.keep()


async def lived(log: S3EventLog, blobs: S3BlobStore, number: int) -> None:
    """Change something in every way."""
    gone, kept, fork = (History(f"{name}{number}") for name in ("gone", "kept", "fork"))
    taken = History(f"taken{number}")
    await log.append([kept.created(), kept.executed(), kept.aborted(), kept.tagged()])
    await log.append([fork.forked(kept.records[1]), fork.executed(code="x" * 70_000)])
    states = [
        checkpoint_of(record, blob=await blobs.put(b"%d of %d" % (record.event.seq, number)))
        for record in kept.records[:2]
    ]
    for state in states:
        await log.add_checkpoint(state)
    await log.forget_checkpoints(states[:1])
    await log.append([gone.created(), gone.executed(), gone.closed()])
    await log.purge(gone.session, 10_000)
    taken.created()
    taken.executed()
    async with log.adoption() as adoption:
        await adoption.add(taken.records)
        await adoption.commit()


async def cut(folder: Path) -> MemoryObjects:
    """Make one anew; its index is in ``folder``, below "index"."""
    objects = MemoryObjects()
    await based(objects, folder)
    blobs = S3BlobStore(objects)
    async with open_s3_log(objects, folder / "index") as log:
        await lived(log, blobs, 1)
        work = Compaction(objects, log._index, newest(objects))
        await trio.to_thread.run_sync(work.extend, log._journal.position)
        await lived(log, blobs, 2)
    return objects


def main() -> None:
    if GOLDEN.exists():
        sys.exit(f"{GOLDEN} is there already: it is to stay as it is")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        objects = trio.run(cut, folder)
        write(objects, GOLDEN)
        found = content(folder / "index" / DATABASE_NAME)
        CONTENT.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    print(f"{GOLDEN}: {len(objects.stored)} objects")  # noqa: T201


if __name__ == "__main__":
    main()
