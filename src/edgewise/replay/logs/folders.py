"""Finding of logs: what a path holds, run by run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from edgewise.errors import ConfigError
from edgewise.replay.logs.columns import parse_columns
from edgewise.replay.logs.evaluations import Evaluations
from edgewise.replay.logs.journal import JournalReader
from edgewise.replay.logs.jsonl import JsonLines
from edgewise.replay.logs.log import RunLog
from edgewise.replay.logs.rollouts import Progress, RolloutReader
from edgewise.replay.logs.rule import Rule
from edgewise.replay.logs.tables import CSV, PARQUET, WANDB, is_table
from edgewise.replay.logs.traces import TraceReader

DEPTH = 5
"""Folders below a given one that are searched for runs."""
MOST = 64
"""Runs that one path may hold."""
PACKED = {".gz": "gunzip -k", ".zst": "unzstd", ".xz": "xz -dk", ".bz2": "bunzip2 -k", ".zip": "unzip"}
"""Suffixes of compressed files, and what unpacks each: a log is read from where the last look ended."""
PARTS = ("completions", "rollout_data", "rollouts", "table", "media", "files")
"""Folders inside of a run, which are not its name."""
LOGGED = re.compile(rf"(.+?)_[0-9]+_[0-9a-f]+{re.escape(WANDB)}")
"""A table of Weights & Biases: its name, the step at which it was logged, and its digest."""
EXPECTED = (
    "TRL's completions_*.parquet (log_completions=True) or its tables in a run of Weights & Biases, verl's STEP.jsonl"
    " (trainer.rollout_data_dir), an Edgewise run (metrics.jsonl, trace.npz, edgewise.jsonl), or JSONL, parquet or CSV with"
    " named columns (--columns)"
)


class LogReader(Protocol):
    """Reader of one run's log. `poll` reads what is new, `log` is everything so far."""

    name: str

    def poll(self, progress: Progress | None = None) -> bool: ...

    @property
    def log(self) -> RunLog: ...

    def completions(self, row: int, most: int = 8) -> list[dict[str, Any]]: ...


def open_logs(
    paths: Iterable[str | Path],
    *,
    columns: str | None = None,
    success: float | None = None,
    scale: tuple[float, float] | None = None,
    refused: list[str] | None = None,
) -> list[LogReader]:
    """Readers of all runs under some paths; nothing is read yet but what tells formats apart.

    Args:
        paths: files and folders, of one run or of several.
        columns: `role=column,...` where names are not recognised; see `edgewise.replay.logs.columns.KNOWN` for the roles.
        success: reward from which on a rollout is correct; 0.5 for rewards in [0, 1] if None.
        scale: rewards that stand for 0 and for 1.
        refused: takes a sentence for each path and folder that cannot be read, and the others are read; None: the first is an
            error.

    Raises:
        ConfigError: a path that does not exist, or without a log.
    """
    given, rule = parse_columns(columns), Rule(success, scale)
    readers: list[LogReader] = []
    for path in map(Path, paths):
        with _refusing(refused):
            readers += _under(path, given, rule, refused)
    if not readers and refused is None:
        raise ConfigError(f"name the logs of at least one run: {EXPECTED}")
    if len({reader.name for reader in readers}) < len(readers):
        # Two paths may hold the same run.
        places = {place_of(reader): reader for reader in readers}
        readers = list(places.values())
        if len({reader.name for reader in readers}) < len(readers):
            # All of them: a run whose name is its own already belongs to one of several comparisons, too.
            shared = os.path.commonpath([place.parent for place in places])
            for place, reader in places.items():
                reader.name = place.relative_to(shared).as_posix()
    return readers


def open_log(
    path: str | Path,
    *,
    columns: str | None = None,
    success: float | None = None,
    scale: tuple[float, float] | None = None,
) -> LogReader:
    """The reader of the one run under a path; arguments as for `open_logs`.

    Raises:
        ConfigError: also where the path holds several runs; names them.
    """
    readers = open_logs([path], columns=columns, success=success, scale=scale)
    if len(readers) > 1:
        names = ", ".join(reader.name for reader in readers[:6])
        raise ConfigError(f"{path} holds the logs of {len(readers)} runs ({names}): give one of them")
    return readers[0]


def read_log(
    path: str | Path,
    *,
    columns: str | None = None,
    success: float | None = None,
    scale: tuple[float, float] | None = None,
    progress: Progress | None = None,
) -> RunLog:
    """The log of the one run under a path, read to its present end; arguments as for `open_log`.

    Example:
        >>> import json, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "rollouts.jsonl"
        >>> lines = [{"step": 1, "prompt": "2+2", "reward": r} for r in (1, 0)]
        >>> _ = path.write_text("".join(json.dumps(line) + chr(10) for line in lines))
        >>> log = read_log(path)
        >>> len(log), log.informative.tolist()
        (1, [True])
    """
    reader = open_log(path, columns=columns, success=success, scale=scale)
    reader.poll(progress)
    return reader.log


@contextmanager
def _refusing(refused: list[str] | None) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        if refused is None:
            raise
        refused.append(str(error))


def _under(path: Path, given: Mapping[str, str], rule: Rule, refused: list[str] | None) -> list[LogReader]:
    """Readers of the runs that a path holds."""
    if not path.exists():
        raise ConfigError(f"there is no {path}")
    if not path.is_dir():
        return [_file(path, given, rule)]
    found = _search(path, given, rule, DEPTH, refused)
    if not found and not refused:
        raise ConfigError(f"{path} holds no log: expected {EXPECTED}; it holds {_contents(path)}")
    if len(found) > MOST:
        raise ConfigError(f"{path} holds {len(found)} logs, more than {MOST}: give the folders of single runs")
    return found


def _search(
    folder: Path, given: Mapping[str, str], rule: Rule, depth: int, refused: list[str] | None
) -> list[LogReader]:
    with _refusing(refused):
        found = _folder(folder, given, rule)
        if found is not None:
            return [found]
    if depth == 0:
        return []
    readers: list[LogReader] = []
    for child in sorted(_children(folder), key=_natural):
        if child.is_dir() and not child.is_symlink() and not child.name.startswith((".", "checkpoint")):
            readers += _search(child, given, rule, depth - 1, refused)
            if len(readers) > MOST:
                break
    return readers


def _folder(folder: Path, given: Mapping[str, str], rule: Rule) -> LogReader | None:
    """The reader of a folder that is one run; None if it is none."""
    name = _name(folder)
    inner = folder / "completions" if (folder / "completions").is_dir() else folder
    if _glob(inner, "completions_*.parquet"):
        evaluations = Evaluations(inner.parent if inner.name == "completions" else inner)
        return _files("TRL", name, lambda: _glob(inner, "completions_*.parquet"), given, rule, evaluations=evaluations)
    tables = _tables(folder)
    if tables:
        return _files("Weights & Biases", name, partial(_glob, folder, f"{tables}_*{WANDB}"), given, rule)
    if (folder / "metrics.jsonl").is_file():
        if _steps(folder / "metrics.jsonl") or not (folder / "trace.npz").is_file():
            return JournalReader(name, folder / "metrics.jsonl")
        return TraceReader(name, folder / "trace.npz")
    if (folder / "trace.npz").is_file():
        return TraceReader(name, folder / "trace.npz")
    if _numbered(folder):
        _require_whole(folder, ".jsonl")
        return _files("verl", name, lambda: _numbered(folder), given, rule)
    if (folder / "edgewise.jsonl").is_file():
        return JournalReader(name, folder / "edgewise.jsonl")
    for suffix in (".jsonl", PARQUET, CSV):
        files = _glob(folder, f"*{suffix}")
        if files:
            _require_whole(folder, suffix)
        shapes = {_shape(path.stem) for path in files}
        # The first of numbered parts is alone for a while.
        numbered = bool(files) and _shape(files[0].stem) != files[0].stem
        if len(files) == 1 and (not numbered or (suffix == ".jsonl" and _steps(files[0]))):
            return _file(files[0], given, rule)
        if len(shapes) == 1:
            return _files("rollouts", name, partial(_parts, folder, suffix, *shapes), given, rule, whole=False)
        if files:
            raise ConfigError(
                f"{folder} holds {len(files)} {suffix} files under different names"
                f" ({', '.join(path.name for path in files[:4])}): logs of several runs, or parts of one; give one of them"
            )
    return None


def _require_whole(folder: Path, suffix: str) -> None:
    """Refuse parts that would be left out in silence: compressed ones, and those that a rotation has numbered."""
    names = sorted(path.name for path in _children(folder) if path.stem.endswith(suffix))
    packed = [name for name in names if Path(name).suffix in PACKED]
    if packed:
        raise ConfigError(
            f"{folder} holds compressed parts ({', '.join(packed[:4])}) beside others: unpack them first, such as with"
            f" {PACKED[Path(packed[0]).suffix]}, or give one file"
        )
    rotated = [name for name in names if Path(name).suffix[1:].isdecimal()]
    if rotated:
        raise ConfigError(
            f"{folder} holds older parts ({', '.join(rotated[:4])}) beside others: join them in one file, the oldest first,"
            " or give one file"
        )


def _file(path: Path, given: Mapping[str, str], rule: Rule) -> LogReader:
    name = path.stem if path.stem not in ("metrics", "trace", "edgewise") else _name(path.parent)
    if path.suffix == ".npz":
        return TraceReader(name, path)
    if is_table(path):
        return RolloutReader(name.removesuffix(".table"), "rollouts", lambda: [path], given, rule, whole=True)
    if path.suffix in (".jsonl", ".ndjson", ".json"):
        if "reward" not in given and "correct" not in given and (path.name == "edgewise.jsonl" or _steps(path)):
            return JournalReader(name, path)
        return RolloutReader(name, "rollouts", lambda: [path], given, rule)
    if path.suffix in PACKED:
        raise ConfigError(f"{path} is compressed: unpack it first, such as with {PACKED[path.suffix]}")
    raise ConfigError(f"{path} is no log: expected {EXPECTED}")


def _files(
    source: str,
    name: str,
    find: Callable[[], list[Path]],
    given: Mapping[str, str],
    rule: Rule,
    whole: bool = True,
    evaluations: Evaluations | None = None,
) -> RolloutReader:
    notes: list[str] = []

    def files() -> list[Path]:
        found = sorted(find(), key=_natural)
        kept, note = _one_run(found) if whole else (found, None)
        notes[:] = [note] if note else []
        return kept

    files()
    reader = RolloutReader(name, source, files, given, rule, whole=whole, by_step=whole, evaluations=evaluations)
    reader.folder_notes = notes
    return reader


def _one_run(files: Sequence[Path]) -> tuple[list[Path], str | None]:
    """Files of the newest run, by step: those that are older than the step before them are of a run that was begun again or resumed."""
    times: list[float] = []
    for path in files:
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            times.append(times[-1] if times else 0.0)
    falls = [i for i in range(1, len(times)) if times[i] < times[i - 1] - 1.0]
    # A copied folder has its times in any order: only a single fall is the rest of an earlier run.
    if len(falls) != 1:
        return list(files), None
    cut = falls[0]
    note = (
        f"{len(files) - cut} files from {files[cut].name} on are older than the one before them: the run was begun again or"
        " resumed since they were written, and they are left out."
    )
    return list(files[:cut]), note


def _steps(path: Path) -> bool:
    """Whether a journal has one line a step: lists of successes, or numbers beside a step and no prompt."""
    for _, line in JsonLines(path).read():
        if isinstance(line.get("successes"), list):
            return True
        return "step" in line and any(name in line for name in ("effective_ratio", "mean_effective_ratio"))
    return False


def _contents(folder: Path) -> str:
    names = sorted(path.name for path in _children(folder))
    return f"{', '.join(names[:8])}{' ...' if len(names) > 8 else ''}" if names else "nothing"


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _glob(folder: Path, pattern: str) -> list[Path]:
    try:
        # Hidden ones are of the system, or of a writer that has not finished.
        return sorted(path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith("."))
    except OSError:
        return []


def _numbered(folder: Path) -> list[Path]:
    """Files of verl's rollout data: one a step, named by it."""
    return [path for path in _glob(folder, "*.jsonl") if path.stem.isdecimal()]


def _parts(folder: Path, suffix: str, shape: str) -> list[Path]:
    """Files of a folder that differ by their numbers alone."""
    return [path for path in _glob(folder, f"*{suffix}") if _shape(path.stem) == shape]


def _tables(folder: Path) -> str:
    """Name of the tables of rollouts that Weights & Biases keeps in a folder, one for each step: `completions`, or the only one."""
    names = {found[1] for path in _glob(folder, f"*{WANDB}") if (found := LOGGED.fullmatch(path.name))}
    return "completions" if "completions" in names else names.pop() if len(names) == 1 else ""


def _name(folder: Path) -> str:
    resolved = folder.resolve()
    while resolved.name in PARTS and resolved.parent.name:
        resolved = resolved.parent
    if re.fullmatch(r"seed_\d+", resolved.name):
        return f"{resolved.parent.name}/{resolved.name}"
    return resolved.name


def place_of(reader: LogReader) -> Path:
    """The file, without its ending, or the folder that a run is named after.

    Raises:
        ConfigError: the files of the run are gone.
    """
    files = getattr(reader, "files", None)
    found = files() if callable(files) else [getattr(reader, "path", reader.name)]
    if not found:
        raise ConfigError(f"the files of {reader.name} are gone")
    path = Path(found[0]).resolve()
    last = reader.name.rpartition("/")[2]
    return next((place for place in (path.with_suffix(""), *path.parents) if place.name == last), path)


def _shape(stem: str) -> str:
    return re.sub(r"\d+", "#", stem)


def _natural(path: Path) -> list[Any]:
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", path.name))]
