"""Contract of a selector: it chooses rows before their rollout, and learns from the rollouts of others."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Counts, Floats, Rows, distinct, whole_number, whole_numbers
from edgewise.beliefs.base import Belief
from edgewise.checkpoint import generator_state, restore_generator
from edgewise.errors import CheckpointError, PoolError, RewardError
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.registry import Registry
from edgewise.selectors.candidates import Candidates

log = logging.getLogger("edgewise")

MOST = 2**24
"""Fewer rollouts than this are counted exactly in float32, and their sums fit into int32."""


class Selector(Part, ABC):
    """Chooses the rows to roll out next.

    A subclass overrides `choose`, and, where the rule needs them, the other public methods: `learn` (what rollouts showed),
    `advance` (the policy has been updated; call the base's too), `rates` (predictions), `metrics`. State that follows the
    pool is declared once, `self.groups = self.add("groups", LastGroups(pool))`, or named in `saved`, `by_row` or
    `by_category` (see `Part`); the base forwards, saves, restores and grows it. Arguments come checked, and what `choose`
    returns is checked and permuted.

    Args:
        pool: the prompts.
        seed: seed of every random choice.

    Example:
        >>> import edgewise as ew
        >>> class Fewest(ew.Selector):
        ...     "The prompts with the fewest rollouts so far."
        ...     by_row = {"seen": 0.0}
        ...     def __init__(self, pool, *, seed=0):
        ...         super().__init__(pool, seed=seed)
        ...         self.seen = np.zeros(len(pool))
        ...     def choose(self, n, candidates):
        ...         rows = candidates.rows
        ...         return rows[np.argsort(self.seen[rows])[:n]]
        ...     def learn(self, rows, successes, trials):
        ...         self.seen[rows] += trials
        >>> selector = Fewest(ew.PromptPool(range(4)))
        >>> selector.observe([0, 2], [1, 0], 8)
        >>> sorted(selector.select(2).tolist())
        [1, 3]
    """

    permute: ClassVar[bool] = True
    """Whether `select` puts the rows in random order, so that mini-batches cut from a batch in turn are alike."""
    rollouts: int | None = None
    """Rollouts of a prompt that the rule counts on, where it does."""

    def __init__(self, pool: PromptPool, *, seed: int = 0):
        super().__init__(pool)
        self.rng = np.random.default_rng(seed)
        self._observed = False
        self._grown_to = len(pool)

    def __repr__(self) -> str:
        parts = "".join(f", {name}={type(part).__name__}" for name, part in self._parts.items())
        return f"{type(self).__name__}({len(self.pool)} prompts{parts})"

    @abstractmethod
    def choose(self, n: int, candidates: Candidates) -> Rows:
        """n distinct rows of `candidates`, int64 (n,); 0 <= n <= len(candidates)."""

    def learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        """Take in groups, checked, int64 (n,) each; the parts have taken them in already."""

    def rates(self, rows: Rows) -> Floats:
        """Predicted success rates now, (n,) in [0, 1]: the mean of the belief; NaN where a rule predicts nothing."""
        belief = self._belief()
        return np.full(len(rows), np.nan) if belief is None else belief.mean(rows)

    @property
    def predicts(self) -> bool:
        """Whether the rule predicts success rates."""
        return self._belief() is not None or type(self).rates is not Selector.rates

    def select(
        self,
        n: int,
        candidates: npt.ArrayLike | None = None,
        exclude: npt.ArrayLike | None = None,
        new_step: bool = True,
    ) -> Rows:
        """Choose n distinct rows.

        Args:
            n: number of rows, 0 <= n <= what is available.
            candidates: rows to choose from, distinct; None: the whole pool.
            exclude: rows not to choose (prompts in flight).
            new_step: True advances the clock by one policy step if anything was observed since the last one, which is
                right for a selector used alone in a synchronous loop. A Curriculum has a clock of its own and passes False.

        Returns:
            int64 (n,), distinct.

        Raises:
            PoolError: fewer than n prompts are available, a row is outside the pool, or the pool has grown and the selector
                has not. Nothing has been changed then.
        """
        self._require_grown()
        n = whole_number("the number of prompts to select", n, 0, PoolError)
        given = None if candidates is None else self.pool.check_rows(candidates)
        excluded = np.empty(0, np.int64)
        if exclude is not None and np.size(exclude):
            excluded = distinct(self.pool.check_rows(exclude, distinct=False))
        if given is not None:
            chosen_from = Candidates(self.pool, given[~np.isin(given, excluded)] if excluded.size else given)
        else:
            chosen_from = Candidates(self.pool, None, excluded)
        if n > len(chosen_from):
            raise PoolError(
                f"asked for {n} prompts, but only {len(chosen_from)} are available"
                f" (pool {len(self.pool)}, candidates {'all' if given is None else len(given)}, excluded {len(excluded)})"
            )
        if new_step and self._observed:
            self.advance()
        rows = self._checked(self.choose(n, chosen_from), n, chosen_from)
        return self.rng.permutation(rows) if self.permute else rows

    def observe(self, rows: Any, successes: Any, trials: Any, age: Any = None) -> None:
        """Take in what rollouts showed, in any order and in any number of parts.

        Args:
            rows: distinct rows, (n,).
            successes: correct rollouts of each, (n,), 0 <= successes <= trials.
            trials: rollouts of each, (n,) or one int, 1 to 2^24 - 1.
            age: policy steps between selection and result, (n,) or one int, >= 0; None: 0.

        Raises:
            RewardError, PoolError: nothing has been changed then.
        """
        self._require_grown()
        rows = self.pool.check_rows(rows)
        s, k = _counts("successes", successes, len(rows)), _counts("trials", trials, len(rows))
        ages = None if age is None else _counts("age", age, len(rows))
        bad = ((k < 1) | (k >= MOST) | (s < 0) | (s > k)).nonzero()[0]
        if bad.size:
            i = int(bad[0])
            raise RewardError(
                f"prompt {self.pool.ids[rows[i]].item()!r}: {s[i]} successes of {k[i]} rollouts;"
                f" expected 0 <= successes <= trials and 1 <= trials < {MOST}"
            )
        if ages is not None and (ages < 0).any():
            raise RewardError(f"age is a number of policy steps >= 0, got {int(ages.min())}")
        if len(rows):
            super().observe(rows, s, k, ages if ages is not None and ages.any() else None)
            self.learn(rows, s, k)
            self._observed = True

    def advance(self, steps: int = 1) -> None:
        super().advance(steps)
        self._observed = False

    def grow(self) -> None:
        super().grow()
        self._grown_to = len(self.pool)

    def predict(self, rows: npt.ArrayLike | None = None) -> Floats:
        """Predicted success rates now, (n,) in [0, 1]; of the whole pool if `rows` is None; NaN unless `predicts`."""
        if rows is None:
            return self.rates(np.arange(len(self.pool), dtype=np.int64))
        return self.rates(self.pool.check_rows(rows, distinct=False))

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly as if nothing had happened, the random state included."""
        own = {"prompts": len(self.pool), "labels": self.pool.category_names}
        return {**super().state_dict(), **own, "rng": generator_state(self.rng), "observed": self._observed}

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        size = len(self.pool) if remap is None else len(remap)
        if int(state["prompts"]) != size:
            raise CheckpointError(f"the checkpoint is for a pool of {state['prompts']} prompts, expected {size}")
        super().restore(state, remap)
        restore_generator(self.rng, state["rng"])
        self._observed = bool(state["observed"])
        lost = sorted(set(state["labels"]) - set(self.pool.category_names))
        if lost:
            log.warning(
                "%d of the checkpoint's %d categories are not in the pool (%s; the pool has %s): what was learned of them is"
                " dropped, what their prompts' own rollouts showed is kept. If only the spelling differs, use the old one.",
                len(lost),
                len(state["labels"]),
                _some(lost),
                _some(self.pool.category_names) or "none",
            )

    def _belief(self) -> Belief | None:
        return next((part for part in self._parts.values() if isinstance(part, Belief)), None)

    def _checked(self, chosen: Any, n: int, candidates: Candidates) -> Rows:
        """What `choose` returned, as int64 (n,)."""
        name = type(self).__name__
        try:
            rows = self.pool.check_rows(chosen)
        except PoolError as error:
            raise PoolError(f"{name}.choose returned no selection: {error}") from error
        if len(rows) != n:
            raise PoolError(f"{name}.choose returned {len(rows)} rows, expected {n}")
        refused = rows[~candidates.allow(rows)]
        if refused.size:
            why = "is excluded (in flight, say)" if candidates.is_pool else "is not among the candidates"
            raise PoolError(f"{name}.choose returned row {refused[0]} (prompt {self._id(refused[0])}), which {why}")
        return rows

    def _require_grown(self) -> None:
        if len(self.pool) != self._grown_to:
            raise PoolError(
                f"the pool has {len(self.pool)} prompts, the selector {self._grown_to}: call its grow() after extend"
            )

    def _id(self, row: Any) -> str:
        return repr(self.pool.ids[row].item())


selectors: Registry[Selector] = Registry("selector")


def make_selector(name: str, pool: PromptPool, *, rollouts: int = 8, seed: int = 0, **options: Any) -> Selector:
    """Build a registered selector; `ew.list_selectors()` names them all.

    Args:
        name: registered name.
        pool: the prompts.
        rollouts: rollouts of a prompt, for rules that count on it.
        seed: seed of the rule's random choices.
        options: further options of the rule. Arrays may be lists, pandas columns or tensors.

    Raises:
        ConfigError: no such selector, or an option that it does not take.

    Example:
        >>> import edgewise as ew
        >>> make_selector("mopps", ew.PromptPool(range(10)), decay=0.5)
        BanditSelector(10 prompts, belief=BetaBelief, draw=Thompson)
    """
    known = selectors.accepted(name, rollouts=rollouts, seed=seed)
    return selectors.make(name, pool, **{**known, **options})


def list_selectors() -> list[str]:
    """Names of all registered selectors, those of installed packages included."""
    return selectors.names()


def _counts(name: str, values: Any, n: int) -> Counts:
    return whole_numbers(name, values, n, RewardError)


def _some(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")
