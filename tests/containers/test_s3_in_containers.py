"""Containers that keep their sessions in a bucket, and need no volume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import s3_server
from container_engine import Containers
from s3_container import BUCKET

pytestmark = pytest.mark.containers


def options(variables: Mapping[str, str]) -> list[str]:
    return [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]


def test_a_session_outlasts_its_container_in_a_bucket_that_variables_name(
    containers: Containers, in_s3: Mapping[str, str]
) -> None:
    where = options({**in_s3, "MCP_V8_S3_BUCKET": BUCKET, "MCP_V8_S3_PREFIX": "outlasts"})
    hard = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"]
    with containers.running(*where, *hard) as container:
        assert container.wait_until_ready()["store"] == f"s3://{BUCKET}/outlasts"
        container.execute("let xs = [1, 2]", session="demo")
        assert container.inside("mcp-v8", "state", "demo@1", "xs.length") == "2"  # beside the server
        container.do("kill")
    with containers.running(*where) as container:
        answer = container.execute("xs.push(3); xs", session="demo")
        assert (answer["event"], answer["result"]) == (2, "[ 1, 2, 3 ]")
        assert "had not ended" in container.log() or "has not ended" in container.log()
        assert s3_server.SECRET_KEY not in container.log() + container.inside("mcp-v8", "config")


def test_credentials_come_from_a_mounted_file_and_the_cache_from_a_volume(
    containers: Containers, in_s3: Mapping[str, str], tmp_path: Path
) -> None:
    secrets = tmp_path / "aws"
    secrets.write_text(
        f"[default]\naws_access_key_id = {s3_server.ACCESS_KEY}\naws_secret_access_key = {s3_server.SECRET_KEY}\n"
    )
    secrets.chmod(0o444)
    here = {name: value for name, value in in_s3.items() if "KEY" not in name}
    here |= {"AWS_SHARED_CREDENTIALS_FILE": "/run/secrets/aws", "MCP_V8_S3_PREFIX": "cached"}
    volume = f"{containers.name('cache')}:/tmp/mcp-v8-cache"
    with containers.running(
        *options(here),
        *("-v", f"{secrets}:/run/secrets/aws:ro", "-v", volume),
        command=("--s3-bucket", BUCKET, "--cache-dir", "/tmp/mcp-v8-cache"),
    ) as container:
        assert container.execute("1 + 2")["result"] == "3"
        assert "events.db" in container.inside("ls", "/tmp/mcp-v8-cache/index").split()
        container.do("stop")
        assert container.state()["ExitCode"] == 0


@pytest.mark.parametrize(
    ("bucket", "change", "told"),
    [
        ("nowhere", {}, "nowhere"),
        (BUCKET, {"AWS_SECRET_ACCESS_KEY": "wrong" * 8}, "AWS_SECRET_ACCESS_KEY"),
        (BUCKET, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "127.0.0.1:9"),
    ],
    ids=["no-bucket", "wrong-secret", "no-service"],
)
def test_a_bucket_that_cannot_be_used_is_one_sentence_and_the_end(
    containers: Containers, in_s3: Mapping[str, str], bucket: str, change: Mapping[str, str], told: str
) -> None:
    run = ("run", "--rm", *options({**in_s3, **change}), containers.image, "--s3-bucket", bucket)
    ended = containers.ended(*run)
    assert (ended.returncode, ended.stdout) == (1, "")
    sentence = ended.stderr.strip().splitlines()[-1]  # what is before it Podman says of itself
    assert sentence.startswith("mcp-v8: ")
    assert told in sentence
    for secret in (s3_server.SECRET_KEY, "wrong" * 8):
        assert secret not in ended.stderr
