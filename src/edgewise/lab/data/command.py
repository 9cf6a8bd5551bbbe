"""Command `edgewise data`."""

from __future__ import annotations

from pathlib import Path

from edgewise.errors import ConfigError
from edgewise.lab.data.export import Export, Format, export
from edgewise.lab.run.yaml import parse
from edgewise.tasks.math.records import HUB

DATA_SETS = {"gsm8k": "math", "geometry3k": "geometry"}
"""Data sets that are read by a task of another name."""
FROM_FILES = ("math", *DATA_SETS)


def data_command(
    task: str,
    out: Path,
    format: Format = "jsonl",
    train: int | None = None,
    test: int | None = None,
    difficulty: str = "{}",
    options: str = "{}",
    source: tuple[Path, ...] = (),
    instruction: str = "",
    chat: bool = False,
    seed: int = 0,
) -> None:
    """Write a task's problems as train and test files for verl, TRL or anything that reads JSONL.

    Args:
        task: school, countdown, gsm_infinite, opgraph, math, gsm8k (math on GSM8K's files), geometry3k or any registered task.
        out: folder to write; it must not exist.
        format: verl (parquet), trl or jsonl.
        train: problems of the training file; default: all, where the task has a fixed number.
        test: problems of the test file, of the evaluation side of the split.
        difficulty: difficulty settings of the task as YAML, such as "{level: [1, 2]}".
        options: options of the task as YAML.
        source: of math, gsm8k and geometry3k: the file (or folder) of training rows and, if there is one, that of test rows; of
            math and gsm8k also hf:NAME[:CONFIG][:SPLIT].
        instruction: text behind every prompt.
        chat: prompts of the format trl as messages.
        seed: of the problems.
    """
    given = dict(_mapping("options", options))
    name = DATA_SETS.get(task, task)
    paths = tuple(path if str(path).startswith(HUB) else path.resolve() for path in source)
    if task in FROM_FILES and not 1 <= len(paths) <= 2:
        raise ConfigError(f"{task} is read from files: --source TRAIN or --source TRAIN TEST")
    if task not in FROM_FILES and paths:
        raise ConfigError(f"task {task} makes its problems; --source is for {', '.join(FROM_FILES)}")
    if name == "math":
        # This task reads its own files.
        if twice := {"train", "eval"} & set(given):
            raise ConfigError(f"the files are those of --source; --options names them too ({', '.join(sorted(twice))})")
        given |= dict(zip(("train", "eval"), map(str, paths), strict=False))
        paths = ()
    settings = Export(
        name, given, _mapping("difficulty", difficulty), train, test, seed, format, chat, instruction, paths
    )
    for side, path in export(settings, out).items():
        print(f"{side}: {path}")


def _mapping(name: str, text: str) -> dict[str, object]:
    value = parse(text, f"--{name}")
    if not isinstance(value, dict):
        raise ConfigError(f"--{name} must be a mapping as YAML, such as '{{level: [1, 2]}}', got {text!r}")
    return value
