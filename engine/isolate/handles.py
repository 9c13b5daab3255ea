"""Handles and the scopes that they live in."""

from __future__ import annotations

from engine.isolate import native

Handle = int
"""The address of a slot that holds a JavaScript value (a ``v8::Local``)."""


class HandleScope:
    """v8::HandleScope: frees the handles made inside it. The class is inline in V8's headers."""

    __slots__ = ("_isolate", "_level", "_limit", "_limit_before", "_next", "_next_before", "_v8")

    def __init__(self, v8: native.Library, isolate: int) -> None:
        self._v8, self._isolate = v8, isolate
        self._next = v8.scope_next(isolate)
        self._level = v8.scope_level(isolate)
        self._limit = v8.scope_limit(isolate)

    def __enter__(self) -> HandleScope:
        self._next_before, self._limit_before = self._next[0], self._limit[0]
        self._level[0] += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._next[0] = self._next_before
        self._level[0] -= 1
        if self._limit[0] != self._limit_before:
            self._limit[0] = self._limit_before
            self._v8.scope_delete_extensions(self._isolate)
