"""Logistic beliefs: a drifting Gaussian weight vector common to all prompts, and a residual of each prompt.

    logit p_i(t) = x_i . w(t) + b_i(t)

w is Gaussian with full covariance and moves a little every policy step. b_i is Gaussian around 0 with variance tau^2,
learned online; it is kept as evidence (precision and precision-weighted mean beyond the prior) that fades every step, so
that an unobserved prompt returns to the shared part, exactly and without a pass over the pool.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from edgewise.arrays import Counts, Floats, Rows
from edgewise.beliefs.base import WIDEST, Belief
from edgewise.beliefs.drift import DriftScale
from edgewise.checkpoint import require_numbers
from edgewise.distributions import LogitNormal, logit, logit_posterior
from edgewise.errors import CheckpointError, ConfigError
from edgewise.outcomes import outcomes
from edgewise.pool import PromptPool
from edgewise.seen import OpenGroups

SUDDEN = 1e-3
"""Prior odds that a category's offset changes at once in a step, instead of drifting."""
_DRIFTED = 10_000
"""Most steps of drift that one call goes through: after them the weights are as good as unknown."""
_SAMPLE = 8192
"""Most prompts with known rates that feature weights start from."""


class StepGroups(NamedTuple):
    """Groups of the present step in the order of rows, so that sums do not depend on the order of observations, (n,) each.

    Attributes:
        rows, successes, trials: the groups; late results count in part.
        before: distribution of each success rate before the step.
        last_outcome: outcome of each prompt before the step.
    """

    rows: Rows
    successes: Floats
    trials: Floats
    before: LogitNormal
    last_outcome: Rows


class _Sites(NamedTuple):
    """Slots and rows of the present step's groups; mean and variance of shared part and residuals before it; their evidence."""

    slots: np.ndarray
    rows: Rows
    base: Floats
    base_variance: Floats
    residual: Floats
    residual_variance: Floats
    weighted: Floats
    evidence: Floats


class LogisticBelief(Belief):
    """Shared weights and residuals of prompts on the logit scale; subclasses define x_i.

    The weights are, in this order: `fixed` ones, which do not depend on categories; and an offset for each category code.
    A step's groups are taken in together when the step ends. Each contributes the Gaussian site that gives its logit the
    exact posterior mean and variance under the belief at the step's start (assumed-density filtering; proper at no success
    and at all successes). The shared weights then take all sites at once with the residuals integrated out, and each
    residual takes what the new weights leave unexplained. So one observation moves every related prompt, and the order of
    observations does not matter. Until the step ends a prompt's own group moves only the prompt itself.

    tau^2 comes from first visits, whose residuals are draws from the prior whatever the selector prefers: it is right when
    E[b^2] after a visit is tau^2 on average (the fixed point of expectation maximisation), and moves by Fisher scoring.

    Success rates known before the run (`pool.priors`) are evidence worth `pool.prior_strength` rollouts: on each prompt's
    residual, and on each category as much as on one prompt, since the rates may be those of another model. It fades like all
    evidence.

    A late result counts retention ** age of its rollouts.

    Args:
        pool: the prompts.
        retention: share of a residual's evidence that survives a policy step, in (0, 1].
        residual: tau before any data, > 0.
        fixed: number of weights that do not depend on categories.
        offsets: whether the categories have offsets.
        adaptive: whether the speed of drift is learned, see `DriftScale`; otherwise it is as given.
    """

    # First visits by category: weighted excess of squared residuals, and the weights.
    by_category: ClassVar[Mapping[str, float]] = {"visits": 0.0}

    def __init__(
        self, pool: PromptPool, retention: float, residual: float, fixed: int, offsets: bool, adaptive: bool = True
    ):
        super().__init__(pool)
        if adaptive not in (True, False):
            raise ConfigError(f"adaptive must be true or false, got {adaptive!r}")
        self.speed = self.add("speed", DriftScale(pool)) if adaptive else None
        if not 0 < retention <= 1:
            raise ConfigError(f"retention must lie in (0, 1], got {retention}")
        if not 0 < residual <= WIDEST:
            raise ConfigError(f"residual is a standard deviation on the logit scale in (0, {WIDEST:g}], got {residual}")
        self.retention, self.residual = float(retention), float(residual)
        self.fixed, self.offsets = fixed, offsets
        # h / (1 / tau^2 + a) is the residual's mean as of `step`; the present step's rollouts wait in successes and trials.
        columns = {"h": np.float32, "a": np.float32, "step": np.int32, "visits": np.int32, "last": np.int8}
        self.seen = self.add("seen", OpenGroups(pool, columns))
        self._current: _Sites | None = None
        self._tau: Floats | None = None
        self.visits = np.zeros((2, len(pool.category_names) + 1))
        self._start_weights()

    @abstractmethod
    def _prior_weights(self) -> tuple[Floats, Floats]:
        """Prior variance of each weight, and the variance of its drift in one step, (d,) each."""

    @abstractmethod
    def _shared(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean and variance of x_i . w, (n,) each."""

    @abstractmethod
    def _located(self, rows: Rows, weights: Floats) -> Floats:
        """x_i . weights, (n,)."""

    @abstractmethod
    def _drift_of(self, rows: Rows) -> Floats:
        """Variance that one step of drift adds to x_i . w, (n,)."""

    @abstractmethod
    def _update(self, rows: Rows, precision: Floats, score: Floats) -> None:
        """Weights after evidence on x_i . w with this precision and score at the present mean, (n,) each."""

    def distribution(self, rows: Rows) -> LogitNormal:
        mean, variance = self._shared(rows)
        slots = self.seen.slots(rows)
        own, own_variance = self._residuals(rows, *self._evidence(slots))
        mean, variance = mean + own, variance + own_variance
        observed = (self.seen.at("trials", slots) > 0).nonzero()[0]
        if len(observed):
            s, k = self.seen["successes"][slots[observed]], self.seen["trials"][slots[observed]]
            mean[observed], variance[observed] = logit_posterior(mean[observed], variance[observed], s, k)
        return LogitNormal(mean, variance)

    def last_outcome(self, rows: Rows) -> Rows:
        """`Outcome` of each prompt's last step, the present one included, int64 (n,)."""
        seen, slots = self.seen, self.seen.slots(rows)
        result, trials = seen.at("last", slots).astype(np.int64), seen.at("trials", slots)
        present = trials.nonzero()[0]
        if len(present):
            result[present] = outcomes(seen.at("successes", slots[present]), trials[present])
        return result

    def current_groups(self) -> StepGroups:
        """Groups of the step that has not ended, and what was predicted before them."""
        sites, seen = self._sites(), self.seen
        before = LogitNormal(sites.base + sites.residual, sites.base_variance + sites.residual_variance)
        s, k, last = (seen.at(name, sites.slots) for name in ("successes", "trials", "last"))
        return StepGroups(sites.rows, s.astype(np.float64), k.astype(np.float64), before, last.astype(np.int64))

    def observe(self, rows: Rows, successes: Counts, trials: Counts, age: Counts | None = None) -> None:
        self._current = None
        weight = 1.0 if age is None else self.retention ** age.astype(np.float64)
        self.seen.add_group(rows, weight * successes, weight * trials, self.now)

    def advance(self, steps: int = 1) -> None:
        if steps:
            sites = self._sites()
            if len(sites.slots):
                self._learn(sites)
            self.seen["visits"][sites.slots] += 1
            self.seen.close()
            self._current = None
            for ahead in range(min(steps, _DRIFTED)):
                drift = self._drift if self.speed is None else self.speed.variance(ahead) * self._drift
                kept = np.sqrt(np.maximum(1.0 - drift / self._variance, 0.0))
                kept[0] = 1.0
                self._mean *= kept
                self._drift_covariance(kept, drift)
        super().advance(steps)

    def grow(self) -> None:
        self._current = None
        names = self._categories
        super().grow()
        self._carry_weights(self._mean, self._covariance, self._start, names)

    def tau(self) -> Floats:
        """Standard deviation of the residuals by category code, shrunk towards that over all categories, (C + 1,)."""
        if self._tau is None:
            excess, weight = self.visits
            # The prior counts as much as about a dozen first visits, the average over categories likewise.
            overall = (excess.sum() + 4.0 * self.residual**2) / (weight.sum() + 4.0)
            usual = min(max(overall, 0.04), 25.0)
            self._tau = np.sqrt(np.minimum(np.maximum((excess + 4.0 * usual) / (weight + 4.0), 0.04), 25.0))
        return self._tau

    @property
    def visits(self) -> Floats:
        return self._visits

    @visits.setter
    def visits(self, value: Floats) -> None:
        self._visits, self._tau = value, None

    def state_dict(self) -> dict[str, Any]:
        start = None if self._start is None else self._start.copy()
        weights = {"mean": self._mean.copy(), "covariance": self._covariance.copy(), "start": start}
        codes = self.pool.category_index(np.sort(self.seen.rows)).astype(np.int32)
        return {**super().state_dict(), **weights, "codes": codes if self.pool.has_categories else codes[:0]}

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        super().restore(state, remap)
        mean, covariance = np.asarray(state["mean"], np.float64), np.asarray(state["covariance"], np.float64)
        start = None if state["start"] is None else np.asarray(state["start"], np.float64)
        for name, values in (("mean", mean), ("covariance", covariance), ("start", 0.0 if start is None else start)):
            require_numbers(f"{name} of the weights", values)
        self._carry_weights(mean, covariance, start, state["categories"])
        self._current = None
        self._relabel(state, remap, mean)

    def metrics(self) -> dict[str, float]:
        return {**super().metrics(), "seen": float(len(self.seen)), "residual": float(self.tau().mean())}

    def _start_weights(self) -> None:
        """Weights before any data: around 0, or where known rates put them, each category as certain as one known prompt."""
        self._variance, self._drift = self._prior_weights()
        self._mean, self._covariance = np.zeros(len(self._variance)), self._prior_covariance()
        self._start: Floats | None = None
        rates = self.pool.priors
        if rates is None or np.isnan(rates).all():
            return
        known = np.flatnonzero(~np.isnan(rates))
        if self.fixed > 1:
            known = known[:: -(-len(known) // _SAMPLE)]
        location, precision = self._known_logits(known)
        code, size = self.pool.category_index(known), len(self.pool.category_names) + 1
        count = np.bincount(code, minlength=size)
        self._mean[0] = location.mean()
        if self.offsets:
            # As if four further prompts of each category had the pool's mean.
            self._mean[self.fixed :] = np.bincount(code, location - self._mean[0], size) / (count + 4.0)
        weight = precision / count[code]
        self._update(known, weight, weight * (location - self._located(known, self._mean)))
        self._start = self._mean.copy()

    def _known_logits(self, rows: Rows) -> tuple[Floats, Floats]:
        """Logit of each known success rate and its precision at the pool's strength, (n,) each; precision 0 where unknown."""
        assert self.pool.priors is not None
        strength = self.pool.prior_strength
        rates = (np.nan_to_num(self.pool.priors[rows], nan=0.5) * strength + 0.5) / (strength + 1.0)
        precision = np.where(np.isnan(self.pool.priors[rows]), 0.0, strength * rates * (1.0 - rates))
        return logit(rates), precision

    def _carry_weights(self, mean: Floats, covariance: Floats, start: Floats | None, names: list[str]) -> None:
        """Take over weights whose offsets are numbered after `names`; those of new categories start afresh."""
        offsets, fixed = len(mean) - self.fixed, self.fixed
        if mean.ndim != 1 or offsets not in (0, len(names) + 1):
            raise CheckpointError(
                f"the saved weights have shape {mean.shape}, expected ({fixed + len(names) + 1},):"
                " make the pool with as many features as before"
            )
        source = self.pool.match_categories(names) if offsets and self.offsets else np.empty(0, np.int64)
        old = np.concatenate([np.arange(fixed), fixed + source[source >= 0]])
        new = np.concatenate([np.arange(fixed), fixed + np.flatnonzero(source >= 0)])
        self._variance, self._drift = self._prior_weights()
        self._mean, self._covariance = np.zeros(len(self._variance)), self._prior_covariance()
        self._mean[new] = mean[old]
        self._carry_covariance(covariance, old, new)
        if start is not None:
            self._start = np.zeros(len(self._mean))
            self._start[new] = start[old]

    def _prior_covariance(self) -> Floats:
        return np.diag(self._variance)

    def _carry_covariance(self, saved: Floats, old: Rows, new: Rows) -> None:
        """Take over the covariance of weights `old` of a state as that of weights `new`."""
        if saved.ndim != 2 or saved.shape[0] != saved.shape[1]:
            raise CheckpointError(f"the saved covariance has shape {saved.shape}, expected a square")
        self._covariance[np.ix_(new, new)] = saved[np.ix_(old, old)]

    def _relabel(self, state: Mapping[str, Any], remap: Rows | None, mean: Floats) -> None:
        """Keep what prompts' own rollouts showed of their logits where their category is called otherwise now.

        Evidence on a residual is relative to the category's mean: h / a + the old mean is where the logit was found.
        """
        names, saved = list(state["categories"]), np.asarray(state["seen"]["rows"], np.int64)
        codes = np.asarray(state["codes"], np.int64)
        codes = codes if len(codes) == len(saved) else np.zeros(len(saved), np.int64)
        rows = saved if remap is None else remap[saved]
        rows, codes = rows[rows >= 0], codes[rows >= 0]
        code = self.pool.category_index(rows)
        renamed = np.flatnonzero(self.pool.match_categories(names)[code] != codes)
        if not len(renamed):
            return
        old = mean[self.fixed :] if len(mean) > self.fixed else np.zeros(len(names) + 1)
        new = self._mean[self.fixed :] if self.offsets else np.zeros(len(self.pool.category_names) + 1)
        slots = self.seen.slots(rows[renamed])
        shift = old[codes[renamed]] - new[code[renamed]]
        self.seen["h"][slots] += self.seen["a"][slots] * shift

    def _sites(self) -> _Sites:
        """The present step's groups; kept until the next observation, since both calibration and learning begin with them."""
        if self._current is None:
            slots = self.seen.open()
            slots = slots[self.seen.rows[slots].argsort()]
            rows = self.seen.rows[slots].astype(np.int64)
            evidence = self._evidence(slots)
            self._current = _Sites(slots, rows, *self._shared(rows), *self._residuals(rows, *evidence), *evidence)
        return self._current

    def _evidence(self, slots: np.ndarray) -> tuple[Floats, Floats]:
        """Evidence on each residual now, without the present step's groups: precision-weighted mean, and precision."""
        fade = self.retention ** (self.now - self.seen.at("step", slots)).astype(np.float64)
        return self.seen.at("h", slots) * fade, self.seen.at("a", slots) * fade

    def _residuals(self, rows: Rows, weighted: Floats, evidence: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of each residual given its evidence."""
        precision = (1.0 / self.tau() ** 2)[self.pool.category_index(rows)]
        if self.pool.priors is not None:
            location, known = self._known_logits(rows)
            known = known * self.retention**self.now
            start = np.zeros(len(self._mean)) if self._start is None else self._start
            weighted, precision = known * (location - self._located(rows, start)) + weighted, precision + known
        precision = precision + evidence
        return weighted / precision, 1.0 / precision

    def _learn(self, sites: _Sites, anew: bool = False) -> None:
        """Take in the groups of the step that ends; `anew` where offsets have been forgotten for them."""
        seen = self.seen
        slots, rows, base, base_variance, own, own_variance, weighted, evidence = sites
        centre, width = base + own, base_variance + own_variance
        s, k = seen.at("successes", slots), seen.at("trials", slots)
        after, left = logit_posterior(centre, width, s, k)
        # The site N(z, 1 / site) of each logit; score = site (z - centre).
        site = np.maximum(1.0 / left - 1.0 / width, 0.0)
        score = (after - centre) / left
        marginal = 1.0 + site * own_variance
        shared, gradient = site / marginal, score / marginal
        code = self.pool.category_index(rows)
        precision, innovation = self._sums(code, shared), self._sums(code, gradient)
        if self.offsets and not anew:
            changed = self._changed(precision, innovation, self._sums(code, shared * base_variance))
            if len(changed):
                self._forget_offsets(changed)
                self._current = None
                self._learn(self._sites(), anew=True)
                return
        if self.speed is not None:
            count = np.maximum(np.bincount(code, minlength=len(precision)), 1)
            variance, drift = (self._sums(code, part) / count for part in (base_variance, self._drift_of(rows)))
            self.speed.learn(precision, innovation, variance=variance, drift=drift)
        self._update(rows, shared, gradient)
        first = seen.at("a", slots) == 0
        if self.pool.priors is not None:
            first &= np.isnan(self.pool.priors[rows])
        self._learn_tau(code[first], own_variance[first], width[first], (after - centre)[first], left[first])
        # Given the weights, the residual's site is what they leave unexplained; at their new mean this is exact.
        score += site * (base - self._located(rows, self._mean))
        seen["h"][slots] = weighted + score + site * own
        seen["a"][slots] = evidence + site
        seen["step"][slots] = self.now
        seen["last"][slots] = outcomes(s, k)

    def _sums(self, code: Rows, values: Floats) -> Floats:
        """Sum over the groups of each category, (C + 1,)."""
        return np.asarray(np.bincount(code, values, self.visits.shape[1]), np.float64)

    def _changed(self, precision: Floats, score: Floats, spread: Floats) -> Rows:
        """Codes of the categories whose offset has changed at once instead of drifting.

        A step's innovation of a category with precision P is N(0, V + 1 / P) if its offset u has drifted, and about
        N(-u, V + U + 1 / P) if the offset is a new draw from its prior, of variance U. The latter, a grader broken or
        repaired, or a skill learned at once, is believed where it is more than 1 / `SUDDEN` times as likely.

        Args:
            precision, score: sums over each category's groups, (C + 1,).
            spread: the same of precision times the variance of the shared part.
        """
        observed = precision.nonzero()[0]
        noise = 1.0 / precision[observed]
        moved = score[observed] * noise
        weights = self.fixed + observed
        drifted = spread[observed] * noise + noise
        anew = drifted + self._variance[weights]
        odds = moved**2 / drifted - (moved + self._mean[weights]) ** 2 / anew + np.log(drifted / anew)
        return observed[odds > -2.0 * np.log(SUDDEN)]

    def _forget_offsets(self, codes: Rows) -> None:
        """Offsets of these categories as before any data."""
        weights = self.fixed + codes
        self._mean[weights] = 0.0
        self._covariance[weights] = 0.0
        self._covariance[:, weights] = 0.0
        self._covariance[weights, weights] = self._variance[weights]

    def _drift_covariance(self, kept: Floats, drift: Floats) -> None:
        """One step of drift: each weight keeps a share of its deviation from 0 and gains this variance, (d,) each."""
        self._covariance *= kept[:, None] * kept
        self._covariance.flat[:: len(self._mean) + 1] += drift

    def _condition(self, information: Floats, gradient: Floats) -> None:
        """Weights after evidence with this precision matrix and score, (d, d) and (d,)."""
        system = self._covariance @ information
        system.flat[:: len(system) + 1] += 1.0
        covariance = np.linalg.solve(system, self._covariance)
        self._covariance = 0.5 * (covariance + covariance.T)
        self._mean = self._mean + self._covariance @ gradient

    def _condition_few(self, scaled: Floats, gradient: Floats) -> None:
        """The same with precision matrix scaled.T @ scaled, scaled (m, d): by the matrix inversion lemma a system of m equations."""
        known = scaled @ self._covariance
        system = known @ scaled.T
        system.flat[:: len(system) + 1] += 1.0
        covariance = self._covariance - known.T @ np.linalg.solve(system, known)
        self._covariance = 0.5 * (covariance + covariance.T)
        self._mean = self._mean + self._covariance @ gradient

    def _learn_tau(self, code: Rows, prior: Floats, width: Floats, moved: Floats, left: Floats) -> None:
        """First visits: category, tau^2, variance of the logit before its group, move of its mean and variance after it, (n,) each.

        Measured against the belief at the step's start: weights fitted to the same groups would explain too much.
        """
        part = prior / width
        share = part * (1.0 - left / width)
        size = self.visits.shape[1]
        visits = np.bincount(code, minlength=size)
        # E[b^2] - tau^2 has mean 0 where tau is right, and is share^2 times (squared innovation - tau^2 - its noise). Every
        # visit weighs what it would at tau = 1: with its own share, a tau once near 0 could hardly be learned away from.
        usual = np.bincount(code, share, size) / np.maximum(visits, 1)
        usual = np.minimum(np.maximum(usual, 1e-6), 1.0 - 1e-6)[code]
        weight = 1.0 / (1.0 + prior * (1.0 / usual - 1.0)) ** 2
        excess = weight * (((part * moved) ** 2 - share * prior) / usual**2 + prior)
        # How prompts differ changes more slowly than how good the policy is.
        self.visits = 0.99 * self.visits + np.array([np.bincount(code, excess, size), np.bincount(code, weight, size)])
