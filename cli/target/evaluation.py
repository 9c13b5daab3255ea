"""Code that is run at a point of a session, on a copy of it that is thrown away."""

from __future__ import annotations

from cli.target.client import Client
from transports.rest.past_shapes import EvaluatedAnswer


async def evaluate(
    client: Client, session: str, event: int | None, code: str, seconds: float | None = None
) -> EvaluatedAnswer:
    """What the code comes to in the state after that event (None: now), within so many seconds.

    Raises Refused, Failed.
    """
    body = {"code": code, "event": event, "execution_timeout_secs": seconds}
    return await client.ask(EvaluatedAnswer, "POST", f"/api/sessions/{session}/evaluate", body=body)


def is_syntax_error(told: EvaluatedAnswer) -> bool:
    """Whether the code itself could not be read, so that none of it was run."""
    error = told.error_detail
    return error is not None and error.name == "SyntaxError" and "\n    at " not in (error.stack or "")
