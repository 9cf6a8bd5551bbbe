"""Advice on a run: one rule a function, each with its threshold, alarms before hints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgewise.pool import PromptPool

if TYPE_CHECKING:
    from edgewise.step import PolicyStep, Totals

DRY_ROLLOUTS = 128
"""Rollouts of one category without a success before its grader is doubted."""
SILENT_SHARE = 0.5
"""Share of groups without a gradient from which the group size or the pool's difficulty is named."""
ALIKE_SHARE = 0.2
"""Share of groups all correct, and of groups all wrong, from which the policy's entropy is doubted."""
RECENT_GROUPS = 256
"""Groups that a rule about the recent past needs and looks at."""
BIAS = 0.15
"""Mean difference of predicted and observed success rate that is an alarm."""
LOST_SHARE = 0.2
"""Share of selected prompts without a result."""
LARGER, GAIN = 2, 1.4
"""Factor on the group size that is proposed, and factor on the share of groups with a gradient from which it is."""
STARVED = 0.1
"""Share of its share of the pool below which a category is starved."""
REPEATED = 8
"""Visits of the prompts of the recent groups, times those under uniform sampling, from which learning by heart is suspected."""
STEP_GROUPS = 4096
"""Groups in one policy step from which the clock is doubted."""


@dataclass(frozen=True)
class Advice:
    """One finding.

    Attributes:
        level: "alarm" (something is broken) or "hint" (something could be better).
        rule: name of the rule.
        text: finding and remedy in plain words.
    """

    level: Literal["alarm", "hint"]
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.text}"


@dataclass(frozen=True)
class Evidence:
    """What rules look at: recent groups by column (m,), sums over the run, and the pool."""

    pool: PromptPool
    recent: dict[str, np.ndarray]
    totals: Totals
    step: PolicyStep
    manual: bool

    @property
    def rates(self) -> np.ndarray:
        return self.recent["successes"] / self.recent["trials"]

    @property
    def informative(self) -> np.ndarray:
        return (self.recent["successes"] > 0) & (self.recent["successes"] < self.recent["trials"])

    @property
    def several(self) -> np.ndarray:
        """Whether each recent group has several rollouts, which can come out alike."""
        return self.recent["trials"] > 1

    @property
    def codes(self) -> np.ndarray:
        """Category code of each recent group; 0 for prompts that are gone."""
        rows = self.recent["row"].astype(np.int64)
        return np.where(rows >= 0, self.pool.category_index(np.maximum(rows, 0)), 0)


Rule = Callable[[Evidence], str | None]


def _grader(e: Evidence) -> str | None:
    dry = np.flatnonzero(e.totals.dry[1:] >= DRY_ROLLOUTS) if e.totals.successes else np.empty(0, np.int64)
    if not len(dry):
        return None
    named = [f"'{e.pool.category_names[code]}' ({e.totals.dry[code + 1]:,} rollouts)" for code in dry.tolist()]
    return (
        f"no success in category {', '.join(named[:5])}: check that its grader reads the answer format of the model;"
        " if the problems are just too hard, lower their share"
    )


def _no_success(e: Evidence) -> str | None:
    if e.totals.successes or e.totals.rollouts < DRY_ROLLOUTS:
        return None
    return (
        f"no success in any of {e.totals.rollouts:,} rollouts: check the grader, the answer format and the length limit;"
        " otherwise start from an easier pool or a stronger model"
    )


def _all_right(e: Evidence) -> str | None:
    if len(e.rates) < RECENT_GROUPS or (e.rates < 1).any():
        return None
    return f"all of the last {len(e.rates)} groups are entirely correct: the grader accepts everything, or the pool is mastered"


def _calibration(e: Evidence) -> str | None:
    if len(e.rates) < RECENT_GROUPS:
        return None
    predicted, observed = e.recent["predicted"][-RECENT_GROUPS:].mean(), e.rates[-RECENT_GROUPS:].mean()
    if abs(predicted - observed) < BIAS:
        return None
    word = "below" if predicted < observed else "above"
    return (
        f"predictions are far {word} what comes: {predicted:.2f} predicted, {observed:.2f} observed over the last"
        f" {RECENT_GROUPS} groups. The policy changes faster than the belief: raise the drift, or call observe sooner"
    )


def _lost(e: Evidence) -> str | None:
    selected = e.totals.groups - e.totals.late + e.totals.forgotten
    if e.totals.forgotten < 32 or e.totals.forgotten < LOST_SHARE * selected:
        return None
    return (
        f"{e.totals.forgotten:,} of {selected:,} selected prompts were given up: raise the patience or the time limit;"
        " slow prompts are often the hard ones, and they are missing from training"
    )


def _clock(e: Evidence) -> str | None:
    if e.step.counts["groups"] < STEP_GROUPS or e.manual:
        return None
    return (
        f"{e.step.counts['groups']} groups were observed in one policy step, so beliefs do not age: prompts are always in"
        " flight; call curriculum.advance() after each update of the policy"
    )


def _silent(e: Evidence) -> str | None:
    if len(e.rates) < RECENT_GROUPS:
        return None
    silent = (e.several & ~e.informative)[-RECENT_GROUPS:]
    rates, size = e.rates[-RECENT_GROUPS:], round(float(np.median(e.recent["trials"][-RECENT_GROUPS:])))
    # Nothing correct at all, or nothing wrong, are alarms of their own.
    if silent.mean() <= SILENT_SHARE or not e.totals.successes or (rates == 1).all():
        return None
    right, wrong = float((rates == 1).mean()), float((rates == 0).mean())
    found = (
        f"{silent.mean():.0%} of the last {RECENT_GROUPS} groups had no gradient ({right:.0%} all correct, {wrong:.0%}"
        " all wrong)"
    )
    if min(right, wrong) >= ALIKE_SHARE:
        return (
            f"{found}: the rollouts of a prompt come out alike. If the entropy of the policy has fallen, it has stopped to"
            " explore: lower the learning rate, or add an entropy or KL term; otherwise the pool lacks prompts in between"
        )
    problem = f"{found}: the pool is {'too hard' if wrong > right else 'too easy'} for groups of {size}"
    now, later = (expected_informative(e.rates, size, m) for m in (size, LARGER * size))
    if later >= GAIN * now > 0:
        return (
            f"{problem}: {now:.0%} of them are expected to have a gradient, of groups of {LARGER * size} {later:.0%}; use those,"
            " a selector, or other prompts"
        )
    return f"{problem}, and larger groups would hardly help; use a selector or other prompts"


def expected_informative(rates: np.ndarray, size: int, other: int) -> float:
    """Share of informative groups of `other` rollouts, for prompts of which groups of `size` showed these success rates.

    By the beta distribution of true rates whose beta-binomial has the mean and variance of `rates`: 1 - E[p^m] - E[(1 - p)^m].
    0 where all rates are 0 or all are 1, or where every group came out alike.

    Example:
        >>> round(expected_informative(np.array([0.0, 0.25, 0.5, 0.75, 1.0]), 4, 8), 3)
        0.778
    """
    mean, spread = float(rates.mean()), float(rates.var())
    free = mean * (1 - mean)
    if not free > 0 or size < 2 or (within := spread / free) >= 1:
        return 0.0
    overlap = max((size * within - 1) / (size - 1), 1e-3)
    a, b = mean * (1 / overlap - 1), (1 - mean) * (1 / overlap - 1)
    i = np.arange(other)
    return float(1 - np.prod((a + i) / (a + b + i)) - np.prod((b + i) / (a + b + i)))


def _no_gain(e: Evidence) -> str | None:
    random, selected = (e.several & (e.recent["random"] == drawn) for drawn in (1, 0))
    if random.sum() < 64 or selected.sum() < RECENT_GROUPS:
        return None
    chosen, uniform = float(e.informative[selected].mean()), float(e.informative[random].mean())
    if chosen > uniform + 1.96 * np.sqrt(uniform * (1 - uniform) / random.sum()):
        return None
    return (
        f"selection does not pay at present: {chosen:.0%} of the selected groups were informative, {uniform:.0%} of the"
        " random ones. It gains where uniform sampling wastes; compare selectors on a recorded trace (edgewise replay)"
    )


def _starved(e: Evidence) -> str | None:
    if not e.pool.has_categories or len(e.rates) < RECENT_GROUPS:
        return None
    sizes = e.pool.category_sizes()
    picked = np.bincount(e.codes, minlength=len(sizes)) / len(e.rates)
    share = sizes / sizes.sum()
    low = [code for code in range(1, len(sizes)) if share[code] >= 0.02 and picked[code] < STARVED * share[code]]
    if not low:
        return None
    named = ", ".join(f"'{e.pool.category_names[code - 1]}'" for code in low[:5])
    return (
        f"category {named} gets almost no rollouts: believed mastered or hopeless. A quota or a random share tests that"
    )


def _repeated(e: Evidence) -> str | None:
    rows = e.recent["row"]
    rows = rows[rows >= 0]
    if len(rows) < 2 * RECENT_GROUPS:
        return None
    visits = np.unique(rows, return_counts=True)[1]
    # Of the prompt of a recent group, averaged over the groups.
    usual, found = 1 + (len(rows) - 1) / len(e.pool), float((visits**2).sum() / len(rows))
    if found < REPEATED * usual:
        return None
    return (
        f"few prompts are repeated: those of the last {len(rows):,} groups came {found:.0f} times each ({visits.max()} at most),"
        f" under uniform sampling {usual:.1f} times. The policy may learn them by heart: watch held-out accuracy; use a selector"
        " that lets prompts rest (edge), a random share, or more prompts"
    )


ALARMS: dict[str, Rule] = {
    "grader": _grader,
    "no_success": _no_success,
    "all_right": _all_right,
    "calibration": _calibration,
    "lost": _lost,
    "clock": _clock,
    "silent": _silent,
}
HINTS: dict[str, Rule] = {"no_gain": _no_gain, "starved": _starved, "repeated": _repeated}


def silent_step(counts: dict[str, int]) -> str | None:
    """Why a policy step has no gradient, where none of its groups has one; None otherwise.

    Args:
        counts: rollouts, groups, informative groups and successes of the step.

    Example:
        >>> print(silent_step({"rollouts": 16, "groups": 4, "informative": 0, "successes": 0}))
        loss 0 and reward std 0: all 4 groups are entirely wrong (0 of 16 rollouts correct), so every advantage is 0 and the step changes nothing; try larger groups, easier prompts or a selector, and check grader and length limit if this goes on
    """
    groups, right = counts["groups"], counts["successes"]
    # A single rollout is compared with a critic or a running mean, not with others of its prompt.
    if not groups or counts["informative"] or groups == counts["rollouts"]:
        return None
    if not right:
        what, remedy = (
            "entirely wrong",
            "easier prompts or a selector, and check grader and length limit if this goes on",
        )
    elif right == counts["rollouts"]:
        what, remedy = "entirely right", "harder prompts or a selector, and check that the grader can say no"
    else:
        what, remedy = "either entirely right or entirely wrong", "or a selector that finds the prompts between"
    joint = "try larger groups, " if not remedy.startswith("or ") else "try larger groups "
    return (
        f"loss 0 and reward std 0: all {groups} groups are {what} ({right} of {counts['rollouts']} rollouts correct), so every"
        f" advantage is 0 and the step changes nothing; {joint}{remedy}"
    )


def advise(
    pool: PromptPool, recent: dict[str, np.ndarray], totals: Totals, *, step: PolicyStep, manual: bool
) -> list[Advice]:
    """All alarms that hold; the hints that hold if no alarm does."""
    evidence = Evidence(pool, recent, totals, step, manual)
    alarms = [Advice("alarm", name, text) for name, rule in ALARMS.items() if (text := rule(evidence))]
    if alarms:
        return alarms
    return [Advice("hint", name, text) for name, rule in HINTS.items() if (text := rule(evidence))]
