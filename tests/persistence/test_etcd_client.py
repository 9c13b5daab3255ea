"""The clients of etcd, with real members."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import httpx2
import pytest
import s3_proxy
import trio
from etcd_server import EtcdServer, wanted

from persistence.etcd.blocking import BlockingEtcd
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Compacted, LeaseGone, NoSpace, NotTaken, Refused, Unanswered
from persistence.etcd.requests import created, delete, get, prefix_end, put

CLOSED = "http://127.0.0.1:1"
"""Nobody listens there."""


@pytest.fixture
async def client(etcd: EtcdServer) -> AsyncIterator[Etcd]:
    async with Etcd(etcd.urls) as client:
        yield client


@pytest.fixture
def between(etcd: EtcdServer) -> Iterator[s3_proxy.Proxy]:
    """A proxy before etcd, for answers that are short."""
    with s3_proxy.proxied(etcd.urls[0]) as proxy:
        yield proxy


async def written(client: Etcd, prefix: bytes, count: int) -> list[bytes]:
    keys = [prefix + b"%03d" % n for n in range(count)]
    for key in reversed(keys):
        await client.transact([], [put(key, b"of " + key)])
    return keys


async def test_a_transaction_does_one_thing_or_the_other(client: Etcd, prefix: bytes) -> None:
    key, other = prefix + b"key", prefix + b"other"
    first = await client.transact([created(key, 0)], [put(key, b"1"), put(other, b"2")], [get(key)])
    assert (first.succeeded, first.found) == (True, ())
    second = await client.transact(
        [created(key, 0)], [put(key, b"3")], [get(key), get(prefix + b"no"), get(prefix, prefix_end(prefix))]
    )
    assert (second.succeeded, second.revision) == (False, first.revision)
    (one,), none, both = second.found
    assert (one.value, one.create_revision, one.lease) == (b"1", first.revision, 0)
    assert none == ()
    assert [item.key for item in both] == [key, other]
    third = await client.transact([created(key, first.revision)], [delete(key), put(other, b"")])
    assert (third.succeeded, third.revision) == (True, first.revision + 1)
    found = await client.get(prefix, prefix_end(prefix))
    assert [(item.key, item.value, item.mod_revision) for item in found.items] == [
        (other, b"", third.revision)
    ]


async def test_any_bytes_are_keys_and_values(client: Etcd, prefix: bytes) -> None:
    key, value = prefix + bytes(range(256)), random.Random(1).randbytes(1_400_000)
    await client.transact([], [put(key, value)])
    assert [(one.key, one.value) for one in (await client.get(key)).items] == [(key, value)]


async def test_what_etcd_does_not_take_is_refused_with_its_reason(client: Etcd, prefix: bytes) -> None:
    with pytest.raises(Refused, match="request is too large"):
        await client.transact([], [put(prefix, bytes(1_600_000))])
    with pytest.raises(Refused, match="too many operations"):
        await client.transact([], [put(prefix + b"%d" % n, b"") for n in range(129)])
    with pytest.raises(Refused, match="duplicate key"):
        await client.transact([], [put(prefix, b""), put(prefix, b"")])


async def test_keys_come_ascending_or_by_their_age_and_some_at_a_time(client: Etcd, prefix: bytes) -> None:
    keys = await written(client, prefix, 5)
    end = prefix_end(prefix)
    found = await client.get(prefix, end, limit=2)
    assert ([one.key for one in found.items], found.more) == (keys[:2], True)
    oldest = await client.get(prefix, end, limit=2, oldest_first=True, keys_only=True)
    assert [(one.key, one.value) for one in oldest.items] == [(keys[4], b""), (keys[3], b"")]
    assert not (await client.get(prefix, end)).more


async def test_pages_are_of_one_revision_whatever_is_written_meanwhile(client: Etcd, prefix: bytes) -> None:
    keys = await written(client, prefix, 7)
    pages = client.pages(prefix, page=3)
    first = await anext(pages)
    await client.transact([], [put(keys[6], b"new"), put(prefix + b"9", b"new"), delete(keys[5])])
    rest = [page async for page in pages]
    items = [item for page in (first, *rest) for item in page.items]
    assert [(one.key, one.value) for one in items] == [(key, b"of " + key) for key in keys]
    assert {page.revision for page in rest} == {first.revision}
    revision, now = await client.all(prefix, page=2)
    assert (len(now), revision) == (7, first.revision + 1)


async def test_a_revision_that_was_compacted_cannot_be_read(client: Etcd, prefix: bytes) -> None:
    keys = await written(client, prefix, 3)
    pages = client.pages(prefix, page=1)
    await anext(pages)
    revision = (await client.transact([], [put(keys[0], b"")])).revision
    await client.compact(revision)
    await client.compact(revision)
    with pytest.raises(Compacted, match="read it all again"):
        await anext(pages)


async def test_what_is_bound_to_a_lease_goes_with_it(client: Etcd, prefix: bytes) -> None:
    lease = await client.grant(60)
    await client.transact([], [put(prefix, b"", lease)])
    (item,) = (await client.get(prefix)).items
    assert item.lease == lease
    assert await client.keep_alive(lease) == 60
    await client.revoke(lease)
    await client.revoke(lease)
    assert (await client.get(prefix)).items == ()
    assert await client.keep_alive(lease) == 0
    with pytest.raises(LeaseGone, match="take a new one"):
        await client.transact([], [put(prefix, b"", lease)])


async def test_a_lease_that_nobody_prolongs_ends(client: Etcd, prefix: bytes) -> None:
    lease = await client.grant(1)
    revision = (await client.transact([], [put(prefix, b"", lease)])).revision
    with trio.fail_after(20):
        async with client.watch(prefix, revision + 1) as watch:
            changes = await anext(watch)
    assert [event.kind for event in changes.events] == ["delete"]


async def test_a_thread_has_the_same(etcd: EtcdServer, prefix: bytes) -> None:
    def use() -> None:
        client = BlockingEtcd([CLOSED, *etcd.urls])
        answer = client.transact([created(prefix, 0)], [put(prefix, b"1")], [get(prefix)])
        assert answer.succeeded
        assert not client.transact([created(prefix, 0)], [put(prefix, b"2")]).succeeded
        assert client.get(prefix, prefix_end(prefix)).items[0].create_revision == answer.revision
        client.close()

    await trio.to_thread.run_sync(use)


async def on_trio(urls: Sequence[str], key: bytes, *, again: bool, seconds: float = 5) -> bool:
    """Whether a transaction that makes a key succeeded."""
    async with Etcd(urls, answer_seconds=seconds) as client:
        return (await client.transact([created(key, 0)], [put(key, b"1")], again=again)).succeeded


async def in_thread(urls: Sequence[str], key: bytes, *, again: bool, seconds: float = 5) -> bool:
    """The same by the other client."""

    def transact() -> bool:
        client = BlockingEtcd(urls, answer_seconds=seconds)
        try:
            return client.transact([created(key, 0)], [put(key, b"1")], again=again).succeeded
        finally:
            client.close()

    return await trio.to_thread.run_sync(transact)


both = pytest.mark.parametrize("make", [on_trio, in_thread])
Make = Callable[..., Awaitable[bool]]


@both
async def test_a_transaction_whose_answer_is_lost_may_be_done(
    etcd: EtcdServer, between: s3_proxy.Proxy, client: Etcd, prefix: bytes, make: Make
) -> None:
    between.plan("POST", s3_proxy.DROPPED_AFTER)
    with pytest.raises(Unanswered, match="did not answer"):
        await make([between.endpoint, *etcd.urls], prefix, again=False)
    assert len((await client.get(prefix)).items) == 1


@both
async def test_one_that_may_be_sent_again_then_finds_what_it_did(
    etcd: EtcdServer, between: s3_proxy.Proxy, prefix: bytes, make: Make
) -> None:
    between.plan("POST", s3_proxy.DROPPED_AFTER)
    assert not await make([between.endpoint, *etcd.urls], prefix, again=True)


@both
@pytest.mark.parametrize(
    "fault",
    [
        s3_proxy.SILENCE,
        s3_proxy.Fault(cut=10),
        s3_proxy.Fault(pause=0.2, piece=1),
        s3_proxy.Fault(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        s3_proxy.Fault(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"),
        s3_proxy.Fault(answer=b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\nContent-Length: 0\r\n\r\n"),
        s3_proxy.Fault(answer=b"no HTTP\r\n\r\n"),
        s3_proxy.Fault(answer=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"),
        s3_proxy.status(502),
    ],
)
async def test_an_answer_that_is_late_cut_or_none_of_etcd_is_no_answer(
    between: s3_proxy.Proxy, prefix: bytes, make: Make, fault: s3_proxy.Fault
) -> None:
    between.plan("POST", fault)
    with pytest.raises(Unanswered, match=between.endpoint) as failed:
        await make([between.endpoint], prefix, again=False, seconds=1)
    assert not isinstance(failed.value, NotTaken)


@both
async def test_where_nobody_listens_nothing_is_written(make: Make, prefix: bytes) -> None:
    with pytest.raises(NotTaken, match="cannot be reached"):
        await make([CLOSED], prefix, again=False)


async def test_members_tell_of_themselves_or_why_they_do_not(etcd: EtcdServer) -> None:
    async with Etcd([CLOSED, *etcd.urls]) as client:
        absent, present = await client.members()
    assert (absent.endpoint, absent.status) == (CLOSED, None)
    assert "cannot be reached" in absent.failure
    assert present.status is not None
    assert present.status.leader == present.status.member != 0
    assert present.status.db_size >= present.status.db_in_use > 0
    assert (present.status.errors, present.failure) == ((), "")
    assert present.status.version.startswith("3.")


async def test_an_etcd_that_is_full_deletes_and_once_it_has_space_writes(tmp_path: Path) -> None:
    server = small(tmp_path)
    try:
        async with Etcd(server.urls) as client:
            with pytest.raises(NoSpace, match="quota"):
                await fill(client)
            with pytest.raises(NoSpace):
                await client.grant(5)
            (member,) = await client.members()
            assert member.status is not None
            assert any("NOSPACE" in error for error in member.status.errors)
            freed = await client.transact([], [delete(b"/", b"0")])
            await client.compact(freed.revision)
            await client.defragment(member.endpoint)
            await client.disarm()
            (after,) = await client.members()
            assert after.status is not None
            assert after.status.db_size < member.status.db_size / 10
            assert after.status.errors == ()
            await client.transact([], [put(b"/again", b"")])
    finally:
        server.close()


async def fill(client: Etcd) -> None:
    """Put more than it takes."""
    for n in range(100):
        await client.transact([], [put(b"/big%d" % n, bytes(500_000))])


def small(folder: Path) -> EtcdServer:
    """One that takes 2 MB."""
    wanted()
    return EtcdServer(folder, flags=["--unsafe-no-fsync", "--quota-backend-bytes=2000000"])


async def test_users_log_in_and_again_when_a_member_has_forgotten_them(tmp_path: Path) -> None:
    wanted()
    server = EtcdServer(tmp_path)
    (member,) = server.members
    try:
        enable_users(member.url)
        with pytest.raises(Refused, match="user:password@"):
            await on_trio(server.urls, b"/mine/none", again=False)
        with pytest.raises(Refused, match="correct them") as refused:
            await on_trio([with_user(member.url, "joe:wrong-one")], b"/mine/none", again=False)
        assert "wrong-one" not in str(refused.value)
        url = with_user(member.url, "joe:p%40ss")
        with pytest.raises(Refused, match="role"):
            await on_trio([url], b"/other", again=False)
        assert await in_thread([url], b"/mine/thread", again=False)
        async with Etcd([url]) as client, client.watch(b"/mine/", 1) as watch:
            answer = await client.transact([], [put(b"/mine/1", b"")])
            with trio.fail_after(60):
                while (await anext(watch)).revision < answer.revision:
                    pass
                member.kill()  # with all logins
                server.restart(member)
                server.wait_until_known()
                after = await client.transact([], [put(b"/mine/2", b"")], again=True)
                while (await anext(watch)).revision < after.revision:
                    pass
            with pytest.raises(Refused, match="role"):
                async with client.watch(b"/other", 1) as forbidden:
                    await anext(forbidden)
    finally:
        server.close()


def with_user(url: str, user: str) -> str:
    return url.replace("://", f"://{user}@")


def enable_users(url: str) -> None:
    """Root, and joe with the password p@ss, who may use what is below /mine/."""
    mine = {"permType": "READWRITE", "key": "L21pbmUv", "range_end": "L21pbmUw"}
    with httpx2.Client(trust_env=False, base_url=url) as http:
        for path, body in (
            ("user/add", {"name": "root", "password": "root"}),
            ("role/add", {"name": "root"}),
            ("user/grant", {"user": "root", "role": "root"}),
            ("user/add", {"name": "joe", "password": "p@ss"}),
            ("role/add", {"name": "mine"}),
            ("role/grant", {"name": "mine", "perm": mine}),
            ("user/grant", {"user": "joe", "role": "mine"}),
            ("enable", {}),
        ):
            assert http.post(f"/v3/auth/{path}", json=body).status_code == 200, path


async def test_a_member_that_dies_or_hangs_costs_nothing_but_time(
    etcd_three: EtcdServer, prefix: bytes
) -> None:
    first = etcd_three.members[0]
    async with Etcd(etcd_three.urls, answer_seconds=1) as client:
        lease = await client.grant(30)
        with trio.fail_after(60):
            first.stop()
            assert await client.keep_alive(lease) == 30 or await insist(client, prefix + b"1")
            await insist(client, prefix + b"1")
            first.go_on()
            etcd_three.members[1].kill()
            await insist(client, prefix + b"2")
            first.kill()
            with pytest.raises(Unanswered):
                await client.transact([created(prefix, 0)], [put(prefix, b"")], again=True)
            etcd_three.restart(first)
            await insist(client, prefix + b"3")
        found = await client.get(prefix, prefix_end(prefix))
    keys = {item.key for item in found.items}
    assert keys - {prefix} == {prefix + b"1", prefix + b"2", prefix + b"3"}


async def insist(client: Etcd, key: bytes) -> None:
    """Make a key, however often it takes."""
    while True:
        try:
            await client.transact([created(key, 0)], [put(key, b"")], again=True)
        except Unanswered:
            await trio.sleep(0.05)
        else:
            return


async def test_a_call_can_be_given_up_at_any_moment(client: Etcd, prefix: bytes) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 (pytest shows it with a failure)
    chance = random.Random(seed)
    for n in range(60):
        with trio.move_on_after(chance.random() * 0.006):
            await client.transact([], [put(prefix + b"%d" % n, bytes(1000))])
    async with trio.open_nursery() as nursery:  # more than it has connections, if any had been kept
        for n in range(120):
            nursery.start_soon(insist, client, prefix + b"after-%d" % n)
    assert len((await client.get(prefix + b"after", prefix_end(prefix + b"after"))).items) == 120


async def test_a_certificate_that_nobody_trusts_is_no_connection(etcd: EtcdServer, prefix: bytes) -> None:
    with pytest.raises(NotTaken, match="https"):
        await on_trio([etcd.urls[0].replace("http:", "https:")], prefix, again=False)
