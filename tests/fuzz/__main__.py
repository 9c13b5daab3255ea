"""Fuzzes: ``python -m tests.fuzz [TARGET...] [--seconds N] [--seed N] [--keep]``.

Each target in turn, for so many seconds. 1 if one has failed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does

from fuzz import corpus, fuzzer
from fuzz.targets import NAMES


def main(arguments: list[str]) -> int:
    """Runs the targets named, or all."""
    if arguments[:1] == [fuzzer.INSIDE]:
        name, *flags = arguments[1:]
        fuzzer.enter(name, fuzzer.instrumented([name])[name], flags)
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Coverage-guided fuzzing.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"any of {', '.join(NAMES)} (all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 31), help="(a random one)")
    parser.add_argument("--keep", action="store_true", help="what reaches more, in tests/fuzz/corpus")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.targets) - set(NAMES):
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    print(f"seed {asked.seed}", flush=True)  # noqa: T201
    found = fuzzer.instrumented(asked.targets or NAMES)
    failed = False
    for name, function in found.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            run = fuzzer.fuzz(name, function, folder, seconds=asked.seconds, seed=asked.seed)
            print(run, flush=True)  # noqa: T201
            failed |= run.status != 0
            if asked.keep and run.status == 0:
                corpus.store(name, fuzzer.minimize(name, function, folder))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
