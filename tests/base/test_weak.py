"""The garbage collector never shows."""

from __future__ import annotations

import pytest

CHURN = "for (let i = 0; i < 300000; i++) new Array(50).fill(i);"


@pytest.fixture(scope="module")
def value(Session):  # noqa: N803
    """The text of an expression's value, in a session shared by tests that change nothing."""
    return Session().value


def test_a_weak_reference_keeps_its_target(Session):  # noqa: N803
    session = Session()
    session.run("const refs = Array.from({ length: 100 }, (_, i) => new WeakRef({ i })); 0")
    session.run(CHURN)
    restored = Session(session.snapshot())
    assert restored.run("refs.every((ref, i) => ref.deref().i === i)").outcome.result == "true"


def test_no_cleanup_is_ever_called(Session):  # noqa: N803
    session = Session()
    session.run("let cleaned = 0; const registry = new FinalizationRegistry(() => cleaned++); 0")
    session.run("for (let i = 0; i < 20000; i++) registry.register({}, i);")
    session.run(CHURN)
    assert session.run("cleaned").outcome.result == "0"
    assert Session(session.snapshot()).run("cleaned").outcome.result == "0"


def test_a_registration_can_be_taken_back_once(value):
    code = """
      const registry = new FinalizationRegistry(() => {}), token = {}, symbol = Symbol();
      registry.register({}, 1, token); registry.register({}, 2, token); registry.register({}, 3, symbol);
      [registry.register({}, 4), registry.unregister({}), registry.unregister(token),
       registry.unregister(token), registry.unregister(symbol)].join()
    """
    assert value(code) == "',false,true,false,true'"


def test_registries_do_not_share_registrations(value):
    code = """
      const [a, b] = [1, 2].map(() => new FinalizationRegistry(() => {})), token = {};
      a.register({}, 1, token);
      [b.unregister(token), a.unregister(token)].join()
    """
    assert value(code) == "'false,true'"


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("WeakRef.name + WeakRef.length + Reflect.ownKeys(WeakRef)", "WeakRef1length,name,prototype"),
        (
            "Reflect.ownKeys(WeakRef.prototype).map(String)",
            "constructor,deref,Symbol(Symbol.toStringTag)",
        ),
        (
            "FinalizationRegistry.name + FinalizationRegistry.length + Reflect.ownKeys(FinalizationRegistry)",
            "FinalizationRegistry1length,name,prototype",
        ),
        (
            "Reflect.ownKeys(FinalizationRegistry.prototype).map(String)",
            "constructor,register,unregister,Symbol(Symbol.toStringTag)",
        ),
        ("FinalizationRegistry.prototype.register.length", "2"),
        ("FinalizationRegistry.prototype.unregister.length", "1"),
        ("WeakRef.prototype.constructor === WeakRef", "true"),
        ("Object.prototype.toString.call(new WeakRef({}))", "[object WeakRef]"),
        ("Object.keys(new WeakRef({})).length + JSON.stringify(new WeakRef({ a: 1 }))", "0{}"),
        (
            "new (class extends WeakRef { twice() { return [this.deref(), this.deref()] } })([7]).twice()",
            "7,7",
        ),
        ("new WeakRef(WeakRef) instanceof WeakRef", "true"),
        ("new WeakRef(Symbol.iterator).deref() === Symbol.iterator", "true"),
        ("typeof new WeakRef(Symbol('own')).deref()", "symbol"),
        (
            "['WeakRef', 'FinalizationRegistry'].map((name) => flags(globalThis, name))",
            "true,false,true,true,false,true",
        ),
        (
            "flags(WeakRef.prototype, Symbol.toStringTag)",
            "false,false,true",
        ),
    ],
)
def test_replacements_look_like_the_originals(code, result, value):
    flags = (
        "const flags = (object, name) => { const d = Object.getOwnPropertyDescriptor(object, name); "
        "return [d.writable, d.enumerable, d.configurable] };"
    )
    assert value(f"{flags} String({code})") == f"'{result}'"


@pytest.mark.parametrize(
    "code",
    [
        "WeakRef({})",
        "new WeakRef()",
        "new WeakRef(1)",
        "new WeakRef(null)",
        "new WeakRef(Symbol.for('registered'))",
        "WeakRef.prototype.deref.call({})",
        "WeakRef.prototype.deref.call(1)",
        "WeakRef.prototype.deref.call(new FinalizationRegistry(() => {}))",
        "FinalizationRegistry(() => {})",
        "new FinalizationRegistry()",
        "new FinalizationRegistry({})",
        "new FinalizationRegistry(() => {}).register(1)",
        "new FinalizationRegistry(() => {}).register(globalThis, globalThis)",
        "new FinalizationRegistry(() => {}).register({}, 1, 'token')",
        "new FinalizationRegistry(() => {}).register({}, 1, Symbol.for('registered'))",
        "new FinalizationRegistry(() => {}).unregister()",
        "new FinalizationRegistry(() => {}).unregister(Symbol.for('registered'))",
        "FinalizationRegistry.prototype.register.call(new WeakRef({}), {})",
        "FinalizationRegistry.prototype.unregister.call({}, {})",
    ],
)
def test_bad_targets_tokens_and_receivers_are_type_errors(code, value):
    assert (
        value(f"let name; try {{ {code}; }} catch (error) {{ name = error.constructor.name }} name")
        == "'TypeError'"
    )
