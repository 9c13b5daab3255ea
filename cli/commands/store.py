"""``mcp-v8 store copy``: a backup of a whole store, also of one that a server is writing to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from cli.commands.verify import report, verified
from cli.entry import INTERRUPTED
from cli.interrupts import until_interrupted
from cli.output.json import as_json, print_json
from cli.output.progress import Progress
from cli.target.failures import CORRUPT, USAGE, Failed
from cli.target.options import Target, with_target
from persistence.place import Directory


class CopiedStore(Struct, frozen=True, kw_only=True):
    """What ``--json`` tells of a copy."""

    to: str
    kept: bool
    """Whether it is there."""
    sessions: int
    damaged: int
    """Sessions with faults."""
    events: int
    bytes: int
    """Of these."""
    checkpoints: int
    faults: int
    store_faults: list[str]
    sound: bool


class _Folder(click.ParamType[Path]):
    """Where a store can be copied to."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, absolute. Fails for an address of another kind."""
        if "://" in str(value):
            self.fail(f"{value} is no folder of this machine, to which alone a store is copied", param, ctx)
        return Path(value).absolute()


@click.group
def store() -> None:
    """Work on a store as a whole."""


@store.command
@click.argument("to", type=_Folder(), metavar="TO")
@click.option(
    "--keep-damaged", is_flag=True, help="Keep the copy also if not all in it is as it was written."
)
@as_json
@with_target
async def copy(target: Target, to: Path, *, keep_damaged: bool, as_json: bool) -> int:
    """Copy a store into TO, a new or an empty folder: a backup.

    A server may be writing to the store: the copy has all that was answered before it began. It is checked
    as by verify, and only then put where it shall be: a store, to be served, looked at or copied back. If
    anything is damaged the exit status is 4, and nothing is kept.

    It works on the files of the store: on the server's machine, and of a container by docker exec.

    \b
    mcp-v8 store copy /backup/monday
    mcp-v8 store copy --directory-path /backup/monday /var/lib/mcp-v8      copy it back
    """
    if target.url is not None:
        raise Failed("a store is copied where its files are: give --directory-path in place of --url", USAGE)
    if target.owner is not None:
        raise Failed("a copy has the whole store, whoever has sessions in it: leave out --owner", USAGE)
    if not isinstance(target.store, Directory):
        raise Failed(
            "a store in S3 is not copied in this version: its log and blobs are durable there", USAGE
        )
    from persistence.storecopy import copying  # of all commands only this one makes copies

    async with until_interrupted() as scope, copying(target.store.path, to) as made:
        with Progress("copying the log", 0, "pages") as progress:
            await made.copy_log(progress.within)
        with Progress("copying checkpoints", 0, "blobs") as progress:
            await made.copy_blobs(progress.within)
        damaged, end = await verified(msgspec.structs.replace(target, store=Directory(made.folder)))
        if kept := end.sound or keep_damaged:
            made.keep()
    if scope.cancelled_caught:
        return INTERRUPTED
    if as_json:
        fields = msgspec.structs.asdict(end)
        print_json(CopiedStore(to=str(to), kept=kept, **fields))
    else:
        for line in report(damaged, end):
            click.echo(line)
        click.echo(f"The copy is in {to}." if kept else "No copy was kept; --keep-damaged keeps one.")
    return 0 if end.sound else CORRUPT
