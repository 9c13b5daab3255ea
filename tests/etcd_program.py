"""The program of etcd for the tests: Debian's of trixie.

3.5.16 or newer: bookworm's 3.4 lacks fixes, and those before 3.5.3 lose data. ``python tests/etcd_program.py`` gets
it where there is none, into the user's cache, without installing anything; it needs nothing but apt and dpkg.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

VARIABLE = "MCP_V8_TEST_ETCD"
"""Names another program than the one that is found."""
_OLDEST = (3, 5, 16)
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-v8-tests" / "etcd"
_SOURCES = "deb [signed-by={keyring}] http://deb.debian.org/debian trixie main\n"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_APT = """\
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
"""


@cache
def etcd_command() -> str | None:
    """Where its program is; None where there is none that is new enough."""
    for program in (os.environ.get(VARIABLE), str(_CACHE / "usr/bin/etcd"), shutil.which("etcd")):
        if program and Path(program).exists() and _version(program) >= _OLDEST:
            return program
    return None


def fetch() -> None:
    """Get the program, if there is none: Debian's package, read with an apt that has nothing of this machine's.

    Raises CalledProcessError, FileNotFoundError (there is no apt).
    """
    if etcd_command() is not None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "lists" / "partial").mkdir(parents=True)
        (folder / "cache" / "archives" / "partial").mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(_SOURCES.format(keyring=_KEYRING))
        (folder / "apt.conf").write_text(_APT.format(folder=folder))
        environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}
        for words in (["update", "-qq"], ["download", "-qq", "etcd-server"]):
            subprocess.run(["apt-get", *words], cwd=folder, env=environment, check=True)
        (package,) = folder.glob("etcd-server_*.deb")
        subprocess.run(["dpkg", "-x", package, folder / "files"], check=True)
        # At once whole or not at all, whoever else does the same.
        _CACHE.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=_CACHE.parent))
        shutil.copytree(folder / "files", fresh, dirs_exist_ok=True)
        shutil.rmtree(_CACHE, ignore_errors=True)
        fresh.rename(_CACHE)
    etcd_command.cache_clear()


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"etcd Version: (\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(one) for one in found.groups()) if found else ()


if __name__ == "__main__":
    fetch()
