"""DPS's belief: a hidden Markov model of each prompt's solving state (arXiv 2603.10887, ICLR 2026)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.beliefs.base import Belief, Counts, Floats
from edgewise.beliefs.registry import beliefs
from edgewise.beliefs.seen import SeenTable
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool, Rows

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
    2. Dirichlet counts of moves A[to, from]: A <- decay A + (1 - decay) A0, plus, if the prompt was rolled out, the
       expected move into the state shown z: row z gains P[z, i] m[i] / sum_j P[z, j] m[j], with P the mean of the
       counts and m the posterior, both of step t - 1 (before the first step m is uniform).
    3. Prediction for step t + 1: P m, with P the mean of the counts (columns sum to 1) after 2.

    So the transition matrix of a prompt n steps after its last rollout is the mean of decay^n A + (1 - decay^n) A0. It is
    applied when a prompt is asked about, not step by step: a prompt asked about every step costs one product, and a long
    silence costs one product a step until the counts are forgotten, then (at once if decay is 1) a matrix power by
    repeated squaring. What is reached is remembered, which moves later answers by rounding only.

    As success rates the states stand for 0, uniform on [0, 1], and 1: mean = P(right) + P(partial) / 2.

    Args:
        pool: the prompts.
        decay: share of the transition counts that survives a step, in [0, 1]; 0.7 for MATH, 0.5 for Countdown and
            Geometry3k in the published scripts.
        transitions: prior counts A0: one number for all moves (1 in the published scripts), "progress", "stability" or
            "local".
    """

    def __init__(self, pool: PromptPool, decay: float = 0.5, transitions: float | str = 1.0):
        super().__init__(pool)
        if not 0 <= decay <= 1:
            raise ConfigError(f"decay must lie in [0, 1], got {decay}")
        if isinstance(transitions, str):
            if transitions not in TRANSITIONS:
                raise ConfigError(f"transitions must be a number or one of {list(TRANSITIONS)}, got '{transitions}'")
            self.prior = np.array(TRANSITIONS[transitions])
        else:
            if not 0 < transitions < np.inf:
                raise ConfigError(f"transitions must be a positive count, got {transitions}")
            self.prior = np.full((3, 3), float(transitions))
        self.decay = float(decay)
        self.step = 0
        columns: dict[str, Any] = {f"a{to}{old}": np.float32 for to in range(3) for old in range(3)}
        # a: counts after step `folded`; m: what was believed at step `reached` and b: at the step before it; this step's
        # rollouts wait in successes and trials.
        columns |= {f"m{state}": np.float64 for state in range(3)} | {f"b{state}": np.float32 for state in range(3)}
        columns |= dict.fromkeys(("folded", "reached", "successes", "trials"), np.int32)
        self._seen = SeenTable(len(pool), columns)
        self._waiting: list[np.ndarray] = []

    @property
    def seen(self) -> int:
        """Number of prompts observed at least once."""
        return len(self._seen)

    def states(self, rows: Rows) -> Floats:
        """Probability of (all wrong, partial, all right) now, (3, n); columns sum to 1."""
        slots = self._seen.slots(rows)
        known = slots >= 0
        result = np.empty((3, len(rows)))
        result[:] = self._unvisited(self.step)[:, None]
        mine = slots[known]
        if len(mine):
            self._reach(mine)
            believed = self._believed("m", mine)
            s, k = self._seen["successes"][mine], self._seen["trials"][mine]
            shown = np.flatnonzero(k > 0)
            believed[:, shown] = 0.0
            believed[_state(s[shown], k[shown]), shown] = 1.0
            result[:, known] = believed
        return result

    def partial(self, rows: Rows) -> Floats:
        """Predicted probability that a group of this prompt is informative, (n,): what DPS ranks by."""
        return self.states(rows)[PARTIAL]

    def mean(self, rows: Rows) -> Floats:
        _, partial, right = self.states(rows)
        return np.clip(right + 0.5 * partial, 0.0, 1.0)

    def spread(self, rows: Rows) -> Floats:
        _, partial, right = self.states(rows)
        return np.sqrt(np.maximum(right + partial / 3 - (right + 0.5 * partial) ** 2, 0.0))

    def draw(self, rows: Rows, rng: np.random.Generator) -> Floats:
        wrong, partial, _ = self.states(rows)
        where, inside = rng.random((2, len(rows)))
        return np.where(where < wrong, 0.0, np.where(where < wrong + partial, inside, 1.0))

    def observe(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        """The state counts at once; the transition counts learn at `advance`, when the step's group is whole."""
        slots, new = self._seen.insert(rows)
        fresh = slots[new]
        before, now = self._unvisited(self.step - 1), self._unvisited(self.step)
        for to in range(3):
            self._seen[f"b{to}"][fresh], self._seen[f"m{to}"][fresh] = before[to], now[to]
            for old in range(3):
                self._seen[f"a{to}{old}"][fresh] = self.prior[to, old]
        self._seen["folded"][fresh], self._seen["reached"][fresh] = self.step - 1, self.step
        self._waiting.append(slots[self._seen["trials"][slots] == 0])
        self._seen["successes"][slots] += successes
        self._seen["trials"][slots] += trials

    def advance(self) -> None:
        if self._waiting:
            self._fold(np.concatenate(self._waiting))
            self._waiting = []
        self.step += 1

    def grow(self) -> None:
        self._seen.grow(len(self.pool))

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "seen": self._seen.state_dict()}

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        self._seen.load_state_dict(state["seen"], remap)
        self.step = int(state["step"])
        self._waiting = [np.flatnonzero(self._seen["trials"] > 0)]

    def metrics(self) -> dict[str, float]:
        return {"seen": float(self.seen)}

    def _unvisited(self, step: int) -> Floats:
        """What was predicted for `step` of prompts never rolled out, (3,)."""
        return np.linalg.matrix_power(self.prior / self.prior.sum(0), max(step, 0)) @ np.full(3, 1 / 3)

    def _fold(self, slots: np.ndarray) -> None:
        """Learn from the groups of the step that ends."""
        self._reach(slots)
        counts, before = self._counts(slots), self._believed("b", slots)
        s, k = self._seen["successes"], self._seen["trials"]
        shown = _state(s[slots], k[slots])
        fade = self.decay ** (self.step - 1 - self._seen["folded"][slots]).astype(np.float64)
        each = np.arange(len(slots))
        faded = counts * fade + self.prior[:, :, None] * (1.0 - fade)
        move = (faded / faded.sum(0))[shown, :, each].T * before
        total = move.sum(0)
        # A move that the counts call impossible has happened all the same.
        move = np.where(total > 0, move / np.where(total > 0, total, 1.0), before)
        counts = self.decay * faded + (1.0 - self.decay) * self.prior[:, :, None]
        counts[shown, :, each] += move.T
        for to in range(3):
            self._seen[f"m{to}"][slots] = shown == to
            for old in range(3):
                self._seen[f"a{to}{old}"][slots] = counts[to, old]
        self._seen["folded"][slots] = self._seen["reached"][slots] = self.step
        s[slots] = k[slots] = 0

    def _reach(self, slots: np.ndarray) -> None:
        """Bring beliefs about prompts that were not rolled out up to the present step."""
        seen = self._seen
        reached = seen["reached"][slots]
        everyone = slots[reached < self.step]
        for start in range(0, len(everyone), _BLOCK):
            slots = everyone[start : start + _BLOCK]
            reached = seen["reached"][slots].astype(np.int64)
            counts, believed, age = self._counts(slots), self._believed("m", slots), reached - seen["folded"][slots]
            left = self.step - 1 - reached
            if left.any():
                believed = self._silent(counts, believed, age, left)
            now = self._moved(counts, believed, self.decay ** (age + left).astype(np.float64))
            for state in range(3):
                seen[f"b{state}"][slots], seen[f"m{state}"][slots] = believed[state], now[state]
            seen["reached"][slots] = self.step

    def _silent(self, counts: Floats, believed: Floats, age: Counts, left: Counts) -> Floats:
        """Beliefs (3, n) that are `age` steps old after `left` more without a rollout."""
        believed = believed.copy()
        matrix = counts
        if self.decay < 1:
            horizon = int(np.ceil(np.log(_FORGOTTEN) / np.log(self.decay))) if self.decay > 0 else 1
            changing = np.clip(horizon - age, 0, left)
            for done in range(int(changing.max())):
                now = np.flatnonzero(changing > done)
                fade = self.decay ** (age[now] + done).astype(np.float64)
                believed[:, now] = self._moved(counts[:, :, now], believed[:, now], fade)
            left = left - changing
            matrix = self.prior[:, :, None]
        matrix = matrix / matrix.sum(0)
        while left.any():
            odd = (left & 1).astype(bool)
            believed = np.where(odd, (matrix * believed).sum(1), believed)
            matrix = np.einsum("ijn,jkn->ikn", matrix, matrix)
            left = left >> 1
        return believed

    def _moved(self, counts: Floats, believed: Floats, fade: Floats) -> Floats:
        """One step: the mean of fade A + (1 - fade) A0, times the belief, (3, n)."""
        total = fade * (counts[0] + counts[1] + counts[2]) + (1.0 - fade) * self.prior.sum(0)[:, None]
        share = believed / total
        return fade * np.einsum("ijn,jn->in", counts, share) + (1.0 - fade) * (self.prior @ share)

    def _counts(self, slots: np.ndarray) -> Floats:
        """Transition counts [to, from, n] as last folded."""
        counts = np.empty((3, 3, len(slots)))
        for to in range(3):
            for old in range(3):
                counts[to, old] = self._seen[f"a{to}{old}"][slots]
        return counts

    def _believed(self, column: str, slots: np.ndarray) -> Floats:
        return np.stack([self._seen[f"{column}{state}"][slots] for state in range(3)]).astype(np.float64, copy=False)


def _state(successes: Counts, trials: Counts) -> Counts:
    """What a group shows: 0 all wrong, 1 partial, 2 all right, (n,)."""
    return (successes > 0).astype(np.int64) + (successes == trials)
