"""Every target on the inputs that are kept, and for a moment on new ones; `python -m tests.fuzz` goes on."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz import corpus
from fuzz.targets import NAMES, target

ROOT = Path(__file__).parents[2]
SECONDS = 1
LONG_SECONDS = 3_600 // len(NAMES)

needs_atheris = pytest.mark.skipif(
    find_spec("atheris") is None, reason="there is no atheris for this platform or version of Python"
)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_that_is_kept_is_handled(name: str) -> None:
    function, inputs = target(name), corpus.load(name)
    assert inputs
    for one in inputs:
        try:
            function(one)
        except Exception as failed:
            failed.add_note(f"with the input {one!r}")
            raise


def test_the_inputs_that_are_kept_are_few_and_small_and_of_a_target() -> None:
    assert {path.stem for path in corpus.CORPUS.iterdir()} == set(NAMES)
    assert {path.stem for path in corpus.REGRESSIONS.iterdir()} <= set(NAMES)
    for name in NAMES:
        inputs = corpus.load(name)
        assert len(inputs) <= 500
        assert max(map(len, inputs)) <= 4_096


def fuzz(names: Sequence[str], seconds: int, seed: int) -> None:
    command = [sys.executable, "-m", "tests.fuzz", *names, "--seconds", str(seconds), "--seed", str(seed)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(ended.stdout)  # noqa: T201
    assert ended.returncode == 0, ended.stdout + ended.stderr


@needs_atheris
def test_new_inputs_are_handled_for_a_moment_by_an_eighth_of_the_targets() -> None:
    seed = random.randrange(1, 1 << 31)
    fuzz(random.Random(seed).sample(sorted(NAMES), len(NAMES) // 8), SECONDS, seed)


@needs_atheris
@pytest.mark.torture
def test_an_hour_of_new_inputs_is_handled() -> None:
    fuzz(list(NAMES), LONG_SECONDS, random.randrange(1, 1 << 31))
