"""Which cluster a server is a node of, as the operator gave it, checked."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from typing import Any

from cli.choices import ConfigError
from cluster.settings import ClusterSettings
from persistence.etcd.endpoints import parse

SECRET_VARIABLE = "MCP_V8_CLUSTER_SECRET"  # noqa: S105 (its name)
NO_SELF_FENCE_VARIABLE = "MCP_V8_TEST_NO_SELF_FENCE"
"""For tests: nothing that is promised may rest on a node's own clock."""
MIN_SECRET_BYTES = 16
_MAX_SECRET_BYTES = 4_096
_NODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ADDRESS = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_ONLY_OF_CLUSTERS = ("node_id", "advertise_addr", "cluster_secret_file")


def cluster_of(
    chosen: Mapping[str, Any], port: int | None, environ: Mapping[str, str] = os.environ
) -> ClusterSettings | None:
    """The cluster; None if the server is by itself. Raises ConfigError."""
    if chosen["cluster_etcd"] is None:
        for name in _ONLY_OF_CLUSTERS:
            if chosen[name] is not None:
                flag = "--" + name.replace("_", "-")
                raise ConfigError(f"{flag} is for a node of a cluster: give --cluster-etcd, too")
        return None
    if port is None:
        raise ConfigError("--cluster-etcd is for servers that others reach: give --http-port, not --stdio")
    if chosen["directory_path"] is not None:
        raise ConfigError(
            "the nodes of a cluster keep their sessions in one bucket, not in a directory: give --s3-bucket, "
            "or --stateless"
        )
    try:
        urls = parse(chosen["cluster_etcd"])
    except ValueError as refused:
        raise ConfigError(f"--cluster-etcd: {refused}") from refused
    if _NAME.fullmatch(chosen["cluster_name"]) is None:
        raise ConfigError(
            "--cluster-name takes 1 to 64 of the characters A-Z a-z 0-9 . _ -, not "
            f"{chosen['cluster_name']!r}"
        )
    return ClusterSettings(
        name=chosen["cluster_name"],
        node=_node(chosen["node_id"]),
        addr=_address(chosen["advertise_addr"], port),
        etcd=urls,
        secret=_secret(chosen, environ),
        quota=chosen["cluster_etcd_quota_mb"] << 20,
        ttl=chosen["cluster_ttl"],
        fences_itself=not environ.get(NO_SELF_FENCE_VARIABLE),
    )


def _node(given: str | None) -> str:
    node = socket.gethostname().partition(".")[0] if given is None else given
    if _NODE.fullmatch(node) is None:
        raise ConfigError(f"--node-id takes 1 to 64 of the characters A-Z a-z 0-9 _ -, not {node!r}")
    return node


def _address(given: str | None, port: int) -> str:
    if given is None:
        if port == 0:
            raise ConfigError("with --http-port 0 other nodes do not know the port: give --advertise-addr")
        return f"{socket.gethostname()}:{port}"
    match = _ADDRESS.fullmatch(given)
    if match is None or not 0 < int(match[1]) < 65_536:
        raise ConfigError(f"--advertise-addr takes HOST:PORT, as node-1:8080, not {given!r}")
    return given


def _secret(chosen: Mapping[str, Any], environ: Mapping[str, str]) -> bytes:
    path = chosen["cluster_secret_file"]
    if path is not None:
        try:
            secret: bytes = path.read_bytes()[: _MAX_SECRET_BYTES + 1].strip()
        except OSError as failed:
            raise ConfigError(f"--cluster-secret-file: {path}: {failed.strerror}") from failed
        where = "--cluster-secret-file"
    elif (text := environ.get(SECRET_VARIABLE)) is not None:
        secret, where = text.strip().encode(errors="surrogateescape"), f"the variable {SECRET_VARIABLE}"
    else:
        raise ConfigError(
            "the nodes of a cluster know each other by a secret: give --cluster-secret-file "
            "FILE, with the same content at each (openssl rand -hex 32 makes one)"
        )
    if not MIN_SECRET_BYTES <= len(secret) <= _MAX_SECRET_BYTES:
        raise ConfigError(
            f"{where} must have {MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES:,} bytes, not {len(secret):,}"
        )
    return secret
