"""Accounts of the present policy step and of the whole run."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.arrays import Counts, Flags, Rows
from edgewise.gates import GateStack, Groups

REMEMBERED = 65_536
"""Prompts tried in one policy step that its refills avoid, the newest ones."""
COUNTED = ("rollouts", "groups", "informative", "successes", "age")


class PolicyStep:
    """Groups that one policy step asked for and got."""

    def __init__(self, wanted: int = 0, admitted: int = 0):
        self.wanted, self.admitted = wanted, admitted
        self.rounds = self.shortfall = self.surplus = 0
        self.closed = False
        self.counts = dict.fromkeys(COUNTED, 0)
        self._tried: list[Rows] = []

    def following(self, wanted: int) -> PolicyStep:
        """The next step; the surplus of this one counts for it."""
        return PolicyStep(wanted, self.surplus)

    def join(self, n: int) -> None:
        """n more groups are wanted, of which the surplus is a part."""
        self.wanted += n
        self.surplus = max(self.surplus - n, 0)
        self.rounds = max(self.rounds, 1)
        self.closed = False

    def observed(self, rows: Rows, admitted: Flags) -> None:
        self._tried.append(rows)
        self.admitted += int(np.count_nonzero(admitted))

    def tried(self) -> Rows:
        """Distinct rows of the step that were observed, sorted."""
        if len(self._tried) > 1:
            self._tried = [np.unique(np.concatenate(self._tried)[-REMEMBERED:])]
        return self._tried[0] if self._tried else np.empty(0, np.int64)

    def settle(self, gates: GateStack, waiting: int) -> bool:
        """Decide shortfall and surplus after results or losses; True if the cap on rounds now leaves the step short.

        Args:
            gates: their cap on rounds, and whether they refill.
            waiting: prompts of this step in flight: their groups may yet fill it.
        """
        if not gates.parts:
            return False
        missing = max(self.wanted - self.admitted, 0)
        exhausted = missing > 0 and self.rounds >= gates.max_rounds and not waiting
        self.shortfall = 0 if exhausted or waiting else missing
        self.surplus = max(self.admitted - self.wanted, 0) if gates.max_rounds > 1 else 0
        newly, self.closed = exhausted and not self.closed, exhausted
        return newly

    def state_dict(self) -> dict[str, Any]:
        plain = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return {**plain, "counts": dict(self.counts), "tried": self.tried().copy()}

    @classmethod
    def restored(cls, state: dict[str, Any], remap: Rows | None) -> PolicyStep:
        step = cls(int(state["wanted"]), int(state["admitted"]))
        step.rounds, step.shortfall, step.surplus = int(state["rounds"]), int(state["shortfall"]), int(state["surplus"])
        step.closed, step.counts = bool(state["closed"]), {name: int(state["counts"].get(name, 0)) for name in COUNTED}
        tried = np.asarray(state["tried"], np.int64)
        if tried.ndim != 1:
            raise ValueError(f"the saved prompts tried have shape {tried.shape}")
        if remap is not None and len(tried):
            tried = remap[tried]
            tried = np.sort(tried[tried >= 0])
        step._tried = [tried]
        return step


class Totals:
    """Sums over the run, and by category how long a success has been missing."""

    NUMBERS = (
        *COUNTED,
        "exhausted",
        "forgotten",
        "late",
        "wasted_rollouts",
        "tokens",
        "wasted_tokens",
    )

    def __init__(self, categories: int = 0) -> None:
        self.rollouts = self.groups = self.informative = self.successes = self.age = 0
        self.exhausted = self.forgotten = self.late = 0
        self.wasted_rollouts = self.tokens = self.wasted_tokens = 0
        self.dry: Counts = np.zeros(categories + 1, np.int64)
        """Rollouts since the last success, by category code."""

    def add(
        self,
        groups: Groups,
        codes: Rows,
        *,
        informative: Flags,
        late: Flags,
        ages: Counts,
        current: dict[str, int],
    ) -> None:
        """Enter observed groups; `current` are the counts of the present step."""
        news = {
            "rollouts": int(groups.trials.sum()),
            "groups": len(groups),
            "informative": int(np.count_nonzero(informative)),
            "successes": int(groups.successes.sum()),
            "age": int(ages.sum()),
        }
        for name, value in news.items():
            current[name] += value
            setattr(self, name, getattr(self, name) + value)
        self.late += int(np.count_nonzero(late))
        alike = groups.alike
        self.wasted_rollouts += int(groups.trials @ alike)
        if groups.lengths is not None:
            self.tokens += int(groups.lengths.sum())
            self.wasted_tokens += int(groups.lengths[alike.repeat(groups.trials)].sum())
        self._add_dry(groups, codes)

    def _add_dry(self, groups: Groups, codes: Rows) -> None:
        size = len(self.dry)
        right = np.bincount(codes, groups.successes, size) > 0
        self.dry = np.where(right, 0, self.dry + np.bincount(codes, groups.trials, size).astype(np.int64))

    def match(self, source: Rows) -> None:
        """Carry what is kept by category over to new codes; `source` as `PromptPool.match_categories` gives it."""
        self.dry = np.where(source >= 0, self.dry[np.maximum(source, 0)], 0)

    def metrics(self) -> dict[str, float]:
        values: dict[str, float] = {
            "rollouts": self.rollouts,
            "wasted_rollouts": self.wasted_rollouts,
            "exhausted_steps": self.exhausted,
        }
        if self.groups:
            values["mean_effective_ratio"] = self.informative / self.groups
            values["mean_success_rate"] = self.successes / self.rollouts
        if self.tokens:
            values |= {"tokens": self.tokens, "wasted_tokens": self.wasted_tokens}
        if self.forgotten:
            values |= {"forgotten": self.forgotten, "late_groups": self.late}
        if self.age:
            values["mean_staleness"] = self.age / self.groups
        return values

    def state_dict(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in self.NUMBERS}, "dry": self.dry.copy()}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Totals:
        totals = cls()
        for name in cls.NUMBERS:
            setattr(totals, name, int(state[name]))
        totals.dry = np.array(state["dry"], np.int64)
        return totals
