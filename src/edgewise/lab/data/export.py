"""Export of a task's problems: train and test files with stable ids, category and what a reward needs to verify them."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from edgewise.checkpoint import write_json
from edgewise.errors import ConfigError, TaskError
from edgewise.tasks import Problem, Task, make_task
from edgewise.tasks.base import Split, check_difficulty, check_disjoint
from edgewise.tasks.math.records import COLUMNS

Format = Literal["verl", "trl", "jsonl"]
FORMATS: tuple[str, ...] = get_args(Format)
IMAGE = "<image>"
"""Placeholder of a picture in a prompt."""
DATA_OPTIONS = {
    "math": ("train", "eval", *COLUMNS, "category", "unparsed", "conflicts"),
    "gsm_infinite": ("contexts",),
}
"""Options of a task that concern its data set or its making of problems, and may be paths."""
SIDES: dict[str, Split] = {"train": "train", "test": "eval"}


@dataclass(frozen=True)
class Export:
    """What is exported.

    Args:
        task: name of a registered task.
        options: options of the task.
        difficulty: difficulty settings of its problems.
        train, test: number of problems of each side of the split; None: as many as there are, for tasks that count them.
        seed: of the problems.
        format: "verl": parquet in the columns of verl's datasets; "trl": JSONL with the columns `prompt`, `id`, `category` and
            `problem`; "jsonl": the problems as they are.
        chat: prompts as one message of a user, for models with a chat template; verl always has messages.
        instruction: text added behind every prompt.
        files: where the task loads its problems from, instead of making them: those of train and, if there are two, of test.
            One file is split by content.
    """

    task: str
    options: Mapping[str, Any]
    difficulty: Mapping[str, Any]
    train: int | None = None
    test: int | None = None
    seed: int = 0
    format: Format = "jsonl"
    chat: bool = False
    instruction: str = ""
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}")
        for name in ("train", "test"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ConfigError(f"{name} must be a number of problems of at least 1, got {count}")
        check_difficulty(self.difficulty)
        if self.files and self.difficulty:
            raise ConfigError(
                f"problems that are read from files have no difficulty settings, got {dict(self.difficulty)}"
            )


def export(settings: Export, out: Path) -> dict[str, Path]:
    """Write train and test files and `about.json` into a new folder.

    Returns:
        The files by side.

    Raises:
        ConfigError: the folder exists or cannot be written, or a package is missing. Nothing is left.
        TaskError: there are not that many problems, or a text that no file can hold.
    """
    if out.exists():
        raise ConfigError(f"{out} exists; choose another folder or delete it")
    task = make_task(settings.task, **settings.options)
    train = _problems(task, settings, "train")
    sides = {"train": train, "test": _problems(task, settings, "test", known={_wording(problem) for problem in train})}
    check_disjoint(sides["train"], sides["test"])
    make = {"verl": verl_row, "trl": trl_row, "jsonl": plain_row}[settings.format]
    temporary = out.parent / f".{out.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir(parents=True)
        files = {}
        for side, problems in sides.items():
            rows = (make(problem, settings, side) | _pictures(problem, settings, temporary) for problem in problems)
            files[side] = _write(rows, temporary, side, settings.format)
        about = {
            "task": settings.task,
            "options": dict(settings.options),
            "difficulty": dict(settings.difficulty),
            "seed": settings.seed,
            "instruction": settings.instruction,
            "format": settings.format,
            "problems": {side: len(problems) for side, problems in sides.items()},
        }
        write_json(temporary / "about.json", about)
        temporary.rename(out)
    except UnicodeEncodeError as error:
        around = str(error.object)[max(error.start - 40, 0) : error.end + 40]
        raise TaskError(f"half of a surrogate pair is no character of a file: {around!r}; mend that problem") from error
    except OSError as error:
        raise ConfigError(f"cannot write to {out}: {error.strerror or error}; choose another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {side: out / path.name for side, path in files.items()}


def plain_row(problem: Problem, settings: Export, side: str) -> dict[str, Any]:
    """Every field of the problem but its pictures, its id and its task."""
    fields = problem_fields(problem)
    return {"id": problem.id, "task": settings.task, **fields, "prompt": problem.prompt + settings.instruction}


def trl_row(problem: Problem, settings: Export, side: str) -> dict[str, Any]:
    """The columns that a trainer of TRL and `verification_reward` read; `id` and `category` are what the adapter reads."""
    # TRL puts the placeholders of the column `images` into the messages itself.
    text = (problem.prompt.replace(IMAGE, "").strip() if problem.images else problem.prompt) + settings.instruction
    return {
        "prompt": [{"role": "user", "content": text}] if settings.chat else text,
        "id": problem.id,
        "category": problem.category,
        "problem": packed(problem, settings),
    }


def verl_row(problem: Problem, settings: Export, side: str) -> dict[str, Any]:
    """The columns of verl's datasets; `extra_info.index` is the stable id and `extra_info.category` the category."""
    return {
        "data_source": f"edgewise/{settings.task}",
        "prompt": [{"role": "user", "content": problem.prompt + settings.instruction}],
        "ability": problem.category,
        "reward_model": {"style": "rule", "ground_truth": problem.answer},
        "extra_info": {
            "index": problem.id,
            "split": side,
            "category": problem.category,
            "problem": packed(problem, settings),
        },
    }


def problem_fields(problem: Problem) -> dict[str, Any]:
    """A problem as plain values, without its pictures and what they are drawn from: no task needs them to verify a completion."""
    fields = {name: getattr(problem, name) for name in ("prompt", "solution", "answer", "category", "meta", "key")}
    return fields | {"meta": {name: value for name, value in problem.meta.items() if not is_dataclass(value)}}


def packed(problem: Problem, settings: Export) -> str:
    """A problem and its task in one JSON text, which `rewards.unpacked` reads."""
    fields = problem_fields(problem)
    options = verifying_options(settings.task, settings.options)
    return json.dumps({"task": settings.task, "options": options, **fields}, default=_plain)


def verifying_options(task: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a task that its verification needs: no files, whose paths mean nothing on the machine that trains."""
    return {name: value for name, value in options.items() if name not in DATA_OPTIONS.get(task, ())}


def _wording(problem: Problem) -> tuple[str, str]:
    return problem.prompt, problem.image_digest


def _problems(task: Task, settings: Export, side: str, known: Set[tuple[str, str]] = frozenset()) -> list[Problem]:
    """The problems of one side, without those whose wording is known: a wording may belong to problems of two keys."""
    wanted = getattr(settings, side)
    split = SIDES[side]
    if settings.files:
        return _loaded(task, settings, side)[:wanted]
    if wanted is None:
        count: Callable[..., int] | None = getattr(task, "count", None)
        if count is None:
            raise ConfigError(f"task {settings.task} makes any number of problems: say how many with {side}")
        wanted = count(split, **settings.difficulty)
    drawn = wanted
    while True:
        problems = task.problems(drawn, settings.seed, split=split, **settings.difficulty)
        problems = [problem for problem in problems if _wording(problem) not in known]
        if getattr(settings, side) is None or len(problems) == wanted:
            break
        drawn += wanted - len(problems)
    if not problems:
        raise TaskError(f"the data set holds no problem for {side}; name a file of its own, or change the difficulty")
    if len({problem.id for problem in problems}) < len(problems):
        raise TaskError(f"task {settings.task} gave two problems of one id on the {split} side")
    return problems


def _loaded(task: Task, settings: Export, side: str) -> list[Problem]:
    """The problems of one side from files: of a file of their own, or of one side of the split; each once."""
    if len(settings.files) > 2:
        raise ConfigError(f"files are at most two, of train and of test, got {len(settings.files)}")
    both = len(settings.files) == 2
    every = {p.id: p for p in task.load(settings.files[list(SIDES).index(side) if both else 0])}
    found = [problem for problem in every.values() if both or problem.split == SIDES[side]]
    wanted = getattr(settings, side)
    if not found or (wanted is not None and wanted > len(found)):
        raise TaskError(f"the files hold {len(found)} problems for {side}, wanted {wanted or 'at least 1'}")
    return found


def _pictures(problem: Problem, settings: Export, folder: Path) -> dict[str, Any]:
    """The column `images` of a problem: PNG data for verl, otherwise paths of PNG files below the folder; none without pictures."""
    if not problem.images:
        return {}
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise ConfigError("pictures are written as PNG, which needs Pillow: pip install pillow") from error
    data = []
    for picture in problem.images:
        buffer = io.BytesIO()
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.convert("RGB").save(buffer, "PNG")
        data.append(buffer.getvalue())
    if settings.format == "verl":
        return {"images": [{"bytes": content} for content in data]}
    names = [f"images/{problem.id}-{index}.png" for index in range(len(data))]
    (folder / "images").mkdir(exist_ok=True)
    for name, content in zip(names, data, strict=True):
        (folder / name).write_bytes(content)
    return {"images": names}


def _write(rows: Iterator[dict[str, Any]], folder: Path, side: str, form: str) -> Path:
    if form == "verl":
        try:
            import pyarrow
            import pyarrow.parquet
        except ModuleNotFoundError as error:
            raise ConfigError("verl's files are parquet, which needs pyarrow: pip install pyarrow") from error
        path = folder / f"{side}.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
        return path
    path = folder / f"{side}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, default=_plain) + "\n" for row in rows)
    return path


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, tuples' relatives and the like as JSON has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)
