"""Reading of a written solution as the graph that it states: each quantity's parents, operation, value and work.

`Define adult fox in Pine Ridge as V; j = Q + a = 4 + 2 = 6; so V = 4 * j = 4 * 6 = 24.` states a node of that name with the
parents that Q and a stood for and the value 24. Letters mean what they were last defined to be, and nothing before that:
parents always come earlier, so the graph has no cycles.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from edgewise.tasks.gsm_infinite import answer as answers
from edgewise.tasks.gsm_infinite.linear import UNKNOWN, Linear, evaluate, letters, literal, postfix
from edgewise.tasks.gsm_infinite.operation import Operation, expand, operation, simplifies, with_numbers
from edgewise.tasks.gsm_infinite.solving import Solving
from edgewise.tasks.quantities import PRODUCTS

PHANTOM = "?"
"""Parent of a node whose operation uses a letter that stands for nothing yet; no quantity is called that."""

COMBINED = 60
"""Parts of a text that may combine terms of the part before them: a bound on the time of a verdict."""
SIGNS = str.maketrans(f"\u00d7{PRODUCTS}\u2212", "****-")
COEFFICIENT = re.compile(r"(?<=[0-9])x\b")
WHOLE = re.compile(r"(?<=[0-9])\.0+(?![0-9])")
STOP = re.compile(r"\.(?![0-9])")
"""End of a sentence, not the point of a decimal number, whose digits before it would be another number."""
LINE = re.compile(r"\n(?!\s*=)")
BULLET = re.compile(r"^\s*[-*+\u2022]\s+")
"""Sign of a list, which a line of solving would have for a minus."""


@dataclass(frozen=True)
class Step:
    """One definition.

    Attributes:
        parents: names of the parents.
        value: the value stated; None if it is unreadable.
        follows: whether every line of the work has that value.
        operation: the function of the parents that is computed; None if it is not linear.
        substituted: whether the numbers in the work are the values of the letters, also where terms are combined.
    """

    parents: frozenset[str]
    value: Linear | None
    follows: bool
    operation: Operation | None = None
    substituted: bool = False


UNREADABLE = Step(frozenset(), None, False)


@dataclass(frozen=True)
class Solution:
    """The definitions of each quantity in the order of first mention, the solving, and the answer (None: there is none)."""

    steps: dict[str, list[Step]]
    solving: Solving
    answer: int | None


def read(text: str, units: Collection[str] = ()) -> Solution:
    """The graph, solving and answer of any text, in time linear in its length; `units` may follow the answer's number."""
    work, given = answers.split(text)
    work = WHOLE.sub("", COEFFICIENT.sub("*x", work.translate(SIGNS)))
    steps: dict[str, list[Step]] = {}
    scope = _Scope()
    solving = Solving()
    for sentence in STOP.split(work):
        _, define, body = " ".join(sentence.split()).partition("Define ")
        if not define:
            for line in LINE.split(sentence):
                solving.read(" ".join(BULLET.sub("", line).split()), scope.sources)
            continue
        head, _, rest = body.partition(";")
        words, _, letter = head.rpartition(" as ")
        name, letter = " ".join(words.split()), letter.strip()
        step = scope.define(letter, rest, name)
        if letter:
            scope.assign(letter, Step(frozenset([name]), step.value, True, {name: 1}))
        steps.setdefault(name, []).append(step)
    return Solution(steps, solving, None if given is None else answers.whole_number(given, units))


@dataclass
class _Scope:
    """The values of letters, the quantities they come from, and the functions of these that they are."""

    values: dict[str, Linear] = field(default_factory=dict)
    sources: dict[str, frozenset[str]] = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    combined: int = 0

    def assign(self, letter: str, step: Step) -> None:
        for table in (self.values, self.sources, self.operations):
            table.pop(letter, None)
        if step.value is not None:
            self.values[letter], self.sources[letter] = step.value, step.parents
            if step.operation is not None:
                self.operations[letter] = step.operation

    def define(self, letter: str, rest: str, name: str) -> Step:
        """The step of `rest`, the clauses after `Define ... as letter;`."""
        if len(letter) != 1 or not letter.isalpha():
            return UNREADABLE
        if rest.lstrip().startswith("we don't know its value"):
            return Step(frozenset(), UNKNOWN, True, {name: 1}, True) if letter == "x" else UNREADABLE
        clauses = rest.split(";")
        follows = substituted = True
        for clause in clauses[:-1]:
            variable, step = self._clause(clause)
            if len(variable) != 1 or not variable.isalpha():
                return UNREADABLE
            self.assign(variable, step)
            follows &= step.follows
            substituted &= step.substituted
        variable, last = self._clause(clauses[-1].strip().removeprefix("so "))
        if variable != letter:
            return UNREADABLE
        return Step(
            last.parents, last.value, follows and last.follows, last.operation, substituted and last.substituted
        )

    def _clause(self, clause: str) -> tuple[str, Step]:
        """The letter and the step of `j = Q + a = 4 + 2 = 6`."""
        variable, *work = (part.strip() for part in clause.split("="))
        if not work:
            return variable, UNREADABLE
        value = literal(work[-1])
        if value is None or (value[0] and self.values.get("x") != UNKNOWN):
            return variable, UNREADABLE
        used = letters(work[0])
        parents = frozenset().union(*(self.sources.get(letter, frozenset([PHANTOM])) for letter in used))
        written = self._written(work[0])
        # Most work is the letters, then the same with the numbers put in: nothing else has to be compared then.
        middle = [part for part in work[1:-1] if postfix(part) != written]
        if evaluate(work[0], self.values) != value or any(evaluate(part, self.values) != value for part in middle):
            return variable, Step(parents, value, False)
        products = expand(work[0])
        computed = None if products is None else operation(products, self.operations)
        return variable, Step(parents, value, True, computed, not middle or self._substituted(work, used))

    def _written(self, text: str) -> tuple[str, ...]:
        """The postfix of an expression with letters replaced by their values, where these are plain numbers >= 0."""
        values = self.values
        return tuple(
            str(values[token][1]) if token in values and values[token][0] == 0 <= values[token][1] else token
            for token in postfix(text) or ()
        )

    def _substituted(self, work: list[str], used: set[str]) -> bool:
        """Whether each part between the letters and the value is the part before it with numbers put in or combined."""
        before = None
        for part in work[:-1]:
            products = expand(part) if letters(part) <= used | {"x"} else None
            after = None if products is None else with_numbers(products, self.values)
            if after is None:
                return False
            if before is not None and sorted(before) != sorted(after):
                self.combined += 1
                if self.combined > COMBINED or not simplifies(before, after):
                    return False
            before = after
        return True
