"""The cluster over REST: who is there, and what an operator lets them do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from cluster.status import Clustering, ClusterStatus
from engine.errors import NotFound
from transports.asgi import JsonAnswer
from transports.rest.routes import Asked, Content, NoQuery, Route, json_answer
from transports.rest.shapes import SessionName

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

NodeId = Annotated[
    str,
    Meta(
        description="A node's id: 1 to 64 of the characters A-Z a-z 0-9 _ -",
        pattern="^[A-Za-z0-9_-]{1,64}$",
    ),
]


class DrainBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which node is to be emptied."""

    node: NodeId


class MoveBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Which session is to go where."""

    session: SessionName
    node: NodeId


class MovedAnswer(Struct, frozen=True, kw_only=True):
    """Where a session is now."""

    session: str
    node: str
    """The one that owns it."""


class Cluster:
    """The views."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine = engine

    @property
    def _cluster(self) -> Clustering:
        if self._engine.cluster is None:
            raise NotFound("this server is in no cluster: one that is was started with --cluster-etcd")
        return self._engine.cluster

    async def status(self, asked: Asked[NoQuery, None]) -> JsonAnswer:  # noqa: ARG002
        """How it is."""
        return json_answer(await self._cluster.status())

    async def drain(self, asked: Asked[NoQuery, DrainBody]) -> JsonAnswer:
        """Begin to empty a node."""
        await self._cluster.drain(asked.body.node)
        return json_answer(await self._cluster.status())

    async def move(self, asked: Asked[NoQuery, MoveBody]) -> JsonAnswer:
        """Hand over a session."""
        await self._cluster.move(asked.owner, asked.body.session, asked.body.node)
        return json_answer(MovedAnswer(session=asked.body.session, node=asked.body.node))


def routes(engine: Supervisor) -> list[Route]:
    """The routes of the cluster."""
    views = Cluster(engine)
    status = Content("How the cluster is", ClusterStatus)
    return [
        Route(
            name="cluster_status",
            method="GET",
            path="/api/cluster",
            group="cluster",
            summary="Which nodes there are, how they and etcd are",
            text="As the node that answers sees it. 404 from a server that is in no cluster.",
            view=views.status,
            answers={200: status},
            errors=(404, 503),
        ),
        Route(
            name="drain_node",
            method="POST",
            path="/api/cluster/drain",
            group="cluster",
            summary="Let a node hand over its sessions, and take no more",
            text="Answers as soon as the node has been told; it is empty when it has no `sessions` and none "
            "`running`. It goes on answering, by asking the others, until it is stopped.",
            view=views.drain,
            body=DrainBody,
            body_example={"node": "node-1"},
            answers={200: status},
            errors=(404, 409, 413, 415, 503),
        ),
        Route(
            name="move_session",
            method="POST",
            path="/api/cluster/move",
            group="cluster",
            summary="Hand one of your sessions over to a node",
            text="Answers once that node owns it. What runs in the session is over before that.",
            view=views.move,
            body=MoveBody,
            body_example={"session": "demo", "node": "node-2"},
            answers={200: Content("Where it is now", MovedAnswer)},
            errors=(404, 409, 413, 415, 503),
        ),
    ]
