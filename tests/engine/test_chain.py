"""The canonical encoding and the hash chain: nothing is lost, nothing can be altered unnoticed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.chain import GENESIS, INLINE_MAX, Record, event_id, seal, unseal
from engine.errors import StoreCorrupt
from engine.events import (
    FORMAT_VERSION,
    Aborted,
    Accepted,
    Caller,
    Closed,
    Created,
    ErrorDetail,
    Event,
    Executed,
    Forked,
    Line,
    Outcome,
    Tagged,
    Trace,
)
from engine.limits import Limits

repeatable = settings(derandomize=True, database=None, deadline=None, max_examples=60)

numbers = st.integers(0, 2**63 - 1)
words = st.text(max_size=20)
long_words = words | st.builds(lambda word, times: word * times, st.text(min_size=1), st.integers(1, 3_000))
hashes = st.binary(min_size=32, max_size=32)
callers = st.builds(Caller, transport=words, client=words, subject=words, traceparent=words)
lines = st.builds(Line, st.sampled_from(["debug", "log", "info", "warn", "error"]), long_words)
errors = st.builds(
    ErrorDetail, name=words, message=long_words, line=st.none() | numbers, stack=st.none() | long_words
)
place = {"session": words, "seq": numbers, "at": numbers, "caller": callers}
opening = {**place, "owner": words, "name": words, "engine": words}
execution = {
    **place,
    "accepted_at": numbers,
    "execution_id": words,
    "owner": words,
    "engine": words,
    "code": long_words,
    "input": st.none() | long_words,
    "limits": st.builds(Limits, time_ms=numbers, heap_mb=numbers),
    "idempotency_key": st.none() | words,
    "request_hash": words,
    "console": st.lists(lines, max_size=5).map(tuple),
    "duration_us": numbers,
}
runs = st.lists(numbers, max_size=300).map(tuple)
traces = st.builds(Trace, start=numbers, seed=hashes, clock=runs, timers_before=runs, timers_after=runs)
outcomes = st.builds(
    Outcome,
    status=st.sampled_from(["completed", "failed"]),
    result=st.none() | long_words,
    result_json=st.none() | long_words,
    error=st.none() | errors,
    pending=st.booleans(),
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Created, **opening),
    st.builds(Forked, **opening, parent=words),
    st.builds(Executed, **execution, trace=traces, outcome=outcomes, cpu_us=numbers, digest=hashes),
    st.builds(Aborted, **execution, reason=st.sampled_from(["timed_out", "crashed"]), error=errors),
    st.builds(
        Tagged, **place, target=numbers, tags=st.dictionaries(words, st.none() | long_words, max_size=5)
    ),
    st.builds(Accepted, **place, engine=words, digests=st.dictionaries(numbers, hashes, max_size=50)),
    st.builds(Closed, **place),
)

CALLER = Caller(transport="mcp", client="claude-code", subject="ann")
CREATED = Created(session="s", seq=0, at=1, owner="ann", name="demo", engine="v8", caller=CALLER)
EXECUTED = Executed(
    session="s",
    seq=1,
    at=1_700_000_000_000_000,
    accepted_at=1_699_999_999_000_000,
    execution_id="e_0123456789abcdef",
    owner="ann",
    caller=CALLER,
    engine="v8",
    code="x" * 5_000,
    input='{"ü": [1, null]}',
    limits=Limits(),
    idempotency_key="k",
    request_hash="ab" * 32,
    console=(Line("log", "sum\n14"), Line("error", "")),
    duration_us=1_800,
    trace=Trace(start=17, seed=bytes(range(16)), clock=(0, 3, 12, 1), timers_before=(2,)),
    outcome=Outcome(status="completed", result="y" * 2_000, result_json="[1, 2]", pending_timers=1),
    cpu_us=900,
    digest=bytes(range(32)),
)
ABORTED = Aborted(
    **{name: getattr(EXECUTED, name) for name in Aborted.__struct_fields__ if hasattr(EXECUTED, name)},
    reason="stack_overflow",
    error=ErrorDetail(name="StackOverflow", message="too deep", line=3, column=9, undone=True),
)


def again(record: Record) -> Record:
    return unseal(record.id, record.prev, record.body, record.large)


@repeatable
@given(events, hashes)
@example(ABORTED, GENESIS)
def test_every_event_comes_back_as_it_was(event: Event, prev: bytes) -> None:
    record = seal(prev, event)
    assert again(record) == record
    assert again(record).event == event


@repeatable
@given(events, hashes)
def test_equal_events_in_the_same_place_have_the_same_record(event: Event, prev: bytes) -> None:
    copy = msgspec.convert(msgspec.to_builtins(event), Event)
    assert seal(prev, copy) == seal(prev, event)


@repeatable
@given(events, st.data())
@example(EXECUTED, None)
def test_any_flipped_bit_is_noticed(event: Event, data: st.DataObject | None) -> None:
    record = seal(bytes(32), event)
    parts = [record.id, record.prev, record.body, *record.large.values()]
    bits = [range(8 * len(part)) for part in parts]
    if data is None:
        flips = [(part, bit) for part, of_part in enumerate(bits) for bit in of_part[::101]]
    else:
        part = data.draw(st.integers(0, len(parts) - 1))
        flips = [(part, data.draw(st.sampled_from(bits[part])))]
    for part, bit in flips:
        altered = [*parts]
        altered[part] = flipped(parts[part], bit)
        name, prev, body, *values = altered
        with pytest.raises(StoreCorrupt):
            unseal(name, prev, body, dict(zip(record.large, values, strict=True)))


def flipped(value: bytes, bit: int) -> bytes:
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@repeatable
@given(events, events)
def test_a_record_has_another_name_in_another_place_or_with_another_content(a: Event, b: Event) -> None:
    record = seal(GENESIS, a)
    assert seal(record.id, a).id != record.id
    assert (seal(GENESIS, b).id == record.id) == (a == b)


def test_a_missing_a_cut_and_a_swapped_large_field_are_noticed() -> None:
    record = seal(GENESIS, EXECUTED)
    (code, result) = record.large
    for large in (
        {},
        {code: record.large[code]},
        {**record.large, code: record.large[code][:-1]},
        {code: record.large[result], result: record.large[code]},
    ):
        with pytest.raises(StoreCorrupt, match=r"field (code|outcome) .* missing or altered"):
            unseal(record.id, record.prev, record.body, large)


@repeatable
@given(events, st.dictionaries(hashes, st.binary()))
def test_large_fields_are_the_same_wherever_they_are_kept(event: Event, others: dict[bytes, bytes]) -> None:
    record = seal(GENESIS, event)
    shared = {**others, **dict(reversed(record.large.items()))}
    assert unseal(record.id, record.prev, record.body, shared) == record


def test_equal_large_fields_of_different_events_have_one_name() -> None:
    executed, aborted = seal(GENESIS, EXECUTED), seal(GENESIS, ABORTED)
    shared = executed.large.keys() & aborted.large.keys()
    assert [executed.large[name] for name in shared] == [msgspec.msgpack.encode(EXECUTED.code)]


@pytest.mark.parametrize(("over", "count"), [(0, 0), (1, 1)])
def test_a_field_is_large_when_its_encoding_is_longer_than_the_limit(over: int, count: int) -> None:
    header = 3
    event = msgspec.structs.replace(ABORTED, code="x" * (INLINE_MAX - header + over))
    record = seal(GENESIS, event)
    assert len(record.large) == count
    assert again(record).event == event


def test_a_body_stays_small_whatever_the_fields() -> None:
    huge = msgspec.structs.replace(
        EXECUTED, input="i" * 4_000_000, console=tuple(Line("log", "flood" * 50) for _ in range(2_000))
    )
    assert len(seal(GENESIS, huge).body) < 16 * INLINE_MAX


def test_an_event_of_a_newer_format_is_refused_with_advice() -> None:
    record = seal(GENESIS, msgspec.structs.replace(CREATED, v=FORMAT_VERSION + 1))
    with pytest.raises(StoreCorrupt, match=r"format version 5.*run a newer"):
        again(record)


@pytest.mark.parametrize(
    "content", [[], {"v": 1}, {"type": "created", "v": 1}, {"type": "unheard of", "v": 1}]
)
def test_a_sealed_body_that_is_no_event_is_refused(content: Any) -> None:
    assert_no_event(msgspec.msgpack.encode(content))


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\xa1\xff", b"\x91" * 100_000 + b"\x90", b"\x81\x80\x01", b"\xc7\x00\x01"]
)
def test_sealed_bytes_that_are_nothing_are_refused(body: bytes) -> None:
    assert_no_event(body)


def assert_no_event(body: bytes) -> None:
    with pytest.raises(StoreCorrupt, match="cannot be decoded"):
        unseal(event_id(GENESIS, body), GENESIS, body, {})


@repeatable
@given(st.permutations([(number * 7_919 % 100_003, bytes([number]) * 32) for number in range(40)]))
def test_what_was_accepted_has_one_encoding_in_whatever_order_it_was_found(
    found: list[tuple[int, bytes]],
) -> None:
    """Also where it is a large field; and what is decoded encodes to the same bytes."""
    for some in (found, found[:5]):
        records = []
        for order in (some, sorted(some)):
            accepted = Accepted(session="s", seq=9, at=6, caller=CALLER, engine="v8", digests=dict(order))
            records.append(seal(GENESIS, accepted))
        assert records[0] == records[1]
        assert bool(records[0].large) == (len(some) == 40)
        copy = again(records[0]).event
        assert isinstance(copy, Accepted)
        assert list(copy.digests.items()) == sorted(some)
        assert seal(GENESIS, copy) == records[0]


def test_the_formats_are_the_ones_that_logs_out_there_have() -> None:
    """Pinned: if one of these changes, stored logs can no longer be verified. Never update them;
    a new format needs a new version and a way to read the old one."""
    fork = Forked(session="t", seq=2, at=3, owner="bob", name="b", engine="v8", caller=CALLER, parent="s")
    tagged = Tagged(session="t", seq=3, at=4, caller=CALLER, target=2, tags={"release": "1"})
    closed = Closed(session="t", seq=4, at=5, caller=CALLER)
    first = chained(CREATED, EXECUTED, fork, ABORTED, tagged, closed, version=1)
    assert [record.id.hex() for record in first] == GOLDEN_IDS[1]
    assert first[0].body.hex() == GOLDEN_BODY
    digests = {1: bytes(range(32)), 70_000: bytes(32)}
    accepted = Accepted(session="s", seq=2, at=6, caller=CALLER, engine="v8", digests=digests)
    second = chained(CREATED, EXECUTED, accepted, version=2)
    assert [record.id.hex() for record in second] == GOLDEN_IDS[2]
    assert second[-1].body.hex() == GOLDEN_ACCEPTED


def chained(*chain: Event, version: int) -> list[Record]:
    """The events one after another, as of that version of the format."""
    records: list[Record] = []
    for event in chain:
        prev = records[-1].id if records else GENESIS
        records.append(seal(prev, msgspec.structs.replace(event, v=version)))
    return records


GOLDEN_IDS = {
    1: [
        "9af7b3aaa5007f62c3bace0d9e49f7f007a3e466adcb17f193acc4408281094d",
        "31abf0d43e205ae5acc2fcb76fff1d60d1b21646185f95226af42f403ba3b927",
        "c7986c84e3c7b42bfdbab8ee8f75176b777fa042df16f8c5dd6a4a5f3f02dab2",
        "2fbb7cc423fcab1345e03e5b04619c4bee4b7cb9807653fb2caf81f401212ea5",
        "95203ba9c03d2492c06680f5bdbf8342ff6d9db0895ec3b00abbf104b3fb266b",
        "36907d45453b217178dcb13b9008e3e100355ae5ad23093c212b8a6ff58fd8af",
    ],
    2: [
        "13530cdf5c0ababe4a7921528904ed3ec1baecc2c08ca8d728924da45db9aa7b",
        "817c31b069017053bfa16da1e40e9dd3161ab93f5c309e8b501ca688a1fd1616",
        "91acbd96e6d1abd97160eb5c7cb535e7f360bca1fd534097754e338cf297bded",
    ],
}
GOLDEN_BODY = (
    "89a474797065a763726561746564a773657373696f6ea173a373657100a2617401a56f776e6572a3616e6ea46e616d65"
    "a464656d6fa6656e67696e65a27638a663616c6c657283a97472616e73706f7274a36d6370a6636c69656e74ab636c61"
    "7564652d636f6465a77375626a656374a3616e6ea17601"
)
GOLDEN_ACCEPTED = (
    "88a474797065a86163636570746564a773657373696f6ea173a373657102a2617406a663616c6c657283a97472616e73"
    "706f7274a36d6370a6636c69656e74ab636c617564652d636f6465a77375626a656374a3616e6ea6656e67696e65a276"
    "38a7646967657374738201c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fce0001"
    "1170c4200000000000000000000000000000000000000000000000000000000000000000a17602"
)
