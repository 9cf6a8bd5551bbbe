r"""Rates at which the grader accepts right answers and wrong ones: `python -m edgewise.tasks.math.audit FILE ...`

For each data set: every reference answer against itself in five forms of a completion, without the shortcut for equal texts, and
as people type it without LaTeX; against itself with one digit changed; and against the answer of another problem. With `--variants FILE`, a table of answers
written by hand: `- {kind: ..., gold: ..., same: [...], different: [...]}` in YAML.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgewise.errors import EdgewiseError
from edgewise.tasks.base import Problem
from edgewise.tasks.hostile import hostile_texts
from edgewise.tasks.math.task import Math
from edgewise.tasks.quantities import clean

FORMS = (
    "So we get $\\boxed{{{}}}$.",
    "Adding up.\n#### {}",
    "Therefore, the answer is ${}$.",
    "<think>Hm.</think><answer> {} </answer>",
    "\\[ \\boxed{{ {}}} \\]",
)
ROWS = [{"problem": "none", "answer": "0"}, {"problem": "other", "answer": "1"}]
"""Placeholder of a data set: only the comparison is audited."""
DIGIT = re.compile(r"[0-9]")
INNER = r"\s*\{([^{}]*)\}"
GROUPED = (
    (re.compile(rf"\\[dt]?frac{INNER}{INNER}"), r"(\1)/(\2)"),
    (re.compile(r"\\[dt]?frac\s*([0-9])\s*([0-9])"), r"\1/\2"),
    (re.compile(rf"\\sqrt{INNER}|\\sqrt\s*([0-9])"), r"sqrt(\1\2)"),
    (re.compile(rf"\^{INNER}"), r"^(\1)"),
)
WORD = re.compile(r"\\(pi|theta|alpha|sin|cos|tan|sec|csc|cot|log|ln|infty|cup|cdot|times|le|ge|leq|geq)(?![A-Za-z])")
TYPED = {"infty": "infinity", "cup": "U", "cdot": "*", "times": "*", "le": "<=", "leq": "<=", "ge": ">=", "geq": ">="}
LATEX = re.compile(r"\\(?![\\{}])|[0-9]\s*\(.*\)/|&")
"""What is left of LaTeX, or a mixed number without its sign."""


@dataclass
class Rate:
    """Number of comparisons of one kind, and those that went wrong."""

    what: str
    total: int = 0
    wrong: list[str] = field(default_factory=list)
    accepting: bool = True

    def add(self, accepted: bool, text: str) -> None:
        self.total += 1
        if accepted != self.accepting:
            self.wrong.append(text)

    @property
    def accepted(self) -> float:
        """Share that was accepted, in [0, 1]."""
        wrong = len(self.wrong) / max(self.total, 1)
        return 1 - wrong if self.accepting else wrong

    def __str__(self) -> str:
        accepted = self.total - len(self.wrong) if self.accepting else len(self.wrong)
        return f"| {self.what} | {self.total:,} | {accepted:,} | {100 * self.accepted:.2f}% |"


def audit_answers(task: Math, answers: Sequence[str], seed: int = 0) -> list[Rate]:
    """Rates of one data set, from its reference answers."""
    rng = np.random.default_rng(seed)
    itself, spaced, plain = map(Rate, ("itself, in 5 forms", "itself, re-spaced", "itself, typed without LaTeX"))
    changed, other = (Rate(name, accepting=False) for name in ("one digit changed", "answer of another problem"))
    for gold, form in zip(answers, rng.integers(len(FORMS), size=len(answers)).tolist(), strict=True):
        problem = Problem("", "", gold, "")
        for text in FORMS:
            itself.add(task.verify(problem, text.format(gold)).correct, gold)
        # Not equal as a text, so that every part of the comparison is run.
        respaced = clean(gold).replace("frac", "dfrac").replace("(", "\\left(").replace(")", "\\right)")
        spaced.add(task.verify(problem, FORMS[form].format(f"{respaced} \\,")).correct, gold)
        text = typed(gold)
        if text not in ("", gold):
            plain.add(task.verify(problem, FORMS[form].format(text)).correct, f"{gold}  and  {text}")
        digits = list(DIGIT.finditer(gold))
        if digits:
            place = digits[int(rng.integers(len(digits)))].start()
            near = gold[:place] + str((int(gold[place]) + int(rng.integers(1, 10))) % 10) + gold[place + 1 :]
            changed.add(task.verify(problem, FORMS[form].format(near)).correct, f"{gold}  and  {near}")
        answer = answers[int(rng.integers(len(answers)))]
        if "".join(clean(answer).split()) != "".join(clean(gold).split()):
            other.add(task.verify(problem, FORMS[form].format(answer)).correct, f"{gold}  and  {answer}")
    return [itself, spaced, plain, changed, other]


def typed(answer: str) -> str:
    r"""An answer in LaTeX as people type it without; empty where it cannot be.

    Example:
        >>> typed("\\frac{1 + \\sqrt{5}}{2}\\pi")
        '(1 + sqrt(5))/(2)pi'
    """
    text, before = clean(answer), ""
    while text != before:
        before = text
        for pattern, plain in GROUPED:
            text = pattern.sub(plain, text)
    text = WORD.sub(lambda found: TYPED.get(found[1], found[1]), text)
    return "" if LATEX.search(text) else text


def audit_variants(task: Math, table: Sequence[dict[str, Any]]) -> list[Rate]:
    """Rates of a table of answers by hand, for each kind and in all."""
    rates: dict[tuple[str, bool], Rate] = {}
    for kind, same, gold, answer in _rows(table):
        accepted = task.verify(Problem("", "", gold, ""), f"\\boxed{{{answer}}}").correct
        for what in (kind, "all"):
            label = f"{what}: {'variants' if same else 'near misses'}"
            rates.setdefault((what, same), Rate(label, accepting=same)).add(accepted, f"{gold}  and  {answer}")
    return [rates[key] for key in sorted(rates, key=lambda key: (key[0] == "all", key[0], not key[1]))]


def _rows(table: Sequence[dict[str, Any]]) -> Iterator[tuple[str, bool, str, str]]:
    for row in table:
        for same in (True, False):
            for answer in row["same" if same else "different"]:
                yield row["kind"], same, row["gold"], answer


def hostile_seconds(task: Math) -> Iterator[tuple[float, str]]:
    """(seconds, name) of the verdict on each hostile completion and gold answer; the worker is started before."""
    golds = ("12", "\\frac{1}{2}", "(1, 2)", "\\text{Eve}", "x^2+1", "\\sqrt{2}")
    task.verify(Problem("", "", "x+1", ""), "\\boxed{1+x}")
    for name, text in hostile_texts().items():
        for gold in golds:
            began = time.perf_counter()
            task.verify(Problem("", "", gold, ""), text)
            yield time.perf_counter() - began, f"{name}, gold {gold}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m edgewise.tasks.math.audit", description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="*", help="data sets, as the task math reads them")
    parser.add_argument("--variants", help="table of answers by hand (YAML)")
    parser.add_argument("--hostile", action="store_true", help="time the verdicts on hostile completions")
    parser.add_argument("--most", type=int, default=10**9, help="answers of each data set, from its beginning")
    given = parser.parse_args(arguments)
    try:
        sections: list[tuple[str, list[Rate]]] = []
        task = Math(ROWS)
        for path in given.files:
            reference = [item.answer for item in task.load(path) if item.answer][: given.most]
            sections.append((path, audit_answers(task, reference)))
        if given.variants:
            import yaml

            with open(given.variants, encoding="utf-8") as file:
                sections.append((given.variants, audit_variants(task, yaml.safe_load(file))))
    except (EdgewiseError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 2
    for name, rates in sections:
        print(f"\n{name}\n\n| compared with | comparisons | accepted | share |\n|---|---|---|---|")
        print(*rates, sep="\n")
        for rate in rates:
            for text in rate.wrong[:20] if not rate.what.startswith("all") else []:
                print(f"- {'not ' if rate.accepting else ''}accepted ({rate.what}): {text}")
    if given.hostile:
        for grader, verifier in (("plain", Math(ROWS, grader="plain")), ("math-verify", task)):
            slowest = sorted(hostile_seconds(verifier), reverse=True)[:3]
            times = ", ".join(f"{1000 * seconds:.0f} ms ({name})" for seconds, name in slowest)
            print(f"\nSlowest verdicts on hostile completions, grader {grader}: {times}")
    print(f"\nComparisons that exceeded the worker's limits: {task.limits}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
