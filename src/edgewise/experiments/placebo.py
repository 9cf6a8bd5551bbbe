"""Simulation of comparisons between identical methods: bias of the speed-up, and how often chance looks like a difference.

    python -m edgewise.experiments.placebo [RESULTS.json]

Both methods of a comparison learn alike: accuracy rises to a plateau, runs differ in pace, seeds in the difficulty of their
problems, and every evaluation counts right answers among a few hundred. The speed-up is then measured by the code that
measures real comparisons. An unbiased measure has a median of 1; a clear difference is a false one.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass

import numpy as np

from edgewise.checkpoint import write_json
from edgewise.experiments import target
from edgewise.experiments.folders import Floats
from edgewise.experiments.summary import Ratio, Spread


@dataclass(frozen=True)
class World:
    """Learning curves of the demo's size.

    Attributes:
        start, end: mean accuracy before training and at the end, in [0, 1].
        seed_spread: standard deviation of accuracy between seeds, shared by both methods.
        pace_spread: standard deviation of the logarithm of a run's pace.
        answers: answers verified in an evaluation.
        evaluations: number of evaluations, the first before training.
        steps: training steps.
    """

    start: float = 0.13
    end: float = 0.29
    seed_spread: float = 0.02
    pace_spread: float = 0.15
    answers: int = 512
    evaluations: int = 13
    steps: int = 120


@dataclass(frozen=True)
class Outcome:
    """Outcome of many comparisons.

    Attributes:
        speed: geometric mean of the headline speed-ups that are finite and not 0; the method's pace where unbiased.
        finite: share of the headlines that are.
        gains, losses: share of comparisons whose interval excludes 1, on either side.
        reached: share of runs of the baseline that reach the target.
    """

    speed: float
    finite: float
    gains: float
    losses: float
    reached: float


def simulate(seeds: int, comparisons: int, pace: float = 1.0, world: World | None = None, seed: int = 0) -> Outcome:
    """Compare a method of a known pace with uniform, many times.

    Args:
        seeds: seeds of one comparison.
        comparisons: number of comparisons.
        pace: of the method, relative to uniform; 1: identical.
        world: shape and noise of the learning curves.
        seed: random seed of the simulation.
    """
    setting, rng = world or World(), np.random.default_rng(seed)
    ratios = [_ratio(*_curves(setting, rng, seeds, pace), setting) for _ in range(comparisons)]
    logs = np.array([math.log(r.median) for r in ratios if r.median > 0 and math.isfinite(r.median)])
    evidence = [ratio.evidence for ratio in ratios]
    return Outcome(
        float(np.exp(logs.mean())),
        len(logs) / comparisons,
        evidence.count("gain") / comparisons,
        evidence.count("loss") / comparisons,
        sum(ratio.other_reached for ratio in ratios) / (seeds * comparisons),
    )


def _curves(world: World, rng: np.random.Generator, seeds: int, pace: float) -> tuple[Floats, Floats]:
    """Measured accuracy of uniform and of the method: (seeds, evaluations) each. The first evaluation is one for both."""
    progress = np.linspace(0, 1, world.evaluations)
    offset = rng.normal(0, world.seed_spread, (seeds, 1))
    measured = []
    for own in (1.0, pace):
        speed = own * np.exp(rng.normal(0, world.pace_spread, (seeds, 1)))
        gain = (world.end - world.start) * (1 - np.exp(-2 * speed * progress)) / (1 - math.exp(-2))
        rates = np.clip(world.start + offset + gain, 0.0, 1.0)
        measured.append(rng.binomial(world.answers, rates) / world.answers)
    measured[1][:, 0] = measured[0][:, 0]
    return measured[0], measured[1]


def _ratio(uniform: Floats, method: Floats, world: World) -> Ratio:
    steps = np.linspace(0, world.steps, world.evaluations)
    gain = target.wanted_gain(uniform[:, 0], [target.final(run) for run in uniform])
    waits = [
        Spread.over([target.at(target.reach(run, run[0] + gain), steps) for run in runs], "steps_to_target")
        for runs in (method, uniform)
    ]
    return Ratio.between("placebo", "uniform", "steps", *waits)


SIZES = ((5, 3000), (10, 3000), (40, 1000))
"""Seeds of a comparison, and comparisons."""


def main(words: list[str]) -> None:
    """Print a table: identical methods, and one that is 1.5 times as fast, for comparisons of several sizes."""
    paces = {"identical": 1.0, "faster": 1.5}
    results = {name: {str(n): simulate(n, many, pace) for n, many in SIZES} for name, pace in paces.items()}
    print(f"{'':>9}{'seeds':>6}  {'speed-up':>8}  finite  clear gain  clear loss  uniform reached")
    for name, rows in results.items():
        for seeds, found in rows.items():
            print(
                f"{name:>9}{seeds:>6}  {found.speed:8.3f}  {found.finite:6.1%}  {found.gains:10.1%}  {found.losses:10.1%}"
                f"  {found.reached:15.1%}"
            )
    if words:
        write_json(words[0], {name: {n: asdict(found) for n, found in rows.items()} for name, rows in results.items()})


if __name__ == "__main__":
    main(sys.argv[1:])
