"""``python -m benchmarks``: start the servers, measure, print, and keep the results."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import (
    bucket,
    bucket_report,
    checkpoint_report,
    circumstances,
    cluster,
    cluster_report,
    commands,
    commands_report,
    container_report,
    doors_report,
    executions_report,
    layers,
    layers_report,
    load_report,
    markdown,
    peers_report,
    results,
    scale_report,
    security_report,
)
from benchmarks.figures import Part
from benchmarks.load import LoadError
from benchmarks.processes import ServerError
from benchmarks.results import RESULTS, Section

REPORT = Path(__file__).with_name("RESULTS.md")


@dataclass(frozen=True, kw_only=True)
class Effort:
    """What a section may take."""

    folder: Path
    """For its stores."""
    rounds: int
    seconds: float
    quick: bool


def executions(effort: Effort) -> tuple[Part, ...]:
    """The section on executions."""
    found = executions_report.measured(effort.folder, effort.rounds, effort.seconds)
    return executions_report.parts(found)


def load(effort: Effort) -> tuple[Part, ...]:
    """The section on the open loop."""
    return load_report.parts(load_report.measured(effort.folder, effort.seconds, quick=effort.quick))


def peers(effort: Effort) -> tuple[Part, ...]:
    """The section on peers."""
    found = peers_report.measured(effort.folder, effort.rounds, effort.seconds, quick=effort.quick)
    return peers_report.parts(found)


def where_time_goes(effort: Effort) -> tuple[Part, ...]:
    """The section on layers."""
    return layers_report.parts(layers.measured(effort.folder, effort.rounds, effort.seconds / 3))


def doors(effort: Effort) -> tuple[Part, ...]:
    """The section on doors and crowds."""
    return doors_report.parts(doors_report.measured(effort.folder, effort.rounds, effort.seconds))


def scale(effort: Effort) -> tuple[Part, ...]:
    """The section on scale."""
    found = scale_report.measured(effort.folder, effort.rounds, effort.seconds, quick=effort.quick)
    return scale_report.parts(found)


def checkpoints(effort: Effort) -> tuple[Part, ...]:
    """The section on checkpoints and recovery."""
    found = checkpoint_report.measured(effort.folder, effort.rounds, effort.seconds, quick=effort.quick)
    return checkpoint_report.parts(found)


def security(effort: Effort) -> tuple[Part, ...]:
    """The section on the sandbox and hostile code."""
    return security_report.parts(security_report.measured(effort.folder, effort.rounds, effort.seconds))


def replay_cli(effort: Effort) -> tuple[Part, ...]:
    """The section on the replay and debug commands."""
    sizes = commands.QUICK if effort.quick else commands.Sizes()
    return commands_report.parts(commands.measured(effort.folder, effort.rounds, sizes))


def s3(effort: Effort) -> tuple[Part, ...]:
    """The section on stores in S3."""
    events = 100 if effort.quick else bucket.EVENTS
    return bucket_report.parts(bucket.measured(effort.folder, effort.rounds, effort.seconds, events=events))


def nodes(effort: Effort) -> tuple[Part, ...]:
    """The section on clusters."""
    found = cluster.measured(effort.folder, effort.rounds, effort.seconds, faults=not effort.quick)
    return cluster_report.parts(found)


def container(effort: Effort) -> tuple[Part, ...]:
    """The section on the image."""
    return container_report.parts(container_report.measured(effort.folder, effort.rounds))


SECTIONS: dict[str, tuple[str, Callable[[Effort], tuple[Part, ...]]]] = {
    "executions": (executions_report.TITLE, executions),
    "load": (load_report.TITLE, load),
    "peers": (peers_report.TITLE, peers),
    "layers": (layers_report.TITLE, where_time_goes),
    "doors": (doors_report.TITLE, doors),
    "scale": (scale_report.TITLE, scale),
    "checkpoints": (checkpoint_report.TITLE, checkpoints),
    "security": (security_report.TITLE, security),
    "replay_cli": (commands_report.TITLE, replay_cli),
    "container": (container_report.TITLE, container),
    "s3": (bucket_report.TITLE, s3),
    "cluster": (cluster_report.TITLE, nodes),
}
"""Title and measurement of each section, by name."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, about a minute; keeps no results")
    parser.add_argument("--only", choices=SECTIONS, help="one section, which alone is replaced")
    return parser.parse_args()


def main() -> None:
    """Measure and report. Exits with 1 if a server failed or gave a wrong answer; those before are kept."""
    options = arguments()
    if options.quick:
        options.seconds, options.rounds = 0.7, 2
    run = circumstances.now(options.rounds, options.seconds)
    sys.stdout.write(f"{markdown.circumstances(run)}.\n\n")
    for name in SECTIONS if options.only is None else [options.only]:
        title, measured = SECTIONS[name]
        with tempfile.TemporaryDirectory(prefix="mcp-v8-bench-") as folder:
            effort = Effort(
                folder=Path(folder), rounds=options.rounds, seconds=options.seconds, quick=options.quick
            )
            try:
                parts = measured(effort)
            except (LoadError, ServerError) as broken:
                sys.exit(f"benchmarks: {broken}")
        section = Section(name=name, title=title, run=run, parts=parts)
        sys.stdout.write("\n".join([*markdown.section(section), ""]))
        sys.stdout.flush()
        if not options.quick:
            keep(section)


def keep(section: Section) -> None:
    """Replace this section in the results, and the report that is made of them."""
    kept = results.load().having(section)
    results.save(kept, RESULTS)
    REPORT.write_text(markdown.document(kept))


if __name__ == "__main__":
    main()
