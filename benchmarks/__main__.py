"""``python -m benchmarks``: start the servers, measure, print, and write ``RESULTS.md``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import (
    bucket,
    bucket_report,
    checkpoint_report,
    commands,
    commands_report,
    container_report,
    doors_report,
    image,
    measure,
    report,
    security_report,
)
from benchmarks.load import LoadError
from benchmarks.processes import ServerError, mcp_v8, noop_server

RESULTS = Path(__file__).with_name("RESULTS.md")
SECTIONS = ("executions", "doors", "checkpoints", "security", "replay_cli", "s3", "container")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each kind")
    parser.add_argument(
        "--quick", action="store_true", help="less than a minute in all; does not write RESULTS.md"
    )
    parser.add_argument(
        "--only", choices=SECTIONS, help="one section of the report; does not write RESULTS.md"
    )
    return parser.parse_args()


def main() -> None:
    """Measure and report. Exits with 1 if a server failed or gave a wrong answer."""
    options = arguments()
    if options.quick:
        options.seconds, options.rounds = 0.7, 2
    with tempfile.TemporaryDirectory(prefix="mcp-v8-bench-") as folder:
        try:
            text = measured(options, Path(folder))
        except (LoadError, ServerError) as broken:
            sys.exit(f"benchmarks: {broken}")
    sys.stdout.write(text)
    if not options.quick and options.only is None:
        RESULTS.write_text(text)


def measured(options: argparse.Namespace, folder: Path) -> str:
    """The report of one whole run, with stores in ``folder``."""
    sections = []
    if options.only in (None, "executions"):
        sections.append(executions(options, folder))
    if options.only in (None, "doors"):
        sections.append(doors_report.section(doors_report.measured(folder, options.rounds, options.seconds)))
    if options.only in (None, "checkpoints"):
        found = checkpoint_report.measured(folder, options.rounds, options.seconds, quick=options.quick)
        sections.append(checkpoint_report.section(found))
    if options.only in (None, "security"):
        sections.append(
            security_report.section(security_report.measured(folder, options.rounds, options.seconds))
        )
    if options.only in (None, "replay_cli"):
        sizes = commands.QUICK if options.quick else commands.Sizes()
        sections.append(commands_report.section(commands.measured(folder, options.rounds, sizes)))
    if options.only in (None, "s3"):
        events = 100 if options.quick else bucket.EVENTS
        found_there = bucket.measured(folder / "bucket", options.rounds, options.seconds, events=events)
        sections.append(bucket_report.section(found_there))
    if options.only in (None, "container"):
        sections.append(
            container_report.section(container_report.measured(folder / "container", options.rounds))
        )
    return report.document(*sections)


def executions(options: argparse.Namespace, folder: Path) -> list[str]:
    """The section on executions."""
    with (
        noop_server() as noop,
        mcp_v8("--directory-path", str(folder / "durable")) as durable,
        mcp_v8("--stateless") as stateless,
    ):
        servers = {"noop": noop, "durable": durable, "stateless": stateless}
        samples = measure.rounds(servers, measure.SCENARIOS, options.rounds, options.seconds)
        loop = measure.hot_loop(durable, times=2 * options.rounds)
    memory = measure.idle_session_memory(str(folder / "idle"), sessions=10 * options.rounds)
    cost = image.measured(options.rounds)
    return report.executions(samples, memory, loop, cost, seconds=options.seconds)


if __name__ == "__main__":
    main()
