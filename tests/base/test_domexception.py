"""DOMException: an Error with a legacy code, as in Node and browsers."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def session(Session):  # noqa: N803
    """A session shared by tests that change nothing."""
    return Session()


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("new DOMException().name", "Error"),
        ("new DOMException().message", ""),
        ("new DOMException().code", "0"),
        ("new DOMException('m', 'AbortError').code", "20"),
        ("new DOMException('m', 'DataCloneError').code", "25"),
        ("new DOMException('m', 'Invented').code", "0"),
        ("new DOMException('m', '__proto__').code", "0"),
        ("new DOMException(undefined, undefined).name", "Error"),
        ("new DOMException(5, null).name", "null"),
        ("String(new DOMException('m', 'AbortError'))", "AbortError: m"),
        ("new DOMException('m', { name: 'AbortError' }).name", "AbortError"),
        ("new DOMException('m', { cause: 7 }).cause", "7"),
        ("'cause' in new DOMException('m', { name: 'X' })", "false"),
        ("new DOMException('m') instanceof Error", "true"),
        ("Error.isError(new DOMException('m'))", "true"),
        ("Object.prototype.toString.call(new DOMException('m'))", "[object DOMException]"),
        ("DOMException.length + DOMException.name", "0DOMException"),
        ("Object.getPrototypeOf(DOMException) === Function.prototype", "true"),
        ("Object.getPrototypeOf(DOMException.prototype) === Error.prototype", "true"),
        ("Object.keys(DOMException).length", "25"),
        ("Object.keys(DOMException.prototype).slice(0, 4)", "name,message,code,INDEX_SIZE_ERR"),
        ("DOMException.INUSE_ATTRIBUTE_ERR + DOMException.prototype.DATA_CLONE_ERR", "35"),
        ("Reflect.ownKeys(new DOMException('m'))", "stack"),
        ("new DOMException('m', 'AbortError').stack.split('\\n')[0]", "AbortError: m"),
        ("class Mine extends DOMException {}; new Mine('m', 'AbortError') instanceof Mine", "true"),
    ],
)
def test_it_is_as_the_standard_says(session, code, result):
    head, _, last = code.rpartition("; ")
    assert session.value(f"{{ {head}; globalThis.it = String({last}) }} it") == f"'{result}'"


@pytest.mark.parametrize(
    "code",
    [
        "DOMException('m')",
        "new DOMException(Symbol())",
        "new DOMException('m', Symbol())",
        "DOMException.prototype.name",
        "DOMException.prototype.message",
        "Object.create(DOMException.prototype).code",
        "Reflect.get(DOMException.prototype, 'name', new Error('x'))",
    ],
)
def test_wrong_receivers_and_arguments_are_type_errors(session, code):
    assert (
        session.value(f"it = null; try {{ {code} }} catch (e) {{ it = e }} it.constructor.name")
        == "'TypeError'"
    )


def test_its_stack_begins_where_it_was_made(session):
    done = session.run("function make() { return new DOMException('no', 'AbortError') } make()")
    number = session.seq
    assert done.outcome.result == (
        f"DOMException [AbortError]: no\n    at make (exec-{number}.js:1:26)\n    at exec-{number}.js:1:65"
    )


def test_thrown_it_is_told_by_its_name_and_message(session):
    error = session.run("throw new DOMException('no', 'AbortError')").outcome.error
    assert (error.name, error.message) == ("AbortError", "no")
    assert error.stack.startswith("DOMException [AbortError]: no\n    at exec-")


def test_a_stack_names_only_the_sessions_own_code(session):
    """Lines of the base image differ from version to version, and would tell nobody anything."""
    code = "const control = new AbortController(); control.abort(); control.signal.reason.stack"
    assert session.value(code) == (
        f"'AbortError: This operation was aborted\\n    at exec-{session.seq}.js:1:48'"
    )


def test_it_survives_a_snapshot(Session):  # noqa: N803
    first = Session()
    first.run("const kept = new DOMException('no', 'AbortError'); 0")
    second = Session(first.snapshot())
    assert second.value("[kept.name, kept.message, kept.code, kept instanceof DOMException].join()") == (
        "'AbortError,no,20,true'"
    )


def test_inspection_never_calls_getters_that_replaced_its_own(session):
    code = """
      let calls = 0;
      class Odd extends DOMException { get name() { calls++; return 'odd' } get message() { calls++; return 'm' } }
      const odd = new Odd('a', 'b'); console.log(odd, [odd]);
      calls = 0; console.log(odd); calls
    """
    assert session.value(code) == "0"
