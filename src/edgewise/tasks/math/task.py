"""Mathematics from data sets, graded by the final answer."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks.answers import final_answer
from edgewise.tasks.base import (
    Problem,
    Split,
    Task,
    Verdict,
    check_difficulty,
    check_split,
    check_whole,
    generator,
    held_out,
    sample_distinct,
    tasks,
)
from edgewise.tasks.bounded import MEMORY, SECONDS, Worker, shared_worker
from edgewise.tasks.math.compare import Comparison, compare
from edgewise.tasks.math.records import (
    COLUMNS,
    LoadReport,
    Record,
    Source,
    find_columns,
    read_rows,
    records,
    unreadable,
)
from edgewise.tasks.quantities import clean, read_quantity

PROMPT = "{problem}\n\nReason step by step, and put the final answer within \\boxed{}."
EXPRESSIONS = Path(__file__).with_name("expressions.py")
CACHED = 100_000
"""Verdicts kept: the rollouts of a group often have the same answer."""
SETTINGS = ("level", "subject")
MOST_STEPS = 8
"""Solutions of more steps share a category."""
Category = Literal["level", "subject", "level and subject", "steps", "none"]
Unparsed = Literal["keep", "exclude", "refuse"]
Conflicts = Literal["refuse", "first", "exclude"]
Grader = Literal["math-verify", "plain"]


@tasks.register("math")
class Math(Task):
    r"""Problems of a data set whose final answers are compared with the gold ones.

    Args:
        train: rows of the training side: a file (.json, .jsonl, .parquet), a folder of `Dataset.save_to_disk`,
            "hf:NAME[:CONFIG][:SPLIT]", or an iterable of mappings, such as a Hugging Face data set.
        eval: rows of the evaluation side, all of them; None: a fifth of `train`, by content. Training rows that are also
            evaluation rows are left out.
        problem, answer, solution, level, subject: columns; None: the first usual name that is present. Without an answer, it
            is read from the end of the solution (`\boxed{}` or `####`).
        prompt: template of the prompt, with {problem} where the text goes.
        category: which column is the category of a problem; "level" falls back to the subject where there is no level. "steps":
            the number of lines of the worked solution, without one that holds nothing but the answer (`####`), as in GSM8K.
        unparsed: what to do with answers that do not parse: keep them (they are counted and listed in `report`), exclude them,
            or refuse the data set. The last two let math-verify read every answer, about 15 ms each.
        conflicts: what to do with a problem that occurs with two answers: refuse the data set, take the first, or exclude it.
        grader: "math-verify", or "plain" for numbers, lists, tuples and text only, without a worker.
        seconds, memory: limits of one comparison by math-verify, in seconds and bytes.

    Difficulty (of `problems`):
        level: a level, (first, last) of numeric levels, or a list of level names; all if None.
        subject: a subject, or a list of them; all if None.

    Raises:
        TaskError: a data set that cannot be read, is empty, lacks a column, or has conflicting answers.
        ConfigError: math-verify is not installed, or an unknown choice.

    Example:
        >>> rows = [{"question": f"What is {a} + {a}?", "answer": str(2 * a)} for a in range(50)]
        >>> task = Math(rows, grader="plain")
        >>> problem = task.problems(1, seed=0)[0]
        >>> task.verify(problem, rf"So it is $\boxed{{{problem.answer}.0}}$.").correct
        True
    """

    name = "math"

    def __init__(
        self,
        train: Source,
        eval: Source | None = None,
        *,
        problem: str | None = None,
        answer: str | None = None,
        solution: str | None = None,
        level: str | None = None,
        subject: str | None = None,
        prompt: str = PROMPT,
        category: Category = "level",
        unparsed: Unparsed = "keep",
        conflicts: Conflicts = "refuse",
        grader: Grader = "math-verify",
        seconds: float = SECONDS,
        memory: int = MEMORY,
    ):
        for name, value, choices in (
            ("category", category, get_args(Category)),
            ("unparsed", unparsed, get_args(Unparsed)),
            ("conflicts", conflicts, get_args(Conflicts)),
            ("grader", grader, get_args(Grader)),
        ):
            if value not in choices:
                raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        if "{problem}" not in prompt:
            raise ConfigError(f"the prompt must contain {{problem}} where the text goes, got {prompt!r}")
        self.prompt, self.category, self.grader = prompt, category, grader
        self._worker = math_worker(seconds, memory) if grader == "math-verify" else None
        self._unparsed, self._conflicts = unparsed, conflicts
        self._compare = lru_cache(maxsize=CACHED)(self._compare_now)
        given = {"problem": problem, "answer": answer, "solution": solution, "level": level, "subject": subject}
        self.reports: dict[str, LoadReport] = {}
        sides: dict[Split, Sequence[Problem]] = {"train": self._load("train", train, given)}
        if eval is not None:
            sides["eval"] = self._load("eval", eval, given)
            there = {item.content for item in sides["eval"]}
            both = [item for item in sides["train"] if item.content in there]
            sides["train"] = [item for item in sides["train"] if item.content not in there]
            self.reports["train"].duplicates += [f"{item.meta['row']} (evaluation)" for item in both]
            if not sides["train"]:
                raise TaskError(f"every problem of {self.reports['train'].source} is an evaluation problem too")
        else:
            everything = sides["train"]
            sides["train"] = [item for item in everything if not held_out(item.content)]
            sides["eval"] = [item for item in everything if held_out(item.content)]
        self._sides = sides

    def problems(self, n: int, seed: int, *, split: Split = "train", **difficulty: Any) -> list[Problem]:
        check_split(split)
        check_difficulty(difficulty)
        chosen = self._select(split, **difficulty)
        check_whole("the number of problems", n)
        if n > len(chosen):
            raise TaskError(
                f"{n} problems wanted, but the {split} side of the data set has {len(chosen)} of this difficulty"
            )
        order = generator(seed).permutation(len(chosen)).tolist()
        return sample_distinct(n, (chosen[row] for row in order), None)

    def demonstrations(self, n: int, seed: int, **difficulty: Any) -> list[tuple[str, str]]:
        """n (prompt, solution) pairs of the training side, drawn with replacement: more than there are rows can be had.

        Raises:
            TaskError: the data set has no solutions, only answers, or none of this difficulty.
        """
        check_difficulty(difficulty)
        check_whole("the number of demonstrations", n)
        chosen = [item for item in self._select("train", **difficulty) if item.meta["worked"]]
        if not chosen:
            raise TaskError(f"{self.reports['train'].source} has no worked solutions of this difficulty to train on")
        rows = generator(seed).integers(len(chosen), size=n).tolist()
        return [(chosen[row].prompt, chosen[row].solution) for row in rows]

    def count(self, split: Split = "train", **difficulty: Any) -> int:
        """Number of problems on a side of the split."""
        check_split(split)
        return len(self._select(split, **difficulty))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_compare"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._compare = lru_cache(maxsize=CACHED)(self._compare_now)

    def verify(self, problem: Problem, completion: str) -> Verdict:
        answer = final_answer(completion)
        if answer is None:
            return Verdict(False, 0.0, reason="no answer")
        result = self._compare(problem.answer, answer)
        return Verdict(result.correct, float(result.correct), reason=result.reason)

    def load(self, path: str | Path) -> list[Problem]:
        """Problems of another data set with the columns' usual names, whatever their side of the split."""
        return self._load(str(path), path, dict.fromkeys(COLUMNS))

    @property
    def report(self) -> str:
        """What was left out or cannot be graded, in a sentence for each data set."""
        return "\n".join(map(str, self.reports.values()))

    @property
    def limits(self) -> int:
        """Comparisons that exceeded the time or memory of the worker, in all tasks that share it."""
        return self._worker.failures if self._worker else 0

    def parses(self, answer: str) -> str:
        """Reason why an answer cannot be graded; empty if it can."""
        reason = unreadable(answer)
        cleaned = clean(answer)
        if reason or read_quantity(cleaned, cleaned=True) or cleaned.replace(" ", "").isalpha():
            return reason
        if self._worker is None or self._worker.ask({"parse": cleaned}).get("parsed"):
            return ""
        return "math-verify reads no expression"

    def _load(self, side: str, source: Source, given: dict[str, str | None]) -> list[Problem]:
        name, rows = read_rows(source)
        columns = find_columns(name, rows, given)
        report = self.reports[side] = LoadReport(name, len(rows), columns)
        kept: dict[str, Record] = {}
        dropped: set[str] = set()
        for record in records(name, rows, columns):
            key = " ".join(record.problem.split())
            if not key:
                report.empty.append(record.where)
                continue
            earlier = kept.get(key)
            if earlier is None:
                kept[key] = record
            elif earlier.answer == record.answer or compare(earlier.answer, record.answer, lambda a, b: False).correct:
                report.duplicates.append(record.where)
            else:
                report.conflicts.append(f"{earlier.where} and {record.where}")
                dropped.add(key)
        if report.conflicts and self._conflicts == "refuse":
            raise TaskError(
                f"{len(report.conflicts)} problems of {name} have two answers ({report.conflicts[0]}, for example);"
                " mend them, or pass conflicts='first' or conflicts='exclude'"
            )
        if self._conflicts == "exclude":
            kept = {key: record for key, record in kept.items() if key not in dropped}
        reason_of = unreadable if self._unparsed == "keep" else self.parses
        bad = {key: reason for key, record in kept.items() if (reason := reason_of(record.answer))}
        report.unparsed = [(kept[key].where, kept[key].answer[:80], reason) for key, reason in bad.items()]
        if bad and self._unparsed == "refuse":
            raise TaskError(f"answers that do not parse: {report}; mend them, or pass unparsed='keep' or 'exclude'")
        if self._unparsed == "exclude":
            kept = {key: record for key, record in kept.items() if key not in bad}
        if not any(record.answer for record in kept.values()):
            raise TaskError(f"no problem with an answer is left: {report}")
        if bad and self._unparsed == "keep":
            warnings.warn(f"{report}; unparsed='exclude' leaves those out", stacklevel=3)
        return [self._problem(key, record) for key, record in kept.items()]

    def _problem(self, key: str, record: Record) -> Problem:
        labels = {"level": record.level or record.subject, "subject": record.subject, "none": ""}
        labels["level and subject"] = " ".join(filter(None, (record.subject, record.level)))
        labels["steps"] = _steps(record.solution)
        meta = {"row": record.where, "level": record.level, "subject": record.subject, "worked": bool(record.solution)}
        solution, found = record.solution, final_answer(record.solution)
        if found is None or not compare(record.answer, found, lambda a, b: False).correct:
            solution = f"{solution}\n\n\\boxed{{{record.answer}}}".strip()
        return Problem(
            self.prompt.replace("{problem}", record.problem),
            solution,
            record.answer,
            labels[self.category] or self.name,
            meta,
            key,
        )

    def _select(self, split: Split, **difficulty: Any) -> Sequence[Problem]:
        check_difficulty(difficulty, SETTINGS)
        chosen = self._sides[split]
        subject, level = difficulty.get("subject"), difficulty.get("level")
        if subject is not None:
            chosen = self._by_name(chosen, "subject", subject)
        if isinstance(level, int | float):
            level = (level, level)
        if level is not None:
            numbers = isinstance(level, Sequence) and len(level) == 2 and all(isinstance(x, int | float) for x in level)
            if numbers and not isinstance(level, str):
                levels = [(item, _number(item.meta["level"])) for item in chosen]
                chosen = [item for item, value in levels if value is not None and level[0] <= value <= level[1]]
            else:
                chosen = self._by_name(chosen, "level", level)
        return chosen

    @staticmethod
    def _by_name(chosen: Sequence[Problem], role: str, given: Any) -> list[Problem]:
        several = isinstance(given, Iterable) and not isinstance(given, str)
        wanted = set(map(str, given)) if several else {str(given)}
        known = Counter(item.meta[role] for item in chosen)
        for value in wanted:
            if value not in known:
                raise ConfigError(f"unknown {role} '{value}'; the data set has {', '.join(sorted(known)) or 'none'}")
        return [item for item in chosen if item.meta[role] in wanted]

    def _compare_now(self, gold: str, answer: str) -> Comparison:
        return compare(gold, answer, self._expressions)

    def _expressions(self, gold: str, answer: str) -> bool | None:
        if self._worker is None:
            return False
        reply = self._worker.ask({"gold": gold, "answer": answer})
        return None if reply.get("error") in ("limit", "worker") else bool(reply.get("correct"))


def math_worker(seconds: float = SECONDS, memory: int = MEMORY) -> Worker:
    """The worker of this process that compares expressions by math-verify."""
    return shared_worker(EXPRESSIONS, "math_verify", "math", seconds, memory)


def _steps(solution: str) -> str:
    """Lines of a worked solution, as a category; empty without one."""
    lines = [line for line in solution.splitlines() if line.strip() and not line.startswith("####")]
    return f"{MOST_STEPS} or more" if len(lines) >= MOST_STEPS else str(len(lines)) if solution else ""


def _number(level: str) -> float | None:
    """The number of a level such as `3`, `2.0` or `Level 5`."""
    quantity = read_quantity(level.removeprefix("Level "))
    return None if quantity is None else float(quantity.value)
