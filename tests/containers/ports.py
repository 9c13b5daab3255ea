"""Ports of this machine for what runs in containers.

A port is published long after it was chosen, and again and again. So they are none that the kernel gives to
whoever asks for any port: other processes would have taken it meanwhile.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

_FIRST = 10_000
_given: set[int] = set()


def port_for_long() -> int:
    """One that nobody listens on now, and that is given out only once. Fails if there is none."""
    least = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.SystemRandom().sample(range(_FIRST, least), 1_000):
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise AssertionError(f"of 1,000 ports from {_FIRST} to {least} none was free")
