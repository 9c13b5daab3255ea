"""Runs Web Platform Tests in sessions: real V8, our base image, the tests' own harness.

A test file is run as a client would run it: the harness, the scripts that the file names in its META
lines and the file itself, each as one execution of the same session. What a browser has around a test and
a session has not (a location, fetch for the test's data) comes from a prelude.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import isolates
from msgspec import Struct

from engine.limits import Limits

FIXTURES = Path(__file__).parent / "fixtures"
_HARNESS = FIXTURES / "resources/testharness.js"
_LIMITS = Limits(result_chars=16 << 20, clock_reads=10_000_000)
_META = re.compile(r"^// META: (\w+)=(.*)$", re.MULTILINE)
_DATA_SUFFIXES = (".json", ".idl")
_STATUSES = ("pass", "fail", "timeout", "not run", "precondition failed")
_OTHER_PATHS = {"resources/WebIDLParser.js": "resources/webidl2/lib/webidl2.js"}

_PRELUDE = """
globalThis.self = globalThis;
globalThis.GLOBAL = { isWindow: () => false, isWorker: () => false, isShadowRealm: () => false };
globalThis.location = { search: input.search, pathname: '/' + input.path, href: 'https://web-platform.test/' + input.path };
globalThis.fetch = ((data, folder) => async (path) => {
  const parts = path.startsWith('/') ? [] : folder.split('/');
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  const text = data[parts.join('/')];
  if (text === undefined) throw new TypeError(`no such file: ${parts.join('/')}`);
  return { ok: true, status: 200, text: async () => text, json: async () => JSON.parse(text) };
})(input.data, input.folder);
delete globalThis.input;
undefined;
"""
_BEGIN = """
self.Window = class Window {}; // idlharness.js asks for it
setup({ explicit_done: true });
add_completion_callback((tests, status) => {
  globalThis.wptResults = {
    harness: status.status === 0 ? null : String(status.message),
    tests: tests.map(({ name, status, message }) => [name, status, message === null ? '' : String(message)]),
  };
});
undefined;
"""
_COLLECT = "globalThis.wptResults ?? null"
_WAIT = "await new Promise((resolve) => setTimeout(resolve, 50))"
_MAX_WAITS = 100  # an AbortSignal.timeout holds no execution open, so later ones have to let it fire


class Case(Struct, frozen=True):
    """One test file, with one of its variants."""

    path: str
    """Below the fixtures."""
    variant: str = ""

    @property
    def name(self) -> str:
        """As expectations name it."""
        return self.path + self.variant


class Result(Struct, frozen=True):
    """What one subtest of a case came to."""

    name: str
    status: str
    """One of pass, fail, timeout, not run, precondition failed; or broken, of the case as a whole."""
    message: str


def cases() -> Iterator[Case]:
    """Every case there is, in a fixed order."""
    for pattern in ("*.any.js", "*.window.js"):
        for file in sorted(FIXTURES.rglob(pattern)):
            path = file.relative_to(FIXTURES).as_posix()
            variants = _meta(file.read_text("utf-8"), "variant") or [""]
            yield from (Case(path, variant) for variant in variants)


def loaded(case: Case) -> set[Path]:
    """The files that a case is made of."""
    file = FIXTURES / case.path
    source = file.read_text("utf-8")
    return {file, _HARNESS, *_scripts(file, source), *_data_files(source)}


def run(host: isolates.Host, case: Case) -> list[Result]:
    """The results of a case's subtests, in their order, in a session of its own."""
    session = isolates.Session(host)
    try:
        return list(_run(session, case))
    finally:
        session.close()


def _run(session: isolates.Session, case: Case) -> Iterator[Result]:
    file = FIXTURES / case.path
    source = file.read_text("utf-8")
    scripts = _scripts(file, source)
    surroundings = {
        "search": case.variant,
        "path": case.path,
        "folder": str(Path(case.path).parent),
        "data": {
            data.relative_to(FIXTURES).as_posix(): data.read_text("utf-8") for data in _data_files(source)
        },
    }
    execute = _executor(session)
    execute("prelude", _PRELUDE, json.dumps(surroundings))
    execute("harness", _HARNESS.read_text("utf-8"))
    execute("begin", _BEGIN)
    for script in scripts:
        execute(script.name, script.read_text("utf-8"))
    failure = execute(file.name, source)
    execute("done", "done(); undefined")
    collected = None
    for _ in range(_MAX_WAITS):
        collected = json.loads(execute("collect", _COLLECT) or "null")
        if collected is not None:
            break
        execute("wait", _WAIT)
    if failure is not None and failure.startswith("!"):
        yield Result("(the file)", "broken", failure[1:])
    if collected is None:
        yield Result("(the harness)", "broken", "the tests did not end")
        return
    if collected["harness"] is not None:
        yield Result("(the harness)", "broken", collected["harness"])
    for name, status, message in collected["tests"]:
        yield Result(name, _STATUSES[status], message)


def _executor(session: isolates.Session) -> Callable[..., str | None]:
    """Executes code: its result as JSON, or "!" and what it threw."""

    def execute(name: str, code: str, input: str | None = None) -> str | None:
        outcome = session.run(code, input=input, limits=_LIMITS).outcome
        if outcome.status == "completed":
            return outcome.result_json
        assert outcome.error is not None, f"{name}: {outcome.status}"
        return f"!{outcome.error.name}: {outcome.error.message}"

    return execute


def _meta(source: str, key: str) -> list[str]:
    return [value for name, value in _META.findall(source) if name == key]


def _scripts(file: Path, source: str) -> list[Path]:
    """What the file's META lines name."""
    return [_resolve(file, script) for script in _meta(source, "script")]


def _resolve(file: Path, script: str) -> Path:
    path = FIXTURES / script.lstrip("/") if script.startswith("/") else file.parent / script
    relative = path.resolve().relative_to(FIXTURES.resolve()).as_posix()
    return FIXTURES / _OTHER_PATHS.get(relative, relative)


def _data_files(source: str) -> list[Path]:
    """The data files that the test names: it can fetch these."""
    names = set(re.findall(r"[\w-]+", source))
    return [file for suffix in _DATA_SUFFIXES for file in FIXTURES.rglob(f"*{suffix}") if file.stem in names]
