"""Compiles the shim, and runs programs with it preloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def compiled(directory: Path) -> Path:
    """The library, made in ``directory``. Raises RuntimeError if there is no C compiler, or it refuses."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise RuntimeError("there is no C compiler, which these tests need: install one as `cc`, or set CC")
    library = directory / "shim.so"
    command = [compiler, "-std=gnu11", "-O1", "-Wall", "-shared", "-fPIC", "-pthread", "-o"]
    made = subprocess.run(
        [*command, str(library), str(HERE / "shim.c")], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise RuntimeError(f"{compiler} does not compile {HERE / 'shim.c'}: {made.stderr}")
    return library


def environment(library: Path) -> dict[str, str]:
    """That of a program with the shim in it, which finds what the tests beside it find."""
    path = os.pathsep.join([str(HERE.parents[2]), str(HERE.parent), str(HERE)])
    return {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": path}


def program(name: str, *arguments: object) -> list[str]:
    """The command for a program that is in this folder."""
    return [sys.executable, str(HERE / name), *map(str, arguments)]
