from __future__ import annotations

from collections.abc import Callable

import isolates
import pytest


@pytest.fixture(scope="module")
def session(Session: Callable[..., isolates.Session]) -> isolates.Session:  # noqa: N803
    """A session that the tests of a module share: they leave behind nothing that another one meets."""
    return Session()


@pytest.fixture
def value(session: isolates.Session) -> Callable[[str], str]:
    """The text of what a function body returns."""
    return lambda body: session.value(f"await (async () => {{ {body} }})()")
