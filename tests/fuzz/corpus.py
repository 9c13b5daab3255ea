"""The inputs that are kept: for each target a file with one bytes literal a line.

Those in ``corpus`` together reach what was ever reached; those in ``regressions`` have once failed.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
REGRESSIONS = Path(__file__).with_name("regressions")


def load(target: str) -> list[bytes]:
    """The inputs of a target."""
    paths = [folder / f"{target}.txt" for folder in (CORPUS, REGRESSIONS)]
    lines = [line for path in paths if path.exists() for line in path.read_text().splitlines()]
    return [ast.literal_eval(line) for line in dict.fromkeys(lines)]


def store(target: str, inputs: Iterable[bytes]) -> None:
    """Let the corpus of a target be these inputs."""
    ordered = sorted(set(inputs), key=lambda one: (len(one), one))
    (CORPUS / f"{target}.txt").write_text("".join(f"{one!r}\n" for one in ordered))


def unpack(target: str, folder: Path) -> None:
    """A file for each input, as libFuzzer wants them."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in load(target):
        (folder / hashlib.sha1(one, usedforsecurity=False).hexdigest()).write_bytes(one)
