"""The inputs that are kept: for each target a file with one bytes literal a line."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).with_name("corpus")


def load(target: str) -> list[bytes]:
    """The inputs of a target."""
    path = FOLDER / f"{target}.txt"
    return [ast.literal_eval(line) for line in path.read_text().splitlines()] if path.exists() else []


def store(target: str, inputs: Iterable[bytes]) -> None:
    """Keep these inputs, and no others."""
    ordered = sorted(set(inputs), key=lambda one: (len(one), one))
    (FOLDER / f"{target}.txt").write_text("".join(f"{one!r}\n" for one in ordered))


def unpack(target: str, folder: Path) -> None:
    """A file for each input, as libFuzzer wants them."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in load(target):
        (folder / hashlib.sha1(one, usedforsecurity=False).hexdigest()).write_bytes(one)


def pack(folder: Path) -> list[bytes]:
    """The inputs in a folder."""
    return [path.read_bytes() for path in folder.iterdir()]
