"""What is asked of S3 is counted, in whatever thread it is asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from s3_memory import MemoryObjects
from s3_server import S3

from persistence.s3.client import S3Objects
from persistence.s3.log import open_s3_log
from persistence.s3.objects import Missing
from transports.metrics import Metrics


async def test_batches_that_are_in_no_segment_yet_are_told(tmp_path: Path) -> None:
    metrics = Metrics()
    async with open_s3_log(MemoryObjects(), tmp_path) as log:
        metrics.watch_bucket(log)
        for batches in (1, 2):
            assert f"mcp_v8_s3_log_batches {batches}.0" in metrics.text("text/plain", "local")[0].decode()
            await log.append(())


@pytest.mark.usefixtures("aws")
def test_requests_to_s3_are_counted_by_operation_and_outcome(moto: S3) -> None:
    metrics = Metrics()
    with S3Objects(moto.settings(), observe=metrics.asked_s3) as objects, ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: objects.put(f"{number}", bytes(number)), range(8)))
        objects.get("5")
        with pytest.raises(Missing):
            objects.get("8")
    text, _ = metrics.text("text/plain", "local")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if "le" not in sample.labels
    }
    assert found["mcp_v8_s3_requests_total", "PutObject", "done"] == 8
    assert found["mcp_v8_s3_requests_total", "GetObject", "done"] == 1
    assert found["mcp_v8_s3_requests_total", "GetObject", "missing"] == 1
    assert found["mcp_v8_s3_bytes_total", "sent"] == sum(range(8))
    assert found["mcp_v8_s3_bytes_total", "received"] == 5
    assert found["mcp_v8_s3_request_seconds_count", "PutObject"] == 8
    assert 0 < found["mcp_v8_s3_request_seconds_sum", "GetObject"] < 60
