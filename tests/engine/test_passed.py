"""A self-test that passed is remembered as long as nothing has changed that its result depends on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.isolate import passed, selftest
from engine.isolate.image import BaseImage

IMAGE = BaseImage(engine_id="e", program="p", references=(1,), blob=b"blob", samples=b"", kinds={})
BOOT = (
    "import sys; from pathlib import Path; from engine.isolate import selftest, zygote\n"
    "{change}\nzygote.boot(Path(sys.argv[1])); print('booted')"
)


class Counted:
    """Self-tests that were run, in place of the real one; each finds what ``difference`` says."""

    def __init__(self) -> None:
        self.run = 0
        self.difference: str | None = None

    def __call__(self, _: BaseImage) -> str | None:
        self.run += 1
        return self.difference


@pytest.fixture
def tests(monkeypatch: pytest.MonkeyPatch) -> Counted:
    made = Counted()
    monkeypatch.setattr(selftest, "run", made)
    return made


def boot(cache: Path, change: str = "") -> str:
    """Boot as a zygote does, in a process of its own; what it prints."""
    code = BOOT.format(change=change)
    ran = subprocess.run(
        [sys.executable, "-c", code, cache], capture_output=True, text=True, timeout=60, check=False
    )
    return ran.stdout.strip() + ran.stderr


def state(folder: Path) -> dict[str, int]:
    """When each file, and the folder itself, was changed."""
    return {str(path): path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}


def test_what_has_passed_is_not_tested_again(tests, tmp_path):
    assert [passed.check(IMAGE, tmp_path) for _ in range(3)] == [None] * 3
    assert tests.run == 1


def test_it_can_be_had_again(tests, tmp_path):
    passed.check(IMAGE, tmp_path)
    tests.difference = "V8 is another"
    assert passed.check(IMAGE, tmp_path, again=True) == "V8 is another"


def test_where_it_finds_something_the_image_is_kept_and_no_pass(tmp_path):
    said = boot(tmp_path, "selftest.CHECKS['running code'] = lambda image: b'that nothing runs'")
    assert "PlatformRefused: the check of running code found that nothing runs" in said
    assert {path.suffix for path in tmp_path.iterdir()} == {".digests", ".image"}


def test_a_start_from_a_folder_with_all_in_it_tests_and_writes_nothing(tmp_path):
    assert boot(tmp_path) == "booted"
    before = state(tmp_path)
    assert boot(tmp_path, "selftest.run = None") == "booted"
    assert state(tmp_path) == before
    assert len(before) == 4  # the folder, the image, that the test passed, digests of V8's files


def other_system(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    system = list(os.uname())
    system[at] = "another"
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(system))


def other_limit(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    real = resource.getrlimit
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1, 1) if which == limit else real(which))


CHANGES: dict[str, Callable[[pytest.MonkeyPatch], object]] = {
    "the kernel": lambda patch: other_system(patch, 2),
    "its build": lambda patch: other_system(patch, 3),
    "the architecture": lambda patch: other_system(patch, 4),
    "the processors": lambda patch: patch.setattr(passed, "_processors", lambda: ["model name : another"]),
    "Python": lambda patch: patch.setattr(sys, "version", "3.99"),
    "a library": lambda patch: patch.setattr(passed, "_mapped", lambda: [("/lib/libc.so.6", 1, 2)]),
    "the engine": lambda patch: patch.setattr(passed, "_ENGINE", Path(__file__).parent),
    "the address space": lambda patch: other_limit(patch, resource.RLIMIT_AS),
    "the stack": lambda patch: other_limit(patch, resource.RLIMIT_STACK),
    "a filter of system calls": lambda patch: patch.setattr(passed.process, "status", lambda _: "2"),
}
IMAGES = {
    "V8": replace(IMAGE, engine_id="another"),
    "the image": replace(IMAGE, blob=b"another"),
    "its references": replace(IMAGE, references=(2,)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_with_another_machine_or_program_it_is_tested_again(tests, tmp_path, monkeypatch, change):
    passed.check(IMAGE, tmp_path)
    with monkeypatch.context() as patch:
        CHANGES[change](patch)
        passed.check(IMAGE, tmp_path)
        assert tests.run == 2
    passed.check(IMAGE, tmp_path)
    assert tests.run == 2


def test_a_process_that_gets_no_new_privileges_needs_no_test_of_its_own():
    code = """
import ctypes
from engine.isolate import passed, process
before = passed._restrictions()
assert ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert process.status("NoNewPrivs") == "1"
print(passed._restrictions() == before)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "True\n"


@pytest.mark.parametrize("what", IMAGES)
def test_with_another_engine_or_image_it_is_tested_again(tests, tmp_path, what):
    passed.check(IMAGE, tmp_path)
    passed.check(IMAGES[what], tmp_path)
    assert tests.run == 2


@pytest.mark.parametrize("left", [0, 16, 31])
def test_a_torn_record_says_nothing(tests, tmp_path, left):
    passed.check(IMAGE, tmp_path)
    (record,) = tmp_path.iterdir()
    whole = record.read_bytes()
    record.write_bytes(whole[:left])
    passed.check(IMAGE, tmp_path)
    assert tests.run == 2
    assert record.read_bytes() == whole


def test_only_a_pass_is_remembered(tests, tmp_path):
    tests.difference = "the check of executions was ended by SIGKILL"
    assert passed.check(IMAGE, tmp_path) == tests.difference
    assert list(tmp_path.iterdir()) == []
    tests.difference = None
    assert passed.check(IMAGE, tmp_path) is None
    assert tests.run == 2


@pytest.mark.parametrize("folder", [None, "/dev/null/cache"])
def test_without_a_folder_that_can_be_written_it_is_tested_each_time(tests, folder):
    for _ in range(2):
        assert passed.check(IMAGE, folder and Path(folder)) is None
    assert tests.run == 2


def test_of_a_machine_that_does_not_tell_what_it_is_nothing_is_remembered(tests, tmp_path, monkeypatch):
    monkeypatch.setattr(passed, "_PROCESSOR", frozenset())
    for _ in range(2):
        assert passed.check(IMAGE, tmp_path) is None
    assert tests.run == 2
    assert list(tmp_path.iterdir()) == []


def test_of_many_records_the_last_are_kept(tests, tmp_path):
    for at in range(passed.KEPT + 3):
        passed.check(replace(IMAGE, engine_id=str(at)), tmp_path)
    assert len(list(tmp_path.iterdir())) == passed.KEPT
    passed.check(replace(IMAGE, engine_id=str(passed.KEPT + 2)), tmp_path)
    assert tests.run == passed.KEPT + 3
