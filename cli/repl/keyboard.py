"""Lines that are typed, by readline: kept in a file, completed with the Tab key."""

from __future__ import annotations

import os
import readline
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FILE_NAME = "repl_history"
MAX_LINES = 1_000
"""Of the history that is kept."""
_DELIMITERS = " \t\n`~!@#%^&*()-=+[{]}\\|;:'\",<>/?"
"""What ends a word: all but what is in names and between them."""


class Keyboard:
    """Reads lines from the terminal. ``complete`` is given a word, and says what it may become."""

    def __init__(self, complete: Callable[[str], list[str]]) -> None:
        self._complete = complete
        self._matches: list[str] = []
        self._file: Path | None = None
        readline.set_auto_history(False)
        readline.set_completer(self._match)
        readline.set_completer_delims(_DELIMITERS)
        is_editline = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if is_editline else "tab: complete")

    def keep_history(self, directory: Path) -> None:
        """Know the lines of earlier prompts, and keep those of this one, in a file that is its user's alone.

        Without such a file (the disk is full, the home is read-only) there is no history.
        """
        file = directory / FILE_NAME
        with suppress(OSError):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.fchmod(descriptor, 0o600)
            os.close(descriptor)
            readline.clear_history()
            readline.read_history_file(file)
            if readline.get_current_history_length() > 2 * MAX_LINES:
                readline.set_history_length(MAX_LINES)
                readline.write_history_file(file)
            self._file = file

    def line(self, prompt: str) -> str:
        """The next line. Raises EOFError, KeyboardInterrupt."""
        return input(prompt)

    def remember(self, line: str) -> None:
        """Keep a line, unless it is blank, begins with a space or repeats the last one."""
        last = readline.get_current_history_length()
        for part in line.split("\n"):  # several where they were pasted
            if not part.strip() or part.startswith(" ") or (last and readline.get_history_item(last) == part):
                continue
            readline.add_history(part)
            last = readline.get_current_history_length()
            if self._file is not None:
                with suppress(OSError):
                    readline.append_history_file(1, self._file)

    def _match(self, word: str, number: int) -> str | None:
        if number == 0:
            self._matches = self._complete(word)
        return self._matches[number] if number < len(self._matches) else None
