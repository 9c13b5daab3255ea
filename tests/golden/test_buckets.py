"""What an older program wrote to a bucket is read, and gone on with, as it was.

The bucket is as the first program had it that kept stores in S3. It is never to be changed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from buckets import CONTENT, GOLDEN, load
from indexes import content
from s3_memory import MemoryObjects

from engine.events import Created, Tagged
from persistence.readonly import open_sqlite_reader
from persistence.s3.blobs import S3BlobStore
from persistence.s3.compaction import Compaction
from persistence.s3.log import open_s3_index, open_s3_log
from persistence.s3.segments import newest
from persistence.schema import DATABASE_NAME


@pytest.fixture
def golden() -> MemoryObjects:
    return load(GOLDEN)


def test_it_has_an_object_of_every_kind_in_the_first_version_of_its_form(golden: MemoryObjects) -> None:
    forms = {
        (key.partition("/")[0], data[:8])
        for key, (data, _) in golden.stored.items()
        if not key.startswith("blobs/")
    }
    assert forms == {
        ("log", b"mcpv8lg\x01"),
        ("segments", b"mcpv8sg\x01"),
        ("manifests", b"mcpv8mf\x01"),
        ("bases", b"mcpv8ba\x01"),
        ("imports", b"mcpv8im\x01"),
    }


async def test_it_is_read_without_a_change_to_it(golden: MemoryObjects, tmp_path: Path) -> None:
    await open_s3_index(golden, tmp_path)
    assert content(tmp_path / DATABASE_NAME) == json.loads(CONTENT.read_text())
    assert {operation for operation, _ in golden.calls} == {"find", "get"}
    async with open_sqlite_reader(tmp_path) as log:
        audits = [await log.audit(session) for session in await log.audited(None)]
        assert [one.faults for one in audits if one is not None] == [()] * len(audits)
        assert await log.integrity() == []
        for number in (b"1", b"2"):
            (known,) = await log.checkpoints(f"kept{number.decode()}")
            assert await S3BlobStore(golden).get(known.blob) == b"1 of " + number


async def test_its_owner_goes_on_with_it(golden: MemoryObjects, tmp_path: Path) -> None:
    async with open_s3_log(golden, tmp_path / "index", only_if_free=True) as log:
        records = [record async for record in log.read("kept2")]
        assert (type(records[0].event), type(records[-1].event)) == (Created, Tagged)
        (known,) = await log.checkpoints("kept2")
        await log.add_checkpoint(known)
        work = Compaction(golden, log._index, newest(golden))
        work.extend(log._journal.position)
        work.rewrite(log._journal.position)
    assert not newest(golden).segments
    await open_s3_index(golden, tmp_path / "fresh")
    assert content(tmp_path / "fresh" / DATABASE_NAME) == json.loads(CONTENT.read_text())
