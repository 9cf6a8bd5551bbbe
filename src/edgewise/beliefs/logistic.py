"""What logistic beliefs share: a drifting Gaussian weight vector common to all prompts, and each prompt's own residual.

    logit p_i(t) = x_i . w(t) + b_i(t)

w is Gaussian with full covariance and moves a little every policy step. b_i is Gaussian around 0 with variance tau^2,
learned online; it is kept as evidence (precision and precision-weighted mean beyond the prior) that fades every step, so
that an unobserved prompt returns to what the shared part says, exactly and without a pass over the pool.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from edgewise.beliefs.alike_logits import AlikeLogits
from edgewise.beliefs.base import Belief, Counts, Floats
from edgewise.beliefs.logits import logit_posterior, mean_rate, moments, sigmoid
from edgewise.beliefs.seen import SeenTable, without
from edgewise.beliefs.window import Drawn, closest
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool, Rows

LogWeight = Callable[[Floats, Floats, np.ndarray], Floats]

UNSEEN, NONE_RIGHT, SOME_RIGHT, ALL_RIGHT = range(4)
"""What a prompt's last step showed."""


class _Told(NamedTuple):
    """Groups of one step in the order of rows, so that sums do not depend on the order of observations, to the last bit;
    mean and variance of the shared part, and of the residuals, before the step, (n,) each."""

    slots: np.ndarray
    rows: Rows
    base: Floats
    shared: Floats
    own: Floats
    spare: Floats


class LogisticBelief(Belief):
    """Shared weights and per-prompt residuals on the logit scale; subclasses say what x_i is.

    A step's groups are judged together when the step ends. Each contributes the Gaussian site that gives its logit the
    exact posterior mean and variance under the belief at the step's start (assumed-density filtering; proper at no success
    and at all successes). The shared weights then take all sites at once with the residuals integrated out, and each
    residual takes what the new weights leave unexplained. So one observation moves every related prompt, and the order of
    observations does not matter. Until the step ends a prompt's own group moves only the prompt itself.

    tau^2 comes from first visits, whose residuals are draws from the prior whatever the selector prefers: it is right when
    E[b^2] after a visit is tau^2 on average (the fixed point of expectation maximisation), and moves by Fisher scoring.

    Args:
        pool: the prompts.
        ageing: share of a residual's evidence that survives a policy step, in (0, 1].
        residual: tau before any data, > 0.
    """

    def __init__(self, pool: PromptPool, ageing: float, residual: float):
        super().__init__(pool)
        if not 0 < ageing <= 1:
            raise ConfigError(f"ageing must lie in (0, 1], got {ageing}")
        if not 0 < residual < np.inf:
            raise ConfigError(f"residual is a standard deviation on the logit scale, > 0, got {residual}")
        self.ageing, self.residual = float(ageing), float(residual)
        self.step = 0
        # h / (1 / tau^2 + a) is the residual's mean as of `step`; this step's rollouts wait in successes and trials.
        columns: dict[str, Any] = {
            "h": np.float32,
            "a": np.float32,
            "step": np.int32,
            "successes": np.int32,
            "trials": np.int32,
            "last": np.int8,
        }
        self._seen = SeenTable(len(pool), columns)
        self._waiting: list[np.ndarray] = []
        self._judged: _Told | None = None
        # Shared weights: mean, covariance, and by weight the prior variance and the variance of one step's drift.
        self._mean, self._covariance = np.empty(0), np.empty((0, 0))
        self._variance, self._drift = np.empty(0), np.empty(0)
        self._tau: Floats | None = None
        self._visits = np.zeros((2, 1))

    @abstractmethod
    def _shared(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean and variance of x_i . w, (n,) each."""

    @abstractmethod
    def _gathered(self, rows: Rows, weight: Floats, gradient: Floats) -> tuple[Floats, Floats]:
        """sum_i weight_i x_i x_i', (d, d), and sum_i gradient_i x_i, (d,)."""

    def _group(self, rows: Rows) -> np.ndarray:
        """Which tau each prompt has, (n,)."""
        return np.zeros(len(rows), np.int64)

    def _alike(self) -> tuple[Floats, Floats, Counts] | None:
        """Mean and variance of an unseen prompt's logit and number of prompts, by group; None if each prompt has its own."""
        return None

    def _members(self, group: int) -> np.ndarray | None:
        """Rows of one group; None for the whole pool."""
        return None

    @property
    def seen(self) -> int:
        """Number of prompts observed at least once."""
        return len(self._seen)

    def logits(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean and variance of each prompt's logit now, (n,) each."""
        mean, variance = self._start(rows)
        slots = self._seen.slots(rows)
        told = np.flatnonzero(slots >= 0)
        told = told[self._seen["trials"][slots[told]] > 0]
        if len(told):
            s, k = self._seen["successes"][slots[told]], self._seen["trials"][slots[told]]
            mean[told], variance[told] = logit_posterior(mean[told], variance[told], s, k)
        return mean, variance

    def shown(self, rows: Rows) -> np.ndarray:
        """What each prompt's last step showed, this one included: UNSEEN, NONE_RIGHT, SOME_RIGHT or ALL_RIGHT, (n,)."""
        kind = np.zeros(len(rows), np.int64)
        slots = self._seen.slots(rows)
        known = slots >= 0
        mine = slots[known]
        trials = self._seen["trials"][mine]
        kind[known] = np.where(trials > 0, _shown(self._seen["successes"][mine], trials), self._seen["last"][mine])
        return kind

    def underway(self) -> tuple[Rows, Counts, Counts, Floats, Floats, np.ndarray]:
        """Groups of the step that has not ended, in the order of rows, and what was believed before them, (n,) each:

        rows, successes, trials, mean and variance of the logits, and what the step before had shown.
        """
        told = self._told()
        seen, slots = self._seen, told.slots
        s, k = seen["successes"][slots].astype(np.int64), seen["trials"][slots].astype(np.int64)
        return told.rows, s, k, told.base + told.own, told.shared + told.spare, seen["last"][slots].astype(np.int64)

    def mean(self, rows: Rows) -> Floats:
        return mean_rate(*self.logits(rows))

    def spread(self, rows: Rows) -> Floats:
        return moments(lambda rates: rates, *self.logits(rows))[1]

    def draw(self, rows: Rows, rng: np.random.Generator) -> Floats:
        """Independent draws. One draw of the shared part for all would tie a batch to the luck of that draw."""
        mean, variance = self.logits(rows)
        return sigmoid(mean + np.sqrt(variance) * rng.standard_normal(len(rows)))

    def closest(self, n: int, target: float, exclude: Rows, rng: np.random.Generator) -> Rows | None:
        """Work follows the number of prompts seen: unseen prompts of a group are all alike."""
        unseen = self._unseen(exclude)
        if unseen is None or not 0 < target < 1:
            return None
        mean, variance, left = unseen
        rows = self._seen_rows(exclude)
        drawn = Drawn(rows, np.abs(self.draw(rows, rng) - target))
        seen, fresh = closest((drawn, AlikeLogits(mean, variance, left, n, target, rng)), n)
        return np.concatenate([seen, self._pick(fresh, left, exclude, rng)])

    def weighted(self, n: int, log_weight: LogWeight, exclude: Rows, rng: np.random.Generator) -> Rows | None:
        """n distinct rows drawn one after the other with probability proportional to a weight; None where it cannot.

        Each prompt gets an exponential time with its weight as rate; the n shortest are the draw (Efraimidis and Spirakis
        2006). Prompts of one group that have not been seen share a weight, so the shortest of their times are a sum of
        exponential gaps, however many they are.

        Args:
            n: how many, at most what is available.
            log_weight: logarithm of the weight, given mean and variance of the logits and what `shown` says, (m,) each.
            exclude: rows not to choose, sorted.
            rng: source of randomness.
        """
        unseen = self._unseen(exclude)
        if unseen is None:
            return None
        mean, variance, left = unseen
        rows = self._seen_rows(exclude)
        log_times = np.log(rng.exponential(size=len(rows))) - log_weight(*self.logits(rows), self.shown(rows))
        groups = np.flatnonzero(left)
        # The i-th shortest of m exponential times is a sum of gaps with rates m, m - 1, ..: (groups, n).
        ranks, size = np.arange(min(n, int(left.max(initial=0)))), left[groups, None]
        gaps = rng.exponential(size=(len(groups), len(ranks))) / np.maximum(size - ranks, 1)
        unseen_weight = log_weight(mean[groups], variance[groups], np.full(len(groups), UNSEEN))
        shortest = np.log(np.cumsum(gaps, axis=1)) - unseen_weight[:, None]
        exists = ranks < size
        log_times = np.concatenate([log_times, shortest[exists]])
        owner = np.concatenate([np.full(len(rows), -1), np.repeat(groups, exists.sum(1))])
        chosen = np.argpartition(log_times, n - 1)[:n] if 0 < n < len(log_times) else np.arange(len(log_times))[:n]
        fresh = owner[chosen]
        return np.concatenate([rows[chosen[fresh < 0]], self._pick(fresh[fresh >= 0], left, exclude, rng)])

    def _seen_rows(self, exclude: Rows) -> Rows:
        return without(np.sort(self._seen.rows).astype(np.int64), exclude)

    def _unseen(self, exclude: Rows) -> tuple[Floats, Floats, Counts] | None:
        """Mean and variance of an unseen prompt's logit, and how many may be chosen, by group; None if they differ."""
        groups = self._alike()
        if groups is None:
            return None
        mean, variance, left = groups
        barred = exclude[self._seen.slots(exclude) < 0]
        taken = self._group(np.concatenate([self._seen.rows.astype(np.int64), barred]))
        return mean, variance, left - np.bincount(taken, minlength=len(left)).astype(np.int64)

    def _pick(self, groups: np.ndarray, left: Counts, exclude: Rows, rng: np.random.Generator) -> Rows:
        """An unseen row of each of `groups`, all distinct, in the order of groups."""
        counts = np.bincount(groups, minlength=len(left))
        found = [
            self._seen.pick_unseen(self._members(int(group)), int(counts[group]), int(left[group]), exclude, rng)
            for group in np.flatnonzero(counts)
        ]
        return np.concatenate([np.empty(0, np.int64), *found]).astype(np.int64)

    def observe(self, rows: Rows, successes: Counts, trials: Counts) -> None:
        self._judged = None
        slots, new = self._seen.insert(rows)
        self._seen["step"][slots[new]] = self.step
        self._waiting.append(slots[self._seen["trials"][slots] == 0])
        self._seen["successes"][slots] += successes
        self._seen["trials"][slots] += trials

    def advance(self) -> None:
        told = self._told()
        self._waiting, self._judged = [], None
        if len(told.slots):
            self._learn(told)
        keep = np.sqrt(np.maximum(1.0 - self._drift / self._variance, 0.0))
        keep[0] = 1.0
        self._mean *= keep
        self._covariance *= keep[:, None] * keep
        self._covariance.flat[:: len(self._mean) + 1] += self._drift
        self.step += 1

    def _told(self) -> _Told:
        """The groups of the step under way; kept until the next one, since both forecasts and learning begin with them."""
        if self._judged is None:
            slots = np.concatenate([np.empty(0, np.int32), *self._waiting])
            slots = slots[np.argsort(self._seen.rows[slots])]
            rows = self._seen.rows[slots].astype(np.int64)
            self._judged = _Told(slots, rows, *self._shared(rows), *self._own(rows))
        return self._judged

    def grow(self) -> None:
        self._judged = None
        self._seen.grow(len(self.pool))

    def tau(self) -> Floats:
        """Standard deviation of the residuals by group, shrunk towards that over all groups."""
        if self._tau is None:
            self._tau = self._shrunk()
        return self._tau

    @property
    def _visits(self) -> Floats:
        """First visits by group of prompts that share tau: weighted excess of squared residuals, and the weights, (2, groups)."""
        return self._first_visits

    @_visits.setter
    def _visits(self, value: Floats) -> None:
        self._first_visits, self._tau = value, None

    def _shrunk(self) -> Floats:
        excess, weight = self._visits
        # The prior counts as much as about a dozen first visits, the average over groups likewise.
        overall = (excess.sum() + 4.0 * self.residual**2) / (weight.sum() + 4.0)
        usual = min(max(overall, 0.04), 25.0)
        return np.sqrt(np.minimum(np.maximum((excess + 4.0 * usual) / (weight + 4.0), 0.04), 25.0))

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seen": self._seen.state_dict(),
            "mean": self._mean.copy(),
            "covariance": self._covariance.copy(),
            "visits": self._visits.copy(),
        }

    def load_state_dict(self, state: dict[str, Any], remap: Rows | None = None) -> None:
        mean, covariance = np.asarray(state["mean"], np.float64), np.asarray(state["covariance"], np.float64)
        visits, size = np.asarray(state["visits"], np.float64), len(self._mean)
        if mean.shape != (size,) or covariance.shape != (size, size) or visits.shape != self._visits.shape:
            raise CheckpointError(f"the saved weights have shape {mean.shape}, this pool needs ({size},)")
        self._seen.load_state_dict(state["seen"], remap)
        self._mean, self._covariance, self._visits = mean.copy(), covariance.copy(), visits.copy()
        self.step = int(state["step"])
        self._waiting, self._judged = [np.flatnonzero(self._seen["trials"] > 0)], None

    def metrics(self) -> dict[str, float]:
        return {"seen": float(self.seen), "residual": float(self.tau().mean())}

    def _start(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean and variance of each logit without this step's groups."""
        mean, variance = self._shared(rows)
        own, spare = self._own(rows)
        return mean + own, variance + spare

    def _own(self, rows: Rows) -> tuple[Floats, Floats]:
        """Mean and variance of each residual without this step's groups."""
        precision = (1.0 / self.tau() ** 2)[self._group(rows)]
        pull = np.zeros(len(rows))
        slots = self._seen.slots(rows)
        known = slots >= 0
        mine = slots[known]
        if len(mine):
            fade = self.ageing ** (self.step - self._seen["step"][mine]).astype(np.float64)
            pull[known] = self._seen["h"][mine] * fade
            precision[known] += self._seen["a"][mine] * fade
        return pull / precision, 1.0 / precision

    def _learn(self, told: _Told) -> None:
        """Take in the groups of the step that ends."""
        seen = self._seen
        slots, rows, base, shared, own, spare = told
        centre, width = base + own, shared + spare
        s, k = seen["successes"][slots], seen["trials"][slots]
        after, left = logit_posterior(centre, width, s, k)
        # The site N(z, 1 / site) of each logit; pull = site (z - centre).
        site = np.maximum(1.0 / left - 1.0 / width, 0.0)
        pull = (after - centre) / left
        heard = 1.0 + site * spare
        information, gradient = self._gathered(rows, site / heard, pull / heard)
        identity = np.eye(len(self._mean))
        covariance = np.linalg.solve(identity + self._covariance @ information, self._covariance)
        self._covariance = 0.5 * (covariance + covariance.T)
        self._mean = self._mean + self._covariance @ gradient
        first = seen["a"][slots] == 0
        self._learn_tau(rows[first], spare[first], width[first], (after - centre)[first], left[first])
        # Given the weights, the residual's site is what they leave unexplained; at their new mean this is exact.
        pull += site * (base - self._shared(rows)[0])
        fade = self.ageing ** (self.step - seen["step"][slots]).astype(np.float64)
        seen["h"][slots] = seen["h"][slots] * fade + pull + site * own
        seen["a"][slots] = seen["a"][slots] * fade + site
        seen["step"][slots] = self.step
        seen["last"][slots] = _shown(s, k)
        seen["successes"][slots] = seen["trials"][slots] = 0

    def _learn_tau(self, rows: Rows, prior: Floats, width: Floats, moved: Floats, left: Floats) -> None:
        """First visits: tau^2, variance of the logit before its group, move of its mean and variance after it, (n,) each.

        Judged against the belief at the step's start: weights fitted to the same groups would explain too much.
        """
        group = self._group(rows)
        part = prior / width
        share = part * (1.0 - left / width)
        size = self._visits.shape[1]
        visits = np.bincount(group, minlength=size)
        # E[b^2] - tau^2 has mean 0 where tau is right, and is share^2 times (squared innovation - tau^2 - its noise). Every
        # visit weighs what it would at tau = 1: with its own share, a tau once near 0 could hardly be learned away from.
        usual = np.bincount(group, share, size) / np.maximum(visits, 1)
        usual = np.minimum(np.maximum(usual, 1e-6), 1.0 - 1e-6)[group]
        weight = 1.0 / (1.0 + prior * (1.0 / usual - 1.0)) ** 2
        excess = weight * (((part * moved) ** 2 - share * prior) / usual**2 + prior)
        # How prompts differ changes more slowly than how good the policy is.
        news = np.stack([np.bincount(group, excess, size), np.bincount(group, weight, size)])
        self._visits = 0.99 * self._visits + news


def _shown(successes: Counts, trials: Counts) -> np.ndarray:
    return np.where(successes == 0, NONE_RIGHT, np.where(successes == trials, ALL_RIGHT, SOME_RIGHT))
