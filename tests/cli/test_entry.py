"""Where the command begins."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_than_on_linux_one_sentence_gives_the_docker_command(platform: str) -> None:
    code = f"import sys; sys.platform = {platform!r}; sys.modules['fcntl'] = None; from cli.entry import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"mcp-v8: this runs on Linux, not on {platform}; in a container: "
        "docker run -p 8080:8080 -v mcp-v8:/tmp/mcp-v8-heaps mcp-v8:latest\n"
    )
