"""Prints what the Web Platform Tests come to, area by area: ``python -m tests.wpt [words of cases' names]``."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does

import isolates

from wpt import expectations, runner


def main(words: list[str]) -> int:
    """Runs the cases whose names have one of the words, or all; 1 if one has surprises."""
    table: defaultdict[str, Counter[str]] = defaultdict(Counter)
    surprising = False
    with tempfile.TemporaryDirectory() as cache:
        host = isolates.Host(Path(cache))
        for case in runner.cases():
            if words and not any(word in case.name for word in words):
                continue
            area = table[_area(case)]
            if expectations.load().skipped(case):
                area["skipped"] += 1
                continue
            results = expectations.load().counted(case, runner.run(host, case))
            area.update("passed" if result.status == "pass" else "failed" for result in results)
            for surprise in expectations.surprises(case, results):
                surprising = True
                print(f"{case.name}: {surprise}")  # noqa: T201
        host.close()
    _print(table)
    return 1 if surprising else 0


def _area(case: runner.Case) -> str:
    """The folder that the web's specifications have in common with their tests."""
    parts = Path(case.path).parent.parts
    return "/".join(parts[:3] if parts[0] in ("html", "webidl") else parts[:2])


def _print(table: dict[str, Counter[str]]) -> None:
    lines = [f"{'area':40}{'passed':>10}{'failed':>10}{'cases skipped':>16}"]
    for area in (*sorted(table), "all"):
        counts = sum(table.values(), Counter()) if area == "all" else table[area]
        lines.append(f"{area:40}{counts['passed']:>10,}{counts['failed']:>10,}{counts['skipped']:>16,}")
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
