"""``mcp-v8 cluster``: the nodes that are one server, and what is where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import click
import trio
from click.shell_completion import CompletionItem

from cli.output import moments, terminal
from cli.output.json import as_json, print_json
from cli.output.progress import Progress
from cli.output.quantities import counted, duration, size
from cli.output.styles import BAD, DOUBTFUL, FAINT, GOOD, STRONG, Style, Styled
from cli.output.table import Cell, Column, Table
from cli.output.text import visible
from cli.target.client import Client
from cli.target.failures import DIFFERS, USAGE, Failed
from cli.target.options import Target, with_target
from cli.target.point import SessionName
from cluster.status import ClusterStatus, EtcdMember, NodeState, NodeStatus
from transports.answer import time_of
from transports.rest.cluster import MovedAnswer

FULL = 0.7
"""Part of etcd's quota from which on somebody should look."""
POLL_SECONDS = 0.5
DRAIN_SECONDS = 600.0

_STATES: dict[NodeState, Style] = {"serving": GOOD, "draining": DOUBTFUL, "silent": BAD}
_NODES = (
    Column(title="node", least=8),
    Column(title="state"),
    Column(title="address", least=12, leaves=6),
    Column(title="program", leaves=5),
    Column(title="sessions", right=True),
    Column(title="running", right=True),
    Column(title="queued", right=True, leaves=2),
    Column(title="joined", leaves=4),
    Column(title="lease", right=True, leaves=3),
    Column(title="heard of", right=True, leaves=1),
)
_MEMBERS = (
    Column(title="etcd", least=12),
    Column(title="version", leaves=2),
    Column(title="size", right=True),
    Column(title="in use", right=True, leaves=1),
    Column(title="quota", right=True),
    Column(title="", least=12),
)


class _NodeId(click.ParamType[str]):
    """A node, by its id."""

    name = "node"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The id as it is: what is wrong with it the server says."""
        return str(value)

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The ids of the target's cluster."""
        from cli.target.completing import node_ids  # for a shell alone

        return [CompletionItem(node) for node in node_ids(ctx.params, incomplete)]


@click.group
def cluster() -> None:
    """See and steer the nodes of a cluster. Any node may be asked, by --url or MCP_V8_URL."""


@cluster.command
@as_json
@with_target
async def status(target: Target, *, as_json: bool) -> int:
    """Show the nodes, etcd, and how much of the log is not yet in S3.

    What somebody should look at comes last, on stderr, and the exit status is 1 then.

    \b
    mcp-v8 cluster status --url http://localhost:8080
    """
    async with _asking(target) as client:
        told = await _status(client)
    wrong = list(complaints(told))
    if as_json:
        print_json(told)
    else:
        for line in _lines(told):
            click.echo(line)
    for sentence in wrong:
        click.echo(f"mcp-v8: {visible(sentence)}", err=True)
    return DIFFERS if wrong else 0


@cluster.command
@click.argument("node", type=_NodeId())
@click.option("--wait", is_flag=True, help="Until it has no session, and nothing runs there.")
@as_json
@with_target
async def drain(target: Target, node: str, *, wait: bool, as_json: bool) -> None:
    """Let a node hand over its sessions, and take no more: before it is stopped.

    It goes on answering, by asking the others. Started anew, it takes sessions again.

    \b
    mcp-v8 cluster drain node-1 --wait --url http://localhost:8080
    """
    async with _asking(target) as client:
        told = await client.ask(ClusterStatus, "POST", "/api/cluster/drain", body={"node": node})
        if wait:
            told = await _emptied(client, node, told)
    if as_json:
        print_json(told)
        return
    left = _of(told, node)
    if left is None or _is_empty(left):
        click.echo(f"{node} is empty")
    else:
        click.echo(f"{node} hands over {counted(left.sessions, 'session')}, {left.running} running")


@cluster.command
@click.argument("session", type=SessionName())
@click.argument("node", type=_NodeId())
@as_json
@with_target
async def move(target: Target, session: str, node: str, *, as_json: bool) -> None:
    """Hand a session over to a node. What runs in it is over before that.

    \b
    mcp-v8 cluster move demo node-2 --url http://localhost:8080
    """
    async with _asking(target) as client:
        body = {"session": session, "node": node}
        told = await client.ask(MovedAnswer, "POST", "/api/cluster/move", body=body)
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told.session} is on {told.node}")


def _asking(target: Target) -> AbstractAsyncContextManager[Client]:
    """The client of a node. Raises Failed for a store, which is none."""
    if target.url is None:
        raise Failed("a node of the cluster is asked: give --url, as http://localhost:8080", USAGE)
    return target.client()


async def _status(client: Client) -> ClusterStatus:
    return await client.ask(ClusterStatus, "GET", "/api/cluster")


async def _emptied(client: Client, node: str, told: ClusterStatus) -> ClusterStatus:
    """The status once the node has nothing any more, or is gone. Raises Failed where that takes too long."""
    first = _of(told, node)
    total = 0 if first is None else first.sessions
    with Progress(f"emptying {node}", total, "sessions") as progress, trio.move_on_after(DRAIN_SECONDS):
        while (left := _of(told, node)) is not None and not _is_empty(left):
            progress.at(max(0, total - left.sessions))
            await trio.sleep(POLL_SECONDS)
            told = await _status(client)
        return told
    raise Failed(f"{node} is not empty after {duration(DRAIN_SECONDS * 1_000)}: see mcp-v8 cluster status")


def _of(told: ClusterStatus, node: str) -> NodeStatus | None:
    return next((one for one in told.nodes if one.node == node), None)


def _is_empty(node: NodeStatus) -> bool:
    return not node.sessions and not node.running and not node.queued


def complaints(told: ClusterStatus) -> Iterator[str]:
    """What somebody should look at, in sentences."""
    if told.leader is None:
        yield "no node moves the log to S3 just now: it stays in etcd"
    for node in told.nodes:
        if node.state == "silent":
            after = f" within {told.ttl_seconds:g} s"
            yield f"{node.node} is silent; unless it is back{after}, the others take its sessions"
    for member in told.etcd:
        if member.error is not None:
            yield f"etcd at {member.endpoint}: {member.error}"
        elif member.quota_bytes and member.db_bytes >= FULL * member.quota_bytes:
            yield (
                f"etcd at {member.endpoint} has {_part(member)} of its quota: at all of it nothing can be "
                'written any more; see docs/cluster.md, "etcd is full"'
            )


def _lines(told: ClusterStatus) -> Iterator[str]:
    yield (
        f"cluster {visible(told.name)}, format {told.format}: {told.node} was asked, "
        f"{'nobody' if told.leader is None else told.leader} moves the log"
    )
    yield from _table(_NODES, [_node_row(node) for node in told.nodes])
    yield from _table(_MEMBERS, [_member_row(member) for member in told.etcd])
    if told.archived is not None:
        waiting = f"{counted(told.tail_batches, 'batch', 'batches')} ({size(told.tail_bytes)})"
        yield f"the log: {waiting} in etcd alone, S3 has {told.archived:,}"


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> list[str]:
    return Table(columns, rows, terminal.width()).lines(rows)


def _node_row(node: NodeStatus) -> Sequence[Cell]:
    return (
        Styled(visible(node.node), STRONG),
        Styled(node.state, _STATES[node.state]),
        visible(node.addr),
        Styled(visible(node.program), FAINT),
        f"{node.sessions:,}",
        f"{node.running:,}",
        f"{node.queued:,}",
        moments.ago(time_of(node.since), moments.now()),
        _seconds(node.lease_seconds),
        _seconds(node.lag_seconds),
    )


def _member_row(member: EtcdMember) -> Sequence[Cell]:
    quota = "" if not member.quota_bytes else f"{_part(member)} of {size(member.quota_bytes)}"
    leads = Styled("etcd's leader", FAINT) if member.is_leader else ""
    return (
        visible(member.endpoint),
        visible(member.version or ""),
        size(member.db_bytes),
        size(member.in_use_bytes),
        quota,
        leads if member.error is None else Styled(visible(member.error), BAD),
    )


def _part(member: EtcdMember) -> str:
    assert member.quota_bytes
    return f"{member.db_bytes / member.quota_bytes:.0%}"


def _seconds(value: float | None) -> str:
    return "" if value is None else duration(value * 1_000)
