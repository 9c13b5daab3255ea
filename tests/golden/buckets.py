"""Buckets as folders of files."""

from __future__ import annotations

from pathlib import Path

from histories import FOLDER
from s3_memory import MemoryObjects, utc_now

GOLDEN = FOLDER / "bucket1"
"""The golden bucket: a folder of its objects, and what must come of it beside that."""
CONTENT = GOLDEN.with_suffix(".json")


def load(folder: Path) -> MemoryObjects:
    """The objects in a folder."""
    objects = MemoryObjects()
    for path in folder.rglob("*"):
        if path.is_file():
            objects.stored[path.relative_to(folder).as_posix()] = path.read_bytes(), utc_now()
    return objects


def write(objects: MemoryObjects, folder: Path) -> None:
    """Make a folder that is not there yet of objects. Raises FileExistsError."""
    folder.mkdir()
    for key, (data, _) in objects.stored.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
