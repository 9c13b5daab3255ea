"""What is deleted goes from the bucket, too, also where no server runs for long."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio
from bucket import Bucket
from log_samples import History, collect

from persistence.s3 import compaction, segments
from persistence.s3 import log as s3_log
from persistence.s3.log import open_s3_log

BEFORE = 10_000
"""Sessions are closed at 9,999 here."""
BOUND_SECONDS = 20
LARGE = 300_000
"""Characters that cannot be compressed by much."""


async def test_what_earlier_servers_removed_goes_from_the_segments_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "DUE_BATCHES", 4)
    monkeypatch.setattr(compaction, "REWRITE_LEAST_BYTES", LARGE // 2)
    monkeypatch.setattr(s3_log, "COMPACT_SECONDS", 0.01)
    bucket, kept, deleted = Bucket(), History("kept", name="kept"), History("deleted", name="deleted")

    def kept_bytes() -> int:
        return sum(one.part.size for one in segments.newest(bucket).segments)

    async def until_segments_are(small: bool) -> None:
        with trio.fail_after(BOUND_SECONDS):
            while kept_bytes() == 0 or (kept_bytes() < LARGE) != small:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.01)

    async with open_s3_log(bucket, tmp_path / "first") as log:
        await log.append([kept.created()])
        await log.append([deleted.created()])
        await log.append([deleted.executed(code=random.Random(1).randbytes(LARGE // 2).hex())])
        await log.append([kept.executed()])
        await until_segments_are(small=False)
    with monkeypatch.context() as busy:
        busy.setattr(s3_log, "COMPACT_SECONDS", BOUND_SECONDS)
        async with open_s3_log(bucket, tmp_path / "second") as log:
            await log.append([deleted.closed()])
            while not (await log.purge("deleted", BEFORE)).over:
                pass
    assert kept_bytes() > LARGE
    async with open_s3_log(bucket, tmp_path / "third") as log:
        await log.append([kept.executed()])
        await until_segments_are(small=True)
    async with open_s3_log(bucket, tmp_path / "fourth") as log:
        assert await collect(log.read("kept")) == kept.records
        assert await log.session("deleted") is None
