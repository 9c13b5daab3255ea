"""TextEncoder, TextDecoder, atob and btoa, beyond what the Web Platform Tests ask for."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def session(Session):  # noqa: N803
    """A session shared by tests that leave nothing behind."""
    return Session()


@pytest.fixture
def value(session):
    """The text of what a function body returns."""
    return lambda body: session.value(f"(() => {{ {body} }})()")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("new TextEncoder()", "TextEncoder { encoding: 'utf-8' }"),
        (
            "new TextDecoder('latin1', { fatal: true })",
            "TextDecoder { encoding: 'windows-1252', fatal: true, ignoreBOM: false }",
        ),
        ("new TextEncoder().encodeInto('\\u20ac1', new Uint8Array(3))", "{ read: 1, written: 3 }"),
        ("new TextEncoder().encode('\\ud800')", "Uint8Array(3) [ 239, 191, 189 ]"),
        ("new TextDecoder('utf-16be').decode(new Uint8Array([0x20, 0xac]))", "'€'"),
        ("new TextDecoder('koi8-r').decode(new Uint8Array([0xc1]))", "'а'"),
        ("Object.keys(TextDecoder.prototype).join()", "'encoding,fatal,ignoreBOM,decode'"),
        ("[TextDecoder.length, TextEncoder.length, atob.length, btoa.length]", "[ 0, 0, 1, 1 ]"),
        ("Object.getOwnPropertyNames(new TextDecoder()).length", "0"),
        ("btoa('h\\xe9') + atob(' aOk ').length", "'aOk=2'"),
    ],
)
def test_it_is_as_the_standard_says(value, code, text):
    assert value(f"return {code}") == text


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("new TextDecoder('shift_jis')", "RangeError"),
        ("new TextDecoder('nonsense')", "RangeError"),
        ("new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff]))", "TypeError"),
        ("new TextDecoder().decode('text')", "TypeError"),
        ("TextDecoder.prototype.decode.call({})", "TypeError"),
        ("new TextEncoder().encodeInto('a', [])", "TypeError"),
        ("atob('a')", "InvalidCharacterError"),
        ("btoa('\\u0100')", "InvalidCharacterError"),
        ("atob()", "TypeError"),
    ],
)
def test_what_cannot_be_is_refused(value, code, error):
    assert value(f"try {{ {code} }} catch (e) {{ return e.name }}") == repr(error)


def test_a_character_may_be_cut_anywhere_when_decoding_a_stream(value):
    assert (
        value("""
        const text = '\\ufeffä€😀' + 'x'.repeat(3), bytes = new TextEncoder().encode(text);
        const decoder = new TextDecoder();
        let decoded = '';
        for (const byte of bytes) decoded += decoder.decode(new Uint8Array([byte]), { stream: true });
        return decoded + decoder.decode() === text.slice(1);
    """)
        == "true"
    )


def test_a_decoder_in_the_middle_of_a_character_survives_a_snapshot(Session):  # noqa: N803
    session = Session()
    session.value("const d = new TextDecoder(); d.decode(new Uint8Array([0xf0, 0x9f]), { stream: true })")
    restored = Session(session.snapshot())
    assert restored.value("d.decode(new Uint8Array([0x98, 0x80]))") == "'😀'"


def test_megabytes_are_encoded_and_decoded(value):
    assert (
        value("""
        const text = 'aä€😀'.repeat(250_000), bytes = new TextEncoder().encode(text);
        return [bytes.length, new TextDecoder().decode(bytes) === text, atob(btoa('\\xff'.repeat(1e6))).length];
    """)
        == "[ 2500000, true, 1000000 ]"
    )


def test_bytes_that_are_no_text_are_refused_as_node_refuses_them(evaluate):
    assert (
        evaluate("""
        try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])) }
        catch (error) { [error.name, error.message, error.code] }
    """)
        == "[\n  'TypeError',\n  'The encoded data was not valid for encoding utf-8',\n"
        "  'ERR_ENCODING_INVALID_ENCODED_DATA'\n]"
    )
