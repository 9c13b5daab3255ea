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
from cli.target.options import Target, bucket, with_target
from persistence.place import Directory, Place
from persistence.s3.objects import Refused


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


class _Place(click.ParamType[Place]):
    """Where a store can be copied to."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """A folder, absolute, or part of a bucket. Fails for an address of another kind."""
        scheme, found, rest = str(value).rpartition("://")
        if not found:
            return Directory(Path(value).absolute())
        if scheme != "s3":
            self.fail(f"{value} is neither a folder of this machine nor s3://BUCKET/PREFIX", param, ctx)
        name, _, prefix = rest.partition("/")
        try:
            return bucket(name, prefix)
        except Refused as refused:
            self.fail(str(refused), param, ctx)


@click.group
def store() -> None:
    """Work on a store as a whole."""


@store.command
@click.argument("to", type=_Place(), metavar="TO")
@click.option(
    "--keep-damaged", is_flag=True, help="Keep the copy also if not all in it is as it was written."
)
@as_json
@with_target
async def copy(target: Target, to: Place, *, keep_damaged: bool, as_json: bool) -> int:
    """Copy a store to TO: a backup, or a move from a directory to S3 and back.

    TO is a new or an empty folder, or s3://BUCKET/PREFIX, where no store is yet.

    A server may be writing to the store: the copy has all that was answered before it began. It is checked
    as by verify, and only then put where it shall be: a store, to be served, looked at or copied back. If
    anything is damaged the exit status is 4, and nothing is kept.

    It works on what a store is made of, not by asking a server: on the machine that has the directory (of a
    container by docker exec), or on any that can reach the bucket.

    \b
    mcp-v8 store copy /backup/monday
    mcp-v8 store copy --directory-path /backup/monday /var/lib/mcp-v8      copy it back
    mcp-v8 store copy s3://backups/monday
    mcp-v8 store copy --s3-bucket backups --s3-prefix monday /var/lib/mcp-v8
    """
    if target.url is not None:
        raise Failed("a store is copied where its files are: give --directory-path in place of --url", USAGE)
    if target.owner is not None:
        raise Failed("a copy has the whole store, whoever has sessions in it: leave out --owner", USAGE)
    from cli.target.store import open_store  # which takes longer to import than a wrong option to be told
    from persistence.storecopy import copying

    async with until_interrupted() as scope, copying(target.store, to) as made:
        with Progress("copying the log", 0, "pages") as progress:
            await made.copy_log(progress.within)
        with Progress("copying checkpoints", 0, "blobs") as progress:
            await made.copy_blobs(progress.within)
        with Progress("sending the log", 0, "parts") as progress:
            await made.send_log(progress.within)
        damaged, end = await verified(open_store(made.place, owner=None, use="look"), whole=True)
        if kept := end.sound or keep_damaged:
            made.keep()
    if scope.cancelled_caught:
        return INTERRUPTED
    where = str(to.path if isinstance(to, Directory) else to)
    if as_json:
        fields = msgspec.structs.asdict(end)
        print_json(CopiedStore(to=where, kept=kept, **fields))
    else:
        for line in report(damaged, end):
            click.echo(line)
        click.echo(f"The copy is in {where}." if kept else "No copy was kept; --keep-damaged keeps one.")
    return 0 if end.sound else CORRUPT
