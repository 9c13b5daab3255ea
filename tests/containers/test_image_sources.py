"""What the image is made from, without making it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from documents import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ENTRYPOINT = ROOT / "deploy" / "entrypoint.sh"
TOOLS = Path(sys.executable).parent


def locked() -> dict[str, str]:
    """Version by distribution."""
    lines = (ROOT / "deploy" / "requirements.lock").read_text().splitlines()
    pins = (re.match(r"([\w.-]+)==([^ ;]+)", line) for line in lines)
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


def test_the_linter_of_dockerfiles_has_nothing_to_say() -> None:
    linted = subprocess.run([TOOLS / "hadolint", "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


def test_the_linter_of_shell_scripts_has_nothing_to_say() -> None:
    scripts = sorted((ROOT / "deploy").glob("*.sh"))
    assert ENTRYPOINT in scripts
    linted = subprocess.run([TOOLS / "shellcheck", *scripts], capture_output=True, text=True)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


@pytest.mark.parametrize("dependency", PROJECT["dependencies"])
def test_the_lock_has_each_dependency_in_a_version_that_the_project_takes(dependency: str) -> None:
    wanted = Requirement(dependency)
    version = locked().get(canonicalize_name(wanted.name))
    assert version in wanted.specifier if version else False, (
        f"deploy/requirements.lock has {wanted.name} {version}, not {wanted.specifier}: just lock"
    )


def test_labels_say_of_the_project_what_the_project_says() -> None:
    assert f"ARG VERSION={PROJECT['version']}\n" in DOCKERFILE
    assert f'org.opencontainers.image.description="{PROJECT["description"]}"' in DOCKERFILE


def entered(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the entry point does with them where mcp-v8 is a program that tells its arguments."""
    program = tmp_path / "mcp-v8"
    program.write_text('#!/bin/sh\necho "mcp-v8 got" "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run([ENTRYPOINT, *arguments], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ((), "mcp-v8 got\n"),
        (("--http-port", "3000", "--stateless"), "mcp-v8 got --http-port 3000 --stateless\n"),
        (("mcp-v8", "--http-port", "3000"), "mcp-v8 got --http-port 3000\n"),
        (("mcp-v8", "sessions"), "mcp-v8 got sessions\n"),
        (("bash", "-c", "echo $((1 + 2)) | cat"), "3\n"),
    ],
    ids=" ".join,
)
def test_flags_go_to_the_server_and_a_program_is_run_as_it_is(
    tmp_path: Path, arguments: tuple[str, ...], output: str
) -> None:
    ended = entered(tmp_path, *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, output, "")


def test_a_word_that_is_no_program_gets_the_sentence_that_helps(tmp_path: Path) -> None:
    ended = entered(tmp_path, "sessions", "--json")
    assert ended.returncode == 127
    assert ended.stdout == ""
    assert ended.stderr == (
        "mcp-v8: there is no program 'sessions' in this image; "
        "a command of mcp-v8 follows its name: mcp-v8 sessions --json\n"
    )
