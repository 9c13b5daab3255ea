"""Where something goes that no node has yet."""

from __future__ import annotations

from collections import Counter

from cluster.records import Load, Member, NodeState
from cluster.routing import SLACK, least_busy, rendezvous


def member(node: str, running: int = 0, state: NodeState = "serving", processors: int = 1) -> Member:
    load = Load(running=running, processors=processors)
    return Member(node=node, incarnation="", addr="", program="", state=state, since=0, load=load)


def of(*members: Member) -> dict[str, Member]:
    return {one.node: one for one in members}


def test_it_stays_here_unless_this_node_is_much_busier_than_another() -> None:
    others = of(member("a"), member("b", 1), member("c", 5))
    assert least_busy(others, "b", int(SLACK), {}) == "b"
    assert least_busy(others, "b", int(SLACK) + 1, {}) == "a"


def test_what_was_sent_to_a_node_counts_before_that_tells_of_it() -> None:
    assert least_busy(of(member("a"), member("b"), member("c")), "c", 9, {"a": 3, "b": 2}) == "b"


def test_a_node_with_more_processors_takes_more() -> None:
    assert least_busy(of(member("a", 4), member("b", 6, processors=4)), "x", 0, {}) == "b"


def test_a_node_that_is_drained_gets_nothing_and_gives_to_others() -> None:
    members = of(member("a", state="draining"), member("b", 50))
    assert least_busy(members, "a", 0, {}) == "b"
    assert least_busy(of(member("a", state="draining")), "a", 0, {}) is None
    assert rendezvous(members, "key") == "b"


def test_all_nodes_agree_on_where_a_key_goes_and_few_keys_move_when_a_node_leaves() -> None:
    three, two = of(*map(member, "abc")), of(*map(member, "ab"))
    before = {key: rendezvous(three, key) for key in map(str, range(300))}
    assert before == {key: rendezvous(dict(reversed(three.items())), key) for key in before}
    assert min(Counter(before.values()).values()) > 60
    assert all(rendezvous(two, key) == node for key, node in before.items() if node != "c")
