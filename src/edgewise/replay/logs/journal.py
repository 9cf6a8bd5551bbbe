"""Journals with one line a step: `metrics.jsonl` of a run folder, and `edgewise.jsonl`."""

from __future__ import annotations

from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.replay.logs.identity import PromptIndex
from edgewise.replay.logs.jsonl import JsonLines
from edgewise.replay.logs.log import LARGEST, RunLog, constant, grouped, of_groups
from edgewise.replay.logs.run_folder import is_uniform, pool_size, uniform_sample

COLUMNS: dict[str, tuple[type, Any]] = {
    "step": (np.int64, 0),
    "successes": (np.int32, 0),
    "trials": (np.int32, 0),
    "row": (np.int32, -1),
    "code": (np.int32, 0),
    "predicted": (np.float32, np.nan),
    "lengths": (np.int64, -1),
    "truncated": (np.int32, -1),
    "random": (np.bool_, False),
}
"""Columns by name: type, and the value where a line does not have it."""
CODES = {np.int32: "i", np.int64: "q", np.float32: "f", np.bool_: "b"}
PLAIN = ("predicted", "lengths", "truncated", "random")
"""Columns that a line may have and that are taken as they are."""
TOGETHER = 256
"""Lines whose groups are joined to one array a column."""


class JournalReader:
    """Reader of a journal with one line a step: `metrics.jsonl` of a run folder, or `edgewise.jsonl`.

    Args:
        name: of the run.
        path: the journal.
    """

    def __init__(self, name: str, path: Path):
        self.name, self.path = name, path
        self._lines = JsonLines(path)
        self._clear()

    def _clear(self) -> None:
        self._lines.restarted = False
        self._prompts = PromptIndex()
        self._odd = 0
        self._last: int | None = None
        self._count = 0
        # Groups of single lines, and of many: one array a column, constants where no line has it.
        self._fresh: list[dict[str, np.ndarray]] = []
        self._joined: list[dict[str, np.ndarray]] = []
        self._numbers: dict[str, list[tuple[float, float]]] = {}
        self._snapshot: RunLog | None = None

    def poll(self, progress: Any = None) -> bool:
        changed, said = False, self._lines.notes()
        for place, line in self._lines.read():
            if self._lines.restarted:
                self._clear()
            self._line(line)
            changed = True
            if progress is not None and self._count % 64 == 0:
                progress(place, max(self.path.stat().st_size, place))
        changed |= self._lines.notes() != said
        if changed:
            self._snapshot = None
        return changed

    def _line(self, line: dict[str, Any]) -> None:
        step = line.get("step")
        if (
            not isinstance(step, (int, float))
            or isinstance(step, bool)
            or not (0 <= step < LARGEST and step == int(step))
        ):
            self._odd += 1
            return
        step = int(step)
        if self._last is not None and step <= self._last and step <= max(self._last - 1, 0):
            self._rewind(step)
        for name, value in line.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name != "step":
                with suppress(OverflowError):  # of an integer beyond every float
                    point = step, float(value)
                    self._numbers.setdefault(name, []).append(point)
        if isinstance(line.get("successes"), list) or isinstance(line.get("trials"), list):
            part = self._groups(step, line)
            if part is None:
                self._odd += 1
                return
            self._fresh.append(part)
            if len(self._fresh) >= TOGETHER:
                self._joined.append(_concatenated(self._fresh))
                self._fresh = []
        self._last = step
        self._count += 1

    def _rewind(self, step: int) -> None:
        """Drop the lines of `step` and later: the run was resumed."""
        held = self._columns()
        keep = held["step"] < step
        self._joined = [{name: values[keep] for name, values in held.items()}] if keep.any() else []
        self._numbers = {n: kept for n, v in self._numbers.items() if (kept := [x for x in v if x[0] < step])}
        self._last = None

    def _groups(self, step: int, line: dict[str, Any]) -> dict[str, np.ndarray] | None:
        """Columns of one line, those that it has; None if its lists do not fit together."""
        if not isinstance(line.get("successes"), list) or not isinstance(line.get("trials"), list):
            return None
        n = len(line["trials"])
        named = line.get("ids") if isinstance(line.get("ids"), list) else line.get("rows")
        categories = line.get("categories")
        try:
            part = {name: _array(line[name], COLUMNS[name][0]) for name in ("successes", "trials")}
            for name in PLAIN:
                if isinstance(line.get(name), list):
                    part[name] = _array(line[name], COLUMNS[name][0])
            if isinstance(named, list):
                part["row"] = self._prompts.rows(named) if len(named) == n else np.empty(0)
            if isinstance(categories, list):
                part["code"] = self._prompts.categories(categories) if len(categories) == n else np.empty(0)
        except (TypeError, ValueError, OverflowError):
            return None
        if n == 0 or any(values.shape != (n,) for values in part.values()):
            return None
        successes, trials = part["successes"], part["trials"]
        if not ((successes >= 0) & (successes <= trials) & (trials >= 1)).all():
            return None
        if "predicted" in part:
            predicted = part["predicted"]
            predicted[~((predicted >= 0) & (predicted <= 1))] = np.nan
        part["step"] = constant(step, n, np.int64)
        return part

    def _columns(self) -> dict[str, np.ndarray]:
        """All groups so far as one array (groups,) a column; a constant takes no memory."""
        if self._fresh or len(self._joined) > 1:
            parts, self._joined, self._fresh = [*self._joined, *self._fresh], [], []
            self._joined = [_concatenated(parts)]
        return self._joined[0] if self._joined else {name: np.empty(0, kind) for name, (kind, _) in COLUMNS.items()}

    @property
    def log(self) -> RunLog:
        if self._snapshot is None:
            self._snapshot = self._made()
        return self._snapshot

    def _made(self) -> RunLog:
        held = self._columns()
        n = len(held["step"])
        successes, trials = held["successes"], held["trials"]
        rows, ids, prompt_codes = of_groups(held["row"], self._prompts.ids, self._prompts.codes)
        seen = rows >= 0
        named = bool(seen.all())
        if named:
            prompt_codes[rows] = held["code"]
        else:
            prompt_codes[rows[seen]] = held["code"][seen]
        notes = self._lines.notes()
        if self._odd:
            notes.append(
                f"{self.path.name}: {self._odd} lines have no step, or groups that do not fit together, and are left out."
            )
        if not named:
            notes.append(f"{self.path.name} does not name its prompts: the pool over time cannot be shown.")
        folder = self.path.parent
        return RunLog(
            name=self.name,
            source="Edgewise run" if n else "Edgewise metrics",
            steps=held["step"],
            rows=rows,
            successes=successes,
            trials=trials,
            silent=((successes == 0) | (successes == trials)) & grouped(trials),
            lengths=held["lengths"],
            truncated=held["truncated"],
            predicted=held["predicted"],
            random=held["random"],
            codes=held["code"],
            where=constant(-1, n, np.int64),
            ids=ids,
            prompt_codes=prompt_codes,
            category_names=self._prompts.names,
            unit="tokens" if bool((held["lengths"] >= 0).any()) else None,
            numbers={name: _series(points) for name, points in self._numbers.items()},
            uniform=is_uniform(folder),
            pool_size=pool_size(folder),
            uniform_sample=uniform_sample(folder / "evals.jsonl", int(np.median(trials)) if n else 0),
            notes=notes,
        )

    def completions(self, row: int, most: int = 8) -> list[dict[str, Any]]:
        """A run folder keeps samples of completions, not those of each prompt: none."""
        return []


def _concatenated(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """One array a column; the parts lose theirs on the way, so that no more than one column is held twice."""
    sizes = [len(part["step"]) for part in parts]
    joined = {}
    for name, (kind, missing) in COLUMNS.items():
        values = [part.pop(name, None) for part in parts]
        if all(value is None or (value.strides == (0,) and name != "step") for value in values):
            joined[name] = constant(missing, sum(sizes), kind)
        else:
            filled = [constant(missing, n, kind) if v is None else v for v, n in zip(values, sizes, strict=True)]
            joined[name] = np.concatenate(filled)
    return joined


def _array(values: list[Any], kind: type) -> np.ndarray:
    """Values of one line, (n,). The standard library's arrays take lists three times as fast as numpy."""
    try:
        return np.frombuffer(array(CODES[kind], values), np.int8 if kind is np.bool_ else kind).astype(kind)
    except (TypeError, OverflowError):
        found: np.ndarray = np.array(values, kind)
        if kind in (np.int32, np.int64) and (found != np.array(values, np.float64)).any():
            raise ValueError("counts are whole numbers") from None
        return found


def _series(points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(points, np.float64)
    return table[:, 0], table[:, 1]
