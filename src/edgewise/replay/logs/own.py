"""Logs that Edgewise writes itself: run folders, traces, saved curricula, `edgewise.jsonl`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.checkpoint import load_state
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.replay.logs.identity import PromptIndex
from edgewise.replay.logs.jsonl import JsonLines
from edgewise.replay.logs.log import RunLog
from edgewise.replay.logs.rollouts import LARGEST
from edgewise.replay.trace import Trace
from edgewise.statistics import pass_at_k

LISTS = ("successes", "trials", "predicted", "rows", "ids", "random", "lengths", "truncated", "categories")
"""Fields of a line with one value a group."""


class JournalReader:
    """Reader of a journal with one line a step: `metrics.jsonl` of a run folder, or `edgewise.jsonl`.

    Args:
        name: of the run.
        path: the journal.
    """

    def __init__(self, name: str, path: Path):
        self.name, self.path = name, path
        self._lines = JsonLines(path)
        self._prompts = PromptIndex()
        self._steps: list[int] = []
        self._parts: list[dict[str, np.ndarray]] = []
        self._numbers: dict[str, list[tuple[float, float]]] = {}
        self._named: bool | None = None
        self._odd = 0
        self._snapshot: RunLog | None = None

    def poll(self, progress: Any = None) -> bool:
        changed = False
        for place, line in self._lines.read():
            if self._lines.restarted:
                self._clear()
            self._line(place, line)
            changed = True
            if progress is not None and len(self._steps) % 64 == 0:
                progress(place, max(self.path.stat().st_size, place))
        if changed:
            self._snapshot = None
        return changed

    def _clear(self) -> None:
        self._lines.restarted = False
        self._steps, self._parts, self._numbers = [], [], {}

    def _line(self, place: int, line: dict[str, Any]) -> None:
        step = line.get("step")
        if not isinstance(step, (int, float)) or isinstance(step, bool) or not abs(step) < LARGEST:
            self._odd += 1
            return
        step = int(step)
        if self._steps and step <= self._steps[-1] and step <= max(self._steps[-1] - 1, 0):
            self._rewind(step)
        for name, value in line.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name != "step":
                self._numbers.setdefault(name, []).append((step, float(value)))
        if isinstance(line.get("successes"), list) and isinstance(line.get("trials"), list):
            part = self._groups(step, line)
            if part is None:
                self._odd += 1
                return
            self._parts.append(part)
        self._steps.append(step)

    def _rewind(self, step: int) -> None:
        """Drop the lines of `step` and later: the run was resumed."""
        self._steps = [s for s in self._steps if s < step]
        self._parts = [part for part in self._parts if part["step"][0] < step]
        self._numbers = {n: kept for n, v in self._numbers.items() if (kept := [x for x in v if x[0] < step])}

    def _groups(self, step: int, line: dict[str, Any]) -> dict[str, np.ndarray] | None:
        n = len(line["trials"])
        if n == 0 or any(isinstance(line.get(name), list) and len(line[name]) != n for name in LISTS):
            return None
        try:
            successes, trials = (np.array(line[name], np.int32) for name in ("successes", "trials"))
            predicted = (
                np.array(line["predicted"], np.float64)
                if isinstance(line.get("predicted"), list)
                else np.full(n, np.nan)
            )
            predicted[~((predicted >= 0) & (predicted <= 1))] = np.nan
            lengths = np.array(line["lengths"], np.int64) if isinstance(line.get("lengths"), list) else np.full(n, -1)
            truncated = (
                np.array(line["truncated"], np.int32) if isinstance(line.get("truncated"), list) else np.full(n, -1)
            )
            random = np.array(line["random"], bool) if isinstance(line.get("random"), list) else np.zeros(n, bool)
        except (TypeError, ValueError, OverflowError):
            return None
        if any(part.shape != (n,) for part in (successes, trials, predicted, lengths, truncated, random)):
            return None
        if (successes < 0).any() or (successes > trials).any() or (trials < 1).any():
            return None
        named = line.get("ids") if isinstance(line.get("ids"), list) else line.get("rows")
        categories = line.get("categories")
        try:
            codes = np.array(
                self._prompts.categories(categories) if isinstance(categories, list) else [0] * n, np.int32
            )
            rows = np.array(self._prompts.rows(named) if isinstance(named, list) else [-1] * n, np.int32)
        except TypeError:
            return None
        return {
            "step": np.full(n, step, np.int64),
            "row": rows,
            "successes": successes,
            "trials": trials,
            "predicted": predicted.astype(np.float32),
            "length": lengths,
            "truncated": truncated,
            "random": random,
            "code": codes,
        }

    @property
    def log(self) -> RunLog:
        if self._snapshot is None:
            self._snapshot = self._made()
        return self._snapshot

    def _made(self) -> RunLog:
        names = ("step", "row", "successes", "trials", "predicted", "length", "truncated", "random", "code")
        held = {name: np.concatenate([part[name] for part in self._parts] or [np.empty(0)]) for name in names}
        rows, codes = held["row"].astype(np.int64), held["code"].astype(np.int64)
        prompt_codes = self._prompts.codes.copy()
        seen = rows >= 0
        prompt_codes[rows[seen]] = codes[seen]
        successes, trials = held["successes"].astype(np.int64), held["trials"].astype(np.int64)
        known = bool((held["length"] >= 0).any())
        notes = self._lines.notes()
        if self._odd:
            notes.append(
                f"{self.path.name}: {self._odd} lines have no step, or groups that do not fit together, and are left out."
            )
        if len(successes) and not seen.any():
            notes.append(f"{self.path.name} does not name its prompts: the pool over time cannot be shown.")
        return RunLog(
            name=self.name,
            source="Edgewise run" if len(successes) else "Edgewise metrics",
            steps=held["step"].astype(np.int64),
            rows=rows,
            successes=successes,
            trials=trials,
            silent=(successes == 0) | (successes == trials),
            lengths=held["length"].astype(np.int64),
            truncated=held["truncated"].astype(np.int64),
            predicted=held["predicted"].astype(np.float64),
            random=held["random"].astype(bool),
            codes=codes,
            where=np.full(len(rows), -1, np.int64),
            ids=self._prompts.ids,
            prompt_codes=prompt_codes,
            category_names=self._prompts.names,
            unit="tokens" if known else None,
            numbers={name: _series(points) for name, points in self._numbers.items()},
            uniform=_uniform(self.path.parent),
            pool_size=_pool_size(self.path.parent),
            uniform_sample=_uniform_sample(
                self.path.parent / "evals.jsonl", int(np.median(trials)) if len(trials) else 0
            ),
            notes=notes,
        )

    def completions(self, row: int, most: int = 8) -> list[dict[str, Any]]:
        """A run folder keeps samples of completions, not those of each prompt: none."""
        return []


class TraceReader:
    """Reader of a saved `Trace`; it is read again when the file has changed."""

    def __init__(self, name: str, path: Path):
        self.name, self.path = name, path
        self._stamp: tuple[int, int] | None = None
        self._log: RunLog | None = None

    def poll(self, progress: Any = None) -> bool:
        try:
            status = self.path.stat()
        except OSError as error:
            raise ConfigError(f"cannot read {self.path}: {error.strerror}") from error
        stamp = (status.st_size, status.st_mtime_ns)
        if stamp == self._stamp:
            return False
        self._log = log_of_trace(Trace.load(self.path), self.name)
        self._stamp = stamp
        return True

    @property
    def log(self) -> RunLog:
        if self._log is None:
            self.poll()
        assert self._log is not None
        return self._log

    def completions(self, row: int, most: int = 8) -> list[dict[str, Any]]:
        """A trace holds counts alone: none."""
        return []


def log_of_trace(trace: Trace, name: str = "trace") -> RunLog:
    """A trace as a log; a trace of whole evaluations is one of uniform picks."""
    pool, n = trace.pool, len(trace)
    prompt_codes = np.zeros(len(pool), np.int64) if pool.categories is None else pool.categories.astype(np.int64)
    return RunLog(
        name=name,
        source="Edgewise trace",
        steps=trace.steps[trace.index],
        rows=trace.rows,
        successes=trace.successes,
        trials=trace.trials,
        silent=(trace.successes == 0) | (trace.successes == trace.trials),
        lengths=np.full(n, -1, np.int64),
        truncated=np.full(n, -1, np.int64),
        predicted=np.full(n, np.nan),
        random=np.zeros(n, bool),
        codes=prompt_codes[trace.rows],
        where=np.full(n, -1, np.int64),
        ids=pool.ids,
        prompt_codes=prompt_codes,
        category_names=pool.category_names,
        pool_size=len(pool),
        given_pool=pool,
    )


def _series(points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.array(points, np.float64)
    return table[:, 0], table[:, 1]


def _uniform(folder: Path) -> bool | None:
    """Whether config.yaml says that the selector is uniform, without a YAML package; None where it says nothing."""
    try:
        for line in (folder / "config.yaml").read_text("utf-8", "replace").splitlines():
            key, colon, value = line.partition(":")
            if colon and key == "selector":
                return value.strip().strip("'\"") in ("uniform", "epochs")
    except OSError:
        pass
    return None


def _uniform_sample(path: Path, k: int) -> np.ndarray | None:
    """Chance of a mixed group of k for each prompt of the sample that a run evaluates, mean over evaluations, (sample,).

    Unbiased: 1 - p^k - (1 - p)^k from at least k rollouts, by the estimator of pass@k for correct and for wrong rollouts.
    """
    if k < 2 or not path.is_file():
        return None
    found: list[np.ndarray] = []
    for _, line in JsonLines(path).read():
        sample = line.get("probe")
        try:
            successes, trials = (np.array(sample[name], np.int64) for name in ("successes", "trials"))  # type: ignore[index]
            if len(successes) < 16 or trials.min() < k or (found and len(found[0]) != len(successes)):
                continue
            found.append(pass_at_k(successes, trials, k) + pass_at_k(trials - successes, trials, k) - 1)
        except (TypeError, ValueError, KeyError, OverflowError, EdgewiseError):
            continue
    return np.mean(found, axis=0) if found else None


def _pool_size(folder: Path) -> int | None:
    """Prompts of the pool by summary.json, or by the newest checkpoint's curriculum."""
    try:
        mix = json.loads((folder / "summary.json").read_text("utf-8", "replace")).get("pool")
        if isinstance(mix, dict):
            return int(sum(mix.values()))
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    for path in sorted(folder.glob("checkpoints/step_*/curriculum.npz"), reverse=True)[:1]:
        try:
            return len(load_state(path, "curriculum")["ids"])
        except (EdgewiseError, OSError, KeyError):
            return None
    return None
