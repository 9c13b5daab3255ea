"""libFuzzer on a target, in a process of its own: it ends the process that it is called in."""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import re
import shlex
import sys
import traceback
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from fuzz import corpus
from fuzz.targets import Target, target

PACKAGES: Final = ["engine", "transports", "persistence", "cluster", "cli"]
GUIDES: Final = ["fuzz.shapes", "fuzz.jsons", "hypercorn"]
"""By whose branches an input is new, too: makers of values, which only decoders in C tell apart, and what our
connections are made of."""
TIMEOUT_SECONDS: Final = 20
"""What one input may take: it is milliseconds, but where something is quadratic."""
INSIDE: Final = "--inside"
"""Argument with which libFuzzer starts itself again."""
MEMORY_MB: Final = 2_048
MAX_BYTES: Final = 2_000
"""Length of an input."""

_PROGRESS: Final = re.compile(r"^#(\d+)\t(?:INITED|DONE)\s+cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_FAULT: Final = re.compile(r"^ === Uncaught Python exception: ===\n(.*?)^==\d+==", re.MULTILINE | re.DOTALL)
_ARTIFACTS: Final = ("crash-*", "timeout-*", "oom-*", "leak-*", "slow-unit-*")


class Progress(NamedTuple):
    """Where a fuzzer is."""

    executions: int
    edges: int
    features: int
    inputs: int


class Run(NamedTuple):
    """What became of a run."""

    target: str
    status: int
    """0: it found nothing."""
    before: Progress | None
    """With the inputs that are kept; None if it did not come so far."""
    after: Progress | None
    culprits: list[bytes]
    """The inputs that failed."""
    log: str

    def __str__(self) -> str:
        if self.status == 0 and self.before is not None and self.after is not None:
            return (
                f"{self.target:16}{self.after.executions:>10,} executions, edges {self.before.edges:,} to "
                f"{self.after.edges:,}, features {self.before.features:,} to {self.after.features:,}, "
                f"inputs {self.before.inputs} to {self.after.inputs}"
            )
        fault = _FAULT.search(self.log)
        told = [f"{self.target} failed (status {self.status})", fault[1] if fault else self.log[-4_000:]]
        for culprit in self.culprits:
            told.append(
                f"with this input; as a line of tests/fuzz/regressions/{self.target}.txt it is tested:"
            )
            told.append(repr(culprit))
        return "\n".join(told)


def instrumented(names: Iterable[str]) -> dict[str, Target]:
    """The targets, with the program instrumented: nothing of it may have been imported before."""
    import atheris

    already = [name for name in sys.modules if name.partition(".")[0] in PACKAGES]
    assert not already, f"imported too early to be instrumented: {already}"
    with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=PACKAGES + GUIDES):
        found = {name: target(name) for name in names}
    logging.getLogger().addHandler(logging.NullHandler())  # instead of one that prints warnings
    warnings.simplefilter("error")
    return found


def enter(name: str, function: Target, arguments: Sequence[str]) -> NoReturn:
    """Be libFuzzer."""
    import atheris

    atheris.Setup([name, *arguments], function)
    atheris.Fuzz()
    raise AssertionError("libFuzzer ends the process")


def fuzz(name: str, function: Target, folder: Path, *, seconds: float, seed: int) -> Run:
    """Fuzz for so long, from the inputs that are kept; what is found is left in ``folder``."""
    inputs, faults, log = folder / "inputs", folder / "faults", folder / "log"
    faults.mkdir(parents=True)
    corpus.unpack(name, inputs)
    flags = [
        f"-max_total_time={seconds:.0f}",
        f"-seed={seed}",
        f"-timeout={TIMEOUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={MAX_BYTES}",
        f"-artifact_prefix={faults}/",
    ]
    status = _apart(name, function, [*flags, str(inputs)], log)
    text = log.read_text(errors="replace")
    seen = [Progress(*map(int, match.groups())) for match in _PROGRESS.finditer(text)]
    culprits = [path.read_bytes() for pattern in _ARTIFACTS for path in faults.glob(pattern)]
    return Run(name, status, seen[0] if seen else None, seen[-1] if seen else None, culprits, text)


def minimize(name: str, function: Target, folder: Path) -> list[bytes]:
    """The fewest and smallest of the inputs in ``folder`` that reach all that they reach together."""
    least, log = folder / "least", folder / "merge-log"
    least.mkdir()
    again = shlex.join([sys.executable, "-m", "tests.fuzz", INSIDE, name])  # libFuzzer starts itself for it
    flags = ["-merge=1", "-use_counters=0"]  # the places reached, not how often: a fifth of the inputs
    status = _apart(again, function, [*flags, str(least), str(folder / "inputs")], log)
    assert status == 0, log.read_text(errors="replace")[-4_000:]
    return [path.read_bytes() for path in least.iterdir()]


def _apart(name: str, function: Target, arguments: Sequence[str], log: Path) -> int:
    """Be libFuzzer in a fork of this process. Its exit status."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            enter(name, function, arguments)
        except SystemExit:  # of atheris, after an exception: at C's exit libFuzzer stores the input
            ctypes.CDLL(None).exit(1)
        except BaseException:  # noqa: BLE001 - nothing of this process may go on twice
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
