"""docs/s3.md: its commands are run, and what it tells of keys, permissions and settings is so."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest
import s3_server
from documents import ROOT, command_lines, fenced

from benchmarks.processes import COMMAND, free_port, serving
from persistence.etcd import batches as etcd_batches
from persistence.s3 import bases, batches, blobs, checks, imports, segments

S3_DOCUMENT = ROOT / "docs" / "s3.md"
BUCKET = "my-sessions"
ACTIONS = {
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "complete_multipart_upload": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "delete_objects": "s3:DeleteObject",
    "get_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "put_object": "s3:PutObject",
    "upload_part": "s3:PutObject",
}
"""What each call of boto3 needs:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""


@pytest.fixture
def service(moto: s3_server.S3) -> s3_server.S3:
    """With the bucket that the document names."""
    client = moto.client()
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": s3_server.REGION})
    client.close()
    return moto


def policy() -> dict[str, Any]:
    (text,) = fenced(S3_DOCUMENT, "json")
    found: dict[str, Any] = json.loads(text)
    return found


def test_every_command_shown_works_on_a_bucket(
    service: s3_server.S3, tmp_path: Path, aws: pytest.MonkeyPatch
) -> None:
    aws.chdir(tmp_path)
    aws.setenv("AWS_ENDPOINT_URL", service.endpoint)
    served = 0
    for line in command_lines(S3_DOCUMENT):
        port = free_port()
        command = shlex.split(line.replace(".venv/bin/mcp-v8", COMMAND).replace("8080", str(port)))
        if "--http-port" not in command:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
            assert "demo" in ended.stdout
            continue
        with serving(command, port):
            body = {"code": "1 + 2", "session": "demo"}
            answer = httpx2.post(f"http://localhost:{port}/api/exec", json=body, timeout=30).json()
            store = httpx2.get(f"http://localhost:{port}/readyz", timeout=30).json()["store"]
        assert answer["result"] == "3"
        prefix = command[command.index("--s3-prefix") + 1] if "--s3-prefix" in command else ""
        assert store == f"s3://{BUCKET}/{prefix}".rstrip("/")
        served += 1
    assert served == 2


def test_the_policy_allows_what_the_client_asks_for_and_nothing_else() -> None:
    sources = [path.read_text() for path in (ROOT / "persistence" / "s3").glob("*.py")]
    called = {name for source in sources for name in re.findall(r"\.client\.(\w+)\(", source)} - {"close"}
    assert called == set(ACTIONS)
    allowed = {action for statement in policy()["Statement"] for action in statement["Action"]}
    assert allowed == set(ACTIONS.values())
    for statement in policy()["Statement"]:
        assert statement["Effect"] == "Allow"
        whole = f"arn:aws:s3:::{BUCKET}"
        assert statement["Resource"] == [whole if statement["Action"] == ["s3:ListBucket"] else f"{whole}/*"]


def test_every_folder_in_the_bucket_is_told() -> None:
    text = S3_DOCUMENT.read_text()
    of_the_log = (batches.PREFIX, segments.SEGMENTS, segments.MANIFESTS, bases.BASES, imports.IMPORTS)
    for folder in (*of_the_log, etcd_batches.PARTS, blobs.FOLDER, checks._FOLDER):
        assert f"| `{folder}" in text
    assert f"| `{batches.key(42)}` |" in text
