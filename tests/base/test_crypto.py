"""crypto: recorded randomness, and digests."""

from __future__ import annotations

import hashlib

import pytest


def test_randomness_is_the_recorded_one(Session):  # noqa: N803
    code = "[crypto.randomUUID(), [...crypto.getRandomValues(new Uint16Array(5))].join(), Math.random()]"
    seed = bytes(range(16))
    first = Session().run(code, seed=seed)
    again = Session().run(code, trace=first.trace)
    other = Session().run(code, seed=bytes(16))
    assert again.outcome.result == first.outcome.result != other.outcome.result


def test_uuids_are_of_version_four_and_differ(evaluate):
    assert (
        evaluate("""
        const all = Array.from({ length: 500 }, () => crypto.randomUUID());
        [new Set(all).size, all.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id))]
    """)
        == "[ 500, true ]"
    )


def test_every_bit_of_random_values_is_used(evaluate):
    assert (
        evaluate("""
        const bytes = crypto.getRandomValues(new Uint8Array(65_536)), counts = new Array(8).fill(0);
        for (const byte of bytes) for (let bit = 0; bit < 8; bit += 1) counts[bit] += (byte >> bit) & 1;
        counts.every((count) => count > 32_000 && count < 33_536)
    """)
        == "true"
    )


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("crypto.getRandomValues(new Float64Array(1))", "TypeMismatchError"),
        ("crypto.getRandomValues(new DataView(new ArrayBuffer(1)))", "TypeMismatchError"),
        ("crypto.getRandomValues(new Uint8Array(65_537))", "QuotaExceededError"),
        ("crypto.getRandomValues([])", "TypeError"),
        ("crypto.getRandomValues.call({}, new Uint8Array(1))", "TypeError"),
        ("new Crypto()", "TypeError"),
        ("new SubtleCrypto()", "TypeError"),
        ("await crypto.subtle.digest('MD5', new Uint8Array())", "NotSupportedError"),
        ("await crypto.subtle.digest('SHA-256', 'text')", "TypeError"),
        ("await crypto.subtle.digest({}, new Uint8Array())", "TypeError"),
    ],
)
def test_what_cannot_be_is_refused(evaluate, code, error):
    assert evaluate(f"let name; try {{ {code} }} catch (e) {{ name = e.name }} name") == repr(error)


@pytest.mark.parametrize("name", ["SHA-1", "SHA-256", "SHA-384", "SHA-512"])
@pytest.mark.parametrize("length", [0, 1, 55, 56, 64, 111, 112, 128, 100_000])
def test_digests_are_right(Session, name, length):  # noqa: N803
    data = bytes(i % 251 for i in range(length))
    expected = hashlib.new(name.replace("-", ""), data).hexdigest()
    code = f"const data = Uint8Array.from({{ length: {length} }}, (_, i) => i % 251);"
    code += f"new Uint8Array(await crypto.subtle.digest({{ name: '{name.lower()}' }}, data)).toHex()"
    assert Session().value(code) == repr(expected)


def test_what_is_shown_of_it(evaluate):
    assert evaluate("crypto") == "Crypto { subtle: SubtleCrypto {} }"
    assert (
        evaluate("Object.keys(SubtleCrypto.prototype).concat(typeof CryptoKey)")
        == "[ 'digest', 'undefined' ]"
    )
