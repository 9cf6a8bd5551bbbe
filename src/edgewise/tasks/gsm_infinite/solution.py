"""Reads a written solution into the graph that it claims: each quantity's parents, value and whether the work is right.

`Define adult fox in Pine Ridge as V; j = Q + a = 4 + 2 = 6; so V = 4 * j = 4 * 6 = 24.` claims a node of that name with the
parents that Q and a stood for and the value 24. Letters mean what they were last defined to be, and nothing before that:
whatever the text does with them, parents always come earlier, so the graph has no cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgewise.tasks.gsm_infinite.linear import UNKNOWN, Linear, evaluate, letters, literal

PHANTOM = "?"
"""Parent of a node whose operation uses a letter that stands for nothing yet; no quantity is called that."""
OPEN, CLOSE = "<answer>", "</answer>"


@dataclass(frozen=True)
class Step:
    """One definition: names of the parents, the value claimed (None: unreadable), whether every line of work yields it."""

    parents: frozenset[str]
    value: Linear | None
    follows: bool


UNREADABLE = Step(frozenset(), None, False)


@dataclass(frozen=True)
class Solution:
    """The definitions of each quantity, in the order of first mention, and the answer (None: there is none)."""

    steps: dict[str, list[Step]]
    answer: int | None


def read(text: str) -> Solution:
    """The graph and answer of a text of any content, in time linear in its length."""
    work, answer = _answer(text)
    steps: dict[str, list[Step]] = {}
    scope = _Scope({}, {})
    for sentence in work.split("."):
        _, define, body = sentence.partition("Define ")
        if not define:
            continue
        head, _, rest = body.partition(";")
        words, _, letter = head.rpartition(" as ")
        name = " ".join(words.split())
        step = scope.define(letter.strip(), rest)
        if letter.strip():
            scope.assign(letter.strip(), frozenset([name]), step.value)
        steps.setdefault(name, []).append(step)
    return Solution(steps, answer)


@dataclass
class _Scope:
    """What letters stand for: their values, and the quantities they come from."""

    values: dict[str, Linear]
    sources: dict[str, frozenset[str]]

    def assign(self, letter: str, source: frozenset[str], value: Linear | None) -> None:
        if value is None:
            self.values.pop(letter, None)
            self.sources.pop(letter, None)
        else:
            self.values[letter], self.sources[letter] = value, source

    def define(self, letter: str, rest: str) -> Step:
        """The step of `rest`, the clauses after `Define ... as letter;`."""
        if len(letter) != 1 or not letter.isalpha():
            return UNREADABLE
        if rest.lstrip().startswith("we don't know its value"):
            return Step(frozenset(), UNKNOWN, True) if letter == "x" else UNREADABLE
        clauses = rest.split(";")
        follows = True
        for clause in clauses[:-1]:
            name, step = self._clause(clause)
            if len(name) != 1 or not name.isalpha():
                return UNREADABLE
            self.assign(name, step.parents, step.value)
            follows &= step.follows
        name, last = self._clause(clauses[-1].strip().removeprefix("so "))
        return Step(last.parents, last.value, follows and last.follows) if name == letter else UNREADABLE

    def _clause(self, clause: str) -> tuple[str, Step]:
        """The letter and the step of `j = Q + a = 4 + 2 = 6`."""
        name, *work = (part.strip() for part in clause.split("="))
        if not work:
            return name, UNREADABLE
        value = literal(work[-1])
        if value is None or (value[0] and self.values.get("x") != UNKNOWN):
            return name, UNREADABLE
        used = letters(work[0])
        parents = frozenset().union(*(self.sources.get(letter, frozenset([PHANTOM])) for letter in used))
        return name, Step(parents, value, all(evaluate(part, self.values) == value for part in work))


def _answer(text: str) -> tuple[str, int | None]:
    """The text before the answer, and the answer: between the last tags or, without tags, after the last `Answer:`."""
    before, closed, _ = text.rpartition(CLOSE)
    work, opened, given = before.rpartition(OPEN)
    if not (closed and opened):
        work, opened, given = text.rpartition("Answer:")
        given = given.partition(".")[0]
    if not opened:
        return text, None
    value = literal(given.strip())
    return work, None if value is None or value[0] else value[1]
