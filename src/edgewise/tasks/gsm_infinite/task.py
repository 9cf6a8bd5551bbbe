"""Task of GSM-Infinite: word problems graded by their number of operations (arXiv 2502.05252, used in arXiv 2512.07783)."""

from __future__ import annotations

import itertools
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import mixture as mixtures
from edgewise.tasks.answers import CLOSE
from edgewise.tasks.base import Problem, TextWorld, Verdict, check_difficulty, int_range, is_finite, sample, tasks
from edgewise.tasks.gsm_infinite import text
from edgewise.tasks.gsm_infinite.answer import unit_words
from edgewise.tasks.gsm_infinite.context import load_context
from edgewise.tasks.gsm_infinite.distractors import how_many
from edgewise.tasks.gsm_infinite.files import LoadedProblems, load_problems, make_problem
from edgewise.tasks.gsm_infinite.graph import Chance, draw
from edgewise.tasks.gsm_infinite.verify import RULES, Rule, verify
from edgewise.tasks.gsm_infinite.words import pieces, vocabulary

MIN_OP, MAX_OP = 2, 40
MODES = ("forward", "reverse")
ANSWERS = (1, 75)
"""Default range of the answer of a reverse problem: a blind guess is right in 1.3% of them."""
SETTINGS = ("op", "context", "mode", "answers", "distractors")


@tasks.register("gsm_infinite")
class GsmInfinite(TextWorld):
    """Problems in words whose quantities form a graph of exactly op operations.

    Args:
        contexts: names of contexts, or paths of their files; the vocabulary is made of their words.
        rule: "strict", or "published" for the rule of arXiv 2512.07783, which checks neither the operations nor the solving.

    Difficulty (of `problems`, `problem`, `block` and `demonstrations`):
        op: (first, last) number of operations, 2..40, each as frequent; or shares: {"2-4": 0.2, "5-10": 0.8}.
        context: one of the contexts, or shares: {"zoo": 0.99, "school": 0.01}; the first of the task's if None.
        mode: "forward", "reverse" (solve for x), or shares of both.
        answers: (first, last) range of the answers of reverse problems, within 1..999; the original range is (1, 4).
        distractors: mean number of quantities that nothing needs; as in the original generator if None.
        mixture: components, each with a `share` and settings of the above that hold in it:
            [{"share": 0.99, "op": (2, 20)}, {"share": 0.01, "op": (2, 2), "context": "school"}].

    Shares must sum to 1. The order of statements makes no other problem: content is what is stated and asked.
    """

    name = "gsm_infinite"
    end = CLOSE

    def __init__(self, contexts: Sequence[str] = ("zoo", "school", "festival"), *, rule: Rule = "strict"):
        if rule not in RULES:
            raise ConfigError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
        listed = isinstance(contexts, Sequence) and not isinstance(contexts, str)
        if not listed or not contexts or not all(isinstance(name, str) for name in contexts):
            raise ConfigError(f"contexts must be a list of names or of paths, got {contexts!r}")
        self.contexts = {context.name: context for context in map(load_context, contexts)}
        if len(self.contexts) < len(contexts):
            raise ConfigError(f"contexts must have different names, got {list(contexts)}")
        self.token_pattern = pieces(self.contexts.values())
        self.rule = rule
        named = [name for context in self.contexts.values() for name in (*context.items, context.all, *context.places)]
        self._units = unit_words(named)

    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        if seed < 0:
            raise TaskError(f"seed must be at least 0, got {seed}")
        plan = _Plan(self, **difficulty)
        return (self._draw(plan, seed, index) for index in itertools.count())

    def problem(self, seed: int, index: int, **difficulty: Any) -> Problem:
        """Problem `index` of the endless list of this seed, of either side of the split: the same wherever it is drawn."""
        return self._draw(_Plan(self, **difficulty), seed, index)

    def block(self, seed: int, first: int, last: int, **difficulty: Any) -> list[Problem]:
        """Problems first..last-1 of that list; processes that share a range out get the same problems as one."""
        plan = _Plan(self, **difficulty)
        return [self._draw(plan, seed, index) for index in range(first, last)]

    def load(self, path: str | Path, *, strict: bool = False) -> LoadedProblems:
        """Problems of a file with one JSON object a line: op, mode, context, problem, question, solution.

        Lines that are no such problem, or whose solution does not verify, are left out: `left_out` of the result holds the
        number and the reason of each, and a warning counts them.

        Raises:
            TaskError: the file cannot be read, no line is left, or, if `strict`, some line would be left out.
        """
        return load_problems(path, strict=strict)

    def verify(self, problem: Problem, completion: str) -> Verdict:
        return verify(problem.solution, int(problem.answer), completion, rule=self.rule, units=self._units)

    def demonstrations(self, n: int, seed: int, **difficulty: Any) -> list[tuple[str, str]]:
        """Correct solutions, as in the study: the author never slips. Problems may repeat."""
        check_difficulty(difficulty)
        return [(problem.prompt, problem.solution) for problem in sample(n, self.source(seed, **difficulty), "train")]

    def vocabulary(self) -> list[str]:
        return vocabulary(self.contexts.values())

    def _draw(self, plan: _Plan, seed: int, index: int) -> Problem:
        rng = Random(seed << 64 | index)
        op, mode, context_name, (answers, mean) = plan.pick(rng.random())
        context = self.contexts[context_name]
        unknowns = answers if mode == "reverse" else None
        chance = Chance(rng)
        others = how_many(chance, op, mean)
        graph = draw(chance, op, len(context.places), len(context.items), unknowns, others)
        answer = graph.solution if mode == "reverse" else graph.number(graph.gold[-1])
        return make_problem(
            chance.shuffled(text.statements(context, graph)),
            text.question(context, graph),
            text.solution(context, graph, chance),
            str(answer),
            {"op": op, "mode": mode, "context": context_name},
        )


Cell = tuple[int, str, str, tuple[tuple[int, int], float | None]]


class _Plan:
    """A difficulty as one list of cells (op, mode, context, settings) with cumulative shares."""

    def __init__(self, task: GsmInfinite, mixture: Sequence[Mapping[str, Any]] | None = None, **settings: Any):
        mixtures.check_settings(settings, (*SETTINGS, "mixture"))
        self.task = task
        cells: dict[Cell, float] = {}
        for share, own in [(1.0, {})] if mixture is None else mixtures.components(mixture, SETTINGS):
            for cell, part in self._cells(**{**settings, **own}):
                cells[cell] = cells.get(cell, 0.0) + share * part
        self.cells = [cell for cell, share in cells.items() if share > 0]
        self.bounds = list(itertools.accumulate(cells[cell] for cell in self.cells))

    def pick(self, mark: float) -> Cell:
        """The cell at a mark in [0, 1)."""
        return self.cells[min(bisect(self.bounds, mark), len(self.cells) - 1)]

    def _cells(
        self,
        op: Sequence[int] | Mapping[Any, float] = (2, 10),
        context: mixtures.Share | None = None,
        mode: mixtures.Share = "forward",
        answers: tuple[int, int] = ANSWERS,
        distractors: float | None = None,
    ) -> Iterator[tuple[Cell, float]]:
        known = list(self.task.contexts)
        given = int_range("answers", answers, 1, 999)
        if distractors is not None and not (is_finite(distractors) and 0 <= distractors <= 20):
            raise TaskError(f"distractors must lie in 0..20, got {distractors!r}")
        ops = mixtures.numbers("op", op, MIN_OP, MAX_OP)
        modes = mixtures.kinds("mode", mode, MODES)
        contexts = mixtures.kinds("context", context or known[0], known)
        for a, b, c in itertools.product(ops, modes, contexts):
            yield (a, b, c, (given, distractors)), ops[a] * modes[b] * contexts[c]
