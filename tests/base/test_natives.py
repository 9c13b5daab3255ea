"""Functions of the base image are shown as V8 shows its own."""

from __future__ import annotations

import pytest

# every function that code can reach from globalThis
REACHABLE = """
const found = new Set([globalThis]);
for (const object of found) {
  for (const key of Reflect.ownKeys(object)) {
    const { value, get, set } = Reflect.getOwnPropertyDescriptor(object, key);
    for (const next of [value, get, set, Reflect.getPrototypeOf(object)]) {
      if (next !== null && (typeof next === 'object' || typeof next === 'function')) found.add(next);
    }
  }
}
const functions = [...found].filter((one) => typeof one === 'function');
"""


# functions that code comes to only through an instance
BEHIND_INSTANCES = """
[Object.getPrototypeOf(new URLSearchParams().keys()).next,
 Object.getOwnPropertyDescriptor(new Event('x'), 'isTrusted').get]
"""

# what throws an error, or calls code, from within the base image
STACKS = {
    "a refused argument": "try { setTimeout(5) } catch (error) { error.stack }",
    "a bad URL": "try { new URL('no') } catch (error) { error.stack }",
    "a bad encoding": "try { new TextDecoder('no') } catch (error) { error.stack }",
    "bytes that are no text": """
        try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])) } catch (error) { error.stack }
    """,
    "a conversion": "try { atob(Symbol()) } catch (error) { error.stack }",
    "a conversion of options": "let s; setTimeout(() => 0, { valueOf() { s = new Error('x').stack; return 1 } }); s",
    "a getter while cloning": "let s; structuredClone({ get a() { s = new Error('x').stack } }); s",
    "a timer": "await new Promise((resolve) => setTimeout(() => resolve(new Error('x').stack)))",
    "a microtask": "await new Promise((resolve) => queueMicrotask(() => resolve(new Error('x').stack)))",
    "a listener": """
        let s
        const target = new EventTarget()
        target.addEventListener('x', () => { s = new Error('x').stack })
        target.dispatchEvent(new Event('x'))
        s
    """,
}


@pytest.mark.parametrize("code", STACKS.values(), ids=STACKS.keys())
def test_a_stack_has_frames_of_the_session_only(Session, code):  # noqa: N803
    stack = Session().run(code).outcome.result_json
    assert "at " in stack
    assert "exec-1.js" in stack
    assert "mcp-v8" not in stack


def test_a_hook_for_stacks_is_given_places_of_the_session_only(evaluate):
    assert (
        evaluate("""
        Error.prepareStackTrace = (error, sites) => sites.map((site) => site.getScriptNameOrSourceURL())
        let s
        structuredClone({ get a() { s = new Error().stack } })
        s
    """)
        == "[ 'exec-1.js', 'exec-1.js' ]"
    )


def test_functions_behind_instances_show_no_source_either(evaluate):
    assert evaluate(f"{BEHIND_INSTANCES}.every((one) => /native code/.test(one))") == "true"


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("Date", "function Date() { [native code] }"),
        ("WeakRef", "function WeakRef() { [native code] }"),
        ("setTimeout", "function setTimeout() { [native code] }"),
        ("Math.random", "function random() { [native code] }"),
        ("console.log", "function log() { [native code] }"),
        ("Function.prototype.toString", "function toString() { [native code] }"),
        ("Map.prototype.get", "function get() { [native code] }"),
        ("(x) => x", "(x) => x"),
        ("class { #p }", "class { #p }"),
        ("new Proxy(() => 1, {})", "function () { [native code] }"),
        ("Date.bind(null)", "function () { [native code] }"),
    ],
)
def test_the_text_of_a_function(Session, expression, text):  # noqa: N803
    assert Session().run(f"String({expression})").outcome.result_json == f'"{text}"'


def test_no_function_that_code_can_reach_shows_source_of_the_base_image(evaluate):
    assert (
        evaluate(REACHABLE + "functions.length > 1000 && functions.filter((one) => !/native code/.test(one))")
        == "[]"
    )


def test_the_name_is_the_original_one(evaluate):
    assert "setTimeout" in evaluate(
        "Object.defineProperty(setTimeout, 'name', { value: 'x' }); String(setTimeout)"
    )


def test_what_is_no_function_is_refused(Session):  # noqa: N803
    error = Session().run("Function.prototype.toString.call({})").outcome.error
    assert (error.name, error.message) == (
        "TypeError",
        "Function.prototype.toString requires that 'this' be a Function",
    )


def test_it_works_whatever_code_has_changed(evaluate):
    assert "native code" in evaluate(
        "Map.prototype.get = String.prototype.endsWith = null; String(setTimeout)"
    )
