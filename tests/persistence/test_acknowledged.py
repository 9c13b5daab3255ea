"""Nothing is acknowledged before it is on the disk, as the calls of the system show."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from faults.shim import compiled, environment, program
from msgspec import Struct

WAL = "store/events.db-wal"
MOMENTS = {"append": 48, "put": 10}
"""What is acknowledged, and how often: see ``faults/acknowledged.py``."""


class Call(Struct, frozen=True):
    """A call that succeeded, or what the program said: then ``what`` is "try" or "done"."""

    what: str
    name: str
    """Path below the directory."""


def steps(calls: list[Call]) -> Iterator[tuple[str, list[Call]]]:
    """For each acknowledgement: of what, and the calls since it was asked for."""
    since: list[Call] = []
    for call in calls:
        if call.what == "try":
            since = []
        elif call.what == "done":
            yield call.name, since
        else:
            since.append(call)


def check(calls: list[Call]) -> None:
    """Whether each acknowledgement followed what makes it true."""
    seen: Counter[str] = Counter()
    puts = 0
    for what, made in steps(calls):
        seen[what] += 1
        if what == "append":
            on_wal = [call.what for call in made if call.name == WAL]
            assert "write" in on_wal, made
            assert "sync" in on_wal[len(on_wal) - on_wal[::-1].index("write") :], made
        else:
            puts += 1
            check_put(made, again=puts % 2 == 0)
    assert seen == MOMENTS


def check_put(made: list[Call], *, again: bool) -> None:
    """Temporary file, its bytes, its sync, its name, and then the folders; only these if it is there."""
    order = [call for call in made if "/blobs" in call.name or call.name == "store"]
    folders = [call.name for call in order[-3:]]
    assert [call.what for call in order[-3:]] == ["sync", "sync", "sync"], made
    assert folders[:2] == ["store", "store/blobs"]
    assert re.fullmatch(r"store/blobs/[0-9a-f]{2}", folders[2])
    before = [call for call in order[:-3] if call.what != "folder"]
    if again:
        assert before == []
        return
    assert [call.what for call in before if call.what != "write"] == ["create", "sync", "rename"], made
    temporary = before[0].name
    assert temporary.endswith(".tmp")
    assert before[-2] == Call("sync", temporary)
    assert {call.name for call in before[:-1]} == {temporary}
    assert temporary.startswith(before[-1].name)


async def ran(command: list[str], env: dict[str, str] | None = None) -> str:
    with trio.fail_after(60):
        done = await trio.run_process(command, env=env, capture_stdout=True, capture_stderr=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_every_acknowledgement_follows_its_sync(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    told = await ran(program("acknowledged.py", directory, "shim"), environment(compiled(tmp_path)))
    check([call for line in told.splitlines() for call in traced(line)])


def traced(line: str) -> Iterator[Call]:
    call, name, *rest = line.split("\t")
    if call == "said":
        yield Call(name, *rest)
    elif int(rest[-1]) >= 0:
        yield Call(call, name)


CALLS = {
    "pwrite64": "write",
    "write": "write",
    "fsync": "sync",
    "fdatasync": "sync",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "openat": "create",
    "open": "create",
    "mkdir": "folder",
    "mkdirat": "folder",
}


async def test_the_kernel_sees_the_same(tmp_path: Path) -> None:
    """The same program without the shim, as strace sees it."""
    if not may_trace():
        pytest.skip("strace is not installed, or may not trace")
    directory, seen = tmp_path / "d", tmp_path / "calls"
    directory.mkdir()
    command = ["strace", "-f", "-y", "-qq", "-s", "64", "-e", f"trace=?{',?'.join(CALLS)}", "-o", str(seen)]
    env = environment(Path("/none"))
    del env["LD_PRELOAD"]
    await ran([*command, *program("acknowledged.py", directory)], env)
    check(list(stracing(seen.read_text().splitlines(), f"{directory}/")))


def may_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode
        == 0
    )


def stracing(lines: list[str], directory: str) -> Iterator[Call]:
    """The calls as they ended, which is what counts."""
    begun: dict[str, str] = {}
    for line in lines:
        process, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[process] = text.removesuffix("<unfinished ...>")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>", text):
            text = begun.pop(process) + text[resumed.end() :]
        found = re.match(r"(\w+)\((.*)\)\s+= (\d+)", text)
        if found is None or found[1] not in CALLS:
            continue
        if said := re.match(r'1<[^>]*>, "said\\t(\w+)\\t(\w+)\\n"', found[2]):
            yield Call(said[1], said[2])
            continue
        paths = [
            path.removeprefix(directory)
            for path in re.findall(rf'[<"]({re.escape(directory)}[^>"]*)', found[2])
        ]
        call = CALLS[found[1]]
        if paths and (call != "create" or "O_CREAT" in found[2]):
            yield Call(call, paths[-1])


@pytest.mark.parametrize(
    ("calls", "missing"),
    [
        ([Call("try", "append"), Call("write", WAL), Call("done", "append")], "the sync"),
        (
            [Call("try", "append"), Call("sync", WAL), Call("write", WAL), Call("done", "append")],
            "the last one",
        ),
        ([Call("try", "append"), Call("sync", WAL), Call("done", "append")], "the write"),
    ],
)
def test_the_check_notices_what_is_missing(calls: list[Call], missing: str) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check(calls)
    assert missing
