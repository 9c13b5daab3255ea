"""``mcp-v8 exec``: run code in a session."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from cli.entry import INTERRUPTED
from cli.options import Seconds
from cli.output import outcome
from cli.output.json import as_json, print_json
from cli.target.execution import Request, Run, run
from cli.target.failures import DIFFERS
from cli.target.options import Target, with_target
from cli.target.point import Point, SessionPoint
from transports.rest.stream import ConsoleEvent

MAX_CODE_BYTES = 64 << 20
"""What is read of a file or of stdin: more than anybody takes as code."""
_SUFFIXES = (".js", ".mjs", ".cjs")


class _Json(click.ParamType[msgspec.Raw]):
    """JSON text."""

    name = "json"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> msgspec.Raw:
        """The text as it is. Fails if it is not JSON."""
        if isinstance(value, msgspec.Raw):
            return value
        try:
            text = str(value).strip().encode()
            msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
            self.fail(f"{str(value)[:80]!r} is not JSON: {wrong}", param, ctx)
        return msgspec.Raw(text)


@click.command("exec")
@click.argument("code", required=False, metavar="CODE|FILE|-")
@click.option("--session", type=SessionPoint(), metavar="NAME[@N]", help="Where; @N branches off there.")
@click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The code is in there."
)
@click.option("--input", "argument", type=_Json(), metavar="JSON", help="Is `input` in the code.")
@click.option("--timeout", type=Seconds(min=0, min_open=True), metavar="SECONDS", help="[default: 30]")
@click.option("--heap-memory-mb", type=click.IntRange(min=1), metavar="MB", help="[default: 128]")
@click.option("--idempotency-key", metavar="KEY", help="The same code under the same key runs once.")
@click.option("--no-wait", is_flag=True, help="Print its id, and leave it to the server.")
@as_json
@with_target
async def exec(  # noqa: A001 (it is the command's name)
    target: Target,
    code: str | None,
    session: Point | None,
    file: Path | None,
    argument: msgspec.Raw | None,
    timeout: float | None,  # noqa: ASYNC109 (it is the code's)
    heap_memory_mb: int | None,
    idempotency_key: str | None,
    *,
    no_wait: bool,
    as_json: bool,
) -> int:
    """Run JavaScript in a session, which is made on first use; in a new one without --session.

    CODE is the code, or a FILE of it that ends in .js, .mjs or .cjs, or - for stdin. What it prints comes
    as it is printed, warnings and errors on stderr; then its value, and where the session is. Ctrl-C stops
    it, and undoes it.

    \b
    mcp-v8 exec --session demo 'let xs = [1, 2, 3]; xs.length'
    mcp-v8 exec --session demo@1 'xs.pop()'     on a branch from there
    mcp-v8 exec --session demo --input '{"a": 7}' 'input.a'
    echo '6 * 7' | mcp-v8 exec --session demo -
    """
    if no_wait and target.url is None:
        raise click.UsageError("--no-wait is for a server, by --url: on a store nothing goes on by itself")
    request = Request(
        code=_code(code, file),
        session=None if session is None else str(session),
        input=argument,
        timeout=timeout,
        heap_mb=heap_memory_mb,
        idempotency_key=idempotency_key,
    )
    async with target.client("write") as client:
        if no_wait:
            begun = await Run(client).begin(request)
            print_json(begun) if as_json else click.echo(begun.execution_id)
            return 0
        told, interrupted = await run(client, request, _silent if as_json else outcome.print_line)
    is_fine = told.status == "completed"
    if as_json:
        print_json(told)
    elif is_fine:
        outcome.print_value(told)
        outcome.print_handle(told)
    else:
        outcome.print_failure(told)
    return INTERRUPTED if interrupted else 0 if is_fine else DIFFERS


def _silent(_line: ConsoleEvent) -> None:
    """The lines are in the answer."""


def _code(given: str | None, file: Path | None) -> str:
    """The code that is meant. Raises UsageError."""
    if (given is None) == (file is None) and not (given is None and not sys.stdin.isatty()):
        raise click.UsageError("give the code, or a file of it, or - for stdin: one of them")
    if file is not None:
        return _read(file)
    if given is None or given == "-":
        return _text(sys.stdin.buffer.read(MAX_CODE_BYTES + 1), "stdin")
    if given.endswith(_SUFFIXES) and len(given) < 4_096 and Path(given).is_file():
        return _read(Path(given))
    return given


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return _text(opened.read(MAX_CODE_BYTES + 1), str(file))
    except OSError as failed:
        raise click.UsageError(f"{file} cannot be read: {failed.strerror}") from failed


def _text(data: bytes, name: str) -> str:
    if len(data) > MAX_CODE_BYTES:
        raise click.UsageError(f"{name} has more than {MAX_CODE_BYTES >> 20} MiB: that is no code")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        raise click.UsageError(f"{name} is not UTF-8: {broken.reason} at byte {broken.start}") from broken
