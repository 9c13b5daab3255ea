"""Where things of a cluster are in etcd."""

from __future__ import annotations

from hashlib import sha256


class Keys:
    """The keys of the cluster of that name; each part of them ends where the next begins."""

    def __init__(self, cluster: str) -> None:
        self.prefix = f"/mcp-v8/{cluster}/".encode()
        self.format = self.prefix + b"format"
        """Version of all this."""
        self.secret = self.prefix + b"secret"
        """By which a node sees that it has the others' secret."""
        self.leader = self.prefix + b"leader"
        self.nodes = self.prefix + b"nodes/"
        self.owned = self.prefix + b"own/"
        self.running = self.prefix + b"running/"

    def node(self, node: str) -> bytes:
        """A member."""
        return self.nodes + node.encode()

    def own(self, owner: str, name: str) -> bytes:
        """Who has the session of that name: names may be long, and belong to owners with any names."""
        return self.owned + sha256(f"{owner}\0{name}".encode()).hexdigest()[:32].encode()

    def execution(self, execution_id: str) -> bytes:
        """An execution whose id a client knows, while it is not over."""
        return self.running + execution_id.encode()
