"""What nothing needs is removed from a bucket, and only by the server that has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from blob_places import HOUR, SMALL, key_of
from bucket import Bucket
from log_samples import History, checkpoint_of
from msgspec.structs import replace

from persistence.s3.blobs import S3BlobStore
from persistence.s3.journal import Fenced
from persistence.s3.log import open_s3_log


async def test_a_server_that_lost_the_store_unnoticed_is_told_before_it_removes_anything(
    tmp_path: Path,
) -> None:
    bucket = Bucket()
    blobs = S3BlobStore(bucket)
    async with open_s3_log(bucket, tmp_path / "idle") as idle:
        assert await idle.checkpoint_blobs() == set()
        async with open_s3_log(bucket, tmp_path / "new") as new:
            history = History("s1")
            await new.append([history.created(), history.executed()])
            name = await blobs.put(SMALL)
            await new.add_checkpoint(replace(checkpoint_of(history.head), blob=name))
            bucket.age(key_of(name), HOUR + 60)
            with pytest.raises(Fenced, match="another server has taken over the store"):
                await blobs.sweep(await idle.checkpoint_blobs(), older_than=HOUR)
            assert (await blobs.sweep(await new.checkpoint_blobs(), older_than=HOUR)).removed == 0
            assert await blobs.get(name) == SMALL
