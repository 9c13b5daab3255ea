"""Prints a table: how many scripts of each kind there are, and what is documented to come of them."""

from __future__ import annotations

import sys
from collections import Counter

from attacks import KINDS
from attacks.script import Script


def documented(script: Script) -> str:
    """The ways in which it may end."""
    ways = dict.fromkeys(f"{one.status}{', undone' * one.undone}" for one in script.outcomes)
    return " or ".join(ways)


def main() -> None:
    """A line of Markdown for each kind, and one for all."""
    sys.stdout.write("| kind | scripts | outcomes |\n| --- | ---: | --- |\n")
    for kind, scripts in KINDS.items():
        counted = Counter(map(documented, scripts.values())).most_common()
        told = "; ".join(f"{count} {way}" for way, count in counted)
        sys.stdout.write(f"| {kind} | {len(scripts)} | {told} |\n")
    sys.stdout.write(f"| all | {sum(map(len, KINDS.values()))} | |\n")


if __name__ == "__main__":
    main()
