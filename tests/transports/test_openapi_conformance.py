"""The OpenAPI document against the server: Schemathesis sends what it allows and what it forbids.

``SCHEMATHESIS_SEED`` chooses other requests than those of every day; the seed is printed with a failure.
There is a limit on examples and none on time, so that a seed means the same requests on every machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from server_process import ServerProcess, running

COMMAND = Path(sys.executable).with_name("schemathesis")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SEED = os.environ.get("SCHEMATHESIS_SEED", "1")
FLAGS = ("--no-color", "--seed", SEED, "--max-examples", "5")
PHASES = "examples,coverage,fuzzing,stateful"
SHORT = ("--execution-timeout", "2", "--max-execution-timeout", "2")


def schemathesis(server: ServerProcess, place: Path) -> subprocess.CompletedProcess[str]:
    """A run of the command, with all its checks."""
    return subprocess.run(
        [
            COMMAND,
            "--config-file",
            CONFIGURATION,
            "run",
            f"{server.url}/openapi.json",
            "--phases",
            PHASES,
            *FLAGS,
        ],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_the_server_does_what_its_document_says(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path / "store"), *SHORT) as server:
        ended = schemathesis(server, tmp_path)
        assert ended.returncode == 0, f"seed {SEED}\n{ended.stdout[-20_000:]}\n{ended.stderr[-2_000:]}"
    assert "Traceback" not in server.log
