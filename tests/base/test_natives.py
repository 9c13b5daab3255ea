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
