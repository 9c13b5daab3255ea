"""Checks of the official conformance suite that do not pass, each with its reason.

``docs/conformance.md`` shows the same table. The test demands equality: a check that fails or warns and is
not listed, or is listed and passes, fails the test.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct


class Disagreement(Struct, frozen=True):
    """What one scenario finds, in one run of the suite."""

    run: str
    """Key of ``RUNS``."""
    scenario: str
    checks: frozenset[str]
    reason: str


class Run(Struct, frozen=True):
    """One run of the suite."""

    package: str
    """The npm package, by its name in ``package.json``."""
    arguments: tuple[str, ...]
    server: str
    """``fixtures``: the product's doors and tasks with the suite's tools, prompts and resources;
    ``product``: the product."""
    passed: int | None = None
    """How many checks pass; None where it depends on what the product has."""


RUNS = {
    "0.1.16": Run("conformance-2025", ("--suite", "all"), "fixtures", 44),
    "2025-11-25": Run("conformance-2026", ("--requirements", "2025-11-25"), "fixtures", 84),
    "2026-07-28": Run("conformance-2026", ("--requirements", "2026-07-28"), "fixtures", 192),
    "2025-11-25, product": Run("conformance-2026", ("--requirements", "2025-11-25"), "product"),
    "2026-07-28, product": Run("conformance-2026", ("--requirements", "2026-07-28"), "product"),
}

OF_THE_PRODUCT = frozenset(
    {
        "caching",
        "dns-rebinding-protection",
        "http-header-validation",
        "input-required-result-unsupported-methods",
        "logging-set-level",
        "ping",
        "resources-list",
        "sep-2164-resource-not-found",
        "server-initialize",
        "server-session-lifecycle",
        "server-sse-multiple-streams",
        "server-stateless",
        "tools-list",
    }
)
"""The scenarios that ask for nothing but the protocol, so that the product can be judged by them too."""

_OLD_CLIENT = (
    "The suite calls in the revision 2025-03-26. An event without data, and with it the time to wait before "
    "coming back, begins a stream only from 2025-11-25 on: earlier clients cannot read it."
)
_TASKS_NEVER_WAIT = (
    "The tasks are executions of code that has no way to ask its client: they never wait for input, and no tool "
    "makes one that does."
)
_TASKS_NEVER_FAIL = (
    "It wants a tool that makes the server fail inside. What code does to itself, a crash too, is a result."
)
_NO_PROMPTS = "The product has no prompts, does not announce them, and the method is not found."
_NO_SUCH_TOOL = "It calls tools of the suite's own, which the product has not: judged in the run with fixtures, where it passes."


def _listed(run: str, scenario: str, checks: Sequence[str], reason: str) -> Disagreement:
    return Disagreement(run, scenario, frozenset(checks), reason)


DISAGREEMENTS = (
    _listed(
        "0.1.16", "server-sse-polling", ("server-sse-priming-event", "server-sse-retry-field"), _OLD_CLIENT
    ),
    _listed("2026-07-28", "tasks-lifecycle", ("sep-2663-tasks-get-status-failed",), _TASKS_NEVER_FAIL),
    _listed(
        "2026-07-28",
        "tasks-mrtr-input",
        (
            "sep-2663-tasks-get-status-input-required",
            "tasks-mrtr-partial-fulfillment",
            "tasks-mrtr-tasks-update-resumes",
        ),
        _TASKS_NEVER_WAIT,
    ),
    _listed("2026-07-28, product", "caching", ("sep-2549-prompts-list-caching-hints",), _NO_PROMPTS),
    _listed(
        "2026-07-28, product",
        "server-stateless",
        (
            "sep-2575-http-server-no-independent-requests-on-stream",
            "sep-2575-missing-capability-http-400",
            "sep-2575-server-no-log-without-loglevel",
            "sep-2575-server-rejects-undeclared-capability",
        ),
        _NO_SUCH_TOOL,
    ),
)
