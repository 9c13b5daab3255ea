"""A server with a bucket uses its credentials, and nobody else ever sees them."""

from __future__ import annotations

from contextlib import suppress
from itertools import repeat
from pathlib import Path

import httpx2
import pytest
from s3_proxy import Proxy, status
from s3_server import ACCESS_KEY, S3, SECRET_KEY, environment
from server_process import running

pytestmark = pytest.mark.own_zygote  # looks into all processes of the server

TOKEN = "IQoJb3JpZ2luX2VjEJr//////////wEaCWV1LXdlc3QtMyJHMEUCIQ=="
SECRETS = (ACCESS_KEY, SECRET_KEY, TOKEN)


def test_no_credential_is_in_a_log_an_answer_an_event_a_metric_or_a_worker(
    proxy: Proxy, moto: S3, prefix: str
) -> None:
    shown: dict[str, str] = {}
    flags = ("--s3-bucket", moto.bucket, "--s3-prefix", prefix, "--log-level", "debug")
    settings = environment() | {"AWS_ENDPOINT_URL": proxy.endpoint, "AWS_SESSION_TOKEN": TOKEN}
    with (
        running(*flags, environment=settings) as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        shown["answer"] = client.post("/api/exec", json={"session": "demo", "code": "1 + 2"}).text
        assert '"result":"3"' in shown["answer"]
        workers = _descendants(server.process.pid)
        for pid in workers:
            for file in ("environ", "cmdline"):
                with suppress(ProcessLookupError, FileNotFoundError):  # a spare worker may have ended
                    shown[f"{file} of {pid}"] = Path(f"/proc/{pid}/{file}").read_bytes().decode()
        assert len([where for where in shown if "cmdline of" in where]) >= 2, "the zygote and a worker"
        proxy.keep_failing(repeat(status(403, "AccessDenied", message=f"no: {' '.join(SECRETS)}")))
        failed = client.post("/api/exec", json={"session": "demo", "code": "2"})
        assert failed.status_code >= 500
        shown["refusal"] = failed.text
        shown["readiness"] = client.get("/readyz").text
        assert "s3:PutObject" in shown["readiness"]
        proxy.keep_failing(None)
        for path in ("/metrics", "/api/sessions/demo/events", "/api/executions", "/api/sessions"):
            shown[path] = client.get(path).text
            assert "demo" in shown[path] or path == "/metrics"
    shown["log"] = server.log
    assert "s3:PutObject" in shown["log"]
    for where, text in shown.items():
        assert not any(secret in text for secret in SECRETS), f"{where}: {text}"


def _descendants(pid: int) -> list[int]:
    """Processes that were started by it, or by those."""
    children: list[int] = []
    with suppress(ProcessLookupError, FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return children + [one for child in children for one in _descendants(child)]
