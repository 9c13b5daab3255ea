"""The self-test, which runs again where something has changed since it passed.

A pass is remembered in the cache folder, under a digest of all that the result depends on and that no start
would notice by itself: the engine and its base image, the Python of the engine, the machine (kernel,
processors), what the process is made of (Python, the C library and the others that are loaded) and what it
may do. Only a pass is remembered. A record is a file with its own digest in it: what is left of one that
was not written to its end says nothing.
"""

from __future__ import annotations

import hashlib
import os
import resource
import sys
from pathlib import Path
from typing import Final

import msgspec

from engine.isolate import cache, process, selftest
from engine.isolate.image import BaseImage

KEPT: Final = 8
"""Records in the cache: a home may be on several machines, and a machine start several kernels."""
_ENGINE: Final = Path(__file__).parent.parent
_X86: Final = "vendor_id,cpu family,model,model name,stepping,microcode,flags,bugs"
_ARM: Final = "CPU implementer,CPU architecture,CPU variant,CPU part,CPU revision,Features"
_PROCESSOR: Final = frozenset(f"{_X86},{_ARM}".split(","))
"""Fields of /proc/cpuinfo that say what a processor is, and not how it fares."""
_LIMITS: Final = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK)


def check(image: BaseImage, folder: Path | None, *, again: bool = False) -> str | None:
    """What ``selftest.run`` says; None without running it where it passed as all is, unless ``again``."""
    try:
        digest = conditions(image)
    except OSError:  # of a machine that does not tell what it is nothing is remembered
        return selftest.run(image)
    path = None if folder is None else folder / f"self-test-{digest.hex()[:32]}.passed"
    if path is not None and not again and _holds(path, digest):
        return None
    difference = selftest.run(image)
    if difference is None and path is not None:
        cache.keep(path, digest, among="self-test-*.passed", most=KEPT)
    return difference


def conditions(image: BaseImage) -> bytes:
    """32 bytes, others where the result may be another one. Raises OSError if the machine does not tell.

    To be called by a process with all modules that it needs: what is loaded counts.
    """
    system = os.uname()
    facts = (
        (image.engine_id, image.references, hashlib.sha256(image.blob).digest()),
        [hashlib.sha256(path.read_bytes()).digest() for path in sorted(_ENGINE.rglob("*.py"))],
        (sys.version, sys.flags),
        (system.sysname, system.release, system.version, system.machine),
        _processors(),
        _mapped(),
        _restrictions(),
    )
    return hashlib.sha256(msgspec.msgpack.encode(facts)).digest()


def _holds(path: Path, digest: bytes) -> bool:
    try:
        return path.read_bytes() == digest
    except OSError:  # there is none
        return False


def _processors() -> list[str]:
    """What kinds of processors there are. Raises OSError if nothing is told."""
    lines = set(Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines())
    told = sorted(line for line in lines if line.partition(":")[0].strip() in _PROCESSOR)
    if not told:
        raise OSError("/proc/cpuinfo does not say what the processors are")
    return told


def _mapped() -> list[tuple[str, int, int]]:
    """The files whose code is loaded, with size and time of the last change, which is in whole seconds in
    layers of an image. Raises OSError if one was replaced meanwhile.
    """
    lines = Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines()
    fields = (line.split(maxsplit=5) for line in lines)
    paths = {field[5] for field in fields if "x" in field[1] and field[-1].startswith("/")}
    states = ((path, Path(path).stat()) for path in sorted(paths))
    return [(path, state.st_size, int(state.st_mtime)) for path, state in states]


def _restrictions() -> tuple[object, ...]:
    """What the kernel lets this process do, as far as V8 may need it.

    That it gets no new privileges is no part of it: this is about programs that are executed, and V8 executes
    none. So what passed while an image was built has passed in a container that is not to get any.
    """
    personality = Path("/proc/self/personality").read_text("ascii")
    try:
        label = Path("/proc/self/attr/current").read_bytes()
    except OSError:  # there is no security module
        label = b""
    return personality, label, process.status("Seccomp"), tuple(map(resource.getrlimit, _LIMITS))
