"""Where ``mcp-v8`` begins: on Linux, for which alone everything behind it is made."""

from __future__ import annotations

import os
import signal
import sys

INTERRUPTED = 130
"""Exit status after Ctrl-C."""
DOCKER = "docker run -p 8080:8080 -v mcp-v8-data:/tmp/mcp-v8-heaps mcp-v8:latest"


def main() -> None:
    """Run the command; elsewhere than on Linux say what does, and exit with status 1."""
    if sys.platform != "linux":
        sys.exit(f"mcp-v8: this runs on Linux, not on {sys.platform}; in a container: {DOCKER}")
    if os.getpid() == 1:  # in a container, where signals without a handler are ignored
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    try:
        from cli.main import main as run  # what it imports there is not on other systems

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
