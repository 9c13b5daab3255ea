"""What can be wrong for a command, as one sentence and an exit status."""

from __future__ import annotations

from engine.errors import EngineError, FileCorrupt, InvalidField, NotFound, StoreCorrupt, StoreMissing

DIFFERS = 1
"""Something differs, or failed."""
USAGE = 2
NOT_FOUND = 3
CORRUPT = 4

_STATUSES = {400: USAGE, 404: NOT_FOUND, 413: USAGE, 415: USAGE, 422: USAGE}


class Failed(Exception):
    """A command that cannot do what it should: why, and its exit status."""

    def __init__(self, sentence: str, status: int = DIFFERS) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
        self.is_of_store = False
        """Whether something in the store is damaged, of which ``mcp-v8 verify`` says more."""


class Refused(Failed):
    """The answer was an error."""

    def __init__(self, http_status: int, sentence: str, code: str, field: str | None = None) -> None:
        corrupt = code in (StoreCorrupt.code, FileCorrupt.code)
        super().__init__(sentence, CORRUPT if corrupt else _STATUSES.get(http_status, DIFFERS))
        self.is_of_store = code == StoreCorrupt.code
        self.http_status = http_status
        self.code = code
        self.field = field


def failed_with(error: EngineError | OSError) -> Failed:
    """An error of an engine in this process, as a store that cannot be opened, or of the system, as a disk
    that is full.
    """
    if isinstance(error, OSError):
        said = error.strerror or str(error) or type(error).__name__
        return Failed(said if error.filename is None else f"{error.filename}: {said}")
    if isinstance(error, StoreCorrupt | FileCorrupt):
        return Failed(error.message, CORRUPT)
    if isinstance(error, NotFound | StoreMissing):
        return Failed(error.message, NOT_FOUND)
    return Failed(error.message, USAGE if isinstance(error, InvalidField) else DIFFERS)


def only(raised: BaseException) -> BaseException:
    """The one error in groups of one."""
    while isinstance(raised, BaseExceptionGroup) and len(raised.exceptions) == 1:
        raised = raised.exceptions[0]
    return raised
