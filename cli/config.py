"""What the server is told to do, checked: choices become ``Settings``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from cli import environment
from cli.choices import Choices, ConfigError
from cli.clustering import cluster_of
from cluster.settings import ClusterSettings
from engine import cgroup
from engine.isolate.sandbox.layers import Mode
from engine.keptworkers import Isolation
from engine.limits import LimitPolicy, Limits
from engine.placement import Placement, place
from persistence.place import Bucket, Directory, Place
from persistence.s3 import settings as bucket_settings
from persistence.s3.objects import Refused
from transports.guard import ANY
from transports.request import SESSION_NAME
from transports.settings import HttpSettings

_NO_NAMES = ("", "0.0.0.0", "::")  # noqa: S104 (an address for listening is nothing that a client asks for)
_HOST_NAME = re.compile(r"[^\s:/?#@\[\]]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^\s:/?#@\[\]*]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_USUAL_PORTS = {"http": ":80", "https": ":443"}
"""What browsers leave out."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything ``serve`` needs to know."""

    bind_host: str
    port: int | None
    """0 for any free port; None to serve on stdin and stdout."""
    session_id: str | None
    """Session of a client on stdin that names none."""
    store: Place | None
    """Where the event log is; None for a stateless server."""
    cluster: ClusterSettings | None
    """None for a server by itself."""
    isolation: Isolation
    """What each execution of a stateless server has for itself."""
    cache_dir: Path
    max_workers: int
    max_executions: int
    restore_target_seconds: float
    max_recovery_seconds: float
    idle_seconds: float
    sandbox: Mode
    max_store_bytes: int
    session_ttl_seconds: float
    """0: sessions without a name are kept, too."""
    placement: Placement | None
    """Processors for the server and for its workers; None leaves them to the kernel."""
    policy: LimitPolicy
    tokens: Path | None
    """File of bearer tokens; None lets everybody in."""
    http: HttpSettings
    log_level: str
    log_format: Literal["text", "json"]


def settings(choices: Choices) -> Settings:
    """The settings that follow from the choices. Raises ConfigError."""
    chosen = {name: choice.value for name, choice in choices.items()}
    store = place_of(chosen)
    port = chosen["http_port"] if chosen["sse_port"] is None else chosen["sse_port"]
    bound = chosen["bind_host"].strip().strip("[]")
    cluster = cluster_of(chosen, port)
    return Settings(
        bind_host=bound,
        port=port,
        session_id=_session_id(chosen["session_id"], port),
        store=store,
        cluster=cluster,
        isolation=chosen["stateless_isolation"],
        cache_dir=environment.cache_directory(),
        max_workers=chosen["max_workers"],
        max_executions=chosen["max_executions"],
        restore_target_seconds=chosen["restore_target"],
        max_recovery_seconds=chosen["max_recovery_seconds"],
        idle_seconds=chosen["idle_seconds"],
        sandbox=chosen["sandbox"],
        max_store_bytes=chosen["max_store_mb"] << 20,
        session_ttl_seconds=chosen["session_ttl"],
        placement=place(
            os.sched_getaffinity(0),
            # executions without sessions are nearly all worker: they need every processor
            pin=False if store is None and chosen["pin_cpus"] is None else chosen["pin_cpus"],
            quota=cgroup.processors(),
        ),
        policy=_policy(chosen),
        tokens=chosen["tokens"],
        http=HttpSettings(
            allowed_hosts=_host_names(chosen["allowed_hosts"]) + (() if bound in _NO_NAMES else (bound,)),
            allowed_origins=_origins(chosen["allowed_origins"]),
            requests_per_second=chosen["max_requests_per_second"],
            sse=chosen["sse_port"] is not None,
            exec_async=chosen["exec_async"],
            drain_seconds=chosen["drain_seconds"],
            answer_console_bytes=chosen["max_answer_console_bytes"],
            mcp_chars=chosen["max_mcp_chars"],
            all_tools=chosen["tools"] == "all",
            body_bytes=chosen["max_body_bytes"],
            connections=chosen["max_connections"],
            node="" if cluster is None else cluster.node,
            store="none" if store is None else str(store),
        ),
        log_level=chosen["log_level"],
        log_format=chosen["log_format"],
    )


def place_of(chosen: Mapping[str, Any]) -> Place | None:
    """Where the store is; None if there is none. Raises ConfigError."""
    if chosen["directory_path"] is not None:
        return Directory(chosen["directory_path"])
    if chosen["s3_bucket"] is None:
        return None
    try:
        bucket = bucket_settings.Settings(
            bucket=chosen["s3_bucket"],
            prefix=chosen["s3_prefix"],
            path_style=chosen["s3_path_style"],
            encryption=chosen["s3_encryption"],
            kms_key=chosen["s3_kms_key"],
        )
    except Refused as refused:
        raise ConfigError(str(refused)) from refused
    return Bucket(bucket, chosen["cache_dir"], chosen["cache_max_bytes"])


def _policy(chosen: dict[str, Any]) -> LimitPolicy:
    return LimitPolicy(
        default=Limits(
            time_ms=round(chosen["execution_timeout"] * 1_000),
            heap_mb=chosen["heap_memory"],
            offheap_mb=chosen["max_offheap_memory"],
            console_bytes=chosen["max_console_bytes"],
            result_chars=chosen["max_result_chars"],
            timers=chosen["max_timers"],
            clock_reads=chosen["max_clock_reads"],
            cpu_ms=round(chosen["max_cpu_seconds"] * 1_000),
        ),
        max_time_ms=round(chosen["max_execution_timeout"] * 1_000),
        max_heap_mb=chosen["heap_memory_max"],
        max_code_bytes=chosen["max_code_bytes"],
        max_input_bytes=chosen["max_input_chars"],
        max_queue=chosen["max_queue"],
        max_session_events=chosen["max_session_events"],
        max_import_bytes=chosen["max_import_bytes"],
        max_owner_sessions=chosen["max_owner_sessions"],
    )


def _session_id(name: str | None, port: int | None) -> str | None:
    """The name. Raises ConfigError for one that no session can have, and where there are many clients."""
    if name is None:
        return None
    if port is not None:
        raise ConfigError(
            "--session-id is for stdio: over HTTP each client names its session, as in /mcp?session=NAME"
        )
    if SESSION_NAME.fullmatch(name) is None:
        raise ConfigError(f"--session-id takes 1 to 128 of the characters A-Z a-z 0-9 . _ -, not {name!r}")
    return name


def _origins(text: str) -> tuple[str, ...]:
    """The origins in a list separated by commas, as browsers write them. Raises ConfigError for others."""
    origins = tuple(origin.strip().lower() for origin in text.split(",") if origin.strip())
    for origin in origins:
        if origin != ANY and _ORIGIN.fullmatch(origin) is None:
            raise ConfigError(
                "--allowed-origins takes origins such as https://app.example.com:8443, without a path, "
                f"not {origin!r}"
            )
    return tuple(origin.removesuffix(_USUAL_PORTS.get(origin.partition("://")[0], "")) for origin in origins)


def _host_names(text: str) -> tuple[str, ...]:
    """The names in a list separated by commas. Raises ConfigError for one with more than a name."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if _HOST_NAME.fullmatch(name) is None:
            raise ConfigError(f"--allowed-hosts takes names without scheme, port or path, not {name!r}")
    return names
