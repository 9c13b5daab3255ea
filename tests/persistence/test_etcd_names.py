"""A name server that is lost holds up nobody for long."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import trio
from etcd_server import EtcdServer

from persistence.etcd.blocking import BlockingEtcd
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Unanswered
from persistence.etcd.names import Addresses, Names


class Server:
    """Answers for every name that it is this machine, unless it is silent, or fails."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.speaks = threading.Event()
        self.speaks.set()
        self.error = 0

    def __call__(self, host: Any, port: Any, *rest: Any) -> Addresses:
        self.asked.append(host)
        self.speaks.wait()
        if self.error:
            raise socket.gaierror(self.error, "made up")
        return socket.getaddrinfo("127.0.0.1", port, *rest)


@pytest.fixture
def server() -> Iterator[Server]:
    """Its threads end with the test."""
    made = Server()
    yield made
    made.speaks.set()


async def find(names: Names, name: bytes = b"etcd-1") -> list[Any]:
    """The addresses of a host."""
    found = await names.getaddrinfo(name, 2379, type=socket.SOCK_STREAM)
    return [address for *_, address in found]


async def test_while_it_is_silent_the_addresses_of_before_are_taken(server: Server) -> None:
    names = Names(server, seconds=0.05)
    assert await find(names) == [("127.0.0.1", 2379)]
    assert names.addresses("etcd-1", 2379) == ["127.0.0.1"]
    server.speaks.clear()
    with trio.fail_after(20):
        for _ in range(3):
            assert await find(names) == [("127.0.0.1", 2379)]
            assert await trio.to_thread.run_sync(names.addresses, "etcd-1", 2379) == ["127.0.0.1"]
        with pytest.raises(socket.gaierror, match="no address was found within"):
            await find(names, b"etcd-2")
        with pytest.raises(socket.gaierror, match="no address was found within"):
            await trio.to_thread.run_sync(names.addresses, "etcd-2", 2379)
    assert len(server.asked) == 6  # for each name, as each asks for it, one thread


async def test_it_is_asked_anew_for_each_connection_once_it_answers(server: Server) -> None:
    names = Names(server)
    await find(names)
    await find(names)
    assert len(server.asked) == 2
    server.error = socket.EAI_AGAIN
    assert await find(names) == [("127.0.0.1", 2379)]
    server.error = socket.EAI_NONAME  # it knows that there is none any more
    with pytest.raises(socket.gaierror, match="made up"):
        await find(names)


async def test_etcd_is_found_while_it_is_silent_on_trio_and_in_threads(
    etcd: EtcdServer, server: Server
) -> None:
    names = Names(server, seconds=0.2)
    before = trio.socket.set_custom_hostname_resolver(names)
    urls = [url.replace("127.0.0.1", "etcd.invalid") for url in etcd.urls]

    def ask() -> None:
        with closing(BlockingEtcd(urls, names=names)) as client:
            client.get(b"x")

    try:
        server.speaks.clear()
        with trio.fail_after(60):
            async with Etcd(urls) as client:
                with pytest.raises(Unanswered):
                    await client.get(b"x")
            with pytest.raises(Unanswered):
                await trio.to_thread.run_sync(ask)
            server.speaks.set()
            async with Etcd(urls) as client:
                await client.get(b"x")
            await trio.to_thread.run_sync(ask)
            server.speaks.clear()
            async with Etcd(urls) as client:
                await client.get(b"x")
            await trio.to_thread.run_sync(ask)
    finally:
        trio.socket.set_custom_hostname_resolver(before)
