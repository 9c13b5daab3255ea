from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

import container_engine
import pytest
import s3_container
from container_engine import Containers, Shown
from documents import ROOT

sys.path.append(str(ROOT / "tests" / "official"))


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The engine with the image of this checkout; all that is made in it is removed in the end."""
    engine = container_engine.found_engine()
    made = Containers(engine, container_engine.checkout(tmp_path_factory.mktemp("checkout")))
    try:
        made.build()
        yield made
    finally:
        made.remove_all()


@pytest.fixture(scope="session")
def in_s3(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables with which containers use a service of S3 that has one empty bucket."""
    with s3_container.bucket_service(containers, tmp_path_factory.mktemp("s3")) as variables:
        yield variables


@pytest.fixture(scope="session")
def shown_of(
    containers: Containers, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Sequence[str]], Shown]:
    """Makes what runs the commands of a document's blocks."""
    return lambda texts: Shown(containers, texts, tmp_path_factory.mktemp("bin"))
