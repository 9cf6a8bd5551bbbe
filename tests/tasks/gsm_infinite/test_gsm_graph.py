"""Graphs: exactly op operations, everything needed, nothing circular, totals of all their items; also where names are scarce."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.tasks.gsm_infinite.graph import TOTAL, Chance, Graph, draw

FIXED = settings(derandomize=True, max_examples=300, deadline=None)


def operations(graph: Graph) -> int:
    return sum(1 if node is graph.unknown else len(node.parents) + (node.constant > 0) for node in graph.gold)


@FIXED
@given(
    seed=st.integers(0, 10**9),
    op=st.integers(2, 40),
    unknowns=st.sampled_from([None, (1, 4), (1, 75)]),
    others=st.integers(0, 20),
)
def test_graphs_hold_what_they_promise(seed: int, op: int, unknowns: tuple[int, int] | None, others: int) -> None:
    graph = draw(Chance(random.Random(seed)), op, 10, 5, unknowns, others)
    assert operations(graph) == op
    everything = graph.gold + graph.others
    assert len({(node.place, node.item) for node in everything}) == len(everything)
    before: set[int] = set()
    for node in everything:
        assert {id(parent) for parent in node.parents} <= before
        before.add(id(node))
    needed = {id(graph.gold[-1])}
    for node in reversed(graph.gold):
        assert id(node) in needed
        needed |= {id(parent) for parent in node.parents}
        assert graph.number(node) > 0
    for node in graph.gold:
        if node.item == TOTAL:
            items = {id(other) for other in everything if other.place == node.place and other.item != TOTAL}
            assert {id(parent) for parent in node.parents} == items
    if unknowns is not None:
        assert graph.gold[-1].value[0] > 0
        assert unknowns[0] <= graph.solution <= unknowns[1]


@pytest.mark.parametrize(("op", "places", "items"), [(20, 4, 6), (12, 3, 5), (30, 8, 4), (10, 9, 2)])
def test_scarce_names_are_enough(op: int, places: int, items: int) -> None:
    for seed in range(300):
        assert operations(draw(Chance(random.Random(seed)), op, places, items)) == op


def test_the_range_of_the_unknown_does_not_change_the_shape() -> None:
    for seed in range(50):
        small, wide = (draw(Chance(random.Random(seed)), 14, 10, 5, unknowns, 3) for unknowns in ((1, 4), (1, 999)))
        for one, other in zip(small.gold, wide.gold, strict=True):
            assert (one.place, one.item, one.value) == (other.place, other.item, other.value)
