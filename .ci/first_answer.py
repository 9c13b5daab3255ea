"""Follow the README as a new user does: its set-up line, the server, the first request, SIGTERM."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.processes import free_port, serving  # noqa: E402


def main() -> None:
    """Exits with a sentence if anything is not as the README says."""
    lines = re.findall(r"^python3 -m venv .*/mcp-v8 .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    if len(lines) != 1:
        sys.exit(f"README.md: one server command expected, found {lines}")
    setup, _, serve = lines[0].rpartition(" && ")
    port = free_port()
    subprocess.run(["bash", "-c", setup], cwd=ROOT, check=True)
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        with serving(shlex.split(serve.replace("8080", str(port))), port):
            request = urllib.request.Request(
                f"http://localhost:{port}/api/exec",
                data=json.dumps({"code": "1 + 2"}).encode(),
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = json.load(response)
    if (answer["status"], answer["result"]) != ("completed", "3"):
        sys.exit(f"1 + 2 came to {answer}")
    sys.stdout.write(f"1 + 2 = {answer['result']}\n")


if __name__ == "__main__":
    main()
