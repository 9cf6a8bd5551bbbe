"""Savings of selection, estimated from the log of a run.

What the run wasted is counted. What a selector would have had is estimated, because a log holds the outcomes of the prompts
that were rolled out and of no others. The estimate follows a selector through the log as a shadow: before each step it
chooses among the prompts of that step, then it observes the outcomes of all of them. Choice and prediction precede every
outcome that scores them (prequential).

Let B_t be the n_t prompts that the run rolled out in step t, H_t everything logged before, S_t in B_t the m_t = share * n_t
prompts that the shadow chooses from B_t given H_t, and y_i = 1 if the group of prompt i had a gradient. The estimate is

    V = sum_t sum_{i in S_t} y_i / sum_t m_t.

Assumption: given H_t, B_t is a uniform sample of the prompts that could come. Then E[sum_{S_t} y_i | H_t] = m_t v_t, where v_t is
the effective ratio of a selector that takes the best `share` of n_t uniform candidates with the beliefs of H_t, so the errors
sum_{S_t} y_i - m_t v_t are martingale differences and V is unbiased for the mean of the v_t. Every pick is scored; no outcome is
extrapolated. The variance is estimated from successive differences of the residuals, which a slow drift of v_t does not
inflate, and the interval is Wilson's with the number of picks that has this variance.

A selector that chooses from the whole pool picks prompts that were not rolled out. With a log of uniform draws, a pick is in B_t
with probability n_t / N whatever the pick, so the picks that were rolled out are a fair sample of all picks: the mean of their
y_i is unbiased for the effective ratio of the shadow that chooses n_t of all N prompts (the replay estimate of Li et al. 2011,
with evidence from the log). In a log that goes through the pool in passes, prompts rolled out recently cannot come again, and
this estimate is withheld.

What neither estimate holds: the policy of the log was trained on uniform prompts. A run with selection trains on other prompts
and observes other outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import numpy as np

from edgewise.errors import ConfigError
from edgewise.method import Method
from edgewise.replay.logs.log import Floats, RunLog, grouped
from edgewise.replay.logs.shadow import Groups, follow, merged
from edgewise.statistics import LEVEL, Interval

SHARES = (0.5, 0.25, 0.125)
"""Shares of the candidates that are chosen."""
HEADLINE = 0.25
MATCHED = 50
"""Picks that were rolled out from which an estimate for the whole pool is given."""
FEWEST_STEPS = 10
"""Steps from which an estimate is given."""
INFORMATIVE = 20
"""Informative groups from which two samples are compared."""
EXPECTED = 5
"""Informative groups that the smaller of two samples has to be expected to hold."""
Z = 1.959964
Sampling = Literal["passes", "draws", "selected", "random share", "unknown"]
Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class Waste:
    """What a run spent, counted. Rollouts, groups and completion lengths; `silent` groups had no gradient.

    `length` and `silent_length` are NaN where the log has no completions.
    """

    groups: int
    silent_groups: int
    rollouts: int
    silent_rollouts: int
    all_right: int
    all_wrong: int
    length: float
    silent_length: float

    @property
    def share(self) -> float:
        """Share of the rollouts that were spent on silent groups."""
        return self.silent_rollouts / self.rollouts

    @property
    def length_share(self) -> float:
        """Share of the tokens or characters that were spent on silent groups; NaN where unknown."""
        return self.silent_length / self.length if self.length else math.nan


@dataclass(frozen=True)
class Choice:
    """Estimate for one method that chooses a share of the candidates, or from the whole pool.

    Attributes:
        share: of the candidates; None: from the whole pool.
        taken: share of the candidates that the picks are, which differs from `share` where steps are small; None as above.
        effective: effective ratio of the picks.
        saved: share of rollouts saved for as many informative groups as uniform sampling gives; below 0: more are needed; NaN
            where too few groups are informative.
        saved_length: the same for tokens or characters; NaN where lengths are unknown.
        picks: number of picks. scored: share of them whose outcome the log holds.
    """

    share: float | None
    taken: float | None
    effective: Interval
    saved: Interval
    saved_length: Interval
    picks: int
    scored: float


@dataclass(frozen=True)
class Savings:
    """Estimates for some methods from one log.

    Attributes:
        log: the log.
        waste: counted.
        uniform: effective ratio of the candidates, as a uniform draw from the pool.
        sampling: how the run drew its prompts, as far as the log shows.
        choices: estimates by method.
        notes: what a reader has to know to judge them.
    """

    log: RunLog
    waste: Waste
    uniform: Interval
    sampling: Sampling
    choices: dict[str, list[Choice]]
    notes: list[str] = field(default_factory=list)

    def headline(self, method: str) -> Choice | None:
        """The estimate that the answer names: the best quarter of the candidates, or the first that says what is saved."""
        found = [choice for choice in self.choices.get(method, []) if not math.isnan(choice.saved.estimate)]
        return next((choice for choice in found if choice.share == HEADLINE), found[0] if found else None)


def count_waste(log: RunLog) -> Waste:
    """What a run spent on groups without a gradient.

    Raises:
        ConfigError: the log holds no groups, or groups of one rollout.
    """
    if not len(log):
        why = f": {log.notes[0]}" if log.notes else ""
        raise ConfigError(f"{log.name} holds no groups of rollouts, so nothing can be counted{why}")
    if not grouped(log.trials):
        raise ConfigError(
            f"{log.name} has one rollout in a group, which no other can be equal to, so that nothing can be counted; if the run"
            " has groups, name the prompt or its id with --columns"
        )
    silent = log.silent
    known = log.unit is not None and (log.lengths >= 0).all()
    return Waste(
        groups=len(log),
        silent_groups=int(silent.sum()),
        rollouts=int(log.trials.sum()),
        silent_rollouts=int(log.trials[silent].sum()),
        all_right=int(log.trials[silent & (log.successes == log.trials)].sum()),
        all_wrong=int(log.trials[silent & (log.successes == 0)].sum()),
        length=float(log.lengths.sum()) if known else math.nan,
        silent_length=float(log.lengths[silent].sum()) if known else math.nan,
    )


def estimate_savings(
    log: RunLog,
    methods: Sequence[str] = ("edge", "mopps"),
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    progress: Progress | None = None,
) -> Savings:
    """What a run wasted, and what selectors would have had.

    Args:
        log: of a run; prompts must be named for estimates.
        methods: in one word each, such as "edge" or "mopps:decay=0.5"; a gate ("+ds") changes nothing about the choice.
        shares: of the candidates that are chosen, each in (0, 1).
        seed: of the selectors.
        progress: called with the number of steps done and the method.

    Raises:
        ConfigError: an empty log, or a share outside (0, 1).

    Example:
        >>> import numpy as np
        >>> from edgewise.replay import simulated_trace
        >>> from edgewise.replay.logs import log_of_trace
        >>> savings = estimate_savings(log_of_trace(simulated_trace(steps=60)), ["edge"])
        >>> savings.waste.groups
        30000
    """
    if any(not 0 < share < 1 for share in shares):
        raise ConfigError(f"a share of the candidates lies in (0, 1), got {list(shares)}")
    waste = count_waste(log)
    notes: list[str] = []
    if not log.named:
        notes.append("The log does not name its prompts, so what a selector would have chosen cannot be estimated.")
        return Savings(log, waste, Interval(), "unknown", {}, notes)
    groups = merged(log)
    sampling = how_drawn(log, groups)
    scored = groups.random if sampling == "random share" else np.ones(len(groups.rows), bool)
    steps = len(groups.starts) - 1
    candidates = np.add.reduceat(scored, groups.starts[:-1]).astype(float)
    uniform = share_interval(np.add.reduceat(groups.informative & scored, groups.starts[:-1]).astype(float), candidates)
    if steps < FEWEST_STEPS:
        notes.append(f"The log holds {steps} steps; estimates for selectors need at least {FEWEST_STEPS}.")
        return Savings(log, waste, uniform, sampling, {}, notes)
    # Small steps cannot hold every share: two may be as many picks, or none.
    held: dict[bytes, float | None] = {}
    for share in shares:
        if (picks := np.round(share * candidates)).any():
            held.setdefault(picks.tobytes(), share)
    kinds = [*held.values(), *([None] if sampling == "draws" else [])]
    if not kinds:
        what = "The random share of a step" if sampling == "random share" else "A step"
        notes.append(f"{what} has too few prompts to choose among ({candidates.max():.0f} at most).")
        return Savings(log, waste, uniform, sampling, {}, notes)
    choices = {}
    for name in methods:
        selector = Method.parse(name).make(log.pool, rollouts=int(np.median(groups.trials)), seed=seed)
        shadow = follow(selector, groups, scored, kinds, None if progress is None else partial(_named, progress, name))
        choices[name] = [
            _choice(share, shadow.sums[share], shadow.base, shadow.picks[share], log.unit is not None)
            for share in kinds
        ]
    notes += _notes(log, groups, sampling)
    if choices and all(math.isnan(choice.saved.estimate) for found in choices.values() for choice in found):
        notes.append(
            f"What a choice would save is not estimated: {int((groups.informative & scored).sum()):,} of the {int(scored.sum()):,}"
            f" candidates had a gradient; {INFORMATIVE} are needed, and {EXPECTED} expected among the picks."
        )
    return Savings(log, waste, uniform, sampling, choices, notes)


def how_drawn(log: RunLog, groups: Groups) -> Sampling:
    """How prompts were drawn: by a declared random share, in passes, independently each step, or by selection."""
    if groups.random.any():
        return "random share"
    if log.uniform is False:
        return "selected"
    visits = np.bincount(groups.rows, minlength=len(log.ids))
    seen = visits[visits > 0]
    if len(groups.rows) < 200 or len(seen) < 20:
        return "unknown"
    mean = float(seen.mean())
    dispersion = float(seen.var() / mean)
    if not log.uniform and dispersion > 1.1 + 4 * math.sqrt(2 / (len(seen) - 1)):
        return "selected"
    if len(groups.rows) - len(seen) < 50:
        return "passes" if mean < 1.2 and len(groups.rows) == len(seen) else "unknown"
    position = np.repeat(np.arange(len(groups.steps)), np.diff(groups.starts))
    order = np.lexsort([position, groups.rows])
    gaps = np.where(np.diff(groups.rows[order]) == 0, np.diff(position[order]), len(groups.steps))
    # Half a pass after a prompt came, it has come again with probability 0.39 if draws are independent, 0.125 in passes; in a
    # log of about one pass with less. A return after exactly half a pass counts half. Groups with less log than that behind
    # them do not count: of their returns the log has the early ones alone.
    half = 0.5 * len(groups.steps) / mean
    followed = position[order][:-1] + half + 0.5 <= len(groups.steps)
    again = float(np.clip(half + 0.5 - gaps[followed], 0, 1).mean())
    return "draws" if again > min(0.2, 0.4 * (mean - 1)) else "passes"


def _named(progress: Progress, name: str, done: int) -> None:
    progress(done, name)


def _choice(share: float | None, sums: Floats, base: Floats, picks: int, lengths: bool) -> Choice:
    """The estimate from sums by step of the picks and of all candidates."""
    taken = sums[:, 1] > 0
    scored = float(sums[:, 1].sum())
    effective, saved, saved_length = Interval(), Interval(), Interval()
    if scored >= (MATCHED if share is None else FEWEST_STEPS):
        effective = share_interval(sums[taken, 0], sums[taken, 1])
        saved = saved_interval(sums, base)
        if lengths:
            saved_length = saved_interval(sums, base, cost=2)
    fraction = None if share is None else scored / float(base[taken, 1].sum())
    return Choice(share, fraction, effective, saved, saved_length, picks, scored / picks if picks else 0.0)


def share_interval(above: Floats, below: Floats) -> Interval:
    """Share sum(above) / sum(below) of sums by step, (T,), with Wilson's interval for its effective number of trials."""
    total = float(below.sum())
    if not total:
        return Interval()
    share = float(above.sum()) / total
    n = total
    if 0 < share < 1 and len(above) > 1:
        binomial = share * (1 - share) / total
        # Candidates that differ make steps differ less than independent trials would, at most by half: a few equal steps
        # are no proof of certainty.
        n *= binomial / max(variance_of_sum(above - share * below) / total**2, 0.5 * binomial)
    low, high = _wilson(share, n)
    return Interval(share, low, high, LEVEL)


def variance_of_sum(residuals: Floats) -> float:
    """Variance of the sum of martingale differences around a slow drift, from successive differences."""
    steps = len(residuals)
    if steps < 2:
        return math.inf
    return float((np.diff(residuals) ** 2).sum() / 2 * steps / (steps - 1))


def _wilson(share: float, n: float) -> tuple[float, float]:
    c = Z * Z / n
    middle, half = (share + c / 2) / (1 + c), math.sqrt(c * share * (1 - share) + c * c / 4) / (1 + c)
    return max(0.0, middle - half), min(1.0, middle + half)


def saved_interval(picks: Floats, base: Floats, *, cost: int = 1, part: bool = True) -> Interval:
    """Share of the cost that picks save for as many informative groups; unknown where too few groups are informative.

    1 - (cost / gain of the picks) / (cost / gain of the base), with the delta method on the logarithm.

    Args:
        picks, base: by step: informative groups, groups and, as a further cost, their length; (T, 2 or 3).
        cost: column that is saved.
        part: the picks are some of the base; otherwise they are other groups.
    """
    gain, n, base_gain, base_n = (float(sums[:, i].sum()) for sums in (picks, base) for i in (0, 1))
    spent, base_spent = float(picks[:, cost].sum()), float(base[:, cost].sum())
    informative, share = (base_gain, n / base_n) if part else (base_gain + gain, n / (base_n + n))
    # Decided without the outcome of the comparison: what the smaller side is expected to hold if there is no difference.
    if informative < INFORMATIVE or informative * min(share, 1 - share) < EXPECTED or min(gain, spent, base_gain) <= 0:
        return Interval()
    ratio = spent / gain * base_gain / base_spent
    residuals = picks[:, cost] / spent - picks[:, 0] / gain - base[:, cost] / base_spent + base[:, 0] / base_gain
    # Where the picks hold all informative groups their residuals cancel, which is no proof of certainty: as in
    # `share_interval`, no less than half the variance of independent trials.
    least = _relative_variance(gain, n) * (1 - share)
    if not part:
        least = _relative_variance(gain, n) + _relative_variance(base_gain, base_n)
    spread = Z * math.sqrt(max(variance_of_sum(residuals), 0.5 * least))
    return Interval(1 - ratio, 1 - ratio * math.exp(spread), 1 - ratio * math.exp(-spread), LEVEL)


def _relative_variance(found: float, n: float) -> float:
    """Variance of the logarithm of found / n, where a share of 1 is no certainty: drawn to 1/2 by four trials (Agresti, Coull)."""
    return (n - found + 2) / (n + 4) / found


def _notes(log: RunLog, groups: Groups, sampling: Sampling) -> list[str]:
    visits = np.bincount(groups.rows, minlength=len(log.ids))
    seen = int((visits > 0).sum())
    mean = len(groups.rows) / max(seen, 1)
    notes = []
    if sampling == "selected":
        why = "as its log says" if log.uniform is False else "some come far more often than chance allows"
        notes.append(
            f"The run did not draw its prompts uniformly ({why}): the estimates hold for choices among the prompts that it"
            " picked, not for the pool."
        )
    if sampling == "passes":
        notes.append(
            "The run goes through its prompts in passes, so a prompt rolled out recently never comes again soon: a choice from"
            " the whole pool cannot be scored on this log."
        )
    if sampling == "random share":
        notes.append("Only the random share of the run is scored: it is the part that was drawn uniformly.")
    if mean < 1.5:
        notes.append(
            f"A prompt comes {mean:.1f} times on average: predictions rest on categories and on the pool more than on the"
            " prompt itself, and would be better in a longer run."
        )
    return notes
