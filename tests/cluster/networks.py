"""Networks of their own for processes, which can be cut off: as root, with ``ip`` and nothing else.

Each place has two links: an outer one, by which clients come, and an inner one to the other places and to S3.
Either can be cut, and of the inner one the ways to some other places alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import trio

OUTER, INNER = "198.18", "198.19"
"""Addresses for measurements, which nobody routes (RFC 2544)."""
NOBODY = "02:00:00:00:00:00"
"""Address of a machine that is not there: what is sent to it gets lost."""


class Place:
    """A network namespace."""

    def __init__(self, network: str, number: int) -> None:
        self.name = f"mv{network}-{number}"
        part = f"{int(network, 16)}.{10 + number}"
        self.host = f"{OUTER}.{part}"
        """Address at which clients reach what is here."""
        self.inner = f"{INNER}.{part}"
        """Address at which the other places do."""
        self.words = ("ip", "netns", "exec", self.name)
        """Before the words of a command: it runs here."""

    def make(self, bridges: dict[str, str]) -> None:
        """Have it."""
        _ip("netns", "add", self.name)
        for kind, address in (("o", self.host), ("i", self.inner)):
            outside, inside = f"{self.name}{kind}", f"eth-{kind}"
            _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", self.name)
            _ip("link", "set", outside, "master", bridges[kind], "up")
            _ip("-n", self.name, "address", "add", f"{address}/24", "dev", inside)
            _ip("-n", self.name, "link", "set", inside, "up")
        _ip("-n", self.name, "link", "set", "lo", "up")

    async def cut_off(self) -> None:
        """From the other places and from S3: what is sent gets lost, and nobody is told."""
        await trio.to_thread.run_sync(_ip, "link", "set", f"{self.name}i", "down")

    async def join(self) -> None:
        """The others again."""
        await trio.to_thread.run_sync(_ip, "link", "set", f"{self.name}i", "up")

    async def lose(self, address: str) -> None:
        """Lose what is sent from here to an inner address."""
        way = ("neighbour", "replace", address, "lladdr", NOBODY, "nud", "permanent", "dev", "eth-i")
        await trio.to_thread.run_sync(_ip, "-n", self.name, *way)

    async def find(self, address: str) -> None:
        """Lose it no more."""
        way = ("neighbour", "delete", address, "dev", "eth-i")
        await trio.to_thread.run_sync(_ip, "-n", self.name, *way)

    async def part(self, others: Iterable[Place]) -> None:
        """Lose what is sent from here to those, and from them to here."""
        for one, other in self._pairs(others):
            await one.lose(other.inner)

    async def meet(self, others: Iterable[Place]) -> None:
        """Find those again."""
        for one, other in self._pairs(others):
            await one.find(other.inner)

    def _pairs(self, others: Iterable[Place]) -> list[tuple[Place, Place]]:
        return [pair for other in others for pair in ((self, other), (other, self))]

    async def hide(self) -> None:
        """From clients."""
        await trio.to_thread.run_sync(_ip, "link", "set", f"{self.name}o", "down")

    async def show(self) -> None:
        """Clients reach what is here again."""
        await trio.to_thread.run_sync(_ip, "link", "set", f"{self.name}o", "up")


def why_not() -> str | None:
    """What is missing for networks here; None: nothing."""
    if os.geteuid() != 0:
        return "networks of their own for nodes can be made by root alone"
    if shutil.which("ip") is None:
        return "networks of their own for nodes need the command ip (of the package iproute2)"
    trial = f"mv-trial-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", trial], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"networks of their own for nodes cannot be made here: {made.stderr.strip()}"
    _ip("netns", "delete", trial)
    return None


@contextmanager
def places(count: int) -> Iterator[tuple[str, Sequence[Place]]]:
    """So many, until the end of the block, and the inner address of what is in none of them."""
    network = secrets.token_hex(1)
    bridges = {"o": f"mv{network}-o", "i": f"mv{network}-i"}
    here = {"o": f"{OUTER}.{int(network, 16)}.1", "i": f"{INNER}.{int(network, 16)}.1"}
    made = [Place(network, n) for n in range(count)]
    try:
        for kind, bridge in bridges.items():
            _ip("link", "add", bridge, "type", "bridge")
            _ip("address", "add", f"{here[kind]}/24", "dev", bridge)
            _ip("link", "set", bridge, "up")
        for place in made:
            place.make(bridges)
        yield here["i"], made
    finally:
        for place in made:
            _ip("netns", "delete", place.name, check=False)
        for bridge in bridges.values():
            _ip("link", "delete", bridge, check=False)


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=check)
