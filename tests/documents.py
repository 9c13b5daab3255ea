"""Markdown documents as the tests see them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """A command in a ``console`` block, and the output shown below it, in which … stands for anything."""

    command: str
    output: str

    def matches(self, actual: str) -> bool:
        """Whether the output shown is a fair account of the actual one."""
        pattern = ".*".join(re.escape(part) for part in self.output.strip().split("…"))
        return re.fullmatch(pattern, actual.strip(), re.DOTALL) is not None


def fenced(document: Path, language: str) -> list[str]:
    """The contents of the document's blocks in ``language``."""
    return [body for kind, body in FENCE.findall(document.read_text()) if kind == language]


def dialogues(document: Path) -> list[Shown]:
    """Everything typed in the document's ``console`` blocks, in order."""
    return [shown for block in fenced(document, "console") for shown in dialogue(block)]


def dialogue(block: str) -> list[Shown]:
    """Everything typed in a ``console`` block."""
    exchanges = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [Shown(command, output) for command, _, output in (each.partition("\n") for each in exchanges)]


def command_lines(document: Path) -> list[str]:
    """The lines of the document's ``sh`` blocks."""
    return [line for block in fenced(document, "sh") for line in block.splitlines() if line.strip()]
