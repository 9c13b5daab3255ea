"""Blob and File."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("new Blob().size + new Blob().type", "0"),
        ("new Blob(['ab', 'c']).size", "3"),
        ("await new Blob(['ä€😀\\ud800']).text()", "ä€😀\ufffd"),
        ("new Blob(['ä€😀']).size", "9"),
        ("await new Blob(['a', new Blob(['b']), new Uint8Array([99, 100]), new Uint8Array([0, 101]).buffer.slice(1)]).text()", "abcde"),
        ("await new Blob([new DataView(new Uint8Array([97, 98, 99]).buffer, 1, 1), new Uint16Array([0x6463])]).text()", "bcd"),
        ("await new Blob([1, null, undefined, { toString: () => 'x' }]).text()", "1nullundefinedx"),
        ("await new Blob('abc'.split('')).text()", "abc"),
        ("await new Blob(new Set(['a', 'b'])).text()", "ab"),
        ("await new Blob(['a\\r\\nb\\rc\\nd'], { endings: 'native' }).text()", "a\\nb\\nc\\nd"),
        ("(await new Blob(['a\\r\\nb']).text()).length", "4"),
        ("new Blob([], { type: 'Text/HTML' }).type", "text/html"),
        ("new Blob([], { type: 'te\\u00e9' }).type", ""),
        ("await new Blob(['abcdef']).slice(1, 3).text()", "bc"),
        ("await new Blob(['abcdef']).slice(-3, -1).text()", "de"),
        ("await new Blob(['abcdef']).slice(4, 2).text()", ""),
        ("await new Blob(['abcdef']).slice(2).slice(1, 99).text()", "def"),
        ("new Blob(['a'], { type: 'a/b' }).slice().type + new Blob(['a']).slice(0, 1, 'C/D').type", "c/d"),
        ("await new Blob(['abc']).slice(NaN, Infinity).text()", "abc"),
        ("(await new Blob(['abc']).arrayBuffer()).byteLength", "3"),
        ("String(await new Blob(['abc']).slice(1).bytes())", "98,99"),
        ("(await new Blob(['abc']).slice(1).arrayBuffer()).byteLength", "2"),
        ("const b = new Blob(['abc']); (await b.bytes())[0] = 0; await b.text()", "abc"),
        ("const u = new Uint8Array([97]); const b = new Blob([u]); u[0] = 98; await b.text()", "a"),
        ("await new Blob(['\\ufeffa']).text()", "a"),
        ("(await new Blob([new Uint8Array([0xff, 0xf0, 0x9f, 0x41])]).text())", "\ufffd\ufffdA"),
        ("typeof Blob.prototype.stream", "undefined"),
        ("Object.keys(Blob.prototype)", "size,type,slice,text,arrayBuffer,bytes"),
        ("[Blob.length, Blob.name, File.length, File.name]", "0,Blob,2,File"),
        ("Object.prototype.toString.call(new Blob())", "[object Blob]"),
        (("const f = new File(['ab'], 'n.txt', { lastModified: 5.5, type: 'a/b' }); "
         "[f.size, f.name, f.lastModified, f.type, f instanceof Blob]"), "2,n.txt,5,a/b,true"),
        ("const f = new File([], 'n'); const now = Date.now(); f.lastModified <= now && f.lastModified > now - 1000", "true"),
        ("new File(['ab'], 'n').slice(1) instanceof File", "false"),
        ("const seen = []; new Blob([], new Proxy({}, { get(t, k) { seen.push(k) } })); seen", "endings,type"),
    ],
)  # fmt: skip
def test_it_is_as_the_standard_says(value, code, result):
    head, _, last = code.rpartition("; ")
    assert value(f"{head}; return String({last})") == f"'{result}'"


@pytest.mark.parametrize(
    "code",
    [
        "Blob()",
        "new Blob(5)",
        "new Blob('text')",
        "new Blob({})",
        "new Blob(null)",
        "new Blob([], 5)",
        "new Blob([], { endings: 'other' })",
        "new Blob([Symbol()])",
        "new File([])",
        "new File(undefined, 'n')",
        "new File('text', 'n')",
        "Blob.prototype.size",
        "Blob.prototype.slice.call({})",
        "File.prototype.name",
        "Reflect.get(File.prototype, 'name', new Blob())",
        "await Blob.prototype.text.call({})",
    ],
)
def test_wrong_receivers_and_arguments_are_type_errors(value, code):
    assert value(f"try {{ {code}; return 'none' }} catch (e) {{ return e.name }}") == "'TypeError'"


def test_methods_of_a_wrong_receiver_reject(value):
    assert value("return Blob.prototype.text.call({}) instanceof Promise ? 'promise' : 0") == "'promise'"


def test_it_shows_as_in_node(session):
    code = "[new Blob(['abc'], { type: 'a/b' }), new File(['a'], 'n', { lastModified: 5 })]"
    assert session.value(code) == (
        "[\n  Blob { size: 3, type: 'a/b' },\n  File { size: 1, type: '', name: 'n', lastModified: 5 }\n]"
    )


def test_blobs_survive_a_snapshot(Session):  # noqa: N803
    first = Session()
    first.run("const whole = new Blob(['abcdef'], { type: 'a/b' }), part = whole.slice(2, 4); 0")
    second = Session(first.snapshot())
    assert second.value("[await whole.text(), await part.text(), whole.type].join()") == "'abcdef,cd,a/b'"


def test_slices_and_clones_share_their_bytes(Session):  # noqa: N803
    """A thousand of a large blob fit."""
    code = """
      const large = new Blob([new Uint8Array(1e7)]);
      const parts = Array.from({ length: 1000 }, (_, i) => structuredClone(large.slice(i)));
      parts.at(-1).size
    """
    assert Session().value(code) == "9999001"
