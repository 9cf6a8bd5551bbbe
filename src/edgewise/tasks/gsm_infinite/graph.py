"""Graph of a problem with exactly op operations, drawn directly: nothing is drawn and thrown away.

Quantities are the numbers of items of a kind in a place, and the total of a place, which is the sum of all its items. Op
counts the operands: of each equation its parents and its constant, of each total its items. The graph grows backward from
the quantity that is asked for. Every quantity needed but not yet explained is `pending` and will cost at least its smallest
equation; what the budget holds beyond that is `spare`. An equation is only chosen if spare pays for it and for what it
newly needs, and the last pending quantity never ends the graph while there is spare: so it is spent to the last operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from edgewise.tasks.gsm_infinite.linear import UNKNOWN, Linear

T = TypeVar("T")
TOTAL = -1

# The numbers below are set so that problems resemble those of the original generator.

LEAF = (False, 0)
SHAPES = (
    (LEAF, 8),
    ((False, 1), 24),
    ((True, 1), 26),
    ((False, 2), 10),
    ((True, 2), 20),
    ((False, 3), 16),
    ((True, 3), 14),
    ((False, 4), 9),
)
"""Equations, whether a constant leads (`2 plus`, `3 times`) and the number of parents, with their frequencies."""
REUSE = 0.8
"""Chance that a parent is a quantity that is needed already."""
NEW_TOTAL = 0.55
"""Chance that a newly needed quantity is a total."""
SIZE_WEIGHTS = (20, 48, 27, 5)
"""Frequencies of totals of 1, 2, 3 and more items."""
ASKS_TOTAL = 0.8
"""Chance that the question is about a total."""
DIFFERENCE = 0.7
"""Chance that two parents are subtracted, where that is possible."""
LARGE = 1000
"""No product is larger, and no sum of two where a difference is possible: values of long problems stay short."""
CONSTANTS = (1, 2, 2, 2, 3, 3, 3, 4, 4, 4)
ADDENDS, FACTORS = (1, 2, 3, 4), (2, 3, 4)
OTHER_PLACE = 0.4
"""Chance that a quantity which nothing needs is in a place of its own."""
OTHER_LEAF = 0.5
"""Chance that a quantity which nothing needs is a constant."""


@dataclass(slots=True, eq=False)
class Node:
    """A quantity: the item of a place (or its total) and its equation.

    The equation is `constant lead` ("plus" or "times"; "" without a constant in front) of the parents, added or, if
    `difference`, the second subtracted from the first. Without parents it is the constant; the unknown has neither. Whether
    a constant in front is added or multiplied is settled with the values.
    """

    place: int
    item: int
    lead: str = ""
    constant: int = 0
    parents: list[Node] = field(default_factory=list)
    difference: bool = False
    value: Linear = (0, 0)


@dataclass(slots=True)
class Graph:
    """`gold`: what the question needs, parents first and its end last. `others`: quantities that nothing needs.

    The unknown, a leaf of a reverse problem, equals `solution`; the value of the last gold node is then given.
    """

    gold: list[Node]
    others: list[Node]
    unknown: Node | None = None
    solution: int = 0

    def number(self, node: Node) -> int:
        """The value of a quantity as a plain number."""
        a, b = node.value
        return a * self.solution + b


def draw(
    chance: Chance, op: int, places: int, items: int, unknowns: tuple[int, int] | None = None, others: int = 0
) -> Graph:
    """A graph of exactly op operations, 2..40.

    Args:
        chance: where all chance comes from.
        places: places of the context, at least 10.
        items: kinds of items of the context, at least 5.
        unknowns: (first, last) range of the unknown of a reverse problem; None: a forward problem.
        others: quantities to add that nothing needs.
    """
    kinds = chance.between(2, 3 if op < 8 else 4)
    kinds = min(items, max(kinds, -(-(op - 2) // (places - 1))))
    growth = _Growth(chance, op, chance.shuffled(range(places)), chance.shuffled(range(items))[:kinds])
    graph = Graph(growth.grow(), [])
    if unknowns is not None:
        graph.unknown = chance.pick([node for node in graph.gold if not node.parents])
        graph.solution = chance.between(*unknowns)
    for node in graph.gold:
        _settle(chance, node, node is graph.unknown)
    growth.names.add_others(graph, others)
    return graph


class Chance:
    """Choices by `Random.random` alone, the one method whose numbers never change between versions of Python."""

    def __init__(self, rng: Random):
        self.random = rng.random

    def between(self, first: int, last: int) -> int:
        return first + int(self.random() * (last - first + 1))

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self.random() * len(choices))]

    def shuffled(self, values: Iterable[T]) -> list[T]:
        result = list(values)
        for last in range(len(result) - 1, 0, -1):
            other = int(self.random() * (last + 1))
            result[last], result[other] = result[other], result[last]
        return result


class _Names:
    """Which items exist in which places. A place is closed when its total is named: it gets no further items."""

    def __init__(self, chance: Chance, places: list[int], kinds: list[int]):
        self.chance, self.kinds = chance, kinds
        self.unused = places
        self.items: dict[int, list[Node]] = {}
        self.closed: set[int] = set()
        self.free = len(places) * len(kinds)
        """Items that can still be named."""

    def place(self) -> int:
        """A place that can have another item: one in use where there is such a one."""
        room = [
            place for place, items in self.items.items() if place not in self.closed and len(items) < len(self.kinds)
        ]
        return self.chance.pick(room) if room else self.unused[-1]

    def item(self, place: int) -> Node:
        """A new item of a place that can have one."""
        if place not in self.items:
            self.unused.remove(place)
            self.items[place] = []
        taken = {node.item for node in self.items[place]}
        node = Node(place, self.chance.pick([kind for kind in self.kinds if kind not in taken]))
        self.items[place].append(node)
        self.free -= 1
        return node

    def left(self, place: int) -> int:
        """Items that this place can still get."""
        return len(self.kinds) - len(self.items.get(place, ()))

    def total(self, place: int) -> Node:
        """Close a place."""
        self.free -= self.left(place)
        self.closed.add(place)
        return Node(place, TOTAL, parents=self.chance.shuffled(self.items[place]))

    def add_others(self, graph: Graph, count: int) -> None:
        """Add quantities that nothing needs, from whatever is known before them: at most `free`."""
        chance = self.chance
        for _ in range(min(count, self.free)):
            node = self.item(self.unused[-1] if self.unused and chance.random() < OTHER_PLACE else self.place())
            if chance.random() >= OTHER_LEAF:
                known = [*graph.gold, *graph.others]
                lead, parents = _weighted(chance, SHAPES[1:])
                for _ in range(min(parents, len(known))):
                    parent = chance.pick(known)
                    if parent not in node.parents:
                        node.parents.append(parent)
                node.lead = "plus" if lead else ""
            _settle(chance, node)
            graph.others.append(node)


class _Growth:
    """The gold nodes in the making, from the question backward."""

    def __init__(self, chance: Chance, op: int, places: list[int], kinds: list[int]):
        self.chance = chance
        self.names = _Names(chance, places, kinds)
        self.pending: list[Node] = []
        self.explained: list[Node] = []
        self.waiting: set[int] = set()  # places whose total is pending: their items must come before it
        self.spare = op

    def grow(self) -> list[Node]:
        """Explain everything, down to the last operation; parents first."""
        if self.chance.random() >= ASKS_TOTAL or self._new_total() is None:
            self._new_item()
        while self.pending:
            ready = [node for node in self.pending if node.item == TOTAL or node.place not in self.waiting]
            node = self.chance.pick(ready)
            self.pending.remove(node)
            self.explained.append(node)
            if node.item == TOTAL:
                self.waiting.remove(node.place)
            else:
                self._explain(node)
        return self.explained[::-1]

    def _new_item(self) -> Node:
        node = self.names.item(self.names.place())
        self.pending.append(node)
        self.spare -= 1
        return node

    def _new_total(self, kept: int = 0) -> Node | None:
        """Need a total that `spare`, less `kept`, pays for and that leaves a free name for each spare operation.

        Its items are new, or pending ones of a place with no others. None where there is no such total.
        """
        names = self.names
        explained = {node.place for node in self.explained}
        places = [place for place in names.items if place not in names.closed and place not in explained]
        place = self.chance.pick([*places, *names.unused[-1:]] or [-1])
        if place < 0:
            return None
        items = len(names.items.get(place, ()))
        sizes = []
        for size in range(max(items, 1), len(names.kinds) + 1):
            spare = self.spare - size - (size - items)
            if spare >= kept and names.free - names.left(place) >= spare:
                sizes.append((size, SIZE_WEIGHTS[min(size, len(SIZE_WEIGHTS)) - 1]))
        if not sizes:
            return None
        size = _weighted(self.chance, sizes)
        for _ in range(size - items):
            self.pending.append(names.item(place))
        self.spare -= size + (size - items)
        node = names.total(place)
        self.waiting.add(place)
        self.pending.append(node)
        return node

    def _explain(self, node: Node) -> None:
        """Choose the equation of an item. The last one pending is a constant only when nothing is left to spend."""
        last = not self.pending
        if last and self.spare == 0:
            return
        shapes = [
            (shape, weight)
            for shape, weight in SHAPES
            if sum(shape) - 1 + max(0, shape[1] - len(self.pending)) <= self.spare and not (last and shape == LEAF)
        ]
        shape = _weighted(self.chance, shapes)
        if shape == LEAF:
            return
        lead, parents = shape
        node.lead = "plus" if lead else ""
        self.spare -= lead + parents - 1
        for left in range(parents - 1, -1, -1):
            node.parents.append(self._parent(node, left))

    def _parent(self, node: Node, left: int) -> Node:
        """One more parent of a node, where `left` more are to follow."""
        others = [other for other in self.pending if other not in node.parents]
        kept = max(0, left - len(others))
        if others and (self.chance.random() < REUSE or self.spare - 1 < kept):
            return self.chance.pick(others)
        total = self._new_total(kept) if self.chance.random() < NEW_TOTAL else None
        return total or self._new_item()


def _weighted(chance: Chance, options: Sequence[tuple[T, int]]) -> T:
    mark = chance.random() * sum(weight for _, weight in options)
    for option, weight in options[:-1]:
        mark -= weight
        if mark < 0:
            return option
    return options[-1][0]


def _settle(chance: Chance, node: Node, unknown: bool = False) -> None:
    """Choose the constant and the operations of a node whose parents have values, and give it its value."""
    if unknown:
        node.value = UNKNOWN
        return
    if not node.parents:
        node.constant = chance.pick(CONSTANTS)
        node.value = (0, node.constant)
        return
    a = sum(parent.value[0] for parent in node.parents)
    b = sum(parent.value[1] for parent in node.parents)
    if node.item != TOTAL and len(node.parents) == 2:
        larger = _larger(*node.parents)
        if larger is not None and (chance.random() < DIFFERENCE or _size(a, b) > LARGE):
            node.difference = True
            node.parents = larger
            (a, b), (c, d) = larger[0].value, larger[1].value
            a, b = a - c, b - d
    if node.lead:
        if chance.random() < 0.5 and FACTORS[-1] * _size(a, b) <= LARGE:
            node.lead, node.constant = "times", chance.pick(FACTORS)
            a, b = node.constant * a, node.constant * b
        else:
            node.constant = chance.pick(ADDENDS)
            b += node.constant
    node.value = (a, b)


def _larger(one: Node, other: Node) -> list[Node] | None:
    """Two nodes ordered such that the difference is positive and depends on the unknown if they do; None if it is not."""
    for first, second in ((one, other), (other, one)):
        a, b = first.value[0] - second.value[0], first.value[1] - second.value[1]
        if min(a, b) >= 0 and (a or (b and not second.value[0])):
            return [first, second]
    return None


def _size(a: int, b: int) -> int:
    """How large a value is for a small unknown; the shape of problems does not depend on the range of the unknown."""
    return 4 * a + b
