"""The binding: what the self-test notices, code frames, optimization, memory over many executions."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from engine.isolate.codeframe import code_frame


def in_a_process(cache_dir: Path, code: str) -> str:
    """Run Python with V8 in a process of its own; what it prints."""
    return printed(
        "from pathlib import Path\n"
        "from engine.isolate import executor, exhaustion, image, isolate, memory, native, selftest, stack\n"
        f"base = image.load(Path({str(cache_dir)!r}))\n{code}"
    )


def printed(code: str) -> str:
    """What Python prints that runs ``code`` in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_self_test_finds_nothing_here(cache_dir):
    assert in_a_process(cache_dir, "print(selftest.run(base))") == "None"


WRONG = {
    "native.V8_VERSION = '14.6.1'": "this program was written for 14.6.1",
    "native.library().missing.append('_ZN2v84Gone')": "lacks _ZN2v84Gone",
    "native.PARAMS_SIZE = 168": "CreateParams takes 160 bytes instead of 168",
    "native.TRY_CATCH_SIZE = 40": "TryCatch larger than 40",
    "native.CALLBACK_RETURN_SLOT = 16": "FunctionCallbackInfo|return slot|ended by|exited",
    "native.SERIALIZER_ENABLED = 0x10300": "serializer flag",
    "native.MAP_INSTANCE_TYPE = 10": "objects whose types are numbered otherwise",
    "native.JS_ARRAY_TYPE = 2120": "objects whose types are numbered otherwise",
    "stack.StackGuard.reached = lambda self: False": "a stack overflow that goes unnoticed",
    "isolate.Isolate._on_reject = lambda self, message: None": "a rejection that goes unnoticed",
    "native.ALLOCATOR_ALLOCATE = 7": "did not come from our allocator",
    "isolate.Isolate.lexical_names = lambda self: []": "other names of variables than were declared",
    "native.library().global_dispose = lambda slot: None": "the child that made it",
    "exhaustion._OUT_OF_MEMORY = ('%: Out of memory',)": "out of memory (try { new ArrayBuffer",
    "exhaustion.MemoryGuard._watch_import = lambda *_: None": "out of memory (new WebAssembly",
    "executor.EXIT_OUT_OF_MEMORY = memory.EXIT_OUT_OF_MEMORY = 1": "out of memory (const all",
}
BEFORE_V8_IS_LOADED = {
    "native.MINI_RACER_VERSION = '0.15.0'": "this program needs exactly 0.15.0",
    "native.package = lambda: None": "mini-racer is not there; this program needs exactly",
    "native.machine = lambda: 'riscv64'": "only x86_64 and aarch64 are supported",
}


@pytest.mark.parametrize("change", WRONG)
def test_the_self_test_names_what_differs(cache_dir, change):
    said = in_a_process(cache_dir, f"{change}\nprint(selftest.run(base))")
    assert said != "None"
    assert any(part in said for part in WRONG[change].split("|")), said


@pytest.mark.parametrize("change", BEFORE_V8_IS_LOADED)
def test_another_machine_or_wheel_is_refused_before_v8_is_loaded(change):
    said = printed(f"""
from engine.errors import PlatformRefused
from engine.isolate import native, zygote
{change}
try:
    zygote.boot(None)
except PlatformRefused as refused:
    print(refused.message, native._library)
""")
    assert BEFORE_V8_IS_LOADED[change] in said
    assert said.endswith(" None")


def test_too_small_a_stack_is_made_larger_or_refused_with_a_sentence():
    def said(hard: str) -> str:
        return printed(f"""
import resource
from engine.errors import PlatformRefused
from engine.isolate import process, stack
resource.setrlimit(resource.RLIMIT_STACK, (3 << 20, {hard}))
try:
    process.allow_stack(stack.PROCESS_BYTES)
    print(resource.getrlimit(resource.RLIMIT_STACK)[0] >> 20)
except PlatformRefused as refused:
    print(refused.message)
""")

    assert said("16 << 20") == "8"
    assert said("4 << 20") == "a process may have 4096 KiB of stack; 8192 are needed (see ulimit -Hs)"


def test_the_self_test_refuses_a_v8_that_does_not_optimize(cache_dir):
    said = in_a_process(
        cache_dir,
        "selftest._OPTIMIZED = 1 << 1  # the bit of functions that are never optimized\nprint(selftest.run(base))",
    )
    assert "not optimized" in said


BRANDED = {
    "5": 0,
    "-(2 ** 30)": 0,
    "1.5": 0,
    "'text'": 0,
    "null": 0,
    "Symbol()": 0,
    "({})": 0,
    "[1, 2]": 0,
    "Object.create(null)": 0,
    "new (class extends Array {})()": 0,
    "new Proxy({}, {})": 1,
    "new Proxy([], {})": 1,
    "new Proxy(() => {}, {})": 1,
    "Object.setPrototypeOf(new Map(), Object.prototype)": 3,
    "Object.setPrototypeOf(new Error(), null)": 9,
    "(function () { return arguments })()": 16,
    "new Number(1)": 17,
    "(async () => {})": 18,
}


def test_the_brand_of_any_value_is_known(cache_dir):
    code = f"plain = isolate.Isolate(None, ())\nwith plain.scope():\n for code in {list(BRANDED)}:"
    brands = in_a_process(cache_dir, f"{code}\n  print(plain.host.brand(plain.run_script(code)))")
    assert dict(zip(BRANDED, map(int, brands.split()), strict=True)) == BRANDED


def test_a_damaged_image_in_the_cache_is_built_again(tmp_path):
    first = in_a_process(tmp_path, "print(base.engine_id)")
    (path,) = tmp_path.glob("base-*.image")
    path.write_bytes(path.read_bytes()[:-1000])
    assert in_a_process(tmp_path, "print(base.engine_id, selftest.run(base))") == f"{first} None"


def test_the_image_is_the_same_to_the_byte_wherever_it_is_built(tmp_path):
    names = {in_a_process(tmp_path / home, "print(base.image_id)") for home in "ab"}
    built = {path.read_bytes() for path in tmp_path.glob("*/base-*.image")}
    assert (len(names), len(built)) == (1, 1)


def test_an_image_that_another_version_of_the_program_left_in_the_cache_is_not_used(tmp_path):
    before = printed(
        "from pathlib import Path\nfrom engine.isolate import image\n"
        "image.program_id = lambda: 'older'\nimage._SAMPLES = image._SAMPLES[:1]\n"
        f"print(image.load(Path({str(tmp_path)!r})).image_id)"
    )
    engine, now = in_a_process(tmp_path, "print(base.engine_id, base.image_id)").split()
    assert before.startswith(f"{engine}.")
    assert before != now


def test_of_older_images_in_the_cache_the_last_is_kept(tmp_path):
    hour = 3_600
    for name, age in {
        "base-older.image": 2 * hour,
        "base-old.image": hour,
        "base-torn.image.ab.tmp": 2 * hour,
        "base-new.image.cd.tmp": 0,
        "another": 9 * hour,
    }.items():
        path = tmp_path / name
        path.write_bytes(b"x")
        os.utime(path, (time.time() - age,) * 2)
    identity = in_a_process(tmp_path, "print(base.engine_id, base.program, sep='-')")
    kept = {"base-old.image", "base-new.image.cd.tmp", "another", f"base-{identity}.image"}
    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".digests"} == kept


def test_a_frame_shows_the_line_before_and_marks_the_column():
    code = "const rows = load()\nrows[0].id\nrest"
    assert code_frame(code, 2, 6) == "  1 | const rows = load()\n> 2 | rows[0].id\n    |      ^\n  3 | rest"


def test_a_frame_of_a_long_line_is_a_window_around_the_column():
    frame = code_frame("x" * 5_000 + "!" + "y" * 5_000, 1, 5_001)
    marked, caret = frame.split("\n")
    assert len(marked) < 140
    assert marked[caret.index("^")] == "!"
    assert (marked[6], marked[-1]) == ("…", "…")


@pytest.mark.parametrize("before", ["\t", "größe", "漢字", "'😀'", "e\u0301", "\u200b", "\x1b"])
def test_the_mark_is_under_the_character_that_v8_counts_to(before):
    column = len(before.encode("utf-16-le")) // 2 + 1
    marked, caret = code_frame(f"{before}!", 1, column).split("\n")
    wide = sum(unicodedata.east_asian_width(character) == "W" for character in marked)
    without_width = sum(unicodedata.category(character) in ("Mn", "Cf") for character in marked)
    assert caret.index("^") == marked.index("!") + wide - without_width
    assert "\x1b" not in marked


def test_a_window_of_characters_of_two_units_is_around_the_column_too():
    marked = code_frame("😀" * 500 + "!" + "y" * 500, 1, 1_001).split("\n")[0]
    assert "😀!y" in marked


@pytest.mark.parametrize("end", ["\r\n", "\r", "\u2028", "\u2029"])
def test_a_line_ends_where_v8_says(end):
    assert code_frame(f"a{end}b.c{end}d", 2, 3) == "  1 | a\n> 2 | b.c\n    |   ^\n  3 | d"


@pytest.mark.parametrize(("code", "line"), [("one line", 7), ("", 1), ("\n \n", 2)])
def test_where_there_is_nothing_to_see_there_is_no_frame(code, line):
    assert code_frame(code, line, 1) is None


def test_code_that_says_where_its_source_is_cannot_rename_the_script(run):
    outcome, _ = run("throw new Error('x')\n//# sourceURL=/etc/passwd")
    assert "exec-1.js" in outcome.error.stack


def test_an_error_thrown_by_a_function_of_ours_points_at_the_guests_code(run):
    outcome, _ = run("const a = 1\nsetTimeout()")
    assert (outcome.error.line, outcome.error.frame.splitlines()[1]) == (2, "> 2 | setTimeout()")


def test_what_is_thrown_without_a_place_has_none(run):
    outcome, _ = run("throw null")
    assert (outcome.error.line, outcome.error.column, outcome.error.frame) == (None, None, None)


def test_nothing_can_sleep_but_timers(run):
    outcome, _ = run("Atomics.wait(new Int32Array(new ArrayBuffer(8)), 0, 0, 1000)")
    assert outcome.status == "failed"


def test_keys_are_garbage_when_nobody_has_them_and_else_in_snapshots_however_many_there_are(Session):  # noqa: N803
    session = Session()
    session.value("""
        var parsed
        for (let round = 0; round < 4; round++) {
          const keys = Array.from({ length: 10_000 }, (_, i) => `"${'k'.repeat(600)}${round}-${i}":${i}`)
          parsed = JSON.parse(`{${keys.join()}}`)
        }
        0
    """)
    restored = Session(session.snapshot())
    assert restored.value("[Object.keys(parsed).length, Object.values(parsed).at(-1)]") == "[ 10000, 9999 ]"
    restored.value("for (let i = 0; i < 40_000; i++) parsed[`${'q'.repeat(600)}${i}`]; 0")
