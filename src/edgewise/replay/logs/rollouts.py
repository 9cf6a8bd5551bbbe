"""Logs with one record a rollout: TRL's completions, verl's rollout data, and any JSONL or table with named columns."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.arrays import whole_as_int
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.replay.logs.columns import MARKED, Columns, choose_columns
from edgewise.replay.logs.evaluations import Evaluations, step_of
from edgewise.replay.logs.groups import FILE_BITS, GroupTable, joined
from edgewise.replay.logs.identity import PromptIndex, digest
from edgewise.replay.logs.jsonl import JsonLines, cut_note, lines_from
from edgewise.replay.logs.log import LARGEST, RunLog, Unit, constant, grouped, of_groups
from edgewise.replay.logs.order import Order
from edgewise.replay.logs.rule import Rule
from edgewise.replay.logs.run_folder import draws_uniformly
from edgewise.replay.logs.tables import is_table, open_table
from edgewise.replay.logs.values import (
    WIDEST,
    floats,
    group_key,
    is_missing,
    length_of,
    number_of,
    question_of,
    text_of,
    verdicts_of,
)

CHUNK = 2048
"""Records that are turned into columns at a time."""
LONGEST_ID = 200
"""Characters of an id; longer ones are hashed."""
Progress = Callable[[int, int], None]


class RolloutReader:
    """Reader of rollouts from the files of one run; `poll` reads what has come since.

    Args:
        name: of the run.
        source: trainer or format, for people.
        files: finds the files of the run, in the order of its steps.
        given: columns that the user named, by role.
        rule: of correctness.
        whole: each file is written once, whole: it is read again when it has changed.
        by_step: each file holds one step (TRL, verl).
        evaluations: of a run of TRL, whose files hold their rollouts too.
    """

    def __init__(
        self,
        name: str,
        source: str,
        files: Callable[[], list[Path]],
        given: Mapping[str, str],
        rule: Rule,
        *,
        whole: bool = False,
        by_step: bool = False,
        evaluations: Evaluations | None = None,
    ):
        self.name, self.source, self.files, self._given, self._rule, self._whole = (
            name,
            source,
            files,
            given,
            rule,
            whole,
        )
        self._by_step, self._evaluations = by_step, evaluations or Evaluations()
        self._paths: list[Path] = []
        self._number: dict[Path, int] = {}
        self._lines: dict[Path, JsonLines] = {}
        self._read: dict[Path, tuple[int, int]] = {}
        self._waiting: set[Path] = set()
        self.folder_notes: list[str] = []
        self._snapshot: RunLog | None = None
        self._groups: tuple[dict[str, np.ndarray], list[str]] | None = None
        self._clear()

    def _clear(self) -> None:
        """Drop everything that was read."""
        self._table, self._prompts = GroupTable(), PromptIndex()
        self._columns: dict[Path, Columns] = {}
        self._units: dict[Path, Unit] = {}
        self._order = None if self._by_step else Order()
        # Number of the file that first had the content, or the last step, of a table.
        self._contents: dict[bytes, int] = {}
        self._steps: dict[float, int] = {}
        # By file, what of it does not count.
        self._unscored, self._unnamed, self._unmeasured = Counter[Path](), Counter[Path](), Counter[Path]()
        self._repeated: set[Path] = set()
        self._later: set[Path] = set()
        self._cut: set[Path] = set()
        self._methods: set[str] = set()
        self._chosen: list[str] = []

    def poll(self, progress: Progress | None = None) -> bool:
        """Read what is new; whether anything was.

        Args:
            progress: called with bytes read so far and in all.

        Raises:
            ConfigError: columns or rewards that do not fit; the file is named. All files that were read are gone.
        """
        changed = False
        fresh = self._evaluations.poll()
        for path in [path for path in self._read if step_of(path) in fresh]:
            del self._read[path]
            self._forget(path)
        files = self.files()
        if self._read and not files:
            raise ConfigError(f"the files of {self.name} are gone")
        for path in self._read.keys() - set(files):
            # Removed, or left out since the run was begun again.
            del self._read[path]
            self._lines.pop(path, None)
            self._waiting.discard(path)
            self._forget(path)
            changed = True
        sizes = [_size(path) for path in files]
        done, total = 0, sum(sizes)
        for path, size in zip(files, sizes, strict=True):
            if path not in self._number:
                self._number[path] = len(self._paths)
                self._paths.append(path)
            changed |= self._file(path, lambda within, before=done: progress and progress(before + within, total))  # type: ignore[misc]
            done += size
            if progress is not None:
                progress(done, total)
        if changed:
            self._snapshot = self._groups = None
        return changed

    @property
    def path(self) -> Path:
        """Folder of the run, to tell runs of one name apart."""
        return self.files()[0].parent

    @property
    def log(self) -> RunLog:
        """Everything read so far."""
        if self._snapshot is None:
            self._snapshot = self._made()
        return self._snapshot

    def completions(self, row: int, most: int = 8) -> list[dict[str, Any]]:
        """Groups of a prompt with their texts, the newest first: step, and prompt, completion and reward of each rollout.

        Args:
            row: of the prompt.
            most: groups that are read.
        """
        return [self._group(int(i)) for i in np.flatnonzero(self.log.rows == row)[::-1][:most]]

    def _group(self, i: int) -> dict[str, Any]:
        log = self.log
        where, trials = int(log.where[i]), int(log.trials[i])
        path = self._paths[where >> FILE_BITS]
        offset = where & ((1 << FILE_BITS) - 1)
        columns = self._columns.get(path, Columns({}))
        found = []
        wanted = str(log.ids[log.rows[i]])
        # Rollouts of a group may be interleaved with others: look a while further.
        for record in _records(path, offset, max(4 * trials, 64), columns):
            if str(self._key(record, columns)) == wanted:
                found.append(
                    {
                        "prompt": text_of(record.get(columns["prompt"] or "")),
                        "completion": text_of(record.get(columns["completion"] or "")),
                        "reward": number_of(record.get(columns["reward"] or columns["correct"] or "")),
                    }
                )
            if len(found) == trials:
                break
        return {
            "step": int(log.steps[i]),
            "successes": int(log.successes[i]),
            "trials": trials,
            "rollouts": found,
        }

    def _file(self, path: Path, progress: Callable[[int], Any]) -> bool:
        try:
            status = os.stat(path)
        except OSError:
            return False
        stamp = (status.st_size, status.st_mtime_ns)
        if self._read.get(path) == stamp:
            return False
        again = (self._whole or is_table(path)) and path in self._read
        try:
            changed = self._one_table(path, again) if is_table(path) else self._jsonl(path, again, progress)
        except EdgewiseError:
            # What was read of it is not all: the next look begins at its beginning, and finds the same.
            self._lines.pop(path, None)
            self._forget(path)
            raise
        self._read[path] = stamp
        return changed

    def _one_table(self, path: Path, again: bool) -> bool:
        with open_table(path) as table:
            if table is None:
                self._waiting.add(path)
                return False
            self._waiting.discard(path)
            if again:
                self._forget(path)
            columns = self._choose(path, table.names, table.numeric)
            if table.cut:
                self._cut.add(path)
            wanted = list(dict.fromkeys(columns.by_role.values()))
            if table.size == 0:
                self._waiting.add(path)
                return again
            if self._whole and self._repeats(path, (values for _, values in table.batches(wanted)), columns):
                return again
            for first, values in table.batches(wanted):
                self._add(path, np.arange(first, first + len(next(iter(values.values())))), values, columns)
        return True

    def _jsonl(self, path: Path, again: bool, progress: Callable[[int], Any]) -> bool:
        if again or path not in self._lines:
            if again:
                self._forget(path)
            self._lines[path] = JsonLines(path)
        lines = self._lines[path]
        said = lines.notes()
        places: list[int] = []
        records: list[dict[str, Any]] = []
        changed = False
        for place, record in lines.read():
            if lines.restarted:
                self._forget(path)
                lines.restarted = False
            places.append(place)
            records.append(record)
            if len(records) == CHUNK:
                self._records(path, places, records)
                progress(place)
                places, records, changed = [], [], True
        if records:
            self._records(path, places, records)
            changed = True
        return changed or lines.notes() != said

    def _records(self, path: Path, places: list[int], records: list[dict[str, Any]]) -> None:
        columns = self._columns.get(path)
        if columns is None:
            names = list(dict.fromkeys(name for record in records for name in record))
            numeric = [n for n in names if any(isinstance(r.get(n), (int, float)) for r in records)]
            columns = self._choose(path, names, numeric)
        values = {name: [record.get(name) for record in records] for name in columns.by_role.values()}
        self._add(path, np.array(places, np.int64), values, columns)

    def _choose(self, path: Path, names: list[str], numeric: list[str]) -> Columns:
        columns = choose_columns(names, self._given, str(path), numeric)
        self._columns[path] = columns
        self._chosen += [note for note in columns.notes if note not in self._chosen]
        return columns

    def _repeats(self, path: Path, batches: Iterable[dict[str, list[Any]]], columns: Columns) -> bool:
        """Whether a table repeats an earlier one: its rollouts, in a generation batch that trained for several steps, or its
        last step, as TRL logs evaluations behind the training."""
        mark, last = hashlib.blake2b(digest_size=16), -np.inf
        named = [name for role in ("prompt", "completion", "reward", "correct") if (name := columns[role])]
        for values in batches:
            for name in named:
                mark.update(repr(values[name]).encode("utf-8", "replace"))
            steps = values[str(columns["step"])]
            last = np.fmax.reduce(floats(steps, len(steps)), initial=last)
        number = self._number[path]
        if self._contents.setdefault(mark.digest(), number) != number:
            self._repeated.add(path)
            return True
        if last >= 0 and self._steps.setdefault(float(last), number) != number:
            self._later.add(path)
            return True
        return False

    def _forget(self, path: Path) -> None:
        """Drop what was read from a file that is gone, or is read anew."""
        self._evaluations.left_out.pop(path, None)
        self._columns.pop(path, None)
        if not self._columns:
            self._clear()
            return
        gone = self._number[path]
        self._table.forget(gone)
        if self._order is not None:
            self._order.forget(gone)
        self._contents = {content: number for content, number in self._contents.items() if number != gone}
        self._steps = {step: number for step, number in self._steps.items() if number != gone}
        for counts in (self._units, self._unscored, self._unnamed, self._unmeasured):
            counts.pop(path, None)
        for paths in (self._repeated, self._later, self._cut):
            paths.discard(path)

    def _key(self, record: Mapping[str, Any], columns: Columns) -> Any:
        """Id by which the prompt of a record is held; None where it has none."""
        identifier = self._identifier(record, columns)
        if identifier is None or not columns["id"] or not columns["category"]:
            return identifier
        return self._prompts.key(identifier, record.get(columns["category"]), _question(record, columns))

    def _identifier(self, record: Mapping[str, Any], columns: Columns) -> Any:
        """Id of the prompt of a record; None where it has neither an id nor a prompt."""
        value = record.get(columns["id"]) if columns["id"] else None
        if is_missing(value):
            question = _question(record, columns)
            return None if is_missing(question) else digest(question)
        value = whole_as_int(value)
        if isinstance(value, (bool, int, np.integer)) and abs(int(value)) < LARGEST:
            return int(value)
        return digest(value) if isinstance(value, (dict, list)) or len(str(value)) > LONGEST_ID else str(value)

    def _add(self, path: Path, places: np.ndarray, values: dict[str, list[Any]], columns: Columns) -> None:
        def column(role: str) -> list[Any] | None:
            name = columns[role]
            return None if name is None else values[name]

        n = len(places)
        steps = floats(column("step"), n)
        rewards = floats(column("reward"), n)
        verdicts, ids = column("correct"), column("id")
        trained = self._evaluations.trained(path, ids if columns["id"] == MARKED else None, n)
        scored = (
            (np.abs(steps) < LARGEST)
            & (steps == np.floor(steps))
            & (verdicts_of(verdicts, n)[1] if verdicts is not None else np.isfinite(rewards))
        )
        self._unscored[path] += int((trained & ~scored).sum())
        scored &= trained
        prompts, categories = column("prompt"), column("category")
        named = np.zeros(n, bool)
        for names in (prompts, ids):
            if names is not None:
                named |= np.array([not is_missing(name) for name in names])
        self._unnamed[path] += int((scored & ~named).sum())
        scored &= named
        if not scored.any():
            return
        keep = np.flatnonzero(scored)
        if verdicts is not None:
            correct = verdicts_of(verdicts, n)[0][keep]
            rewards = (
                np.where(np.isfinite(rewards), rewards, 0.0)[keep] if column("reward") else correct.astype(np.float64)
            )
        else:
            rewards = rewards[keep]
            correct = self._rule.correct(rewards, str(columns["reward"]), str(path))
        steps = steps[keep].astype(np.int64)
        self._methods.update(str(name) for name in column("method") or () if not is_missing(name))
        rows = np.empty(len(keep), np.int64)
        cache: dict[str, Any] = {}
        for position, i in enumerate(keep.tolist()):
            prompt = prompts[i] if prompts is not None else None
            known = cache.get(prompt) if isinstance(prompt, str) and ids is None else None
            if known is None:
                record = {columns["prompt"] or "": prompt}
                if ids is not None:
                    record[str(columns["id"])] = ids[i]
                if categories is not None:
                    record[str(columns["category"])] = categories[i]
                known = self._key(record, columns)
                if isinstance(prompt, str) and ids is None:
                    cache[prompt] = known
            rows[position] = self._prompts.row(known, None if categories is None else categories[i])
        keys = column("group")
        groups = (
            np.zeros(len(keep), np.int64) if keys is None else np.array([group_key(keys[i]) for i in keep.tolist()])
        )
        advantages = np.minimum(np.abs(floats(column("advantage"), n)[keep]), WIDEST)
        predicted = floats(column("predicted"), n)[keep]
        rewards = np.clip(rewards, -WIDEST, WIDEST)
        found = {
            "step": steps,
            "row": rows,
            "group": groups,
            "part": 0 if self._order is None else self._order.parts(steps, self._number[path]),
            "successes": correct,
            "length": self._lengths(path, column("length"), column("completion"), keep),
            "truncated": verdicts_of(column("truncated"), n)[0][keep]
            if columns["truncated"]
            else np.full(len(keep), -1),
            "low": rewards,
            "high": rewards,
            "advantage": np.nan_to_num(advantages, nan=-1.0),
            "predicted": np.where((predicted >= 0) & (predicted <= 1), predicted, -1.0),
            "random": verdicts_of(column("random"), n)[0][keep],
            "where": (self._number[path] << FILE_BITS) + places[keep],
        }
        self._table.add(trials=1, **found)

    def _lengths(
        self, path: Path, lengths: list[Any] | None, completions: list[Any] | None, keep: np.ndarray
    ) -> np.ndarray:
        if lengths is not None:
            self._units[path] = "tokens"
            counted = floats(lengths, len(lengths))[keep]
            self._unmeasured[path] += int(np.isnan(counted).sum())
            return np.clip(np.nan_to_num(counted, nan=0.0), 0, LARGEST).astype(np.int64)
        if completions is not None:
            self._units[path] = "characters"
            return np.array([length_of(completions[i]) for i in keep.tolist()], np.int64)
        return np.zeros(len(keep), np.int64)

    def _resolved(self) -> tuple[dict[str, np.ndarray], list[str]]:
        """The groups that count, and sentences on what was left out for the order of the log."""
        if self._groups is None:
            held = self._without_cut(self._table.columns())
            held, notes = (held, []) if self._order is None else self._order.resolved(held, self._paths)
            if not grouped(held["trials"]):
                prompts = joined(held, ("step", "row"))
                if grouped(prompts["trials"]):
                    held = prompts
                    notes = [
                        *notes,
                        "The column of groups differs by rollout: groups are the rollouts of a prompt in a step.",
                    ]
            self._groups = held, notes
        return self._groups

    def _without_cut(self, held: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The groups that no evaluation has cut: TRL keeps a fixed number of rollouts, and an evaluation pushes the oldest out."""
        files = [self._number[path] for path, n in self._evaluations.left_out.items() if n]
        if not files or not len(held["step"]):
            return held
        cut = np.isin(held["where"] >> FILE_BITS, files) & (held["trials"] < np.median(held["trials"]))
        return {name: values[~cut] for name, values in held.items()}

    def _made(self) -> RunLog:
        table, order_notes = self._resolved()
        if (
            self._paths
            and not len(table["step"])
            and not self._waiting
            and not any(lines.is_waited_for for lines in self._lines.values())
        ):
            lost = ""
            if unscored := self._unscored.total():
                columns = next(iter(self._columns.values()))
                lost = (
                    f": {unscored} record(s) have no number in '{columns['step']}' or in"
                    f" '{columns['correct'] or columns['reward']}'; a record is one rollout, not the list of a group"
                )
            if self._evaluations.left_out.total():
                lost = (
                    ": all are of evaluations, which TRL writes over those of training; log (logging_steps) at other steps than"
                    " those that are evaluated too (eval_steps)"
                )
            if not lost and (bad := [note for lines in self._lines.values() for note in lines.notes()[:1]]):
                lost = f": {' '.join(bad)} JSONL has one object a line, which jq -c '.[]' makes of an array"
            raise ConfigError(f"{self.name} holds no rollout with a step and a reward{lost}")
        logged = table["advantage"] >= 0
        flat = table["high"] - table["low"] <= 1e-6 * np.maximum(1.0, np.abs(table["high"]))
        silent = np.where(logged, table["advantage"] <= 1e-6, flat & grouped(table["trials"]))
        rows, ids, prompt_codes = of_groups(table["row"], self._prompts.ids, self._prompts.codes)
        units = self._units_of(table)
        unit = next(iter(units)) if len(units) == 1 else None
        return RunLog(
            name=self.name,
            source=self.source,
            steps=table["step"],
            rows=rows,
            successes=table["successes"],
            trials=table["trials"],
            silent=silent,
            lengths=table["length"] if unit else constant(-1, len(rows), np.int64),
            truncated=np.maximum(table["truncated"], -1),
            predicted=np.where(table["predicted"] >= 0, table["predicted"], np.float32(np.nan)),
            random=table["random"] > 0,
            codes=prompt_codes.astype(np.int32)[rows] if len(prompt_codes) else constant(0, len(rows), np.int32),
            where=table["where"],
            ids=ids,
            prompt_codes=prompt_codes,
            category_names=self._prompts.names,
            unit=unit,
            uniform=draws_uniformly(self._methods),
            notes=self._notes(table, order_notes),
        )

    def _units_of(self, table: dict[str, np.ndarray]) -> set[Unit | None]:
        """Units of the lengths in the files of these groups; None for a file without lengths."""
        return {self._units.get(self._paths[number]) for number in np.unique(table["where"] >> FILE_BITS).tolist()}

    def _notes(self, table: dict[str, np.ndarray], order_notes: list[str]) -> list[str]:
        notes = [*self.folder_notes, *self._chosen]
        for lines in self._lines.values():
            notes += lines.notes()
        notes += map(cut_note, sorted(self._cut))
        if self._waiting:
            names = ", ".join(sorted(path.name for path in self._waiting)[:3])
            notes.append(f"{len(self._waiting)} file(s) are not whole yet and left out ({names}).")
        if evaluated := self._evaluations.left_out.total():
            notes.append(
                f"{evaluated} rollouts of evaluations, and of training in the files that they share, are left out (TRL writes"
                " them over those of the step)."
            )
        if unscored := self._unscored.total():
            notes.append(f"{unscored} rollouts have no reward, or no whole number as their step, and are left out.")
        if len(table["step"]) and not grouped(table["trials"]):
            notes.append(
                "Groups have one rollout each, so that equal rewards say nothing about the gradient; if the run has groups,"
                " name the prompt or its id with --columns."
            )
        if unnamed := self._unnamed.total():
            notes.append(f"{unnamed} rollouts have neither a prompt nor an id and are left out.")
        if shared := self._prompts.shared:
            notes.append(
                f"{len(shared)} ids stand for prompts of several categories: the category stands before the id of those that came"
                " later."
            )
        if unmeasured := self._unmeasured.total():
            notes.append(f"{unmeasured} rollouts have no length and count as 0 tokens.")
        if len(self._units_of(table)) > 1:
            notes.append("Some files count tokens and others do not, so that lengths are left out.")
        if self._repeated:
            notes.append(
                f"{len(self._repeated)} files repeat the rollouts of an earlier step (a generation batch that trained for several"
                " steps) and are counted once."
            )
        if self._later:
            notes.append(
                f"{len(self._later)} tables have the step of an earlier one, as TRL logs them at evaluations, and are left out."
            )
        notes += order_notes
        steps = np.unique(table["step"])
        gap = int(np.median(np.diff(steps))) if len(steps) > 2 else 1
        if gap > 1:
            notes.append(f"The log holds every {gap}th step: shares are those of the logged steps.")
        return notes


def _question(record: Mapping[str, Any], columns: Columns) -> Any:
    prompt = record.get(columns["prompt"] or "")
    return question_of(prompt) if columns["prompt"] == "messages" else prompt


def _records(path: Path, offset: int, most: int, columns: Columns) -> Any:
    if not is_table(path):
        for _, record in lines_from(path, offset, most):
            yield record
        return
    wanted = list(dict.fromkeys(columns.by_role.values()))
    # A file that is gone, or is written anew, has no text to show.
    with suppress(ConfigError), open_table(path) as table:
        for _, values in table.batches(wanted, offset) if table else ():
            for items in zip(*values.values(), strict=True):
                yield dict(zip(values, items, strict=True))
                most -= 1
                if not most:
                    return


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
