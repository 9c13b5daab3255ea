"""What is asked of which member of etcd, and what its answers come to: without any etcd."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import botocore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.etcd import connections
from persistence.etcd.endpoints import Call, Came, Endpoints, Lost, Sending, parse
from persistence.etcd.failures import (
    Compacted,
    EtcdError,
    LeaseGone,
    NoSpace,
    NotTaken,
    Refused,
    Stale,
    Unanswered,
    refusal,
)
from persistence.etcd.requests import (
    KeyValue,
    TransactionAnswer,
    WatchLine,
    WatchMessage,
    decoded,
    prefix_end,
)
from persistence.etcd.watch import Gathering, Lines

URLS = ("http://a:2379", "http://b:2379", "http://c:2379")
DONE = Came(200, b'{"header":{"revision":"7"},"succeeded":true}')
UNSENT, HUNG = Lost(sent=False), Lost(sent=True)


def error(status: int, code: int, message: str) -> Came:
    return Came(status, json.dumps({"code": code, "message": message}).encode())


NO_SPACE = error(429, 8, "etcdserver: mvcc: database space exceeded")
BUSY = error(429, 8, "etcdserver: too many requests")
TIMED_OUT = error(503, 14, "etcdserver: request timed out")
STALE = error(401, 16, "etcdserver: invalid auth token")
TOKEN = Came(200, b'{"token":"t"}')


def transact(*, again: bool) -> Call[TransactionAnswer]:
    return Call("/v3/kv/txn", {}, TransactionAnswer, again=again, seconds=1)


def hold(endpoints: Endpoints, call: Call[Any], *answers: Came | Lost) -> tuple[Any, list[Sending]]:
    """What a call comes to if the members answer so, an error too, and all that was sent."""
    exchange = endpoints.exchange(call)
    sent, coming = [], iter(answers)
    try:
        sending = next(exchange)
        while True:
            sent.append(sending)
            sending = exchange.send(next(coming))
    except StopIteration as end:
        result = end.value
    except EtcdError as failed:
        result = failed
    assert next(coming, None) is None, "fewer were asked"
    return result, sent


def asked(sent: list[Sending]) -> str:
    return "".join(one.endpoint[len("http://")] for one in sent)


def test_what_certainly_did_not_arrive_goes_to_the_next_member() -> None:
    result, sent = hold(Endpoints(URLS), transact(again=False), UNSENT, BUSY, DONE)
    assert (result.header.revision, asked(sent)) == (7, "abc")


@pytest.mark.parametrize("doubtful", [HUNG, TIMED_OUT, Came(200, b"<html>"), Came(502, b"<html>")])
def test_what_may_be_done_goes_to_the_next_member_only_if_it_may_be_done_again(doubtful: Came) -> None:
    result, sent = hold(Endpoints(URLS), transact(again=False), doubtful)
    assert isinstance(result, Unanswered)
    assert not isinstance(result, NotTaken)
    assert asked(sent) == "a"
    result, sent = hold(Endpoints(URLS), transact(again=True), doubtful, DONE)
    assert (result.succeeded, asked(sent)) == (True, "ab")


def test_a_refusal_is_not_asked_for_elsewhere() -> None:
    result, sent = hold(Endpoints(URLS), transact(again=True), NO_SPACE)
    assert (type(result), asked(sent)) == (NoSpace, "a")


@pytest.mark.parametrize("last", [NO_SPACE, UNSENT, BUSY])
def test_that_a_second_attempt_was_not_done_says_nothing_of_the_first(last: Came | Lost) -> None:
    rest = (last,) if last is NO_SPACE else (last, last)
    result, _ = hold(Endpoints(URLS), transact(again=True), HUNG, *rest)
    assert type(result) is Unanswered


def test_where_nobody_is_reached_nothing_was_written() -> None:
    result, sent = hold(Endpoints(URLS), transact(again=False), UNSENT, UNSENT, UNSENT)
    assert isinstance(result, NotTaken)
    assert asked(sent) == "abc"


def test_a_member_that_failed_is_asked_last_the_next_time() -> None:
    endpoints = Endpoints(URLS)
    hold(endpoints, transact(again=True), HUNG, DONE)
    _, sent = hold(endpoints, transact(again=True), UNSENT, UNSENT, UNSENT)
    assert asked(sent) == "bca"


def test_a_user_logs_in_once_and_again_when_that_is_over() -> None:
    endpoints = Endpoints(["http://joe:p%40ss@a:2379", "http://b:2379"])
    result, sent = hold(endpoints, transact(again=False), TOKEN, DONE)
    assert result.succeeded
    assert json.loads(sent[0].content) == {"name": "joe", "password": "p@ss"}
    assert [one.token for one in sent] == ["", "t"]
    result, sent = hold(endpoints, transact(again=False), STALE, Came(200, b'{"token":"u"}'), DONE)
    assert result.succeeded
    assert [(one.path, one.token) for one in sent] == [
        ("/v3/kv/txn", "t"),
        ("/v3/auth/authenticate", ""),
        ("/v3/kv/txn", "u"),
    ]


@pytest.mark.parametrize("trouble", [HUNG, TIMED_OUT, Came(200, b"<html>")])
def test_a_login_that_fails_leaves_nothing_done_and_is_tried_elsewhere(trouble: Came | Lost) -> None:
    endpoints = Endpoints(["http://joe:secret@a:2379", "http://b:2379"])
    result, sent = hold(endpoints, transact(again=False), trouble, TOKEN, DONE)
    assert (result.succeeded, asked(sent)) == (True, "abb")
    assert isinstance(hold(Endpoints(["http://j:s@a"]), transact(again=False), trouble)[0], NotTaken)


def test_a_member_that_takes_no_login_does_not_keep_it_trying() -> None:
    endpoints = Endpoints(["http://joe:secret@a:2379"])
    result, sent = hold(endpoints, transact(again=False), TOKEN, STALE, TOKEN, STALE)
    assert (type(result), len(sent)) == (Stale, 4)


@pytest.mark.parametrize(
    ("status", "code", "text", "kind", "advice"),
    [
        (429, 8, "etcdserver: mvcc: database space exceeded", NoSpace, "quota"),
        (404, 5, "etcdserver: requested lease not found", LeaseGone, "take a new one"),
        (400, 11, "etcdserver: mvcc: required revision has been compacted", Compacted, "read it all again"),
        (400, 3, "etcdserver: user name is empty", Refused, "user:password@"),
        (403, 7, "etcdserver: permission denied", Refused, "role"),
        (500, 2, "auth: permission denied", Refused, "role"),
        (400, 3, "etcdserver: authentication failed, invalid user ID or password", Refused, "correct them"),
        (400, 9, "etcdserver: authentication is not enabled", Refused, "leave user:password@ out"),
        (400, 3, "etcdserver: revision of auth store is old", Stale, "log in"),
        (400, 3, "etcdserver: request is too large", Refused, "request is too large"),
        (404, 5, "Not Found", Refused, "3.4 or newer"),
        (503, 14, "etcdserver: no leader", NotTaken, "see each other"),
        (503, 14, "etcdserver: leader changed", Unanswered, "see each other"),
        (504, 4, "context deadline exceeded", Unanswered, "see each other"),
        (500, 13, "etcdserver: corrupt cluster", Unanswered, "corrupt cluster"),
    ],
)
def test_an_error_says_where_it_was_and_what_to_do(
    status: int, code: int, text: str, kind: type[EtcdError], advice: str
) -> None:
    failed = refusal("http://a:2379", status, error(status, code, text).body)
    assert type(failed) is kind
    assert advice in str(failed)
    assert "lease" in str(failed) or "http://a:2379" in str(failed)


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("http://a", ("http://a:2379",)),
        (" https://a:1 , http://[::1]:2 ,", ("https://a:1", "http://[::1]:2")),
        ("http://joe:pw@a:2379/", ("http://a:2379",)),
    ],
)
def test_urls_of_members_are_separated_by_commas(text: str, urls: tuple[str, ...]) -> None:
    assert Endpoints(parse(text)).urls == urls


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "a:2379",
        "ftp://a",
        "http://joe:hidden@a:port",
        "http://a/path",
        "http://",
        "http://a?hidden=1",
    ],
)
def test_other_urls_are_refused_without_showing_what_may_be_secret(text: str) -> None:
    with pytest.raises(ValueError, match="URL of etcd") as refused:
        parse(text)
    assert "hidden" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_connection_is_kept_however_long_nothing_is_asked() -> None:
    assert connections.settings(["http://a:2379"], 1.0)["limits"].keepalive_expiry is None


def test_authorities_are_read_where_one_member_is_asked_over_tls_and_else_nobody_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(Path(botocore.__file__).with_name("cacert.pem")))
    over_tls = connections.settings(["http://a:2379", "https://b:2379"], 1.0)["verify"]
    without = connections.settings(["http://a:2379", "http://b:2379"], 1.0)["verify"]
    assert over_tls.cert_store_stats()["x509_ca"] > 0
    assert without.cert_store_stats()["x509_ca"] == 0
    assert over_tls.verify_mode == without.verify_mode == ssl.CERT_REQUIRED
    assert over_tls.check_hostname
    assert without.check_hostname


def test_members_have_the_same_users() -> None:
    with pytest.raises(ValueError, match="different users"):
        parse("http://joe:a@a,http://joe:b@b")


def test_the_password_is_in_nothing_that_is_printed() -> None:
    endpoints = Endpoints(["http://joe:hidden@a"])
    result, _ = hold(endpoints, transact(again=False), HUNG)
    assert "hidden" not in f"{endpoints.urls}{vars(endpoints)}{result!r}"


def test_a_prefix_ends_before_the_first_key_that_begins_otherwise() -> None:
    assert prefix_end(b"/a/") == b"/a0"
    assert prefix_end(b"a\xff\xff") == b"b"
    assert prefix_end(b"\xff") == b"\0"


@given(st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line and line.strip())), st.data())
def test_lines_are_the_same_however_they_come(lines: list[bytes], data: st.DataObject) -> None:
    rest = b"".join(line + b"\n" for line in lines)
    cut, found = Lines(), []
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += cut.take(rest[:size])
        rest = rest[size:]
    assert found == lines


def test_a_line_without_an_end_is_refused() -> None:
    cut = Lines(limit=10)
    cut.take(b"12345\n12345")
    with pytest.raises(ValueError, match="no end"):
        cut.take(b"678901")


def wire(events: list[tuple[int, bytes]], *, fragment: bool) -> WatchMessage:
    kvs = [{"key": "eA==" if key else "", "mod_revision": str(revision)} for revision, key in events]
    line = json.dumps({"result": {"fragment": fragment, "events": [{"kv": kv} for kv in kvs]}})
    message = decoded(line.encode(), WatchLine).result
    assert message is not None
    return message


@given(st.lists(st.integers(1, 4), max_size=8), st.data())
def test_a_revision_comes_whole_and_once_however_its_events_are_cut(
    sizes: list[int], data: st.DataObject
) -> None:
    """Messages end anywhere while they are fragments; the last of a message ends with a revision."""
    events = [(n + 10, b"x") for n, size in enumerate(sizes) for _ in range(size)]
    gathering, whole, rest = Gathering(9), [], list(events)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        part, rest = rest[:size], rest[size:]
        ends = not rest or rest[0][0] != part[-1][0]
        whole += gathering.take(wire(part, fragment=not ends or data.draw(st.booleans())))
    whole += gathering.take(wire([], fragment=False))
    assert [(one.revision, len(one.events)) for one in whole] == [(n + 10, s) for n, s in enumerate(sizes)]
    assert gathering.take(wire(events, fragment=False)) == [], "they were given before"


def test_what_is_left_out_of_an_answer_is_zero() -> None:
    line = decoded(
        b'{"result":{"events":[{"type":"DELETE","kv":{"key":"eA==","mod_revision":"9"}}]}}', WatchLine
    )
    assert line.result is not None
    event = line.result.events[0].event()
    assert (event.kind, event.item) == ("delete", KeyValue(b"x", mod_revision=9))
