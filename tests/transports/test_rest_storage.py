"""What owners are told of the store over REST: of their own sessions, and nothing that is not theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2
import msgspec
import pytest
from server_process import running

TOKENS = {"alice": "token-of-alice-0001", "bob": "token-of-bob-000002"}


class Owners(NamedTuple):
    alice: httpx2.Client
    bob: httpx2.Client


@pytest.fixture(scope="module")
def owners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owners]:
    folder = tmp_path_factory.mktemp("server")
    file = folder / "tokens"
    file.write_text("".join(f"{token} {owner}\n" for owner, token in TOKENS.items()))
    file.chmod(0o600)
    with running("--directory-path", str(folder / "store"), "--tokens", str(file)) as server:
        alice, bob = (
            httpx2.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"}, timeout=40)
            for token in TOKENS.values()
        )
        with alice, bob:
            for client, names in ((alice, ("a1", "a2")), (bob, ("b1",))):
                for name in names:
                    client.post("/api/exec", json={"session": name, "code": "1"}).raise_for_status()
            yield Owners(alice, bob)


def lines(answer: httpx2.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [msgspec.json.decode(line) for line in answer.text.splitlines()]


def test_everybody_is_told_of_sessions_of_one_s_own(owners: Owners) -> None:
    told = {}
    for owner, client in owners._asdict().items():
        *sessions, end = lines(client.post("/api/verify"))
        told[owner] = [one["session"] for one in sessions]
        assert {one["owner"] for one in sessions} == {owner}
        assert (end["sessions"], end["events"], end["sound"]) == (len(sessions), 2 * len(sessions), True)
    assert told == {"alice": ["a1", "a2"], "bob": ["b1"]}


def test_a_server_shows_nobody_the_whole_store(owners: Owners) -> None:
    told = lines(owners.bob.post("/api/verify", json={"store": True}))
    assert [one.get("session") for one in told] == ["b1", None]
