"""docs/docker.md as the tests see it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from documents import FENCE, ROOT, dialogue

GUIDE = ROOT / "docs" / "docker.md"
RUN_HERE = ("sh", "console", "yaml", "json")
"""Languages of blocks that test_docker_guide.py does something with."""


@dataclass(frozen=True)
class Section:
    """What is below a heading."""

    title: str
    blocks: tuple[tuple[str, str], ...]
    """Language and text."""


def sections() -> list[Section]:
    """All of them that have blocks."""
    found = []
    for part in re.split(r"^## ", GUIDE.read_text(), flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        found.append(Section(title, tuple(FENCE.findall(text))))
    return [section for section in found if section.blocks]


def commands(block: str) -> list[str]:
    """The lines of an ``sh`` block."""
    return [line for line in block.splitlines() if line.strip()]


def shown_commands() -> list[str]:
    """Everything that a reader may type."""
    found = []
    for language, block in FENCE.findall(GUIDE.read_text()):
        if language == "sh":
            found += commands(block)
        elif language == "console":
            found += [shown.command for shown in dialogue(block)]
    return found
