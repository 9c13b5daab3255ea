"""One-line advice after the errors that models make most."""

from __future__ import annotations

import re

from engine.events import ErrorDetail

_HINTS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "ReferenceError",
        re.compile(r"^(require|module|exports) is not defined"),
        "There are no modules here: write the function itself, or keep it in the session.",
    ),
    (
        "ReferenceError",
        re.compile(r"^(fetch|XMLHttpRequest|WebSocket) is not defined"),
        "There is no network here: pass data in the argument `input`.",
    ),
    (
        "ReferenceError",
        re.compile(r"^(process|Deno|Bun|Buffer|window|document) is not defined"),
        "This is plain JavaScript in V8: no Node.js, no browser, no files.",
    ),
    (
        "SyntaxError",
        re.compile(r"^(Cannot use import statement|Unexpected token 'export')"),
        "There are no modules here: leave `import` and `export` out.",
    ),
    (
        "Error",
        re.compile(r"^Not supported$"),  # what V8 says of import() where nobody loads modules
        "There are no modules here: leave `import` and `export` out.",
    ),
    (
        "SyntaxError",
        re.compile(r"^Illegal return statement"),
        "The last expression's value is the result: leave `return` out.",
    ),
    (
        "SyntaxError",
        re.compile(r"^Identifier '.*' has already been declared"),
        "It was declared in another way before: assign to it, or choose another name.",
    ),
    (
        "SyntaxError",
        re.compile(
            r"^(Unexpected token ':'|Unexpected identifier|Missing initializer in const|"
            r"Unexpected strict mode reserved word|Unexpected reserved word)"
        ),
        "If this is TypeScript: leave types, interfaces and enums out.",
    ),
)


def hint(error: ErrorDetail) -> str | None:
    """Advice for the error, where there is any."""
    for name, pattern, advice in _HINTS:
        if error.name == name and pattern.search(error.message):
            return f"Hint: {advice}"
    return None
