"""What a submission must be like to be accepted. Pure."""

from __future__ import annotations

from engine.errors import InvalidField, TooLarge
from engine.execution import Submission
from engine.limits import LimitPolicy
from engine.session import check_heap, check_name


def check(asked: Submission, policy: LimitPolicy) -> None:
    """Raises InvalidField or TooLarge."""
    for field in ("code", "input", "idempotency_key"):
        _check_text(getattr(asked, field), field)
    size = len(asked.code.encode())
    if size > policy.max_code_bytes:
        raise TooLarge(
            f"the code has {size} bytes; at most {policy.max_code_bytes} are accepted", field="code"
        )
    if asked.input is not None and len(asked.input) > policy.max_input_bytes:
        raise TooLarge(
            f"the input has {len(asked.input)} characters; at most {policy.max_input_bytes} are accepted",
            field="input",
        )
    if asked.session is not None:
        check_name(asked.session)
    if asked.heap is not None:
        check_heap(asked.heap)


def check_stateless(asked: Submission) -> None:
    """Raises InvalidField if a session is asked for."""
    if asked.session is not None or asked.heap is not None:
        raise no_sessions("session" if asked.session is not None else "heap")


def no_sessions(field: str = "session") -> InvalidField:
    """What asks for a session of a stateless server."""
    return InvalidField("this server is stateless: it has no sessions", field=field)


def _check_text(text: str | None, field: str) -> None:
    try:
        (text or "").encode()
    except UnicodeEncodeError as bad:
        raise InvalidField(
            f"`{field}` has half of a surrogate pair at character {bad.start}: it is not Unicode text",
            field=field,
        ) from None
