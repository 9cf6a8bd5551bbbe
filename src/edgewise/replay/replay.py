"""Replay of selectors on a recorded trace, without training.

A complete trace is replayed: the recorded policy learns as it did, whatever is selected, and the selector chooses among
all prompts. Rates move linearly between checkpoints; the k rollouts of a prompt are binomial draws from its rate, the
same for every method that picks it in that step. What is left out: choices do not change what is learned (the
simulator is there for that).

A sparse trace, recorded from a run, cannot be replayed: what other choices would have brought is unknown. There every
selector's belief watches the recorded picks, and its predictions are scored just before each outcome (prequential,
off-policy).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from edgewise.arrays import Counts, Floats
from edgewise.errors import ConfigError
from edgewise.method import Method
from edgewise.pool import PromptPool
from edgewise.replay.comparison import Comparison, Run, compare
from edgewise.replay.methods import known_pool, made
from edgewise.replay.scores import Scores
from edgewise.replay.trace import Trace

OFF_POLICY = "off-policy: beliefs are scored on what the recorded run picked; no selector chooses here"


def replay(
    trace: Trace,
    methods: Sequence[str | Method],
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    baseline: str | None = "uniform",
    steps: int | None = None,
    batch: int = 64,
    rollouts: int = 8,
    probe: int = 256,
    knows: str = "all",
    wrong: float = 0.0,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Compare selectors on a trace: replayed if it is complete, prequential if it is sparse.

    Args:
        trace: what was recorded.
        methods: names as `Method.parse` reads them, or `Method`s for selectors that are not registered.
        seeds: one run of each method with each; draws are shared between methods.
        baseline: one of the methods, for paired differences; added if it is missing; None takes no differences.
        steps: policy steps, spread evenly over the recorded ones; None: each recorded training step, that is
            `steps[-1] - steps[0]` of them. A sparse trace always runs through its own.
        batch: prompts a policy step; rollouts: of each. Only for a complete trace.
        probe: prompts drawn uniformly each step, never shown to the selector, to judge its predictions on.
        knows: what the selector may know about the prompts, see `known_pool`.
        wrong: share of the labels that are wrong.
        progress: told the method after each run.

    Raises:
        ConfigError: a setting that does not fit the trace.
    """
    chosen = [Method.parse(name) if isinstance(name, str) else name for name in methods]
    if baseline is not None and baseline not in [m.name for m in chosen]:
        chosen.insert(0, Method.parse(baseline))
    gated = [m.name for m in chosen if m.gated]
    if gated:
        raise ConfigError(
            f"'{gated[0]}' drops groups after the rollout, which changes nothing in a replay: the recorded policy learns"
            " as it did. Compare it in the simulator."
        )
    settings = {"prompts": len(trace.pool), "knows": knows, "wrong": wrong}
    if not trace.complete:

        def watch(m: Method, seed: int) -> Run:
            return _prequential(trace, m, known_pool(trace.pool, knows, wrong, seed), seed)

        settings |= {"steps": len(trace.steps), "entries": len(trace)}
        times = [float(step) for step in trace.steps]
        return compare("prequential", settings, chosen, seeds, baseline, watch, times, [OFF_POLICY], progress)

    if not 1 <= batch <= len(trace.pool):
        raise ConfigError(f"batch must lie between 1 and the pool's {len(trace.pool)} prompts, got {batch}")
    if rollouts < 2:
        raise ConfigError(f"a group of {rollouts} rollouts is never informative: rollouts must be at least 2")
    if probe < 2:
        raise ConfigError(f"a probe needs at least 2 prompts, got {probe}")
    length = max(int(trace.steps[-1] - trace.steps[0]), 1) if steps is None else steps
    if length < 1:
        raise ConfigError(f"steps must be at least 1, got {steps}")
    grid = np.linspace(trace.steps[0], trace.steps[-1], length)

    def run(m: Method, seed: int) -> Run:
        return _replayed(trace, grid, m, known_pool(trace.pool, knows, wrong, seed), seed, batch, rollouts, probe)

    settings |= {"steps": length, "batch": batch, "rollouts": rollouts, "checkpoints": len(trace.steps)}
    return compare("replay", settings, chosen, seeds, baseline, run, grid.tolist(), [], progress)


def _replayed(
    trace: Trace, grid: np.ndarray, m: Method, pool: PromptPool, seed: int, batch: int, rollouts: int, probe: int
) -> Run:
    rates = trace.rates(float(grid[0]))
    selector, scores = made(m, pool, rollouts, seed, lambda: rates), Scores()
    tried = np.zeros(len(pool), bool)
    for position, step in enumerate(grid):
        rates = trace.rates(float(step))
        # Keyed by seed and step and drawn for the whole pool: methods that pick the same prompt see the same rollouts.
        rng = np.random.default_rng([seed, position])
        successes = rng.binomial(rollouts, rates)
        sample = rng.choice(len(pool), min(probe, len(pool)), replace=False)
        rows = selector.select(batch)
        scores.begin()
        scores.prediction("selected", selector.predict(rows), rates[rows])
        scores.prediction("probe", selector.predict(sample), rates[sample])
        scores.choice(rates[rows], rates, rollouts)
        informative = (successes[rows] > 0) & (successes[rows] < rollouts)
        scores.put(effective_ratio=float(informative.mean()))
        selector.observe(rows, successes[rows], rollouts)
        tried[rows] = True
    return {**scores.settled(), "tried": float(tried.mean())}, scores.curves()


def one_step_ahead(
    trace: Trace, m: Method, pool: PromptPool | None = None, seed: int = 0
) -> Iterator[tuple[Floats, Counts, Counts]]:
    """Predictions for the groups recorded in each step, made before the step, and their successes and trials, (n,) each.

    Args:
        trace: what was recorded.
        m: the method, which observes every step after it has predicted it.
        pool: what the method knows of the prompts; None: all that the trace holds.
        seed: of the selector.
    """
    selector = m.make(trace.pool if pool is None else pool, rollouts=int(np.median(trace.trials)), seed=seed)
    for position in range(len(trace.steps)):
        rows, successes, trials = trace.at(position)
        selector.advance()
        yield selector.predict(rows), successes, trials
        if len(rows):
            selector.observe(rows, successes, trials)


def _prequential(trace: Trace, m: Method, pool: PromptPool, seed: int) -> Run:
    scores = Scores()
    for predicted, successes, trials in one_step_ahead(trace, m, pool, seed):
        scores.begin()
        if len(predicted):
            scores.prediction("selected", predicted, successes / trials, trials)
    return scores.settled(), scores.curves()
