"""What the tests of REST say and hear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec

Json = dict[str, Any]


def run(client: httpx2.Client, code: str, session: str, **fields: object) -> Json:
    """Run code and wait for the outcome."""
    response = client.post("/api/exec", json={"code": code, "session": session, **fields})
    assert response.status_code == 200, response.text
    return told(response)


def begin(client: httpx2.Client, code: str, session: str, **fields: object) -> str:
    """Start code; the id of its execution."""
    headers = {"prefer": "respond-async"}
    response = client.post("/api/exec", json={"code": code, "session": session, **fields}, headers=headers)
    assert response.status_code == 202, response.text
    return str(response.json()["execution_id"])


def told(response: httpx2.Response) -> Json:
    """The JSON object of an answer."""
    assert response.headers["content-type"] == "application/json"
    value = response.json()
    assert isinstance(value, dict)
    return value


def refused(response: httpx2.Response, status: int, code: str, field: str | None = None) -> str:
    """The sentence of an error, which has the shape of all errors."""
    assert response.status_code == status, response.text
    body = told(response)
    assert list(body) == ["error", "code", "field"]
    assert (body["code"], body["field"]) == (code, field)
    assert 0 < len(body["error"]) < 500
    return str(body["error"])


class ServerEvent(msgspec.Struct):
    """A server-sent event."""

    id: str
    name: str
    data: Json


def server_events(lines: Iterator[str]) -> Iterator[ServerEvent]:
    """The events of a stream, as a browser would dispatch them; comments are passed over."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name:
            fields[name] = value
        elif not line and "data" in fields:
            yield ServerEvent(fields["id"], fields["event"], msgspec.json.decode(fields["data"]))
            fields = {}
