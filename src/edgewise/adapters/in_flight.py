"""Curriculum for trainers that take prompts piecemeal, count policy steps themselves and report groups in any order, or never."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgewise.adapters.prompts import require_size
from edgewise.adapters.success import Floats, Success
from edgewise.allocation import Constant
from edgewise.arrays import Counts, Rows, whole_number
from edgewise.curriculum import Curriculum
from edgewise.errors import CheckpointError, ConfigError, EdgewiseError
from edgewise.pool import PromptPool

log = logging.getLogger("edgewise")

CurriculumChoice = str | Callable[[PromptPool], Curriculum]
"""Method in a word, or a function from the trainer's prompts to a curriculum over them."""


class InFlight:
    """Curriculum behind a trainer's own loop; refill is the trainer's, which selects until its batch is full.

    All methods may be called from several threads.

    Args:
        pool: the trainer's prompts.
        curriculum: a method in a word, or a function that makes a `Curriculum` over this pool (for options, a random share,
            gates with `max_rounds=1`, a recorder).
        rollouts: completions that the trainer rolls out for each prompt.
        seed: seed of a curriculum given in a word.
        patience: policy steps after which a prompt whose group has not come back is forgotten, so that it can be selected
            again; its group is still evidence if it comes later. None waits for ever.
        varied: whether the trainer can roll out different numbers of completions, `rollouts` on average.
        ahead: prompts selected at a time where the trainer draws fewer: the rest waits for its next draws. Finished groups are
            then observed together before the next selection, which nothing else depends on, unless a gate has to decide at once.

    Raises:
        ConfigError: a curriculum that does not fit.
    """

    def __init__(
        self,
        pool: PromptPool,
        curriculum: CurriculumChoice,
        rollouts: int,
        *,
        seed: int = 0,
        patience: int | None = None,
        varied: bool = False,
        ahead: int = 1,
    ):
        if not isinstance(curriculum, str) and not callable(curriculum):
            raise ConfigError(
                f"curriculum is the name of a selector or a function from a PromptPool to a Curriculum, got {curriculum!r}"
            )
        made = curriculum(pool) if callable(curriculum) else Curriculum(pool, curriculum, rollouts=rollouts, seed=seed)
        if not isinstance(made, Curriculum) or made.pool is not pool:
            raise ConfigError("curriculum= must return a Curriculum over the pool it is given")
        if made.allocation.mean != rollouts or not (varied or isinstance(made.allocation, Constant)):
            raise ConfigError(
                f"the trainer rolls out {rollouts} completions for every prompt: make the curriculum with rollouts={rollouts}"
            )
        if made.gates.max_rounds != 1:
            raise ConfigError("the trainer itself selects until its batch is full: make the gate with max_rounds=1")
        self.pool, self.curriculum, self._size = pool, made, len(pool)
        self.patience = None if patience is None else whole_number("patience", patience, 0, ConfigError)
        self.ahead = whole_number("ahead", ahead, 1, ConfigError)
        self._lock = threading.RLock()
        # Rows to serve before any others: selected ahead, or in flight when the state was saved.
        self._waiting: Rows = np.empty(0, np.int64)
        # Rollouts that finished since the last selection: rows, rewards, correctness and lengths, as `observe` takes them.
        self._finished: list[tuple[Rows, Floats, Floats | None, Counts | None]] = []
        self._held: set[int] = set()
        self._step: int | None = None
        self._counts = {"unscored_rollouts": 0, "unmatched_groups": 0}

    def select(self, n: int, step: int) -> Rows:
        """The next n rows to roll out, int64 (n,), none of them in flight; `step` is the trainer's policy step."""
        with self._lock:
            require_size(self.pool, self._size)
            self.advance(step)
            if n > len(self._waiting):
                self._settle()
                wanted = n - len(self._waiting)
                fresh = self.curriculum.select(max(wanted, min(self.ahead, self.curriculum.available))).rows
                self._waiting = np.concatenate([self._waiting, fresh])
            rows, self._waiting = self._waiting[:n], self._waiting[n:]
            return rows

    @property
    def waiting(self) -> Rows:
        """Rows selected ahead, which the next draws take, in this order, (m,)."""
        return self._waiting.copy()

    def advance(self, step: int) -> None:
        """Move the clock to the trainer's policy step, and forget what is overdue by then."""
        with self._lock:
            if self._step == step:
                return
            self._settle()
            self.curriculum.advance(0 if self._step is None else max(step - self._step, 0))
            self._step = step
            if self.patience is not None:
                self.forget(self.curriculum.stale(self.patience + 1).rows)

    def observe(
        self, rows: Rows, rewards: Floats, correct: Floats | None = None, lengths: Counts | None = None
    ) -> Rows:
        """Take in finished rollouts, of one group or many, in any order.

        Args:
            rows: row of each rollout's prompt, (n,); fewer rollouts than were selected where some were lost.
            rewards: reward of each, (n,).
            correct: 1, 0, or NaN where correctness is unknown, (n,), as `Success.read` returns it. A rollout that is not
                known is counted and is no evidence.
            lengths: tokens of each completion, (n,).

        Returns:
            Rows of the groups that train the policy, sorted. Without a gate these are all of them.
        """
        with self._lock:
            if self.ahead == 1 or self.curriculum.gates.parts:
                return self._take(rows, rewards, correct, lengths)
            mine = set(rows.tolist())
            # Where only some have it, correctness would have to be left out for all.
            unlike = bool(self._finished) and (self._finished[-1][2] is None) != (correct is None)
            if unlike or not mine.isdisjoint(self._held):
                self._settle()
            if not mine.isdisjoint(self._waiting.tolist()):
                self._withdraw(rows)
            self._finished.append((rows, rewards, correct, lengths))
            self._held |= mine
            return np.array(sorted(mine), np.int64)

    def _settle(self) -> None:
        """Observe the groups that have finished since the last selection."""
        if not self._finished:
            return
        # Before they are read: what is refused would be refused for ever.
        parts, self._finished, self._held = self._finished, [], set()
        rows, rewards = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        correct, lengths = (
            None if any(part[i] is None for part in parts) else np.concatenate([part[i] for part in parts])
            for i in (2, 3)
        )
        try:
            self._take(rows, rewards, correct, lengths)
        except EdgewiseError as error:
            # One of them: the others are evidence all the same.
            if len(parts) > 1:
                for part in parts:
                    with contextlib.suppress(EdgewiseError):
                        self._take(*part)
            raise error

    def _take(self, rows: Rows, rewards: Floats, correct: Floats | None, lengths: Counts | None) -> Rows:
        known = np.ones(len(rows), bool) if correct is None else ~np.isnan(correct)
        found, counts = np.unique(rows[known], return_counts=True)
        expected = self.curriculum.expects(self.pool.ids[found])
        chosen = np.flatnonzero(known & ~np.isin(rows, found[~expected]))
        chosen = chosen[np.argsort(rows[chosen], kind="stable")]
        admitted = found[:0]
        if expected.any():
            feedback = self.curriculum.observe(
                self.pool.ids[found[expected]],
                rewards[chosen],
                correct=None if correct is None else correct[chosen],
                lengths=None if lengths is None else lengths[chosen],
                rollouts=counts[expected],
            )
            admitted = found[expected][feedback.admitted]
        self._counts["unscored_rollouts"] += int((~known).sum())
        self._counts["unmatched_groups"] += int((~expected).sum())
        if not expected.all():
            log.warning(
                "%d groups were not in flight, such as that of prompt %r: they change no belief",
                (~expected).sum(),
                self.pool.ids[found[~expected][0]].item(),
            )
        self._withdraw(found)
        if not known.all():
            # Rolled out, and nothing is known of them.
            self._give_up(np.setdiff1d(rows, found))
        return admitted if self.curriculum.gates.parts else np.unique(rows)

    def observe_group(
        self,
        row: int,
        rewards: Sequence[float],
        success: Success,
        tokens: list[list[int | None]] | None = None,
        *,
        evaluate: Callable[[Callable[..., Any]], Any] | None = None,
        score: Callable[[str], Any] | None = None,
    ) -> bool:
        """Take in the scored rollouts of one prompt; returns whether its group trains the policy. None: the group is lost.

        Args:
            row: of the prompt.
            rewards: of the rollouts that were scored, (n,); empty where nothing was.
            success: the rule of correctness.
            tokens: of the parts of each completion, n lists; None where they are not known.
            evaluate, score: see `Success.read`.
        """
        rows, values = np.full(len(rewards), row), np.asarray(rewards, np.float64)
        if not len(rows):
            self.forget(np.array([row]))
            return False
        correct = success.read(values, self.pool.ids[rows], evaluate=evaluate, score=score)
        lengths = None if tokens is None else total_lengths(tokens)
        return bool(row in self.observe(rows, values, correct, lengths))

    def row_of(self, name: Any) -> int:
        """Row of the prompt of a result by its id; -1 where the dataset does not have it any more, which is counted."""
        row = int(self.pool.find(np.array([name]))[0])
        if row < 0:
            with self._lock:
                self._counts["unmatched_groups"] += 1
            log.warning("a result of prompt %r, which is not in the dataset any more: it changes no belief", name)
        return row

    def forget(self, rows: Rows) -> None:
        """Give up those of `rows` that are in flight; their prompts may be selected again."""
        with self._lock:
            self._settle()
            self._give_up(rows)

    def _give_up(self, rows: Rows) -> None:
        lost = np.intersect1d(rows, self.curriculum.in_flight)
        if len(lost):
            self.curriculum.forget(self.pool.ids[lost])
            self._withdraw(lost)

    def _withdraw(self, rows: Rows) -> None:
        """No draw takes these any more."""
        if len(self._waiting):
            self._waiting = self._waiting[~np.isin(self._waiting, rows)]

    def metrics(self) -> dict[str, float]:
        """The curriculum's metrics, and the numbers of rollouts and groups that were no evidence."""
        with self._lock:
            self._settle()
            counts = {name: float(value) for name, value in self._counts.items()}
        return {"forgotten": 0.0, "late_groups": 0.0, **counts, **self.curriculum.metrics()}

    def state_dict(self) -> dict[str, Any]:
        """Nested dicts of arrays and plain values."""
        with self._lock:
            self._settle()
            return {
                "curriculum": self.curriculum.state_dict(),
                "trainer_step": self._step,
                "counts": dict(self._counts),
            }

    def load_state_dict(self, state: dict[str, Any], *, waiting: Rows | None = None) -> None:
        """Restore `state_dict`. What was in flight died with its process: it is served again, first.

        Args:
            state: as `state_dict` returned it.
            waiting: rows in flight that did not die, and whose groups will come; None: no such rows.

        Raises:
            CheckpointError: not such a state, or that of another selector. PoolError: of another dataset.
        """
        if "curriculum" not in state:
            raise CheckpointError(
                "the checkpoint was saved without a curriculum: resume from another one, or start anew with its model"
            )
        with self._lock:
            self.curriculum.load_state_dict(state["curriculum"])
            self._step = state["trainer_step"]
            self._counts = {name: int(state["counts"][name]) for name in self._counts}
            rows = self.curriculum.in_flight
            self._finished, self._held = [], set()
            self._waiting = rows if waiting is None else rows[~np.isin(rows, waiting)]
            self.curriculum.begin_again(self.curriculum.batch(rows=self._waiting))


def total_lengths(parts: list[list[int | None]]) -> Counts | None:
    """Tokens of each rollout, (n,), given those of its parts; None if one of them is not known."""
    known = [[size for size in part if size is not None] for part in parts]
    if [len(part) for part in known] != [len(part) for part in parts]:
        return None
    return np.array([sum(part) for part in known], np.int64)
