"""Alarms and hints on a log: the rules of `edgewise.advice`, fed from the log, and rules on what only a log shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgewise.advice import LOST_SHARE, Advice, advise
from edgewise.pool import PromptPool
from edgewise.replay.logs import RunLog
from edgewise.step import PolicyStep, Totals

RECENT = 2048
"""Groups that a rule about the recent past looks at."""
FEWEST = 64
"""Groups that a rule needs."""
TRUNCATED = 0.2
"""Share of completions cut at the length limit that is an alarm."""
AGAIN = 1.5
"""Times that a prompt comes on average, from which those that never come again are missed."""
LOST = 32
"""Prompts without a result from which their share is looked at."""
SLOW_SELECTION = 0.1
"""Share of a step's time that selection may take."""

Rule = Callable[[RunLog], str | None]


def _flat(log: RunLog) -> str | None:
    """Every group without a gradient, although some rollouts succeed and others fail."""
    silent, mixed = log.silent[-RECENT:], log.informative[-RECENT:]
    if len(silent) < FEWEST or not silent.all() or not mixed.any():
        return None
    return (
        f"all advantages of the last {len(silent)} groups are 0 although {mixed.mean():.0%} of them have both correct and wrong"
        " rollouts: the loss does not see this reward; check reward weights and how advantages are scaled"
    )


def _truncated(log: RunLog) -> str | None:
    cut, trials = log.truncated[-RECENT:], log.trials[-RECENT:]
    if len(cut) < FEWEST or (cut < 0).any():
        return None
    share = cut.sum() / trials.sum()
    if share < TRUNCATED:
        return None
    return (
        f"{share:.0%} of the recent completions were cut at the length limit, and a cut answer counts as wrong: raise the limit,"
        " or leave cut rollouts out of success"
    )


def _slow(log: RunLog) -> str | None:
    if "select_seconds" not in log.numbers or "seconds" not in log.numbers:
        return None
    selecting, clock = log.numbers["select_seconds"][1], log.numbers["seconds"][1]
    if len(clock) < 10 or len(selecting) != len(clock) or clock[-1] <= clock[0]:
        return None
    share = float(selecting[1:].sum() / (clock[-1] - clock[0]))
    if share < SLOW_SELECTION:
        return None
    return f"selection takes {share:.0%} of a step: select in larger batches, or use a selector that does not visit the whole pool"


def _ids_changed(log: RunLog) -> str | None:
    """No prompt of the earlier part ever comes again, although prompts came again within both parts."""
    if not log.named or len(log) < 2 * FEWEST:
        return None
    if log.given_pool is None and log.pool_size is not None and len(log.ids) > log.pool_size:
        return (
            f"the log names {len(log.ids):,} prompts, the pool has {log.pool_size:,}: ids are not stable, so outcomes are not"
            " collected by prompt; give the dataset an id column"
        )
    size, n = len(log.ids), len(log)
    first, last = np.full(size, n), np.full(size, -1)
    place = np.arange(n)
    np.minimum.at(first, log.rows, place)
    np.maximum.at(last, log.rows, place)
    seen = last >= 0
    # How many prompts came before each group and come again at it or later.
    spans = np.bincount(first[seen] + 1, minlength=n + 2) - np.bincount(last[seen] + 1, minlength=n + 2)
    open_spans = np.cumsum(spans)[: n + 1]
    new = np.cumsum(np.bincount(first[seen], minlength=n))
    cuts = np.flatnonzero(open_spans[1:n] == 0) + 1
    for cut in cuts.tolist():
        before, after = int(new[cut - 1]), int(seen.sum() - new[cut - 1])
        if min(cut, n - cut) >= FEWEST and cut >= AGAIN * before and n - cut >= AGAIN * after:
            return (
                f"no prompt from before step {int(log.steps[cut])} has come again since, while prompts came {cut / before:.1f} times"
                " each before it: ids have changed (another dataset, another chat template, ids made at loading?), and what was"
                " learned about the earlier ones is lost; give the dataset an id column"
            )
    return None


def _lost_groups(log: RunLog) -> str | None:
    """The run counts prompts whose results never came, or came late."""
    given_up, late = (
        float(log.numbers[name][1][-1]) if name in log.numbers else 0.0 for name in ("forgotten", "late_groups")
    )
    lost = given_up - late
    if lost < LOST or lost < LOST_SHARE * (len(log) + lost):
        return None
    return (
        f"{lost:,.0f} of {len(log) + lost:,.0f} selected prompts have no result: raise the patience or the time limit; slow prompts"
        " are often the hard ones, and they are missing from training"
    )


ALARMS: dict[str, Rule] = {
    "flat": _flat,
    "truncated": _truncated,
    "ids_changed": _ids_changed,
    "lost": _lost_groups,
    "slow_selection": _slow,
}


def findings(log: RunLog) -> list[dict[str, str]]:
    """All alarms that hold; the hints that hold if no alarm does. Each with its level, the name of its rule and its text."""
    found = _advice(log)
    alarms = [entry for entry in found if entry.level == "alarm"]
    alarms += [Advice("alarm", name, text) for name, rule in ALARMS.items() if (text := rule(log))]
    hints = [entry for entry in found if entry.level == "hint"]
    return [{"level": entry.level, "rule": entry.rule, "text": entry.text} for entry in alarms or hints]


def _advice(log: RunLog) -> list[Advice]:
    """What `curriculum.advice()` would say after the outcomes of this log."""
    if not len(log):
        return []
    pool, rows = _pool(log)
    recent = slice(max(0, len(log) - RECENT), None)
    rates = log.successes[recent] / log.trials[recent]
    predicted = log.predicted[recent]
    columns = {
        "row": rows[recent].astype(np.float64),
        # A log without predictions has none that are off.
        "predicted": np.where(np.isfinite(predicted), predicted, rates),
        "successes": log.successes[recent].astype(np.float64),
        "trials": log.trials[recent].astype(np.float64),
        "random": log.random[recent].astype(np.float64),
    }
    found = advise(pool, columns, _totals(log, pool, rows), step=PolicyStep(), manual=True)
    # A log without the unseen prompts does not show how large a category is.
    return [entry for entry in found if entry.rule != "starved" or log.pool_size == len(log.ids)]


def _totals(log: RunLog, pool: PromptPool, rows: np.ndarray) -> Totals:
    totals = Totals()
    totals.rollouts, totals.groups = int(log.trials.sum()), len(log)
    totals.successes, totals.informative = int(log.successes.sum()), int(log.informative.sum())
    totals.wasted_rollouts = int(log.trials[log.silent].sum())
    # The pool numbers categories in another order, and leaves out those that no prompt has.
    codes, size = pool.category_index(rows), len(pool.category_names) + 1
    # Rollouts of a category since its last success: those of the groups after it.
    position = np.arange(len(log))
    last = np.full(size, -1, np.int64)
    right = log.successes > 0
    np.maximum.at(last, codes[right], position[right])
    after = position > last[codes]
    totals.dry = np.bincount(codes[after], log.trials[after], size).astype(np.int64)
    return totals


def _pool(log: RunLog) -> tuple[PromptPool, np.ndarray]:
    """A pool with the log's categories, and the row of each group in it."""
    names = log.category_names
    if log.named:
        labels = np.array([None, *names], object)[log.prompt_codes] if names else None
        return PromptPool(np.arange(len(log.prompt_codes)), labels), log.rows
    # Prompts are not named: one stands for each category.
    labels = np.array([None, *names], object) if names else None
    return PromptPool(np.arange(len(names) + 1), labels), log.codes
