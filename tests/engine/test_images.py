"""Checkpoints and base images: who can use whose, and what becomes of those of another image."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from checkpointing import Checkpoints, count_replays
from engines import OWNER, Engine, opened
from msgspec.structs import replace

from engine.checkpoints import Checkpoint

NEVER = {"restore_target_seconds": 3_600.0}
WITH_OTHER_SAMPLES = (
    "import sys; from pathlib import Path; from engine.isolate import image; "
    "image._SAMPLES = image._SAMPLES[:1]; image.load(Path(sys.argv[1]))"
)


@pytest.fixture(scope="module")
def other_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with another image of the same engine, as another version of the program has it."""
    folder = tmp_path_factory.mktemp("other-cache")
    subprocess.run([sys.executable, "-c", WITH_OTHER_SAMPLES, folder], check=True, timeout=60)
    return folder


@pytest.fixture
async def store(tmp_path: Path, cache_dir: Path) -> Path:
    """A store with a session ``a`` of three events and a checkpoint after each."""
    told = Checkpoints()
    async with opened(tmp_path, cache_dir, observers=[told], restore_target_seconds=0.0) as engine:
        for seq in range(1, 4):
            await engine.run("globalThis.n = (globalThis.n ?? 0) + 1", session="a")
            await told.of(seq)
    return tmp_path


@asynccontextmanager
async def renamed(store: Path, cache: Path) -> AsyncIterator[Engine]:
    """An engine on the store, whose checkpoints have the names that earlier versions of the program gave."""
    async with opened(store, cache, **NEVER) as engine:
        for one in (before := await known(engine)):
            await engine.log.add_checkpoint(replace(one, engine=one.engine.partition(".")[0]))
        await engine.log.forget_checkpoints(before)
        yield engine


async def known(engine: Engine) -> list[Checkpoint]:
    """What the log knows of checkpoints of session ``a``."""
    row = await engine.log.session_named(OWNER, "a")
    return await engine.log.checkpoints(row.session)


async def test_who_has_another_cache_folder_uses_the_checkpoints(store, tmp_path_factory, monkeypatch):
    replayed = count_replays(monkeypatch)
    async with opened(store, tmp_path_factory.mktemp("new"), for_command=True, **NEVER) as engine:
        assert await engine.value("n", session="a") == "3"
    assert replayed == []


async def test_checkpoints_of_another_image_are_left_alone(
    store, cache_dir, other_cache, monkeypatch, caplog
):
    replayed = count_replays(monkeypatch)
    for for_command in (True, False):
        async with opened(store, other_cache, for_command=for_command, **NEVER) as engine:
            before = await known(engine)
            assert await engine.value("n", session="a") == "3"
            assert await known(engine) == before
    assert replayed == [1, 2, 3, 1, 2, 3, 4]
    replayed.clear()
    async with opened(store, cache_dir, **NEVER) as engine:
        assert await engine.value("n", session="a") == "3"
    assert replayed == [4, 5]
    assert "is not used" not in caplog.text


async def test_of_another_images_checkpoints_the_newest_is_kept(store, other_cache):
    async with opened(store, other_cache, **NEVER) as engine:
        await engine.supervisor.requests.checkpoint(OWNER, "a")
        left = await known(engine)
    assert [one.seq for one in left] == [3, 3]
    assert len({one.engine for one in left}) == 2


async def test_checkpoints_that_name_no_image_are_tried(store, cache_dir, monkeypatch):
    async with renamed(store, cache_dir):
        pass
    replayed = count_replays(monkeypatch)
    async with opened(store, cache_dir, **NEVER) as engine:
        assert await engine.value("n", session="a") == "3"
    assert replayed == []


async def test_a_command_that_cannot_use_a_checkpoint_leaves_it_to_the_server(
    store, cache_dir, other_cache, caplog
):
    async with renamed(store, cache_dir) as engine:
        before = await known(engine)
    async with opened(store, other_cache, for_command=True, **NEVER) as engine:
        assert await engine.value("n", session="a") == "3"
        assert await known(engine) == before
    assert "V8 cannot restore it" in caplog.text
    async with opened(store, other_cache, **NEVER) as engine:
        assert await engine.value("n", session="a") == "3"
        assert await known(engine) == []


@pytest.mark.parametrize("name", ["no hex", "0" * 32, "{engine}.no", "{engine}.{other}"])
async def test_a_checkpoint_that_names_an_image_that_it_is_not_of_is_damage(store, cache_dir, name):
    async with opened(store, cache_dir, **NEVER) as engine:
        newest = (await known(engine))[0]
        wrong = name.format(engine=newest.engine.partition(".")[0], other="0" * 16)
        await engine.log.add_checkpoint(replace(newest, engine=wrong))
        checked = []

        async def tell(one: object) -> None:
            checked.append(one)

        await engine.supervisor.store.check(OWNER, tell)
    assert [(fault.what, fault.first) for fault in checked[0].faults] == [
        ("its blob was altered, or is another's", 3)
    ]
