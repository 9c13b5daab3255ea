"""``mcp-v8 store copy`` to a bucket and back: a server on either has the sessions as they were."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from s3_server import S3, environment
from server_process import running
from test_store_copy import copied, damaged, names, run, store
from typed import piped

from transports.identity import LOCAL

__all__ = ["damaged", "store"]


@pytest.fixture
def place(moto: S3, aws: pytest.MonkeyPatch) -> str:
    """Where nothing is yet in a bucket, as it is typed."""
    aws.setenv("AWS_ENDPOINT_URL_S3", moto.endpoint)
    settings = moto.settings()
    return f"s3://{settings.bucket}/{settings.prefix}"


def of(place: str) -> tuple[str, ...]:
    """The options that name it."""
    parts = urlsplit(place)
    return ("--s3-bucket", parts.netloc, "--s3-prefix", parts.path.strip("/"))


def test_a_store_moves_to_a_bucket_and_back_and_its_sessions_go_on(
    store: Path, place: str, tmp_path: Path
) -> None:
    piped("exec", "let n = 41", "--session", "mine", "--owner", LOCAL.owner, "--directory-path", store)
    said = copied(store, place)
    assert said.endswith(f"1 checkpoint: all as they were written\nThe copy is in {place}.\n")
    with running(*of(place)) as server:
        assert run(server, "mine", "n += 1")["result_json"] == 42
        told = json.loads(piped("store", "copy", tmp_path / "beside", "--json", *of(place)).out)
    assert [told[key] for key in ("to", "kept", "sessions", "sound")] == [
        str(tmp_path / "beside"),
        True,
        2,
        True,
    ]
    piped("store", "copy", f"{place}-again", *of(place))
    piped("store", "copy", tmp_path / "back", *of(f"{place}-again"))
    for session, owner, n in (("demo", "tester", "1\n"), ("mine", LOCAL.owner, "42\n")):
        shown = piped("state", session, "n", "--owner", owner, "--directory-path", tmp_path / "back")
        assert shown.out == n
    with running("--directory-path", str(tmp_path / "beside")) as server:
        assert run(server, "mine", "n")["result_json"] == 42


def test_of_a_damaged_store_no_copy_is_kept_in_a_bucket(damaged: Path, place: str) -> None:
    assert copied(damaged, place, status=4).endswith("No copy was kept; --keep-damaged keeps one.\n")
    none = piped("sessions", *of(place), status=3)
    assert none.err.startswith("mcp-v8: there is no store in the bucket below that prefix")
    copied(damaged, place, "--keep-damaged", status=4)
    assert "event 1  it does not hash to its name" in piped("verify", *of(place), status=4).out


def test_what_cannot_be_copied_to_or_from_a_bucket_is_one_sentence(
    store: Path, place: str, tmp_path: Path
) -> None:
    copied(store, place)
    assert copied(store, place, status=1) == (
        f"mcp-v8: {place} has a store already: a copy gets a prefix of its own\n"
    )
    none = piped("store", "copy", tmp_path / "copy", *of(f"{place}-none"), status=3)
    assert none.err.startswith("mcp-v8: there is no store in the bucket below that prefix")
    bad = piped("store", "copy", "s3://", "--directory-path", store, status=2)
    assert "'' is no name of a bucket" in bad.err
    lost = copied(store, "s3://nobodys/x", status=1)
    assert lost.count("\n") == 1
    for secret in environment().values():
        assert len(secret) < 16 or secret not in lost
    assert names(tmp_path) == []
