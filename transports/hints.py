"""One-line advice after the errors that models make most: whose fault it is, and what to do."""

from __future__ import annotations

import re

from msgspec import Struct

from engine.events import ErrorDetail

_TYPE = r"(?:string|number|boolean|any|void|unknown|never|object|[A-Z]\w*)(?:<|\[\]|\s*[|&,)=;{]|\s*$|\s*=>)"
_TYPESCRIPT = (
    r"^\s*(?:export\s+)?(?:declare\s+|abstract\s+)?(?:interface|type|enum|namespace|abstract|declare)\s+\w"
    rf"|[\w)\]]\??\s*:\s*{_TYPE}"
    r"|\)\s+(?:as|satisfies)\s+\w|\w\s+(?:as|satisfies)\s+[\w{]"
    r"|\b(?:private|public|protected|readonly)\s+\w"
    r"|\b(?:function|class)\s+\w+\s*<|\bnew\s+\w+<|\w!\."
)
_PYTHON = (
    r"^\s*(?:(?:async\s+)?def\s|from\s+\w+\s+import\b|import\s+\w+(?:\s+as\s+\w+)?\s*$|elif\b|except\b|#\s"
    r"|(?:if|for|while|with)\s+[^(\s].*:\s*$|(?:try|else|finally)\s*:)"
    r"|\blambda\b.*:|\[.*\sfor\s+\w+\s+in\s|\bf[\"']"
)
_MODULES = "There are no modules here: "


class _Hint(Struct, frozen=True):
    error: str
    """Name of the error."""
    message: str
    """Pattern that its message begins with."""
    advice: str
    line: str = ""
    """Pattern that the failing line contains."""


_HINTS = (
    # what other places have and this one has not
    _Hint(
        "ReferenceError",
        r"(require|module|exports|__dirname|__filename) is not defined",
        _MODULES + "write the function itself, or keep it in the session.",
    ),
    _Hint("SyntaxError", r"Cannot use import", "This is JavaScript, not Python.", r"^\s*import\s+\w+\s*$"),
    _Hint(
        "SyntaxError",
        r"Cannot use ('import\.meta'|import statement)|Unexpected token 'export'",
        _MODULES + "leave `import` and `export` out.",
    ),
    # what V8 says of import() where nobody loads modules
    _Hint("Error", r"Not supported$", _MODULES + "leave `import` out.", r"\bimport\s*\("),
    _Hint(
        "ReferenceError",
        r"(fetch|XMLHttpRequest|WebSocket|EventSource|axios) is not defined",
        "There is no network here: pass data in the argument `input`.",
    ),
    _Hint(
        "ReferenceError",
        r"Buffer is not defined",
        "There is no Node.js here: use Uint8Array, with its toBase64 and toHex.",
    ),
    _Hint(
        "ReferenceError",
        r"(process|fs|path|os|child_process|Deno|Bun) is not defined",
        "There is no Node.js here, and there are no files: pass data in the argument `input`.",
    ),
    _Hint(
        "ReferenceError",
        r"(window|document|localStorage|sessionStorage|navigator|location|alert|prompt) is not defined",
        "There is no browser here, so no DOM: print what you want to see, or let it be the last expression.",
    ),
    _Hint(
        "ReferenceError",
        r"(Worker|SharedArrayBuffer) is not defined",
        "There is one thread here: no workers, no shared memory.",
    ),
    # of which the failing line is not one of the code
    _Hint(
        "SyntaxError",
        r'"\[object Object\]" is not valid JSON',
        "It is an object already: leave JSON.parse out.",
    ),
    _Hint(
        "SyntaxError",
        r".*(in JSON at position|is not valid JSON)",
        "The text given to JSON.parse is no JSON: keys and strings need double quotes, no comma at the end.",
    ),
    # how a session works
    _Hint(
        "SyntaxError",
        r"Illegal return statement",
        "The last expression's value is the result: leave `return` out.",
    ),
    _Hint(
        "SyntaxError",
        r"Identifier '.*' has already been declared",
        "It was declared in another way before: assign to it, or choose another name.",
    ),
    _Hint(
        "TypeError",
        r"Assignment to constant variable",
        "To change it, declare it again with `const`, or use `let` and another name.",
    ),
    _Hint(
        "SyntaxError",
        r"await is only valid",
        "Make the function around it `async`; only at the top level `await` needs nothing.",
    ),
    _Hint(
        "SyntaxError",
        r"Unexpected ",
        "`await` needs an `async` function around it.",
        r"(?<!async)\s*(\([^()]*\)|\b\w+)\s*=>\s*await\b",
    ),
    _Hint("Uncaught", r"", "Only errors say where they come from: throw new Error(…)."),
    _Hint("StackOverflow", r"", "Use a loop, or a list as the stack: how deep calls may go is limited."),
    # other languages
    _Hint(
        "SyntaxError",
        r"",
        "Use straight quotes: ' or \".",
        r"[\u2018\u2019\u201c\u201d]",
    ),
    _Hint("TypeError", r'"" is not a function', "Leave the Markdown fence out.", r"^\s*```"),
    _Hint(
        "ReferenceError",
        r"(print|len|None|True|False|elif|range|str|int|self|pass) is not defined",
        "This is JavaScript, not Python: console.log, .length, null, true.",
    ),
    _Hint("SyntaxError", r"Unexpected identifier '(and|or|not|is)'", "This is JavaScript: use &&, || and !."),
    _Hint("SyntaxError", r"", "This is JavaScript, not Python.", _PYTHON),
    _Hint(
        "SyntaxError", r"", "If this is TypeScript: leave types, interfaces, enums and `as` out.", _TYPESCRIPT
    ),
    _Hint(
        "SyntaxError",
        r"Unexpected token '<'",
        "There is no HTML or JSX in JavaScript: put markup into a template string, `<p>…</p>`.",
        r"<[A-Za-z!/>]",
    ),
    # slips of the pen
    _Hint(
        "SyntaxError",
        r"Unexpected identifier|missing \) after argument",
        "A quote inside a string ends it: escape it, or use other quotes around.",
        r"^(?:[^'\"]|'[^']*'(?!\w)|\"[^\"]*\"(?!\w))*(?:'[^']*'\w|\"[^\"]*\"\w)",
    ),
    _Hint(
        "SyntaxError",
        r"Invalid or unexpected token",
        "A string must end on its line: close it, or use a template string, `…`.",
        r"['\"]",
    ),
    _Hint(
        "SyntaxError",
        r"Unexpected end of input|missing \) after argument list",
        "A bracket is not closed, or the code was cut.",
    ),
)
_FAILING_LINE = re.compile(r"^> *\d+ \| (.*)$", re.MULTILINE)


def hint(error: ErrorDetail) -> str | None:
    """Advice for the error, where there is any."""
    marked = _FAILING_LINE.search(error.frame or "")
    line = marked[1] if marked else ""
    for row in _HINTS:
        if error.name == row.error and re.match(row.message, error.message) and re.search(row.line, line):
            return f"Hint: {row.advice}"
    return None
