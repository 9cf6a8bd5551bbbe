"""Rows of data sets: JSON, JSONL, Parquet, Hugging Face data sets, and which of their columns hold what."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Number
from pathlib import Path
from typing import Any

from edgewise.errors import ConfigError, TaskError
from edgewise.tasks.answers import LONGEST_ANSWER, final_answer

COLUMNS = {
    "problem": ("problem", "question", "prompt", "query", "input"),
    "answer": ("answer", "final_answer", "ground_truth", "target"),
    "solution": ("solution", "response", "output", "rationale"),
    "level": ("level", "difficulty"),
    "subject": ("subject", "type", "category"),
}
"""Names that are tried for each column, in this order, where none is given."""
HUB = "hf:"
FILES = "name a file of problems, .json, .jsonl or .parquet"
SHOWN = 10

Source = str | Path | Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Record:
    """One row: texts of the problem, its answer and solution, and where it came from."""

    problem: str
    answer: str
    solution: str
    level: str
    subject: str
    where: str


@dataclass
class LoadReport:
    """Rows of a data set that are not problems, and why.

    Args:
        source: where the rows came from.
        rows: number of rows read.
        columns: role -> column that was used.
        duplicates: rows that repeat an earlier problem with the same answer; left out.
        conflicts: rows that repeat an earlier problem with another answer.
        unparsed: (row, answer, reason) of answers that cannot be graded as mathematics.
        empty: rows without a problem text; left out.
    """

    source: str
    rows: int = 0
    columns: dict[str, str] = field(default_factory=dict)
    duplicates: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    unparsed: list[tuple[str, str, str]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.rows} rows of {self.source}"]
        for what, found in (("duplicates", self.duplicates), ("conflicts", self.conflicts), ("rows without a problem", self.empty)):  # fmt: skip
            if found:
                parts.append(f"{len(found)} {what} ({_some(found)})")
        if self.unparsed:
            listed = [f"{where}: {answer!r} ({reason})" for where, answer, reason in self.unparsed]
            parts.append(f"{len(self.unparsed)} answers that do not parse ({_some(listed)})")
        return "; ".join(parts)


def _some(found: Sequence[str]) -> str:
    more = f", and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + more


def read_rows(source: Source) -> tuple[str, list[Mapping[str, Any]]]:
    """(name, rows) of a file, a folder of `Dataset.save_to_disk`, "hf:NAME[:CONFIG][:SPLIT]", or rows in memory.

    Raises:
        TaskError: it cannot be read, has no rows, or a row is not an object.
    """
    if not isinstance(source, str | Path):
        rows: list[Any] = list(source)
        name = f"{type(source).__name__} in memory"
    elif str(source).startswith(HUB):
        name, rows = str(source), list(_hub(str(source)[len(HUB) :]))
    else:
        name, rows = str(source), list(_file(Path(source)))
    if not rows:
        raise TaskError(f"{name} has no rows; a data set needs at least one problem")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise TaskError(f"row {number} of {name} is a {type(row).__name__}, not an object with columns")
    return name, rows


def _file(path: Path) -> Iterator[Any]:
    if path.is_dir():
        datasets = _datasets()
        try:
            rows = datasets.load_from_disk(str(path))
        except (OSError, ValueError) as error:
            raise TaskError(
                f"{path} is no folder of a Hugging Face data set (`Dataset.save_to_disk`): {error}; {FILES}, or such a folder"
            ) from error
        if isinstance(rows, Mapping):
            raise TaskError(f"{path} holds several data sets, {', '.join(rows)}; name the folder of one of them")
        yield from rows
        return
    try:
        if path.suffix in (".parquet", ".pq"):
            yield from _parquet(path)
            return
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"cannot read problems from {path}: {error}") from error
    try:
        if path.suffix in (".jsonl", ".ndjson"):
            for number, line in enumerate(text.split("\n"), 1):
                if line.strip():
                    try:
                        yield json.loads(line)
                    except ValueError as error:
                        raise TaskError(f"line {number} of {path} is not JSON: {error}") from error
            return
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        other = "" if path.suffix == ".json" else f"; {FILES}"
        raise TaskError(f"{path} is not JSON: {error}{other}") from error
    if isinstance(data, dict):
        lists = [value for value in data.values() if isinstance(value, list)]
        columns = len(lists) == len(data) > 1 and len({len(value) for value in lists}) == 1
        if columns:
            data = [dict(zip(data, row, strict=True)) for row in zip(*lists, strict=True)]
        elif len(lists) == 1:
            data = lists[0]
    if not isinstance(data, list):
        raise TaskError(f"{path} must hold a list of objects, or an object with one list of them")
    yield from data


def _parquet(path: Path) -> Iterator[Any]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Parquet files need pyarrow: pip install pyarrow") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pyarrow.lib.ArrowException as error:
        raise TaskError(f"{path} is not a readable Parquet file: {error}") from error


def _hub(name: str) -> Iterable[Any]:
    dataset, *rest = name.split(":")
    config, split = (rest[0] if len(rest) == 2 else None), (rest[-1] if rest else "train")
    datasets = _datasets()
    try:
        return datasets.load_dataset(dataset, config, split=split)
    except Exception as error:  # the library raises a dozen kinds of errors for a name, a split and the network
        raise TaskError(f"cannot load the Hugging Face data set {name}: {type(error).__name__}: {error}") from error


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise ConfigError("Hugging Face data sets need the package datasets: pip install datasets") from error
    return datasets


def find_columns(name: str, rows: Sequence[Mapping[str, Any]], given: Mapping[str, str | None]) -> dict[str, str]:
    """Role -> column: the given one, or the first usual name that is present.

    Raises:
        TaskError: a given column, or every usual one of the problem and of the answer, is missing (it names those present), or
            all that it holds is nested: messages or lists.
    """
    present = list(dict.fromkeys(column for row in rows[:1000] for column in row))
    there = f"the columns of {name} are {', '.join(map(str, present)) or '(none)'}"
    found: dict[str, str] = {}
    for role, usual in COLUMNS.items():
        column = given.get(role)
        if column is not None and column not in present:
            raise TaskError(f"column '{column}' for the {role} is missing; {there}")
        column = column or next((candidate for candidate in usual if candidate in present), None)
        if column is not None:
            found[role] = column
    if "problem" not in found:
        raise TaskError(
            f"no column for the problem ({', '.join(COLUMNS['problem'])}); {there}; name it: problem='COLUMN'"
        )
    if "answer" not in found and "solution" not in found:
        wanted = ", ".join((*COLUMNS["answer"], *COLUMNS["solution"]))
        raise TaskError(f"no column for the answer or the solution ({wanted}); {there}; name it: answer='COLUMN'")
    for role in ("problem", "answer") if "solution" not in found else ("problem",):
        cells = [row.get(found[role]) for row in rows]
        nested = next((cell for cell in cells if isinstance(cell, list | tuple | Mapping) and cell), None)
        if nested is not None and not any(map(text_of, cells)):
            raise TaskError(
                f"column '{found[role]}' for the {role} holds no text and no number but values such as {nested!r:.80}; make them"
                f" texts, or name another column: {role}='COLUMN'; {there}"
            )
    return found


def records(name: str, rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> Iterator[Record]:
    """A record of each row; the answer is empty where the row has none."""
    for number, row in enumerate(rows, 1):
        texts = {role: text_of(row.get(column)) for role, column in columns.items()}
        answer, solution = texts.get("answer", ""), texts.get("solution", "")
        if not answer:
            answer = final_answer(solution) or ""
        elif "####" in answer or "\\boxed" in answer:
            # The column holds a worked solution that ends with the answer, as in GSM8K.
            solution = solution or answer
            answer = final_answer(answer) or ""
        yield Record(
            texts["problem"], answer, solution, texts.get("level", ""), texts.get("subject", ""), f"row {number}"
        )


def text_of(value: Any) -> str:
    """Text of a cell, or of the one value in it: whole numbers without a decimal point; empty for a missing value, NaN and anything nested."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if getattr(value, "size", None) == 1:  # NumPy's
        value = value.item()
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    if isinstance(value, float):
        return "" if not math.isfinite(value) else str(int(value)) if value.is_integer() else repr(value)
    return str(value) if isinstance(value, Number) else ""


def unreadable(answer: str) -> str:
    """Reason why an answer cannot be graded, as far as its text shows it; empty if it can."""
    if not answer:
        return "no answer"
    if len(answer) > LONGEST_ANSWER:
        return f"longer than {LONGEST_ANSWER} characters"
    if answer.replace("\\{", "").count("{") != answer.replace("\\}", "").count("}"):
        return "unbalanced braces"
    return ""
