"""Order of the rollouts in a log whose steps fall back: resumed runs, parts by rank, epochs, and lines in any order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgewise.replay.logs.groups import FILE_BITS, KEYS, joined
from edgewise.replay.logs.log import grouped

LATE = 8
"""Steps by which asynchronous trainers may log a rollout late; a larger fall of the step, if it lasts, begins another section."""
LASTS = LATE // 2
"""A fall lasts if the rollouts of so many steps follow before one of them is within as many steps of the highest."""
FEW = 0.25
"""Share of a step's groups below which later ones of it are late, not rolled out again."""
DISORDER = 0.25
"""Share of the lines at which the step falls from which their order means nothing."""
WHOLE = 0.75
"""Share of the usual groups from which on a step is whole: rollouts that are late are not there twice, those of a resumed run are."""
RESUMED = 32
"""Falls of the step beyond which a run is asynchronous, not resumed so often."""
SECTIONS = 1000
"""Sections up to which they are compared; a log with more of them has no order that means anything."""
SHARED = re.compile(r"rank|worker|shard|proc|gpu|node|replica", re.IGNORECASE)
"""Names of files that hold shares of the same groups."""
Columns = dict[str, np.ndarray]


class Order:
    """Parts of a log, and what of them counts.

    A part ends where the step falls; a section ends where it falls by more than `LATE` and stays low, and with its file. Where
    rollouts are late, others near the highest step follow soon; a run that begins again has to get there. What a later section
    means is decided by its prompts and by its steps, once all is known:

    - It rolls out the same prompts in the same steps: it replaces the earlier ones from its first step on.
    - Other prompts, from the middle of the earlier steps on: the run was resumed, and it replaces them as well.
    - Other prompts in a few steps that both parts hold whole: the same.
    - Other prompts, from the first step on: in the same file the next pass, whose steps are counted on; in another file a
      share of the same run, as one that every rank writes. So is one that holds a single rollout of each group.
    - In the same file a few groups of most of the earlier steps at most: they finished late.

    A group that two parts of a section hold, with more rollouts than groups have, is the later part's.

    Example:
        >>> order = Order()
        >>> order.parts(np.array([1, 2, 3, 2, 3]), file=0).tolist()
        [0, 0, 0, 1, 1]
    """

    def __init__(self) -> None:
        self._sections: list[tuple[int, int]] = []
        self._part = -1
        self._previous = self._highest = 0
        self._disordered = False
        # Rollouts, and steps that were the highest, by which the size of a step is known.
        self._rollouts, self._steps = 0, 0
        # A fall of which it is not known whether it lasts: the part that it begins, the rollouts since and their highest step.
        self._fall: tuple[int, int, int] | None = None

    def parts(self, steps: np.ndarray, file: int) -> np.ndarray:
        """Part of each rollout, in the order in which they are read, int32 (n,).

        Args:
            steps: of the rollouts, n >= 1.
            file: number of the file that they are from.
        """
        if not self._sections or self._sections[-1][1] != file:
            self._sections, self._fall = self._all_sections(), None
            self._part += 1
            self._sections.append((self._part, file))
            self._previous = self._highest = int(steps[0])
            self._steps += 1
        falls = np.diff(steps, prepend=self._previous) < 0
        self._previous = int(steps[-1])
        if self._disordered or falls.sum() > max(DISORDER * len(steps), LATE):
            self._disordered = True
            return np.full(len(steps), self._part, np.int32)
        parts = self._part + np.cumsum(falls).astype(np.int32)
        self._part = int(parts[-1])
        self._follow(steps, parts, file)
        return parts

    def forget(self, file: int) -> None:
        """Drop what is known of a file that is read anew, if it was the last one."""
        while self._sections and self._sections[-1][1] == file:
            self._part, self._fall = self._sections.pop()[0] - 1, None

    def _follow(self, steps: np.ndarray, parts: np.ndarray, file: int) -> None:
        """Find the sections that begin in these rollouts."""
        begin = 0
        while begin < len(steps):
            left = steps[begin:]
            if self._fall is None:
                highest = np.maximum.accumulate(np.maximum(left, self._highest))
                far = np.flatnonzero(left < highest - LATE)
                end = int(far[0]) if len(far) else len(left)
                self._rollouts += end
                self._steps += int((np.diff(highest[:end], prepend=self._highest) > 0).sum())
                if len(far):
                    self._fall = int(parts[begin + end]), 0, int(left[end])
                self._highest = int(highest[min(end, len(left) - 1)])
            else:
                part, since, low = self._fall
                near = np.flatnonzero(left >= self._highest - LASTS)
                end = int(near[0]) if len(near) else len(left)
                missing = LASTS * self._rollouts // self._steps - since
                lasts = end >= missing
                end = max(missing, 1) if lasts else end
                low = max(low, int(left[:end].max(initial=low)))
                if lasts:
                    self._sections.append((part, file))
                    self._fall, self._highest = None, low
                elif len(near):
                    self._fall = None
                else:
                    self._fall = part, since + end, low
                self._rollouts += end
            begin += end

    def _all_sections(self) -> list[tuple[int, int]]:
        """With the one that may have begun just now."""
        return self._sections if self._fall is None else [*self._sections, (self._fall[0], self._sections[-1][1])]

    def resolved(self, held: Columns, paths: Sequence[Path]) -> tuple[Columns, list[str]]:
        """The groups that count, without parts, and sentences on what was done.

        Args:
            held: columns of all groups by part, see `groups.COLUMNS`.
            paths: files by number.
        """
        notes = ["The lines are not in the order of their steps; they are read in that order."] * self._disordered
        if self._part <= 0 or not len(held["step"]):
            return held, notes
        if not self._disordered and len(self._all_sections()) <= SECTIONS:
            held, found = self._sectioned(held, paths)
            notes += found
        if not self._disordered and self._part <= RESUMED:
            kept = _not_replaced(held)
            if not kept.all():
                notes.append(
                    f"The run was resumed some steps back: {int((~kept).sum())} groups of steps that it rolled out again are left out."
                )
                held = {name: values[kept] for name, values in held.items()}
        kept = _newest(held)
        repeated = len(kept) - int(kept.sum())
        if repeated:
            notes.append(f"{repeated} groups were rolled out again after the run was resumed, and are counted once.")
            held = {name: values[kept] for name, values in held.items()}
        return joined(held, KEYS[:-1]), notes

    def _sectioned(self, held: Columns, paths: Sequence[Path]) -> tuple[Columns, list[str]]:
        held = {**held, "step": held["step"].copy()}
        step, files = held["step"], held["where"] >> FILE_BITS
        keep = np.ones(len(step), bool)
        sections = self._all_sections()
        section = np.searchsorted([begin for begin, _ in sections], held["part"], side="right") - 1
        again, shares = 0, set()
        for number, (_, file) in enumerate(sections[1:], 1):
            later, earlier = keep & (section == number), keep & (section < number)
            if not later.any() or not earlier.any():
                continue
            start, end = step[later].min(), step[later].max()
            common = earlier & (step >= start) & (step <= end)
            same = bool((files[common] == file).any())
            if not common.any() or (same and _are_late(step[later], step[common])):
                continue
            first = step[earlier & np.isin(files, files[common])].min()
            repeats = _repeats(held, later, common)
            shared = not repeats or SHARED.search(paths[file].stem) or _single(held, later)
            if start <= first + LATE and not same and shared:
                shares |= {file, *files[common].tolist()}
            elif start <= first and same and not repeats:
                again += 1
                step[later] += step[earlier].max() + 1 - start
            else:
                keep[earlier & (step >= start)] = False
        notes = []
        if not keep.all():
            notes.append(
                f"The steps fall back: the run was resumed, or the log holds several runs. {int((~keep).sum())} groups of the"
                " earlier part, from the step on at which the later one begins, are left out."
            )
        if again:
            notes.append(
                f"The steps begin again with other prompts ({again + 1} parts): they are read as one run, one after the other."
            )
        if shares:
            notes.append(f"{len(shares)} files hold the same steps: they are read as shares of one run.")
        return {name: values[keep] for name, values in held.items()}, notes


def _repeats(held: Columns, later: np.ndarray, common: np.ndarray) -> bool:
    """Whether most of the later groups, in the steps that the earlier ones have too, are of the same prompts."""
    mine = later & np.isin(held["step"], held["step"][common])
    code = _prompt_in_step(held)
    return bool(mine.any()) and bool(np.isin(code[mine], code[common]).mean() > 0.5)


def _single(held: Columns, later: np.ndarray) -> bool:
    """Whether most of the later prompts have one rollout in a step: a share of their groups, which a run rolls out whole."""
    place = np.unique(_prompt_in_step(held)[later], return_inverse=True)[1]
    return not grouped(np.bincount(place, held["trials"][later]).astype(np.int64))


def _prompt_in_step(held: Columns) -> np.ndarray:
    """One number for each pair of step and prompt. Steps may be any whole number, so that they are counted first."""
    return np.unique(held["step"], return_inverse=True)[1] * (int(held["row"].max()) + 1) + held["row"]


def _are_late(later: np.ndarray, earlier: np.ndarray) -> bool:
    """Whether a section has but a few groups of most of the steps that it shares with earlier ones: a resumed run has all."""
    steps, before = np.unique(earlier, return_counts=True)
    place = np.searchsorted(steps, later[np.isin(later, steps)])
    return bool((np.bincount(place, minlength=len(steps)) < FEW * before).mean() > 0.5)


def _not_replaced(held: Columns) -> np.ndarray:
    """Flags of the groups that no later part of their file replaces: one that has their steps whole again, with other prompts."""
    step, part, files = held["step"], held["part"], held["where"] >> FILE_BITS
    keep = np.ones(len(step), bool)
    usual = np.median(np.unique(step, return_counts=True)[1])
    for number in np.unique(part)[1:]:
        later = part == number
        earlier = keep & (part < number) & (files == files[later][0])
        start = step[later].min()
        common = earlier & (step >= start)
        if not common.any() or start <= step[earlier].min():
            continue
        again = np.unique(step[common])
        mine, before = ((step[flags][:, None] == again).sum(axis=0) >= WHOLE * usual for flags in (later, common))
        # The run may have ended in the last of them.
        if 1 < len(again) <= LATE + 1 and again[0] == start and mine.all() and before[:-1].all():
            keep &= ~common
    return keep


def _newest(held: Columns) -> np.ndarray:
    """Flags of the groups that count: of one that several parts hold, the newest up to the usual number of rollouts."""
    order = np.lexsort([-held["part"], *(held[name] for name in reversed(KEYS[:-1]))])
    keys = [held[name][order] for name in KEYS[:-1]]
    first = np.ones(len(order), bool)
    first[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    starts = np.flatnonzero(first)
    trials = held["trials"][order].astype(np.int64)
    usual = np.median(np.add.reduceat(trials, starts))
    before = np.cumsum(trials) - trials
    within = before - before[starts][np.cumsum(first) - 1] + trials
    kept = np.empty(len(order), bool)
    kept[order] = first | (within <= usual)
    return kept
