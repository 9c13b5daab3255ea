"""Where ``mcp-v8`` begins: on Linux, for which alone everything behind it is made."""

from __future__ import annotations

import gc
import os
import signal
import sys

INTERRUPTED = 130
"""Exit status after Ctrl-C."""
TERMINATED = 143
"""Exit status of a first process after SIGTERM; elsewhere a shell says so of one that the signal ended."""
DOCKER = "docker run -p 8080:8080 -v mcp-v8-data:/tmp/mcp-v8-heaps mcp-v8:latest"


def main() -> None:
    """Run the command; elsewhere than on Linux say what does, and exit with status 1."""
    if sys.platform != "linux":
        sys.exit(f"mcp-v8: this runs on Linux, not on {sys.platform}; in a container: {DOCKER}")
    if os.getpid() == 1:  # of a container: the kernel drops what nobody handles, and a start takes a while
        signal.signal(signal.SIGTERM, lambda *_: os._exit(TERMINATED))
    try:
        from cli.main import main as run  # what it imports there is not on other systems

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        gc.freeze()  # else the interpreter looks through all that there is before it ends: 0.6 s of a server
