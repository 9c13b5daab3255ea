"""S3 as tests have it: SeaweedFS, a real one in processes of its own, and moto, a quick one in this process.

Both have one bucket. A test has a part of it to itself: a prefix that nobody else uses.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from persistence.s3.settings import Settings

ACCESS_KEY = "AKIATESTSOFOBJECTS00"
SECRET_KEY = "Secret/of+the+tests/that/nobody/may/ever/see"
READER_KEY = "AKIATESTSREADSONLY00"
"""SeaweedFS knows it, with the same secret: it may list and get."""
BUCKET = "tests"
REGION = "eu-west-3"
START_SECONDS = 60


class S3:
    """Where one is. Credentials are told by ``environment``."""

    def __init__(self, endpoint: str, bucket: str = BUCKET) -> None:
        self.endpoint = endpoint
        self.bucket = bucket

    def settings(self, **others: Any) -> Settings:
        """Of a part of the bucket that nobody else uses."""
        prefix = f"test-{uuid.uuid4().hex}"
        return Settings(**{"bucket": self.bucket, "prefix": prefix, "endpoint": self.endpoint} | others)

    def client(self) -> Any:
        """boto3's own, to look from beside."""
        import boto3  # which takes its time, and most tests do without
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10),
        )

    def wait_until_written(self, runs: Callable[[], bool]) -> None:
        """Until something can be put, which is a moment after the first answers; the bucket is made.

        Raises AssertionError if it does not come to that.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client()
        end = time.monotonic() + START_SECONDS
        try:
            while True:
                try:
                    if not client.list_buckets()["Buckets"]:
                        client.create_bucket(Bucket=self.bucket)
                    client.put_object(Bucket=self.bucket, Key="ready", Body=b"")
                    break
                except (BotoCoreError, ClientError) as failed:
                    if not runs() or time.monotonic() > end:
                        raise AssertionError(f"{self.endpoint} did not start") from failed
                    time.sleep(0.05)
        finally:
            client.close()

    def unfinished(self, prefix: str) -> list[str]:
        """Keys of uploads in parts, below a prefix, that are neither completed nor aborted."""
        client = self.client()
        uploads = client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        client.close()
        return [one["Key"] for one in uploads if one["Key"].startswith(prefix)]


def environment(access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> dict[str, str]:
    """For a process that uses one: its credentials, and nothing of what this machine or its user has."""
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def moto() -> Iterator[S3]:
    """It checks no signatures and forgets everything at the end; it is there at once."""
    from moto.server import ThreadedMotoServer  # takes a second

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        s3 = S3(f"http://{host}:{port}")
        client = s3.client()
        client.create_bucket(Bucket=s3.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        client.close()
        yield s3
    finally:
        server.stop()


class SeaweedFS(S3):
    """Its processes can be killed and started again, on the same ports and with the same data."""

    def __init__(self, folder: Path) -> None:
        """Starts it on an empty folder, which takes some seconds. To be killed in the end."""
        self._folder = folder
        names = ("master", "volume", "filer", "s3")
        ports = _free_ports(2 * len(names))
        self._ports = dict(zip(names, zip(ports[::2], ports[1::2], strict=True), strict=True))
        super().__init__(f"http://127.0.0.1:{self._ports['s3'][0]}")
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "data").mkdir()
        self._identities = write_identities(folder)
        self.start()

    @property
    def log(self) -> str:
        """What it has said so far."""
        return (self._folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        ports = [
            flag
            for name, (port, grpc) in self._ports.items()
            for flag in (f"-{name}.port={port}", f"-{name}.port.grpc={grpc}")
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    seaweedfs_command(),
                    "-logtostderr",
                    "server",
                    f"-dir={self._folder / 'data'}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-filer",
                    "-s3",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-s3.iam=false",
                    "-s3.autoCreateBucket=false",
                    f"-s3.config={self._identities}",
                    "-master.telemetry=false",
                    "-master.electionTimeout=1s",
                    "-master.volumeSizeLimitMB=256",
                    "-volume.max=100",
                    "-volume.minFreeSpace=0",
                    *ports,
                ],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        process = self._process
        try:
            self.wait_until_written(lambda: process.poll() is None)
        except AssertionError as failed:
            self.kill()
            raise AssertionError(f"{failed}:\n{self.log[-4000:]}") from failed

    def kill(self) -> None:
        """As a crash would; asked to end it takes long."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            for name, (port, grpc) in self._ports.items():  # it makes sockets there wherever its data is
                for socket_name in (f"{name}-{port}", f"{name}-grpc-{grpc}"):
                    Path(f"/tmp/seaweedfs-{socket_name}.sock").unlink(missing_ok=True)


def write_identities(folder: Path) -> Path:
    """The file that tells SeaweedFS who may do what."""
    file = folder / "identities.json"
    file.write_text(json.dumps(_IDENTITIES))
    return file


def seaweedfs_command() -> str | None:
    """Where its program is; None where there is none, as on machines for which it has no wheel."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


_IDENTITIES = {
    "identities": [
        {
            "name": name,
            "credentials": [{"accessKey": key, "secretKey": SECRET_KEY}],
            "actions": actions,
        }
        for name, key, actions in (
            ("tests", ACCESS_KEY, ["Admin", "Read", "Write", "List", "Tagging"]),
            ("reader", READER_KEY, [f"Read:{BUCKET}", f"List:{BUCKET}"]),
        )
    ]
}


def _free_ports(count: int) -> list[int]:
    """Of the loopback interface; free a moment ago."""
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports
