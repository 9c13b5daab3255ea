from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from s3_proxy import Proxy
from s3_server import S3

from persistence.s3.client import S3Objects
from persistence.s3.requests import Request
from persistence.s3.settings import Settings

OpenObjects = Callable[..., S3Objects]


@pytest.fixture
def told() -> list[Request]:
    """What the observer was told of the objects below."""
    return []


@pytest.fixture
def open_objects(told: list[Request]) -> Iterator[OpenObjects]:
    """Opens objects with given settings until the end of the test."""
    with ExitStack() as stack:
        yield lambda settings, **others: stack.enter_context(
            S3Objects(settings, observe=told.append, **others)
        )


@pytest.fixture
def objects(s3: S3, open_objects: OpenObjects) -> S3Objects:
    """In either S3."""
    return open_objects(s3.settings())


@pytest.fixture
def prefix() -> str:
    """One that nobody else uses."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def through(proxy: Proxy, moto: S3, prefix: str, open_objects: OpenObjects) -> OpenObjects:
    """Opens objects below the prefix that are asked for through the proxy, with little patience."""

    def open_(**others: Any) -> S3Objects:
        defaults = {"connect_seconds": 1, "read_seconds": 1, "retry_seconds": 10}
        return open_objects(
            Settings(bucket=moto.bucket, prefix=prefix, endpoint=proxy.endpoint, **(defaults | others))
        )

    return open_
