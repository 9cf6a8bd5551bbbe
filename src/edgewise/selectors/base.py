"""The contract of a selector: ask for rows, tell it what their rollouts showed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.checkpoint import generator_state, restore_generator
from edgewise.errors import CheckpointError, PoolError, RewardError
from edgewise.pool import PromptPool, Rows
from edgewise.registry import Registry

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


class Selector(ABC):
    """Chooses the rows to roll out next, before the rollout.

    Subclasses implement `_choose` and, if they learn, `_learn`, `_age`, `_predict` and the state. Arguments reach them
    checked. The first `select` after an `observe` begins a new policy step.
    """

    def __init__(self, pool: PromptPool, seed: int = 0):
        self.pool = pool
        self.rng = np.random.default_rng(seed)
        self.spec: dict[str, Any] | None = None
        self._told = False

    def select(self, n: int, candidates: Any = None, exclude: Any = None, new_step: bool = True) -> Rows:
        """Choose n distinct rows.

        Args:
            n: how many, 0 <= n <= what is available.
            candidates: rows to choose from, distinct; the whole pool if None.
            exclude: rows not to choose (prompts in flight).
            new_step: False for a refill within the same policy step: beliefs do not age.

        Returns:
            int64 (n,), distinct.

        Raises:
            PoolError: fewer than n prompts are available, or a row is outside the pool.
        """
        if int(n) != n or n < 0:
            raise PoolError(f"select needs a whole number of prompts >= 0, got {n}")
        chosen_from = None if candidates is None else self.pool.check_rows(candidates)
        banned = np.empty(0, np.int64)
        if exclude is not None and len(exclude):
            banned = np.unique(self.pool.check_rows(exclude, distinct=False))
        if chosen_from is not None and banned.size:
            chosen_from = chosen_from[~np.isin(chosen_from, banned)]
            banned = banned[:0]
        available = len(self.pool) - len(banned) if chosen_from is None else len(chosen_from)
        if n > available:
            raise PoolError(
                f"asked for {n} prompts, but only {available} are available"
                f" (pool {len(self.pool)}, candidates {'all' if candidates is None else len(candidates)},"
                f" excluded {0 if exclude is None else len(exclude)})"
            )
        if new_step:
            self.advance()
        return self._choose(int(n), chosen_from, banned)

    def observe(self, rows: Any, successes: Any, trials: Any) -> None:
        """Tell what rollouts showed.

        Args:
            rows: distinct rows, (n,).
            successes: correct rollouts of each, (n,), 0 <= successes <= trials.
            trials: rollouts of each, (n,) or one int, >= 1.

        Raises:
            RewardError, PoolError: nothing has been changed.
        """
        rows = self.pool.check_rows(rows)
        s = _counts("successes", successes, len(rows))
        k = _counts("trials", trials, len(rows))
        bad = np.flatnonzero((k < 1) | (s < 0) | (s > k))
        if bad.size:
            i = int(bad[0])
            raise RewardError(
                f"prompt {self.pool.ids[rows[i]].item()!r}: {s[i]} successes of {k[i]} rollouts;"
                " expected 0 <= successes <= trials and trials >= 1"
            )
        if len(rows):
            self._learn(rows, s, k)
            self._told = True

    def advance(self) -> None:
        """Begin a new policy step if anything was observed since the last one."""
        if self._told:
            self._told = False
            self._age()

    def predict(self, rows: Any = None) -> Floats:
        """Predicted success rate now, (n,) in [0, 1]; of the whole pool if `rows` is None."""
        if rows is None:
            return self._predict(np.arange(len(self.pool), dtype=np.int64))
        return self._predict(self.pool.check_rows(rows, distinct=False))

    def metrics(self) -> dict[str, float]:
        return {}

    def grow(self) -> None:
        """The pool has been extended."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly as if nothing had happened, the random state included."""
        return {"rng": generator_state(self.rng), "told": self._told}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        """Restore `state_dict`. `remap[old row]` is the present row, -1 for prompts that are gone.

        Raises:
            CheckpointError: it is not the state of such a selector; the present state stays as it was.
        """
        before = self.state_dict()
        try:
            self._load(state, remap)
        except (KeyError, TypeError, ValueError, IndexError, CheckpointError) as error:
            self._load(before, None)
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"not the state of a {type(self).__name__}: {error!r}") from error

    def _load(self, state: dict[str, Any], remap: Rows | None) -> None:
        """Restore `state_dict`; errors may leave it half done."""
        restore_generator(self.rng, state["rng"])
        self._told = bool(state["told"])

    @abstractmethod
    def _choose(self, n: int, candidates: Rows | None, exclude: Rows) -> Rows:
        """n rows out of `candidates`, or out of the pool without `exclude` (sorted) if candidates is None."""

    def _learn(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        """Take in checked observations."""

    def _age(self) -> None:
        """One policy step has passed."""

    def _predict(self, rows: Rows) -> Floats:
        return np.full(len(rows), 0.5)

    def _available(self, candidates: Rows | None, exclude: Rows) -> Rows:
        """The candidates as rows; work proportional to the pool if they are the whole pool."""
        if candidates is not None:
            return candidates
        everything = np.arange(len(self.pool), dtype=np.int64)
        return np.delete(everything, exclude) if exclude.size else everything


selectors: Registry[Selector] = Registry("selector")
# Options of factories that give one number a prompt, by row.
BY_ROW = frozenset({"known_rates", "difficulty"})


def make_selector(name: str, pool: PromptPool, **options: Any) -> Selector:
    """Build a registered selector; `ew.list_selectors()` names them all."""
    selector = selectors.make(name, pool, **options)
    selector.spec = {"name": name, "options": options}
    return selector


def realigned(options: dict[str, Any], ids: np.ndarray, pool: PromptPool) -> dict[str, Any]:
    """Options that hold one number a prompt, in the order of `ids`, brought into the order of `pool`; NaN where it is new."""
    result = dict(options)
    for name in BY_ROW & options.keys():
        if options[name] is not None:
            values = np.asarray(options[name], np.float64)
            # Prompts added after the option was given have no value.
            rows = pool.find(ids[: len(values)])
            result[name] = np.full(len(pool), np.nan)
            result[name][rows[rows >= 0]] = values[rows >= 0]
    return result


def list_selectors() -> list[str]:
    return selectors.names()


def _counts(name: str, values: Any, n: int) -> Counts:
    array = np.asarray(values)
    if array.shape not in ((), (n,)):
        raise RewardError(f"{name} must have shape ({n},), got {array.shape}")
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.floor(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise RewardError(f"{name} must be whole numbers of rollouts, got {array.dtype}")
    return np.broadcast_to(array.astype(np.int64), (n,))
