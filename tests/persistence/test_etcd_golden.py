"""What nodes of an older program have left in etcd and in a bucket is read, and gone on with, as it was.

It is as the first program had it that made clusters. It is never to be changed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import golden_clusters
import pytest
from bucket import Bucket
from cluster_logs import Cluster, clustered
from etcd_server import EtcdServer
from golden_clusters import NAME, Golden
from log_samples import History
from s3_memory import utc_now

from persistence.etcd import archived, batches
from persistence.etcd.requests import put
from persistence.s3 import segments


@pytest.fixture(scope="module")
def golden() -> Golden:
    return golden_clusters.load()


@pytest.fixture
async def cluster(
    golden: Golden, etcd: EtcdServer, prefix: bytes, bucket: Bucket, tmp_path: Path
) -> AsyncIterator[Cluster]:
    """What is golden, among what other tests have in etcd."""
    bucket.stored |= {key: (data, utc_now()) for key, data in golden.objects.items()}
    prefix += NAME.encode() + b"/"
    async with clustered(etcd.urls, prefix, bucket, tmp_path) as cluster:
        # in the order in which they were put, which the numbers of the writers alone do not say
        for key, value in golden.etcd.items():
            await cluster.etcd.transact([], [put(prefix + key.encode(), value)])
        yield cluster


def test_it_has_all_forms_of_their_first_versions_with_clusters(golden: Golden) -> None:
    forms = {
        (key.partition("/")[0], data[:8]) for key, data in golden.objects.items() if "claims/" not in key
    }
    assert forms >= {
        ("log", b"mcpv8lg\x02"),
        ("segments", b"mcpv8sg\x02"),
        ("manifests", b"mcpv8mf\x02"),
        ("bases", b"mcpv8ba\x02"),
        ("imports", b"mcpv8im\x01"),
        ("tails", b"mcpv8ep\x01"),
    }
    found = {key: value for key, value in golden.etcd.items() if key.startswith("log/")}
    assert {value[:8] for value in found.values()} == {b"mcpv8et\x01"}
    opened = [batches.opened(b"", key.encode(), value)[0] for key, value in found.items()]
    assert any(batch.elsewhere for batch in opened)
    assert archived.decode(golden.etcd["archived"]).writers


async def test_a_node_has_all_of_it_and_goes_on(golden: Golden, cluster: Cluster, bucket: Bucket) -> None:
    assert segments.newest(bucket).ahead
    a = await cluster.join("a")
    assert cluster.index_of("a") == golden.content
    history = History("new")
    await a.write(history, 2)
    b = await cluster.join("b")
    assert cluster.index_of("b") == cluster.index_of("a")
    await b.leave()
