"""Long lists of cases, of which the usual run has a part and torture the rest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def each(every: int, cases: Iterable[Any]) -> list[Any]:
    """Cases for ``parametrize``: the first of so many is in the usual run, and so on; the others are torture."""
    return [case if at % every == 0 else _torture(case) for at, case in enumerate(cases)]


def _torture(case: Any) -> Any:
    if isinstance(case, type(pytest.param())):
        return pytest.param(*case.values, id=case.id, marks=[*case.marks, pytest.mark.torture])
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.torture)
