"""The base image: a snapshot of a fresh context with the base JavaScript run in it.

The engine id names all that the behaviour of code depends on: V8's version, build and flags, the machine's
architecture, and the base JavaScript. The image id names what is in an image, too: snapshots of sessions are
exchanged only between processes that have the same. One version of the program builds the same image
wherever it is, to the byte; another version may build another one for the same engine, since the samples
depend on its Python. So of the images in the cache folder each version has its own.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.checkpoints import image_id
from engine.errors import PlatformRefused
from engine.events import Trace
from engine.isolate import cache, digests, native, survey, throwaway
from engine.isolate.executor import Executor
from engine.isolate.isolate import BASE_SCRIPT, BaseScripts, Isolate
from engine.isolate.wire import Run
from engine.limits import Limits

BASE_FILES = (
    "wasm.js",
    "values.js",
    "width.js",
    "layout.js",
    "primitives.js",
    "inspect.js",
    "entries.js",
    "exotic.js",
    "shapes.js",
    "json.js",
    "frames.js",
    "errors.js",
    "format.js",
    "console.js",
    "table.js",
    "guestconsole.js",
    "clock.js",
    "sfc32.js",
    "random.js",
    "weak.js",
    "timers.js",
    "web/webidl.js",
    "web/domexception.js",
    "web/quotaexceeded.js",
    "web/bytes.js",
    "vendor/libraries.js",
    "vendor/idna.js",
    "web/idna.js",
    "web/urlsearchparams.js",
    "web/url.js",
    "web/encoding.js",
    "web/base64.js",
    "web/crypto.js",
    "web/event.js",
    "web/eventtarget.js",
    "web/abort.js",
    "web/blob.js",
    "web/buffers.js",
    "web/clone.js",
    "web/performance.js",
    "globals.js",
    "control.js",
)
"""In the order in which they run; see base/README.md for how they fit together."""

INLINED_FILES = frozenset({"sfc32.js", "vendor/libraries.js"})
"""Those that calculate, call nothing of the guest's and throw nothing that it sees; see ``BaseScripts``."""

SEMANTICS = 4
"""Raise it when Python here changes what an execution's digest covers: how code is wrapped and settled,
how outcomes are put together."""
KEPT = 2
"""Images in the cache: this one, and one more for whoever goes back to the version before."""
_MAX_REFERENCES = 64
_SAMPLE_START = 17 * 10**12  # ticks: any time after the warm-up's
_SAMPLES = (
    ("0",),
    (
        "let a = 1, b = [1, 2]; const c = { d: 'e' }; console.log(a, b, c)",
        (
            "function f(x) { return x + 1 } "
            "class C { #x = 1; constructor(y) { this.y = y } get x() { return this.#x } }"
        ),
        "const m = new Map([['k', 1]]); const g = (k, v) => { m.set(k, v); a += v; return a }; f(2)",
        *(f"g(`k{i}`, {i}); console.log('a is', a); new C(a).x" for i in range(4)),
    ),
)
"""What most sessions do. Against a snapshot without, all that a first variable moves would be news."""
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_UNKNOWN_REFERENCE = re.compile(r"Unknown external reference (0x[0-9a-f]+)")


class BaseImage(Struct, frozen=True, kw_only=True):
    """A base blob, and what is needed to restore it and the snapshots of sessions."""

    engine_id: str
    program: str
    """Names the Python that built it; see ``program_id``."""
    references: tuple[int, ...]
    """Offsets in the V8 library of native functions that V8's own installers refer to."""
    blob: bytes
    samples: bytes
    """Snapshots of sessions in which little happened, which others are compressed against."""
    kinds: dict[int, str]
    """What a snapshot needs to know of what is alive; see ``engine.isolate.survey``."""

    @property
    def fingerprint(self) -> bytes:
        """16 bytes: with another one, snapshots of sessions cannot be restored."""
        return hashlib.sha256(msgspec.msgpack.encode((self.references, self.samples))).digest()[:16]

    @property
    def image_id(self) -> str:
        """The engine id, a dot, and 16 hex digits of the fingerprint; see ``engine.checkpoints``."""
        return image_id(self.engine_id, self.fingerprint)


def load(folder: Path | None) -> BaseImage:
    """The base image, from the cache folder if it is there and intact, else built and stored there.

    Must be called in a process that has no isolate. Raises PlatformRefused if V8 cannot make it.
    """
    source = base_source()
    identity, program = engine_id(source, folder), program_id()
    path = None if folder is None else folder / file_name(identity, program)
    if path is not None:
        image = _read(path, identity, program)
        if image is not None:
            return image
    image = build(source, identity, program)
    if path is not None:
        body = msgspec.msgpack.encode(image)
        cache.keep(path, hashlib.sha256(body).digest() + body, among="base-*.image", most=KEPT)
    return image


def file_name(engine_id: str, program: str) -> str:
    """The image's, in the cache folder."""
    return f"base-{engine_id}-{program}.image"


def boot(image: BaseImage) -> Isolate:
    """An isolate restored from the base image and warmed, ready to be forked into workers."""
    isolate = Isolate(image.blob, image.references, renewable=True)
    for _ in range(3):  # the first evaluations deserialize and compile what all later ones share
        with isolate.scope():
            isolate.evaluate("1 + 1")
            isolate.drain()
    return isolate


def base_source() -> BaseScripts:
    """The scripts that install the base image."""
    folder = Path(__file__).with_name("base")
    calls, inlined = "", ""
    for name in BASE_FILES:
        file = f"(\n{(folder / name).read_text('utf-8')}\n)"
        if name in INLINED_FILES:
            inlined += f"{file},\n"
            calls += "inlined.shift()(base);\n"
        else:
            calls += f"{file}(base);\n"
    hidden = (
        "((native, inlined) => { 'use strict';\nconst base = { __proto__: null, native };\n"
        f"{calls}return base.control; }})"
    )
    scripts = (f"{source}\n//# sourceURL={BASE_SCRIPT}" for source in (hidden, f"[{inlined}]"))
    # V8 keeps the source, with two bytes for each character if one of them is not Latin-1.
    return BaseScripts(*(_NON_ASCII.sub(_escaped, script) for script in scripts))


def _escaped(character: re.Match[str]) -> str:
    """The character as JavaScript's strings and patterns may have it."""
    units = character[0].encode("utf-16-be")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def engine_id(source: BaseScripts, folder: Path | None) -> str:
    """32 hex digits that name V8 and its data, its flags, the machine, the base image and SEMANTICS.

    ``folder``: the cache, if there is one.
    """
    library = native.library()
    digest = hashlib.sha256()
    for of_file in digests.of((library.path, library.path.with_name("icudtl.dat")), folder):
        digest.update(of_file)
    for part in (str(SEMANTICS), library.version().decode(), *native.FLAGS, native.machine(), *source):
        digest.update(len(part).to_bytes(8, "big") + part.encode())
    return digest.hexdigest()[:32]


def program_id() -> str:
    """16 hex digits that name the Python here, which makes the samples."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def build(source: BaseScripts, identity: str, program: str) -> BaseImage:
    """Make the image in throw-away children. Raises PlatformRefused if V8 cannot make it."""
    references, blob = _base_blob(source)
    kinds = _child("name what is in a heap", lambda: _kinds(blob, references))
    image = BaseImage(
        engine_id=identity,
        program=program,
        references=tuple(references),
        blob=blob,
        samples=b"",
        kinds=msgspec.msgpack.decode(kinds, type=dict[int, str]),
    )
    samples = [_child("make a snapshot of a session", partial(_sample, image, codes)) for codes in _SAMPLES]
    return replace(image, samples=b"".join(samples))


def _base_blob(source: BaseScripts) -> tuple[list[int], bytes]:
    """The blob and the external references that it needs, which are found one by one."""
    base = native.library().base
    references: list[int] = []
    while True:
        ended = throwaway.run(lambda: Isolate(None, references, install=source).snapshot())
        if ended.status == 0:
            return references, ended.output
        unknown = _UNKNOWN_REFERENCE.search(ended.stderr)
        if unknown is None or len(references) == _MAX_REFERENCES:
            raise PlatformRefused(f"V8 could not make the base image: the child {ended.describe()}")
        references.append(int(unknown[1], 16) - base)


def _kinds(blob: bytes, references: Sequence[int]) -> bytes:
    return msgspec.msgpack.encode(survey.kinds(Isolate(blob, references)))


def _sample(image: BaseImage, codes: Sequence[str]) -> bytes:
    """Made in the way in which those of sessions are, and with the same bytes each time."""
    executor = Executor(boot(image))
    executor.warm()
    trace = Trace(start=_SAMPLE_START, seed=bytes(16))
    for seq, code in enumerate(codes, 1):
        run = Run(seq=seq, code=code, limits=Limits(), start=trace.start, seed=trace.seed, trace=trace)
        executor.execute(run, lambda lines: None, time.sleep)
    executor.survey({})
    return executor.snapshot()


def _child(what: str, function: Callable[[], bytes]) -> bytes:
    ended = throwaway.run(function)
    if ended.status:
        raise PlatformRefused(f"V8 could not {what}: the child {ended.describe()}")
    return ended.output


def _read(path: Path, identity: str, program: str) -> BaseImage | None:
    """The image in the cache; None where it has to be built again: absent, torn, altered, outdated."""
    try:
        data = path.read_bytes()
        digest, body = data[:32], data[32:]
        if hashlib.sha256(body).digest() != digest:
            return None
        image = msgspec.msgpack.decode(body, type=BaseImage)
    except (OSError, msgspec.DecodeError):
        return None
    return image if (image.engine_id, image.program) == (identity, program) else None
