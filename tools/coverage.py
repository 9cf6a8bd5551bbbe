"""Intervals of `edgewise replay` against the truth, on simulated runs whose success rates are known.

    python -m tools.numbers record coverage coverage.json -- python -m tools.coverage

Each run trains on uniform prompts. The truth of an estimate is the effective ratio that the same selector would have had in
expectation: fresh candidates at each step, judged by the true rates of the run's policy. Beside them, runs whose few informative
groups come by chance alone, so that no selector can save anything.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgewise.method import Method
from edgewise.pool import PromptPool
from edgewise.replay import Policy, Trace, World
from edgewise.replay.logs import log_of_trace
from edgewise.replay.logs.savings import estimate_savings

PROMPTS, BATCH, K = 240, 32, 8
NOISE = (0.005, 0.01, 0.02)
"""Shares of informative groups that come by chance alone."""
Found = dict[tuple[str, float | None], list[tuple[bool, float, float]]]
"""By method and share of the candidates, for each log: whether the truth was covered, error, standard error."""


def simulated(seed: int, steps: int, passes: bool = False) -> tuple[Trace, npt.NDArray[np.float64]]:
    """The trace of a run on uniform prompts, and the true success rate of every prompt at each step."""
    policy, rng = Policy(World(prompts=PROMPTS), seed), np.random.default_rng([seed, 77])
    index, rows, successes, rates = [], [], [], []
    order = np.empty(0, np.int64)
    for step in range(steps):
        if passes and len(order) < BATCH:
            order = rng.permutation(PROMPTS)
        batch, order = (order[:BATCH], order[BATCH:]) if passes else (rng.choice(PROMPTS, BATCH, replace=False), order)
        rates.append(policy.rates())
        right = policy.roll(batch, K).sum(axis=1).astype(np.int64)
        policy.train(batch, right, np.full(len(batch), K), len(batch))
        index += [step] * len(batch)
        rows += batch.tolist()
        successes += right.tolist()
    trace = Trace(policy.pool, np.arange(steps), index, rows, successes, np.full(len(rows), K))
    return trace, np.array(rates)


def truth(
    trace: Trace, rates: npt.NDArray[np.float64], name: str, shares: list[float | None], seed: int, draws: int = 8
) -> dict[float | None, float]:
    """Effective ratio that the shadow would have had in expectation, by fresh candidates at each step and the true rates."""
    selector, rng = Method.parse(name).make(trace.pool, rollouts=K), np.random.default_rng([seed, 78])
    found: dict[float | None, list[float]] = {share: [] for share in shares}
    for t in range(len(trace.steps)):
        rows, successes, trials = trace.at(t)
        worth = 1 - rates[t] ** K - (1 - rates[t]) ** K
        if t:
            selector.advance()
        for share in shares:
            for _ in range(draws):
                candidates = None if share is None else rng.choice(PROMPTS, BATCH, replace=False)
                n = BATCH if share is None else round(share * BATCH)
                found[share].append(float(worth[selector.select(n, candidates=candidates, new_step=False)].mean()))
        selector.observe(rows, successes, trials)
    return {share: float(np.mean(values)) for share, values in found.items()}


def coverage(logs: int, steps: int, names: tuple[str, ...]) -> Found:
    """Every estimate over simulated logs against its truth."""
    found: Found = {}
    for seed in range(logs):
        trace, rates = simulated(seed, steps)
        savings = estimate_savings(log_of_trace(trace), names)
        estimates = {("uniform", 1.0): savings.uniform}
        true = {("uniform", 1.0): float((1 - rates**K - (1 - rates) ** K).mean())}
        for name in names:
            shares = [choice.share for choice in savings.choices[name]]
            estimates |= {(name, choice.share): choice.effective for choice in savings.choices[name]}
            true |= {(name, share): value for share, value in truth(trace, rates, name, shares, seed).items()}
        for key, interval in estimates.items():
            hit = interval.low <= true[key] <= interval.high
            error = (interval.high - interval.low) / 3.92
            found.setdefault(key, []).append((hit, interval.estimate - true[key], error))
    return found


def noise(logs: int, steps: int, rate: float, name: str = "mopps") -> tuple[int, int]:
    """Intervals of the rollouts saved over logs whose groups are informative by chance alone, and how many exclude 0."""
    n, given, missed = steps * BATCH, 0, 0
    for seed in range(logs):
        successes = K // 2 * (np.random.default_rng([seed, 79]).random(n) < rate)
        index = np.repeat(np.arange(steps), BATCH)
        trace = Trace(PromptPool(range(n)), np.arange(steps), index, np.arange(n), successes, np.full(n, K))
        for choice in estimate_savings(log_of_trace(trace), [name]).choices[name]:
            given += not np.isnan(choice.saved.estimate)
            missed += choice.saved.low > 0 or choice.saved.high < 0
    return given, missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("coverage.json"))
    parser.add_argument("--logs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=80)
    options = parser.parse_args()
    found = coverage(options.logs, options.steps, ("mopps", "edge"))
    rows = {}
    for (name, share), values in found.items():
        hits, errors, spreads = (np.array(column, float) for column in zip(*values, strict=True))
        label = name if name == "uniform" else f"{name} {'pool' if share is None else round(1 / share)}"
        rows[label] = {
            "covered": int(hits.sum()),
            "mean_error": round(float(errors.mean()), 4),
            "mean_standard_error": round(float(spreads.mean()), 4),
        }
        print(label, rows[label], flush=True)
    total = sum(row["covered"] for row in rows.values())
    result = {
        "logs": options.logs,
        "rows": rows,
        "covered": total,
        "share": round(total / (options.logs * len(rows)), 4),
        "largest_mean_error": max(abs(row["mean_error"]) for row in rows.values()),
        "noise": {
            f"{rate:.1%}": dict(zip(("given", "missed"), noise(options.logs, options.steps, rate), strict=True))
            for rate in NOISE
        },
    }
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
