"""What docs/deploy.md shows of a server that runs for others is so. Its containers: tests/containers."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import httpx2
import pytest
from documents import ROOT, command_lines
from s3_server import REGION, S3

from benchmarks.processes import COMMAND, free_port, serving

DEPLOY = ROOT / "docs" / "deploy.md"
ON_STORES = re.compile(r"^\.venv/bin/mcp-v8 (store|verify|replay) (?!.*(s3:|--s3-))")
IN_BUCKETS = re.compile(r"^\.venv/bin/mcp-v8 .*(s3:|--s3-)")
BEHIND_NGINX = re.compile(r"--allowed-hosts mcp\.example\.com")


def lines(pattern: re.Pattern[str]) -> list[str]:
    return [
        line.replace(".venv/bin/mcp-v8", COMMAND) for line in command_lines(DEPLOY) if pattern.search(line)
    ]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands are typed, and below which stores are by default."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(port: int, code: str) -> str:
    body = {"code": code, "session": "demo"}
    answer = httpx2.post(f"http://localhost:{port}/api/exec", json=body, timeout=30)
    return str(answer.json()["result"])


def test_a_store_is_backed_up_beside_its_server_and_comes_back_as_shown(place: Path) -> None:
    shown = lines(ON_STORES)
    assert len(shown) == 4
    port = free_port()
    with serving([COMMAND, "--http-port", str(port)], port):
        assert run(port, "let n = 41") == "undefined"
        for line in shown:
            ended = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=60, check=False)
            assert ended.returncode == 0, (line, ended)
        assert run(port, "n = 0") == "0"
    with serving([COMMAND, "--http-port", str(port), "--directory-path", str(place / "restored")], port):
        assert run(port, "n + 1") == "42"


def test_a_store_is_copied_to_a_bucket_and_back_and_moves_there_as_shown(
    place: Path, moto: S3, aws: pytest.MonkeyPatch
) -> None:
    *commands, move = lines(IN_BUCKETS)
    assert len(commands) == 3
    aws.setenv("AWS_ENDPOINT_URL_S3", moto.endpoint)
    client = moto.client()
    client.create_bucket(Bucket="backups", CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()
    port = free_port()
    with serving([COMMAND, "--http-port", str(port)], port):
        assert run(port, "let n = 41") == "undefined"
        for line in commands:
            ended = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=60, check=False)
            assert ended.returncode == 0, (line, ended)
    with serving(shlex.split(move.replace("8080", str(port))), port):
        assert run(port, "n + 1") == "42"
    assert (place / "fetched" / "events.db").exists()


def test_the_server_behind_nginx_takes_requests_under_its_name_from_who_has_a_token(place: Path) -> None:
    (line,) = lines(BEHIND_NGINX)
    (place / "tokens.txt").write_text("a-token-of-this-test-alone alice\n")
    (place / "tokens.txt").chmod(0o600)
    port = free_port()
    headers = {"Host": "mcp.example.com", "Authorization": "Bearer a-token-of-this-test-alone"}
    with serving(shlex.split(line.replace("8080", str(port))), port):
        url = f"http://localhost:{port}/api/sessions"
        assert httpx2.get(url, headers=headers, timeout=30).status_code == 200
        assert httpx2.get(url, headers={**headers, "Host": "x.example.com"}, timeout=30).status_code == 421
        metrics = httpx2.get(f"http://localhost:{port}/metrics", headers=headers, timeout=30).text
    # those of a bucket are in test_s3_metrics.py
    named = set(re.findall(r"\bmcp_v8_(?!s3_)\w+", DEPLOY.read_text()))
    assert named
    assert named <= set(re.findall(r"^# TYPE (\S+)", metrics, re.MULTILINE))
