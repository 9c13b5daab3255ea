"""One-line advice after the errors that models make most: whose fault it is, and what to do."""

from __future__ import annotations

import re

from msgspec import Struct

from engine.events import ErrorDetail

_CODE = r"^(?:[^'\"`]|'[^']*'|\"[^\"]*\"|`[^`]*`)*?"
"""What comes before a place in a line that is in no string."""
_TYPE = r"(?:string|number|boolean|any|void|unknown|never|object|[A-Z]\w*)"
_ANNOTATION = (
    _CODE + r"(?:\b(?:let|var|const)\s+(?:[\w$]+|\{.*\}|\[.*\])\s*[?!]?:"
    r"|[(,]\s*(?:\.\.\.)?[\w$]+\??\s*:\s*[^'\"\d\s]|\)\s*:"
    rf"|[\w)\]][?!]?\s*:\s*{_TYPE}(?:<|\[\]|\s*[|&,)=;{{]|\s*$|\s*=>))"
)
_FIELD = rf"^[\w\s]+[?!]?:\s*(?:{_TYPE}(?:\[\])?\s*[=;]|(?:string|number|boolean|any)\s*$)"
_DECLARATION = (
    r"^\s*(?:export\s+)?(?:declare\s+|abstract\s+|const\s+(?=enum\s))?"
    r"(?:interface|type|enum|namespace|abstract|declare)\s+\w"
)
_MEMBER = rf"\bclass\b[^{{]*\{{(?:[^'\"`]*[;{{}}])?\s*[\w$]+\s*:\s*{_TYPE}\b"
_GENERIC = (
    _CODE + r"(?:\b(?:function|class)\s+\w+\s*<|\bnew\s+\w+<|<[A-Z]\w*(?:\s+extends\s[^>]*)?>\("
    r"|\w?<(?:string|number|boolean|any|unknown)(?:\[\])?[,>])"
)
_PYTHON = (
    r"^\s*(?:(?:async\s+)?def\s|from\s+\w+\s+import\b|import\s+\w+(?:\s+as\s+\w+)?\s*$|elif\b|except\b|#\s"
    r"|(?:if|for|while|with)\s+[^(\s].*:\s*$|(?:try|else|finally)\s*:)"
    r"|\blambda\b.*:|\[.*\sfor\s+\w+\s+in\s|\bf[\"']"
)
_NO_MODULES = "There are no modules here: write the function yourself."
_NO_TYPES = "If this is TypeScript: leave types, interfaces, enums and `as` out."


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
        r"(require|module|exports|__dirname|__filename|_|\$|jQuery|lodash|React|moment|dayjs|d3|Papa|XLSX"
        r"|cheerio) is not defined",
        _NO_MODULES,
    ),
    _Hint("SyntaxError", r"Cannot use import", "This is JavaScript, not Python.", r"^\s*import\s+\w+\s*$"),
    _Hint("SyntaxError", r"Cannot use ('import\.meta'|import statement)", _NO_MODULES),
    _Hint("SyntaxError", r"Unexpected token 'export'", "There are no modules here: leave `export` out."),
    # what V8 says of import() where nobody loads modules
    _Hint("Error", r"Not supported$", _NO_MODULES, r"\bimport\s*\("),
    _Hint(
        "ReferenceError",
        r"(fetch|axios|XMLHttpRequest|WebSocket|EventSource|Headers|Request|Response|FormData) is not def",
        "There is no network here: pass data in the argument `input`.",
    ),
    _Hint(
        "ReferenceError",
        r"Buffer is not defined",
        "There is no Node.js here: use Uint8Array, with its toBase64 and toHex.",
    ),
    _Hint(
        "ReferenceError",
        r"(process|fs|path|os|util|assert|EventEmitter|child_process|Deno|Bun) is not defined",
        "There is no Node.js here, so no files and no environment: pass data in the argument `input`, print "
        "with console.log.",
    ),
    _Hint(
        "ReferenceError",
        r"(window|document|localStorage|sessionStorage|navigator|location|alert|prompt) is not defined",
        "There is no browser here, so no DOM: keep values in variables, print with console.log.",
    ),
    _Hint("ReferenceError", r"(global|self) is not defined", "It is called globalThis here."),
    _Hint(
        "ReferenceError",
        r"(Worker|SharedArrayBuffer|MessageChannel|BroadcastChannel) is not defined",
        "There is one thread here: no workers, no shared memory.",
    ),
    _Hint(
        "ReferenceError",
        r"(Readable|Writable|Transform|Text(De|En)coder|Compression|Decompression)Stream is not defined",
        "There are no streams here: use whole values, or async generators.",
    ),
    _Hint("ReferenceError", r"request(AnimationFrame|IdleCallback) is not defined", "Use setTimeout."),
    _Hint(
        "TypeError",
        r"crypto\.(createHash|subtle\.\w+) is not a function",
        "There are digests only: await crypto.subtle.digest('SHA-256', bytes).",
    ),
    _Hint(
        "ReferenceError", r"input is not defined", "It is the argument `input`, which no call has had yet."
    ),
    # of which the failing line is not one of the code
    _Hint(
        "SyntaxError",
        r'"\[object Object\]" is not valid JSON',
        "It is an object already: leave JSON.parse out.",
    ),
    _Hint("SyntaxError", r'"undefined" is not valid JSON', "JSON.parse was given undefined, and not a text."),
    _Hint("SyntaxError", r"Unexpected end of JSON input", "The text given to JSON.parse is empty or cut."),
    _Hint(
        "SyntaxError",
        r"Unexpected non-whitespace character after JSON",
        "The text given to JSON.parse goes on after a whole value: parse line by line if it is JSON Lines.",
    ),
    _Hint(
        "SyntaxError",
        r"(?s).*(in JSON at position|is not valid JSON)",
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
        "Declare it once in a call, and with the keyword that it had before; or assign to it, or choose "
        "another name.",
    ),
    _Hint(
        "TypeError",
        r"Assignment to constant variable",
        "Use `let` and another name; or, in a later call, declare it again with `const`.",
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
        r"Invalid or unexpected token",
        "Use plain characters: straight quotes, ' or \", and - for minus.",
        _CODE + "[\u2010-\u2015\u2018\u2019\u201c\u201d\u2212\u200b-\u200f\u2060]",
    ),
    _Hint("TypeError", r'"" is not a function', "Leave the Markdown fence out.", r"^\s*```"),
    _Hint(
        "ReferenceError",
        r"(None|True|False|elif) is not defined",
        "This is JavaScript, not Python: null, true, false, else if.",
    ),
    _Hint(
        "ReferenceError",
        r"(print|len|range|str|int) is not defined",
        "This is JavaScript, not Python: console.log, .length, String, Number.",
        r"\b(print|len|range|str|int)\(",
    ),
    _Hint("SyntaxError", r"Unexpected identifier '(and|or|not|is)'", "This is JavaScript: use &&, || and !."),
    _Hint("SyntaxError", r"", "This is JavaScript, not Python.", _PYTHON),
    _Hint(
        "SyntaxError",
        r"Unexpected token ':'|Missing initializer",
        _NO_TYPES,
        _ANNOTATION,
    ),
    _Hint("SyntaxError", r"Unexpected token '[?!]'", _NO_TYPES, _CODE + r"[\w$\]})][?!]\s*:"),
    _Hint("SyntaxError", r"Unexpected token 'this'", _NO_TYPES, r"\(\s*this\s*:"),
    _Hint("SyntaxError", r"Unexpected identifier", _NO_TYPES, f"{_FIELD}|{_MEMBER}"),
    _Hint("SyntaxError", r"Unexpected ", _NO_TYPES, _DECLARATION),
    _Hint("SyntaxError", r"Unexpected identifier '(as|satisfies)'", _NO_TYPES),
    _Hint("SyntaxError", r"missing \)", _NO_TYPES, _CODE + r"[\w)\]}]\s+(?:as|satisfies)\s+[\w{]"),
    _Hint(
        "SyntaxError",
        r"Unexpected ",
        _NO_TYPES,
        _CODE + r"\b(?:private|public|protected|readonly|implements)\s+[\w#]",
    ),
    _Hint("SyntaxError", r"Unexpected token '[<>)]'|Missing initializer", _NO_TYPES, _GENERIC),
    _Hint("SyntaxError", r"Unexpected token '!'", _NO_TYPES, _CODE + r"[\w)\]]![.\[,;)]"),
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
        "SyntaxError", r"missing \) after argument list", "A bracket is not closed, or a comma is missing."
    ),
    _Hint(
        "SyntaxError",
        r"Unexpected end of input",
        "A bracket or a template string is not closed, or the code was cut.",
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
