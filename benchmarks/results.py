"""The results as they are kept: ``results.json``, from which ``RESULTS.md`` and the plots are made.

A section is replaced as a whole, together with the circumstances in which it was measured: sections that take
long may be measured apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from benchmarks.figures import Part

PartOf = TypeVar("PartOf", bound=Part)

SCHEMA = 1
RESULTS = Path(__file__).with_name("results.json")
ORDER = (
    "executions",
    "load",
    "peers",
    "layers",
    "doors",
    "scale",
    "checkpoints",
    "security",
    "replay_cli",
    "container",
    "s3",
    "cluster",
)
"""The sections' names, as they follow each other."""


class Machine(Struct, frozen=True, kw_only=True):
    """Where it was measured, without names."""

    cores: int
    processor: str
    system: str
    """Kernel and architecture."""
    file_system: str
    """Of the stores."""
    sync_ms: float
    """The median time of writing 4 KiB and syncing them, there."""


class Run(Struct, frozen=True, kw_only=True):
    """The circumstances of a measurement."""

    date: str
    """As YYYY-MM-DD, UTC."""
    machine: Machine
    versions: dict[str, str]
    seconds: float
    """Length of each measurement, where its section says nothing else."""
    rounds: int


class Section(Struct, frozen=True, kw_only=True):
    """What was measured of one thing."""

    name: str
    title: str
    run: Run
    parts: tuple[Part, ...]

    def part(self, kind: type[PartOf], name: str) -> PartOf:
        """The figures or the table of that name. Raises KeyError."""
        for part in self.parts:
            if isinstance(part, kind) and getattr(part, "name", None) == name:
                return part
        raise KeyError(f"{self.name} has no {name}")


class Results(Struct, frozen=True, kw_only=True):
    """All sections that were measured, as they follow each other."""

    schema: int = SCHEMA
    sections: tuple[Section, ...] = ()

    def section(self, name: str) -> Section | None:
        """The section of that name, if it was measured."""
        return next((section for section in self.sections if section.name == name), None)

    def having(self, section: Section) -> Results:
        """The same with this section, in place of its former one if there is one."""
        kept = {one.name: one for one in self.sections} | {section.name: section}
        return replace(self, sections=tuple(sorted(kept.values(), key=lambda one: ORDER.index(one.name))))


def load(path: Path = RESULTS) -> Results:
    """What is kept; nothing if there is no file. Raises ValueError for what is not of this schema."""
    if not path.exists():
        return Results()
    results = msgspec.json.decode(path.read_bytes(), type=Results)
    if results.schema != SCHEMA:
        raise ValueError(f"{path} has schema {results.schema}, not {SCHEMA}: measure all of it again")
    return results


def save(results: Results, path: Path = RESULTS) -> None:
    """Keep them, in place of what was kept."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
