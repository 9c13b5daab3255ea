"""One process owns a store; the next one is told who, and may have it when that one is gone."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from engine.errors import StoreError, StoreLocked
from persistence.lock import holder, own
from persistence.sqlite import open_sqlite_log

OWNER = """
import sys, trio
from pathlib import Path
from persistence.sqlite import open_sqlite_log

async def main():
    async with open_sqlite_log(Path(sys.argv[1])):
        print("open", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


async def test_a_second_process_is_told_who_owns_the_store_until_that_one_dies(directory: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(directory)]
    owner = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    async with owner.stdout:
        try:
            with trio.fail_after(20):
                assert (await owner.stdout.receive_some()).startswith(b"open")
            with pytest.raises(StoreLocked) as refused:
                async with open_sqlite_log(directory):
                    raise AssertionError("opened")
        finally:
            owner.kill()
            with trio.CancelScope(shield=True):
                await owner.wait()
    assert str(directory) in refused.value.message
    assert f"process {owner.pid}" in refused.value.message
    assert "another directory" in refused.value.message
    async with open_sqlite_log(directory) as log:
        assert (await log.sessions("ann", limit=100)).items == ()


def test_a_file_system_without_locks_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(StoreError, match=r"No locks available.*local disk") as refused, own(tmp_path):
        raise AssertionError("owned")
    assert not isinstance(refused.value, StoreLocked)


def test_the_owner_is_one_even_within_a_process(tmp_path: Path) -> None:
    with own(tmp_path), pytest.raises(StoreLocked), own(tmp_path):
        raise AssertionError("owned twice")
    with own(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()} {socket.gethostname()}\n"


def test_an_owner_in_another_container_is_named_with_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own(tmp_path):
        assert holder(tmp_path) == os.getpid()
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
        assert holder(tmp_path) is None
        with pytest.raises(StoreLocked) as refused, own(tmp_path):
            raise AssertionError("owned twice")
    here = os.uname().nodename
    assert f"(process {os.getpid()} in container or host {here})" in refused.value.message


def test_an_owner_of_an_older_version_or_who_has_not_written_yet_is_named_as_far_as_it_can_be(
    tmp_path: Path,
) -> None:
    for text, told in ((f"{os.getpid()}\n", f"(process {os.getpid()})"), ("", "(process unknown)")):
        with own(tmp_path):
            (tmp_path / "lock").write_text(text)
            assert holder(tmp_path) == (os.getpid() if text else None)
            with pytest.raises(StoreLocked) as refused, own(tmp_path):
                raise AssertionError("owned twice")
            assert told in refused.value.message
