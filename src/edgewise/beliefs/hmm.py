"""DPS's belief: a hidden Markov model of each prompt's solving state (arXiv 2603.10887, ICLR 2026)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from edgewise.arrays import Counts, Floats, Rows
from edgewise.beliefs.base import Belief, beliefs
from edgewise.distributions import States
from edgewise.errors import ConfigError
from edgewise.outcomes import outcomes
from edgewise.pool import PromptPool
from edgewise.seen import OpenGroups

WRONG, PARTIAL, RIGHT = range(3)
# From the published code: towards progress, towards staying, no jump over the middle; [to, from].
TRANSITIONS = {
    "progress": ((1.0, 0.5, 0.5), (1.0, 1.0, 0.5), (1.0, 1.0, 1.0)),
    "stability": ((1.0, 0.5, 0.5), (0.5, 1.0, 0.5), (0.5, 0.5, 1.0)),
    "local": ((1.0, 1.0, 0.0), (1.0, 1.0, 1.0), (0.0, 1.0, 1.0)),
}
# Below this share, counts no longer move a mean in double precision.
_FORGOTTEN = 2.0**-60
# Prompts moved at a time: what they need then stays in the cache.
_BLOCK = 2048


@beliefs.register("hmm")
class MarkovBelief(Belief):
    """Each prompt is all wrong, partial or all right, and moves between these states as the policy learns.

    The model, by policy step t and prompt. A group shows the state: no success, some, all. A step does:

    1. Posterior: the state shown, if the prompt was rolled out; otherwise what was predicted.
    2. Dirichlet counts of moves A[to, from]: A <- retention A + (1 - retention) A0, plus, if the prompt was rolled out, the
       expected move into the state shown z: row z gains P[z, i] m[i] / sum_j P[z, j] m[j], with P the mean of the
       counts and m the posterior, both of step t - 1 (before the first step m is uniform).
    3. Prediction for step t + 1: P m, with P the mean of the counts (columns sum to 1) after 2.

    So the transition matrix of a prompt n steps after its last rollout is the mean of retention^n A + (1 - retention^n) A0. It is
    applied when a prompt is read, not step by step: a prompt read every step costs one product, and n steps without a
    read cost one product each until the counts are forgotten, then (at once if retention is 1) a matrix power by repeated
    squaring. The result is stored, which moves later answers by rounding only.

    As success rates the states stand for 0, uniform on [0, 1], and 1: mean = P(right) + P(partial) / 2. A rate p known
    before the run (`pool.priors`) with strength n gives (1 - p)^n to all wrong and p^n to all right at step 0; below n = 2, the
    fewest rollouts that can differ, the share n / 2 of what n = 2 gives, and the rest to all states alike. A late
    result counts in full: it shows the state of the step in which it arrives.

    Args:
        pool: the prompts.
        retention: share of the transition counts that survives a step, in [0, 1]; the paper's decay, 0.7 for MATH, 0.5 for
            Countdown and Geometry3k in the published scripts.
        transitions: prior counts A0: one number for all moves (1 in the published scripts), "progress", "stability" or
            "local".

    Example:
        >>> belief = MarkovBelief(PromptPool(range(2)))
        >>> belief.observe(np.array([0]), np.array([3]), np.array([8]))
        >>> belief.partial(np.arange(2)).round(2).tolist()
        [1.0, 0.33]
    """

    def __init__(
        self,
        pool: PromptPool,
        *,
        retention: float = 0.5,
        transitions: float | Literal["progress", "stability", "local"] = 1.0,
    ):
        super().__init__(pool)
        if not 0 <= retention <= 1:
            raise ConfigError(f"retention must lie in [0, 1], got {retention}")
        if isinstance(transitions, str):
            if transitions not in TRANSITIONS:
                raise ConfigError(f"transitions must be a number or one of {list(TRANSITIONS)}, got '{transitions}'")
            self.prior = np.array(TRANSITIONS[transitions])
        else:
            if not 2**-24 <= transitions <= 2**24:
                raise ConfigError(f"transitions must be a count in [2^-24, 2^24], got {transitions}")
            self.prior = np.full((3, 3), float(transitions))
        self.retention = float(retention)
        columns: dict[str, Any] = {f"a{to}{old}": np.float32 for to in range(3) for old in range(3)}
        # a: counts after step `folded`; m: what was predicted at step `reached` and b: at the step before it; this step's
        # rollouts wait in successes and trials.
        columns |= {f"m{state}": np.float64 for state in range(3)} | {f"b{state}": np.float32 for state in range(3)}
        columns |= dict.fromkeys(("folded", "reached"), np.int32)
        self.seen = self.add("seen", OpenGroups(pool, columns, np.int32))

    def states(self, rows: Rows) -> Floats:
        """Probability of (all wrong, partial, all right) now, (3, n); columns sum to 1."""
        slots = self.seen.slots(rows)
        known = slots >= 0
        result = np.empty((3, len(rows)))
        result[:] = self._unvisited(self.now, rows)
        mine = slots[known]
        if len(mine):
            self._bring_up(mine)
            predicted = self._stored("m", mine)
            s, k = self.seen["successes"][mine], self.seen["trials"][mine]
            shown = np.flatnonzero(k > 0)
            predicted[:, shown] = 0.0
            predicted[outcomes(s[shown], k[shown]) - 1, shown] = 1.0
            result[:, known] = predicted
        return result

    def partial(self, rows: Rows) -> Floats:
        """Predicted probability that a group of this prompt is informative, (n,): what DPS ranks by."""
        return self.states(rows)[PARTIAL]

    def distribution(self, rows: Rows) -> States:
        return States(*self.states(rows))

    def observe(self, rows: Rows, successes: Counts, trials: Counts, age: Counts | None = None) -> None:
        """The state counts at once; the transition counts learn at `advance`, when the step's group is whole."""
        slots, new = self.seen.insert(rows)
        fresh = slots[new]
        before, now = self._unvisited(self.now - 1, rows[new]), self._unvisited(self.now, rows[new])
        for to in range(3):
            self.seen[f"b{to}"][fresh], self.seen[f"m{to}"][fresh] = before[to], now[to]
            for old in range(3):
                self.seen[f"a{to}{old}"][fresh] = self.prior[to, old]
        self.seen["folded"][fresh], self.seen["reached"][fresh] = self.now - 1, self.now
        self.seen.add_rollouts(slots, successes, trials)

    def advance(self, steps: int = 1) -> None:
        slots = self.seen.open()
        if steps and len(slots):
            self._fold(slots)
            self.seen.close()
        super().advance(steps)

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), "seen": float(len(self.seen))}

    def _unvisited(self, step: int, rows: Rows) -> Floats:
        """Prediction for `step` of prompts never rolled out, (3, n)."""
        moved = np.linalg.matrix_power(self.prior / self.prior.sum(0), max(step, 0))
        result = np.empty((3, len(rows)))
        result[:] = (moved @ np.full(3, 1 / 3))[:, None]
        if self.pool.priors is not None:
            rates = self.pool.priors[rows]
            known = ~np.isnan(rates)
            size, share = max(self.pool.prior_strength, 2.0), min(self.pool.prior_strength / 2.0, 1.0)
            wrong, right = (1.0 - rates[known]) ** size, rates[known] ** size
            start = np.stack([wrong, np.maximum(1.0 - wrong - right, 0.0), right])
            result[:, known] = moved @ (share * (start / start.sum(0)) + (1.0 - share) / 3.0)
        return result

    def _fold(self, slots: np.ndarray) -> None:
        """Learn from the groups of the step that ends."""
        self._bring_up(slots)
        counts, before = self._counts(slots), self._stored("b", slots)
        s, k = self.seen["successes"], self.seen["trials"]
        shown = outcomes(s[slots], k[slots]) - 1
        fade = self.retention ** (self.now - 1 - self.seen["folded"][slots]).astype(np.float64)
        each = np.arange(len(slots))
        faded = counts * fade + self.prior[:, :, None] * (1.0 - fade)
        move = (faded / faded.sum(0))[shown, :, each].T * before
        total = move.sum(0)
        # A move that the counts call impossible has happened all the same.
        move = np.where(total > 0, move / np.where(total > 0, total, 1.0), before)
        counts = self.retention * faded + (1.0 - self.retention) * self.prior[:, :, None]
        counts[shown, :, each] += move.T
        for to in range(3):
            self.seen[f"m{to}"][slots] = shown == to
            for old in range(3):
                self.seen[f"a{to}{old}"][slots] = counts[to, old]
        self.seen["folded"][slots] = self.seen["reached"][slots] = self.now

    def _bring_up(self, slots: np.ndarray) -> None:
        """Bring beliefs about prompts that were not rolled out up to the present step."""
        seen = self.seen
        reached = seen["reached"][slots]
        late = slots[reached < self.now]
        for start in range(0, len(late), _BLOCK):
            slots = late[start : start + _BLOCK]
            reached = seen["reached"][slots].astype(np.int64)
            counts, predicted, age = self._counts(slots), self._stored("m", slots), reached - seen["folded"][slots]
            left = self.now - 1 - reached
            if left.any():
                predicted = self._unobserved(counts, predicted, age, left)
            now = self._moved(counts, predicted, self.retention ** (age + left).astype(np.float64))
            for state in range(3):
                seen[f"b{state}"][slots], seen[f"m{state}"][slots] = predicted[state], now[state]
            seen["reached"][slots] = self.now

    def _unobserved(self, counts: Floats, predicted: Floats, age: Counts, left: Counts) -> Floats:
        """Beliefs (3, n) that are `age` steps old after `left` more without a rollout."""
        predicted = predicted.copy()
        matrix = counts
        if self.retention < 1:
            horizon = int(np.ceil(np.log(_FORGOTTEN) / np.log(self.retention))) if self.retention > 0 else 1
            changing = np.clip(horizon - age, 0, left)
            for done in range(int(changing.max())):
                now = np.flatnonzero(changing > done)
                fade = self.retention ** (age[now] + done).astype(np.float64)
                predicted[:, now] = self._moved(counts[:, :, now], predicted[:, now], fade)
            left = left - changing
            matrix = self.prior[:, :, None]
        matrix = matrix / matrix.sum(0)
        while left.any():
            odd = (left & 1).astype(bool)
            predicted = np.where(odd, (matrix * predicted).sum(1), predicted)
            matrix = np.einsum("ijn,jkn->ikn", matrix, matrix)
            left = left >> 1
        return predicted

    def _moved(self, counts: Floats, predicted: Floats, fade: Floats) -> Floats:
        """One step: the mean of fade A + (1 - fade) A0, times the belief, (3, n)."""
        total = fade * (counts[0] + counts[1] + counts[2]) + (1.0 - fade) * self.prior.sum(0)[:, None]
        share = predicted / total
        return fade * np.einsum("ijn,jn->in", counts, share) + (1.0 - fade) * (self.prior @ share)

    def _counts(self, slots: np.ndarray) -> Floats:
        """Transition counts [to, from, n] as last folded."""
        counts = np.empty((3, 3, len(slots)))
        for to in range(3):
            for old in range(3):
                counts[to, old] = self.seen[f"a{to}{old}"][slots]
        return counts

    def _stored(self, column: str, slots: np.ndarray) -> Floats:
        return np.stack([self.seen[f"{column}{state}"][slots] for state in range(3)]).astype(np.float64, copy=False)
