"""Every way to a session's state leads to the same one: live, replayed, from a checkpoint on.

The same means equal digests, outcomes and consoles of all events, and an equal readout of everything that the
session holds afterwards.
"""

from __future__ import annotations

import json
import random
import re

import isolates
import pytest
import readout
import ways
from corpus import CHECKPOINTED, SCRIPTS, declined, known
from sampling import each

OVERFLOW = """
let depth = 0
function down() { depth++; down() }
for (let i = 0; i < 300; i++) { let left = 50; (function warm() { if (left--) warm() })() }
try { down() } catch {}
'done'
"""


INTERFACES = """
[[globalThis, ''], [console, 'console.'], ...[
  'URL', 'URLSearchParams', 'TextEncoder', 'TextDecoder', 'AbortController', 'Event', 'EventTarget', 'Blob',
  'Crypto', 'SubtleCrypto', 'Performance',
].map((name) => [globalThis[name].prototype, `${name}.`])]
  .flatMap(([object, owner]) => Object.getOwnPropertyNames(object).map((name) => owner + name))
  .filter((path) => !path.endsWith('.constructor'))
"""
# What the corpus says nothing of: the phases of an event, of which there is only one, and old names of what it uses.
UNUSED = {
    *("Event.NONE", "Event.CAPTURING_PHASE", "Event.AT_TARGET", "Event.BUBBLING_PHASE", "Event.srcElement"),
    *("Event.returnValue", "Event.cancelBubble"),
}
TIER_SHOWS = {"variables that were never reached", "variables that a failure left unreached"}

TOLD_APART = [
    ("let n = 1", "let n = 1.5"),
    ("let zero = 0", "let zero = -0"),
    ("const text = 'x'.repeat(5_000)", "const text = 'x'.repeat(4_999) + 'y'"),
    ("const deep = [[[[[[[{ n: 1 }]]]]]]]", "const deep = [[[[[[[{ n: 2 }]]]]]]]"),
    ("const many = Array(5_000).fill(1)", "const many = Array(5_000).fill(1); many[4_321] = 2"),
    ("const list = [1, undefined]", "const list = [1, ,]; list.length = 2"),
    ("const keys = { a: 1, b: 2 }", "const keys = { b: 2, a: 1 }"),
    ("const o = { a: 1 }", "const o = Object.freeze({ a: 1 })"),
    ("const o = { a: 1 }", "const o = Object.defineProperty({ a: 1 }, 'a', { enumerable: false })"),
    ("const a = {}, b = [a, a]", "const a = {}, b = [a, {}]"),
    ("const m = new Map([[{}, { n: 1 }]])", "const m = new Map([[{}, { n: 2 }]])"),
    ("const s = new Set([1, 2])", "const s = new Set([2, 1])"),
    ("const k = {}, w = new WeakMap([[k, 1]])", "const k = {}, w = new WeakMap([[k, 2]])"),
    ("const k = {}, w = new WeakSet([k])", "const k = {}, w = new WeakSet([{}])"),
    ("const r = new WeakRef({ n: 1 })", "const r = new WeakRef({ n: 2 })"),
    ("const b = new Uint8Array(9_000)", "const b = new Uint8Array(9_000); b[8_000] = 1"),
    ("const b = new ArrayBuffer(1, { maxByteLength: 2 })", "const b = new ArrayBuffer(1, { maxByteLength: 3 })"),
    ("const d = new Date(1)", "const d = new Date(2)"),
    ("const r = /a/g; r.test('aa')", "const r = /a/g"),
    ("/a(.)/.test('ab')", "/a(.)/.test('ac')"),
    ("const f = () => 1", "const f = () =>  1"),
    ("class A { #n = 1; get n() { return this.#n } } const a = new A()", "class A { #n = 1; get n() { return this.#n } constructor() { this.#n++ } } const a = new A()"),
    ("const e = new Error('e')", "const e = (() => new Error('e'))()"),
    ("const p = Promise.resolve(1)", "const p = Promise.resolve(2)"),
    ("const p = [new Promise(() => {})]", "const p = [Promise.resolve()]"),
    ("const u = new URL('http://a/')", "const u = new URL('http://b/')"),
    ("const s = Symbol('s')", "const s = Symbol.for('s')"),
    ("let x = (() => { throw 1 })()", "let x"),
    ("var v = 1", "globalThis.v = 1"),
    ("Array.prototype.extra = 1", "Array.prototype.extra = 2"),
    ("0", "Object.freeze(Math)"),
    ("0", "Math.max.extra = {}"),
]  # fmt: skip


class Live:
    """A live run of a script; ``cuts`` are the events after which a copy of it becomes a checkpoint."""

    def __init__(self, make: ways.Make, name: str, cuts: frozenset[int] = frozenset()) -> None:
        self.codes = [readout.PRELUDE, *(SCRIPTS.get(name) or known.SCRIPTS[name])]
        self.checkpoints: dict[int, isolates.Checkpointed] = {}

        def after(here: isolates.Session) -> isolates.Session:
            if here.seq in cuts:
                self.checkpoints[here.seq] = here.checkpoint()
            return here

        self.walk = ways.walk(make(), self.codes, after=after)

    def replay(self, make: ways.Make, way: str, after: ways.Step = ways.staying) -> None:
        """Replay it from zero and compare."""
        ways.assert_agree(self.walk, ways.walk(make(), self.codes, self.walk.traces, after), way)

    def resume(self, make: ways.Make, way: str) -> None:
        """From each checkpoint, replay what came after it and compare."""
        for seq, checkpoint in self.checkpoints.items():
            assert not checkpoint.refusal, f"{way}: {checkpoint.refusal}"
            here = make(checkpoint.snapshot)
            here.seq = seq
            tail = ways.walk(here, self.codes[seq:], self.walk.traces[seq:])
            ways.assert_agree(self.walk, tail, f"{way}, resumed after event {seq}")


def a_cut(name: str, seed: object) -> int:
    """The number of an event of the script, drawn from ``seed``."""
    return random.Random(f"{name} {seed}").randint(2, len(SCRIPTS[name]) + 1)


def restoring_at_random(make: ways.Make, seed: object) -> ways.Step:
    """After each event by chance: go on, or in one of the next generations."""
    chance = random.Random(seed)

    def step(here: isolates.Session) -> isolates.Session:
        return ways.restored(make, chance.randrange(4))(here)

    return step


def test_no_script_is_lost():
    assert len(SCRIPTS) >= 209
    assert len(CHECKPOINTED) == len(SCRIPTS) - len(declined.SCRIPTS)


def test_every_interface_of_a_session_is_used_by_some_script(Session):  # noqa: N803
    """A new global or method comes with a script that shows that a replay of it agrees."""
    words = set(re.findall(r"[\w$]+", " ".join(code for codes in SCRIPTS.values() for code in codes)))
    paths = json.loads(Session().run(INTERFACES).outcome.result_json)
    assert {path for path in paths if path.split(".")[-1] not in words} == UNUSED


@pytest.mark.parametrize(("one", "other"), TOLD_APART)
def test_states_that_differ_in_one_thing_are_read_out_otherwise(Session, one, other):  # noqa: N803
    """Though every outcome is the same."""
    first, second = (ways.walk(Session(), [readout.PRELUDE, f"{code}\n0"]) for code in (one, other))
    assert first.events[-1].digest != second.events[-1].digest


@pytest.mark.parametrize("name", each(3, CHECKPOINTED))
def test_a_replay_a_checkpoint_with_its_tail_and_checkpoints_after_every_event_agree(Session, name):  # noqa: N803
    live = Live(Session, name, frozenset([a_cut(name, 0)]))
    assert live.walk.events[-2].outcome.status == "completed"
    live.replay(Session, "replayed")
    live.resume(Session, "seed 0")
    live.replay(Session, "restored after every event", ways.restored(Session))


@pytest.mark.parametrize("name", declined.SCRIPTS)
def test_what_no_snapshot_can_hold_is_declined_and_the_session_goes_on(Session, name):  # noqa: N803
    live = Live(Session, name, frozenset(range(2, len(SCRIPTS[name]) + 2)))
    assert live.walk.events[-2].outcome.status == "completed"
    assert all(checkpoint.refusal for checkpoint in live.checkpoints.values())
    live.replay(Session, "replayed")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.xfail(reason=why, strict=True)) for name, why in known.WHY.items()],
)
def test_what_is_known_to_differ_after_a_snapshot_agrees(Session, name):  # noqa: N803
    Live(Session, name).replay(Session, "restored after every event", ways.restored(Session))


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", CHECKPOINTED)
def test_checkpoints_at_random_agree(Session, name, seed):  # noqa: N803
    live = Live(Session, name, frozenset([a_cut(name, seed), a_cut(name, seed + 100)]))
    live.resume(Session, f"seed {seed}")
    live.replay(Session, f"restored at random, seed {seed}", restoring_at_random(Session, seed))


@pytest.mark.torture
@pytest.mark.parametrize("name", CHECKPOINTED)
def test_five_generations_after_every_event_agree(Session, name):  # noqa: N803
    Live(Session, name).replay(Session, "five generations after every event", ways.restored(Session, 5))


@pytest.mark.torture
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_agrees_however_v8_optimizes_it(Session, other_host, name):  # noqa: N803
    def make(snapshot: bytes | None = None) -> isolates.Session:
        return isolates.Session(other_host, snapshot)

    if name in TIER_SHOWS:
        pytest.skip(known.WHY["a variable that was never reached, read again and again"])
    live = Live(Session, name)
    live.replay(make, "replayed")
    if name in CHECKPOINTED:
        live.replay(make, "restored after every event", ways.restored(make))


def test_an_overflow_is_noticed_though_the_code_catches_it_and_a_replay_goes_deeper(Session):  # noqa: N803
    """Why an overflow must abort: the outcomes agree, the state does not."""
    session, again = Session(), Session()
    first = session.run(OVERFLOW, start_ticks=ways.START, seed=bytes(range(16)))
    replayed = again.run(OVERFLOW, trace=first.trace)
    assert first.overflow
    assert replayed.overflow
    assert first.outcome == replayed.outcome
    assert session.value("depth") != again.value("depth")


async def test_after_a_caught_overflow_live_and_replayed_state_are_the_same(open_engine, tmp_path):
    """The watermark script: the call is undone, live and after a restart alike."""
    async with open_engine(tmp_path) as engine:
        await engine.run("let depth = 0; function down() { depth++; down() }", session="a")
        undone = await engine.run("try { down() } catch {} 'done'", session="a")
        assert (undone.status, undone.error.undone) == ("failed", True)
        assert await engine.value("depth", session="a") == "0"
    async with open_engine(tmp_path) as engine:
        assert await engine.value("depth", session="a") == "0"
