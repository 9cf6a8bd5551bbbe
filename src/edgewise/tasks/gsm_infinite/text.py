"""Text of a graph: the statements of the problem, the question and the worked solution."""

from __future__ import annotations

from collections.abc import Callable

from edgewise.tasks.gsm_infinite.context import Context
from edgewise.tasks.gsm_infinite.graph import TOTAL, Chance, Graph, Node
from edgewise.tasks.gsm_infinite.linear import Linear

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
OPENING = "The question is difficult, so we use equations to solve it. "
UNKNOWN_STEP = "we don't know its value yet but will find it out later"


def name(context: Context, node: Node) -> str:
    """What a quantity is called in solutions."""
    return context.quantity(node.place, node.item)


def statements(context: Context, graph: Graph) -> list[str]:
    """One statement for each item, none for totals: they are implicit. Reverse problems also give the last gold value."""
    texts = []
    for node in (*graph.gold, *graph.others):
        if node is graph.unknown:
            texts.append(f"The {_number(context, node)} exists, and its number is greater than 0.")
        elif node.item != TOTAL:
            texts.append(f"The {_number(context, node)} equals {_equation(context, node)}.")
    if graph.unknown is not None:
        last = graph.gold[-1]
        texts.append(f"The {_number(context, last)} equals {graph.number(last)}.")
    return texts


def question(context: Context, graph: Graph) -> str:
    asked = graph.unknown or graph.gold[-1]
    if asked.item == TOTAL:
        return f"What is the {context.total(asked.place)}?"
    return f"How many {context.items[asked.item]} does {context.places[asked.place]} have?"


def solution(context: Context, graph: Graph, chance: Chance) -> str:
    """Every gold quantity with its calculation, parents first; for a reverse problem the equation and how it is solved."""
    reverse = graph.unknown is not None
    # Quantities and intermediate results together are at most op = 40: no letter is needed twice.
    free = [letter for letter in chance.shuffled(LETTERS) if not (reverse and letter == "x")]
    letters: dict[Node, str] = {}
    sentences = []
    for node in graph.gold:
        if node is graph.unknown:
            letters[node] = "x"
            work = UNKNOWN_STEP
        else:
            letters[node] = free.pop()
            work = _work(node, letters, free, _bracketed if reverse else written)
        sentences.append(f"Define {name(context, node)} as {letters[node]}; {work}.")
    text = " ".join(sentences)
    if not reverse:
        return text
    last = graph.gold[-1]
    return f"{OPENING}{text} {_solve(letters[last], last.value, graph.number(last))}"


def written(value: Linear) -> str:
    """`7`, `x`, `4*x`, `4*x + 7`."""
    a, b = value
    if a == 0:
        return str(b)
    unknown = "x" if a == 1 else f"{a}*x"
    return f"{unknown} + {b}" if b else unknown


def _number(context: Context, node: Node) -> str:
    called = name(context, node)
    return called if node.item == TOTAL else f"number of {called}"


def _equation(context: Context, node: Node) -> str:
    """`3`, `2 plus the sum of ... and ...`, `the difference between ... and ...`."""
    if not node.parents:
        return str(node.constant)
    names = [f"the {_number(context, parent)}" for parent in node.parents]
    if node.difference:
        parents = f"the difference between {names[0]} and {names[1]}"
    elif len(names) == 1:
        parents = names[0]
    elif len(names) == 2:
        parents = f"the sum of {names[0]} and {names[1]}"
    else:
        parents = f"the sum of {', '.join(names[:-1])}, and {names[-1]}"
    return f"{node.constant} {node.lead} {parents}" if node.lead else parents


def _work(node: Node, letters: dict[Node, str], free: list[str], show: Callable[[Linear], str]) -> str:
    """The calculation of a quantity, two operands at a time; `show` writes the factors and terms of products and differences."""
    if not node.parents:
        return f"so {letters[node]} = {node.constant}"
    first, *rest = node.parents
    left, value = letters[first], first.value
    lines = []
    for parent in rest:
        (a, b), (c, d) = value, parent.value
        if node.difference:
            work = f"{left} - {letters[parent]} = {show(value)} - {show(parent.value)}"
            value = a - c, b - d
        else:
            work = f"{left} + {letters[parent]} = {written(value)} + {written(parent.value)}"
            value = a + c, b + d
        left = free.pop() if node.lead or parent is not rest[-1] else letters[node]
        lines.append(f"{left} = {work} = {written(value)}")
    if not rest:
        # A single parent is given a letter of its own before a constant is applied to it.
        before, left = left, free.pop() if node.lead else letters[node]
        lines.append(f"{left} = {before} = {written(value)}")
    if node.lead == "times":
        numbers = f"{show((0, node.constant))} * {show(value)}"
        lines.append(f"{letters[node]} = {node.constant} * {left} = {numbers} = {written(node.value)}")
    elif node.lead == "plus":
        numbers = f"{node.constant} + {written(value)}"
        lines.append(f"{letters[node]} = {node.constant} + {left} = {numbers} = {written(node.value)}")
    lines[-1] = f"so {lines[-1]}"
    return "; ".join(lines)


def _bracketed(value: Linear) -> str:
    return f"({written(value)})"


def _solve(letter: str, value: Linear, given: int) -> str:
    """The end of a reverse solution: the given value of the last quantity, solved for x."""
    a, b = value
    left, right = written(value), given - b
    return (
        f"We know {letter} = {given}, so we have {left} = {given} and we solve it through the following steps:"
        f" Simplifying the equation: {left} = {given}. Move all terms to one side: {written((a, 0))} - {right} = 0."
        f" Isolate the term with x: {a}*x = {right}. Divide both sides by {a}: x = {right} / {a}. Solution: x = {right // a}."
    )
