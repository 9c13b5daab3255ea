"""Every interface of the web looks like one from outside (https://webidl.spec.whatwg.org/#es-interfaces)."""

from __future__ import annotations

import pytest

INTERFACES = [
    "AbortController",
    "AbortSignal",
    "Blob",
    "Crypto",
    "CustomEvent",
    "DOMException",
    "Event",
    "EventTarget",
    "File",
    "Performance",
    "PerformanceEntry",
    "PerformanceMark",
    "PerformanceMeasure",
    "QuotaExceededError",
    "SubtleCrypto",
    "TextDecoder",
    "TextEncoder",
    "URL",
    "URLSearchParams",
]


@pytest.fixture(scope="module")
def value(Session):  # noqa: N803
    """The text of what a function body returns, in a session shared by tests that change nothing."""
    session = Session()
    return lambda body: session.value(f"await (async () => {{ {body} }})()")


@pytest.mark.parametrize("name", INTERFACES)
def test_the_attributes_of_its_properties_are_right(value, name):
    body = f"""
      const wrong = [], of = Object.getOwnPropertyDescriptor;
      const flags = (d) => ['writable', 'enumerable', 'configurable'].filter((flag) => d[flag]).join();
      const expect = (key, got, wanted) => {{ if (got !== wanted) wrong.push(`${{String(key)}}: ${{got}}`) }};
      expect('global', flags(of(globalThis, '{name}')), 'writable,configurable');
      expect('prototype', flags(of({name}, 'prototype')), '');
      expect('name', {name}.name, '{name}');
      for (const key of Reflect.ownKeys({name}.prototype)) {{
        const d = of({name}.prototype, key);
        if (key === 'constructor') expect(key, flags(d), 'writable,configurable');
        else if (key === Symbol.toStringTag) expect(key, flags(d) + d.value, 'configurable{name}');
        else if (typeof key === 'symbol') expect(key, flags(d), 'writable,configurable');
        else if (d.get) expect(key, flags(d), 'enumerable,configurable');
        else if (typeof d.value === 'function') expect(key, flags(d), 'writable,enumerable,configurable');
        else expect(key, flags(d), 'enumerable');
      }}
      return wrong.join();
    """
    assert value(body) == "''"


@pytest.mark.parametrize("name", INTERFACES)
def test_its_members_refuse_what_is_not_of_its_class(value, name):
    body = f"""
      const accepted = [];
      const others = [undefined, null, 1, 'text', {{}}, [], () => {{}}, globalThis, {name}.prototype, new Proxy({{}}, {{}})];
      for (const key of Reflect.ownKeys({name}.prototype)) {{
        const {{ get, set, value }} = Object.getOwnPropertyDescriptor({name}.prototype, key);
        for (const member of [get, set, key === 'constructor' ? undefined : value]) {{
          if (typeof member !== 'function') continue;
          for (const other of others) {{
            try {{
              await member.call(other, 'a', 'b');
              accepted.push(String(key));
            }} catch (error) {{
              if (error.constructor !== TypeError) accepted.push(`${{String(key)}}: ${{error}}`);
            }}
          }}
        }}
      }}
      return [...new Set(accepted)].join();
    """
    assert value(body) == "''"


def test_a_function_put_above_a_class_is_given_nothing_of_the_platforms(evaluate):
    assert (
        evaluate("""
        const file = new File(['a'], 'b')
        const given = []
        for (const made of [File, PerformanceMark, PerformanceMeasure, AbortSignal]) {
          Object.setPrototypeOf(made, function (...args) { given.push(...args); return {} })
        }
        structuredClone(file)
        new File(['c'], 'd')
        performance.mark('m')
        performance.measure('m')
        new AbortController()
        given
    """)
        == "[]"
    )


def test_a_class_of_the_session_may_extend_a_file_or_a_mark(evaluate):
    assert (
        evaluate("""
        class Named extends File { #own = 1; get own() { return this.#own } }
        class Timed extends PerformanceMark { #own = 2; get own() { return this.#own } }
        const file = new Named(['a'], 'b'), mark = new Timed('c');
        [file.own, file instanceof Named, await file.text(), mark.own, mark instanceof Timed, mark.name]
    """)
        == "[ 1, true, 'a', 2, true, 'c' ]"
    )
