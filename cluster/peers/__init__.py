"""How the nodes of a cluster ask each other: calls, with streams in both directions.

Each node has one WebSocket to each other one that it calls. On it both have proved that they know the
cluster's secret (``handshake``); then it carries many calls at once (``frames`` in messages, which a ``line``
sends and receives), each of which has a ``flow`` at either end.
"""

from cluster.peers.calling import Exchange
from cluster.peers.client import PATH
from cluster.peers.door import PeerDoor
from cluster.peers.handshake import Passport
from cluster.peers.peers import NodeUnreached, Peers
from cluster.peers.serving import Call, Handler

__all__ = ["PATH", "Call", "Exchange", "Handler", "NodeUnreached", "Passport", "PeerDoor", "Peers"]
