"""Prompts that a trainer asks for piecemeal, and whose groups come back in any order, in part, or never.

The trainers that generate asynchronously draw a few prompts at a time and report each group when it is finished. Here
the curriculum's batches are kept by prompt until then, so that an adapter deals in rows and rewards alone. Left out:
refill, which these trainers do themselves by drawing on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgewise.adapters.success import Floats
from edgewise.allocation import Constant
from edgewise.curriculum import Batch, Curriculum
from edgewise.errors import CheckpointError, ConfigError
from edgewise.gates import Groups
from edgewise.pool import PromptPool, Rows

CurriculumChoice = str | Callable[[PromptPool], Curriculum]
"""A selector's name, or a function from the trainer's prompts to a curriculum over them."""


class InFlight:
    """A curriculum whose prompts are drawn and reported one by one.

    Args:
        pool: the trainer's prompts.
        curriculum: name of a selector, or a function that makes a `Curriculum` over this pool (for options, a probe, a
            gate with `max_rounds=1`, a recorder).
        rollouts: completions that the trainer rolls out for each prompt.
        seed: for a curriculum given by name.
        patience: policy steps after which a prompt whose group has not come back is forgotten, so that it can be picked
            again; None waits for ever.

    Raises:
        ConfigError: a curriculum that does not fit.
    """

    def __init__(
        self,
        pool: PromptPool,
        curriculum: CurriculumChoice,
        rollouts: int,
        seed: int = 0,
        patience: int | None = None,
    ):
        made = Curriculum(pool, curriculum, rollouts=rollouts, seed=seed) if isinstance(curriculum, str) else None
        if made is None:
            if not callable(curriculum):
                raise ConfigError(
                    "curriculum is the name of a selector or a function from a PromptPool to a Curriculum, got"
                    f" {curriculum!r}"
                )
            made = curriculum(pool)
        if not isinstance(made, Curriculum) or made.pool is not pool:
            raise ConfigError("curriculum= must return a Curriculum over the pool it is given")
        if not isinstance(made.allocation, Constant) or made.allocation.mean != rollouts:
            raise ConfigError(
                f"the trainer rolls out {rollouts} completions for every prompt: make the curriculum with"
                f" rollouts={rollouts}"
            )
        if made.gate is not None and made.gate.max_rounds != 1:
            raise ConfigError("the trainer itself draws on until its batch is full: make the gate with max_rounds=1")
        if patience is not None and patience < 1:
            raise ConfigError(f"patience is a whole number of policy steps >= 1, got {patience}")
        self.curriculum, self.patience = made, patience
        # Drawn, not reported: batches of one prompt, and the trainer's step of their draw, by row, oldest first.
        self._batches: dict[int, Batch] = {}
        self._drawn_at: dict[int, int] = {}
        # Rows to hand out before any others: they were in flight when the state was saved.
        self._again: list[int] = []
        self._step: int | None = None
        self._lost = self._late = 0

    def __len__(self) -> int:
        """Prompts in flight."""
        return len(self._batches)

    @property
    def rows(self) -> Rows:
        """Rows in flight, oldest first."""
        return np.array(list(self._batches), np.int64)

    def draw(self, n: int, step: int) -> Rows:
        """The next n rows to roll out, int64 (n,), none of them in flight. A new `step` of the trainer ages beliefs."""
        again, self._again = self._again[:n], self._again[n:]
        self._drawn_at.update(dict.fromkeys(again, step))
        if n > len(again):
            begins, self._step = step != self._step, step
            if begins and self.patience is not None:
                self.lose([row for row, drawn in self._drawn_at.items() if drawn < step - self.patience])
            select = self.curriculum.select if begins else self.curriculum.select_more
            batch = select(n - len(again))
            for place, row in enumerate(batch.rows.tolist()):
                self._batches[row], self._drawn_at[row] = batch.take([place]), step
            again = again + batch.rows.tolist()
        return np.array(again, np.int64)

    def report(self, row: int, rewards: Floats) -> bool:
        """Tell what the group of a row brought; returns whether it trains the policy.

        Args:
            row: of the prompt.
            rewards: of its finished rollouts, in [0, 1]; fewer than were asked for where some were lost, none if all.

        A group that was forgotten meanwhile is not told, and counted in `late_groups`.
        """
        if not len(rewards):
            self.lose([row] if row in self._batches else [])
            return False
        if row not in self._batches:
            self._late += 1
            return self._admits(rewards)
        feedback = self.curriculum.observe(self._batches[row].take([0], len(rewards)), rewards)
        self._drop(row)
        return bool(feedback.admitted[0])

    def lose(self, rows: list[int]) -> None:
        """The groups of these rows will never come; their prompts may be picked again."""
        for row in rows:
            self.curriculum.forget(self._batches[row])
            self._drop(row)
            self._lost += 1

    def metrics(self) -> dict[str, float]:
        """The curriculum's, and how many groups were lost or came too late so far."""
        return {**self.curriculum.metrics(), "lost_groups": float(self._lost), "late_groups": float(self._late)}

    def state_dict(self) -> dict[str, Any]:
        """Nested dicts of arrays and plain values; prompt ids included."""
        selector, batches = self.curriculum.selector.spec, list(self._batches.values())
        return {
            "curriculum": self.curriculum.state_dict(),
            "ids": self.curriculum.pool.ids,
            "selector": selector["name"] if selector else None,
            "serials": np.array([batch.serial for batch in batches], np.int64),
            "rows": self.rows,
            "predicted": np.array([batch.predicted[0] for batch in batches], np.float64),
            "probe": np.array([batch.probe[0] for batch in batches], bool),
            "step": self._step,
            "lost": self._lost,
            "late": self._late,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore `state_dict`. What was in flight died with its process: the same prompts are handed out first again.

        Raises:
            CheckpointError: not such a state, or that of another selector. PoolError: of another dataset.
        """
        if not {"curriculum", "ids", "selector", "rows"} <= set(state):
            raise CheckpointError(
                "the checkpoint was saved without a curriculum: resume from another one, or start anew with its model"
            )
        spec = self.curriculum.selector.spec
        if state["selector"] and spec and state["selector"] != spec["name"]:
            raise CheckpointError(
                f"the checkpoint was saved with the selector {state['selector']}, this run has {spec['name']}"
            )
        self.curriculum.restore(state["curriculum"], np.asarray(state["ids"]))
        pool, ids = self.curriculum.pool, np.asarray(state["ids"])[np.asarray(state["rows"], np.int64)]
        self._batches, self._drawn_at = {}, {}
        rollouts = self.curriculum.allocation.rollouts(np.asarray(state["predicted"], np.float64))
        for place, row in enumerate(pool.find(ids).tolist() if len(ids) else []):
            if row < 0:
                continue
            self._batches[row] = Batch(
                int(state["serials"][place]),
                np.array([row], np.int64),
                pool.ids[[row]],
                rollouts[[place]],
                np.asarray(state["predicted"])[[place]],
                np.asarray(state["probe"])[[place]],
            )
        self._again, self._step = list(self._batches), state["step"]
        self._lost, self._late = int(state["lost"]), int(state["late"])

    def _drop(self, row: int) -> None:
        self._batches.pop(row)
        self._drawn_at.pop(row, None)
        if row in self._again:
            self._again.remove(row)

    def _admits(self, rewards: Floats) -> bool:
        if self.curriculum.gate is None:
            return True
        correct = np.array([(rewards >= self.curriculum.success).sum()], np.int64)
        return bool(self.curriculum.gate.admit(Groups(rewards, np.array([len(rewards)]), correct))[0])
