"""MoPPS's belief: one Beta posterior a prompt, discounted towards a prior (arXiv 2507.04632)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgewise.arrays import Counts, Floats, Rows
from edgewise.beliefs.base import Belief, Exchangeable, beliefs
from edgewise.beliefs.priors import CategoryPrior, FixedPrior, KnownRates, Prior
from edgewise.distributions import Beta
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool
from edgewise.seen import SeenTable


@beliefs.register("beta")
class BetaBelief(Belief):
    """Success rate of prompt i ~ Beta(alpha0_i + a_i, beta0_i + b_i), with evidence a, b from its own rollouts.

    A step that observes s successes in k rollouts does a <- decay a + s, b <- decay b + (k - s), which is MoPPS's
    alpha <- decay alpha + (1 - decay) alpha0 + s for any prior. Two things forget: `decay` once for each step in which a
    prompt is observed, as published; `retention` once for each policy step, for every seen prompt, observed or not
    (applied when a prompt is next read, so no step visits the pool). A late result counts retention ** age of its rollouts.

    Args:
        pool: the prompts.
        prior: where prompts start and return to; Beta(1, 1) if not given.
        decay: MoPPS's lambda in [0, 1].
        retention: share of the evidence that survives a policy step, in (0, 1]; 1 is MoPPS.
        known_rates: success rate of each prompt known before the run, NaN where unknown; None: the pool's priors.
        strength: rollouts that a known rate is worth; None: the pool's `prior_strength`.

    Example:
        >>> belief = BetaBelief(PromptPool(range(2)), decay=0.5)
        >>> belief.observe(np.array([0]), np.array([6]), np.array([8]))
        >>> belief.mean(np.arange(2)).tolist()
        [0.7, 0.5]
    """

    def __init__(
        self,
        pool: PromptPool,
        prior: Prior | None = None,
        *,
        decay: float = 1.0,
        retention: float = 1.0,
        known_rates: npt.ArrayLike | None = None,
        strength: float | None = None,
    ):
        super().__init__(pool)
        if not 0 <= decay <= 1:
            raise ConfigError(f"decay must lie in [0, 1], got {decay}")
        if not 0 < retention <= 1:
            raise ConfigError(f"retention must lie in (0, 1], got {retention}")
        self.prior = self.add("prior", FixedPrior(pool) if prior is None else prior)
        self.known = self.add("known", KnownRates(pool, known_rates, strength))
        self.decay, self.retention = float(decay), float(retention)
        # float32 counts whole rollouts exactly up to 2**24 and keeps 10M prompts at 20 bytes each.
        self.seen = self.add("seen", SeenTable(pool, {"a": np.float32, "b": np.float32, "step": np.int32}))

    def distribution(self, rows: Rows) -> Beta:
        alpha, beta = self.prior.counts(rows)
        if self.known.rates is not None:
            successes, failures = self.known.counts(rows)
            alpha, beta = alpha + successes, beta + failures
        if len(self.seen):
            slots = self.seen.slots(rows)
            fade = self._fade(slots)
            alpha += self.seen.at("a", slots) * fade
            beta += self.seen.at("b", slots) * fade
        return Beta(alpha, beta)

    def exchangeable(self) -> Exchangeable | None:
        """Prompts share their prior; None where some rates are known beforehand."""
        if self.known.rates is not None:
            return None
        by_code = self.prior.by_code
        return Exchangeable(self.prior.shared(), self.seen.unseen_sizes(by_code), by_code, self.seen)

    @property
    def static(self) -> bool:
        return self.retention == 1.0 and self.prior.static

    def observe(self, rows: Rows, successes: Counts, trials: Counts, age: Counts | None = None) -> None:
        predicted = self.mean(rows)
        slots, new = self.seen.insert(rows)
        a, b, step = self.seen["a"], self.seen["b"], self.seen["step"]
        kept = self._fade(slots)
        # Partial results of one step are one observation: lambda applies once.
        kept[~new & (step[slots] != self.now)] *= self.decay
        weight = 1.0 if age is None else self.retention ** age.astype(np.float64)
        a[slots] = a[slots] * kept + weight * successes
        b[slots] = b[slots] * kept + weight * (trials - successes)
        step[slots] = self.now
        self.prior.learn(rows, successes, trials, predicted, new, weight)

    def metrics(self) -> dict[str, float]:
        """Prompts `seen`; the share of them predicted to be mastered (mean >= 0.9) and hopeless (mean <= 0.1)."""
        values = {"seen": float(len(self.seen)), **super().metrics()}
        if len(self.seen):
            # Evenly spaced: a share needs no more, and metrics are read at every step.
            mean = self.mean(self.seen.rows[:: -(-len(self.seen) // 4096)].astype(np.int64))
            values |= {"seen_mastered": float((mean >= 0.9).mean()), "seen_hopeless": float((mean <= 0.1).mean())}
        return values

    def _fade(self, slots: np.ndarray) -> Floats:
        if self.retention == 1.0:
            return np.ones(len(slots))
        return self.retention ** (self.now - self.seen.at("step", slots)).astype(np.float64)


def monitor_belief(pool: PromptPool) -> BetaBelief:
    """A Beta posterior a prompt around its category's learned prior, to predict success rates beside a rule that does not."""
    return BetaBelief(pool, CategoryPrior(pool), decay=0.5)
