"""Pictures of "how selection works": a simulated policy under uniform sampling, MoPPS and edge.

    python docs/images/how.py

The simulator is `edgewise.replay.World`: 2,000 prompts in ten categories of rising difficulty. Means of five seeds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import edgewise as ew
from edgewise.acquisition import p_informative
from edgewise.experiments.study.svg import Line, Panel, panels
from edgewise.replay import Policy, World

OUT = Path(__file__).parent
METHODS = ("uniform", "edge", "mopps")
BATCH, ROLLOUTS, STEPS, SEEDS, WINDOW = 64, 8, 200, 5, 10


Run = dict[str, list[Any]]


def run(method: str, seed: int) -> Run:
    """Effective ratio and mean success rate by step, true rates of the prompts selected, and predictions of random ones."""
    policy = Policy(World(), seed)
    curriculum = ew.Curriculum(policy.pool, method, rollouts=ROLLOUTS, random_share=0.1, seed=seed)
    found: Run = {
        "informative": [],
        "rate": [],
        "selected": [],
        "pool": [],
        "predicted": [],
        "observed": [],
    }
    for _ in range(STEPS):
        batch = curriculum.select(BATCH)
        rates = policy.rates()
        feedback = curriculum.observe(batch, policy.roll(batch.rows, ROLLOUTS))
        chosen = ~batch.random
        found["informative"].append(feedback.informative[chosen].mean())
        found["rate"].append(rates.mean())
        found["selected"].append(rates[batch.rows[chosen]])
        found["pool"].append(rates)
        found["predicted"].append(batch.predicted[batch.random])
        found["observed"].append((feedback.successes / feedback.trials)[batch.random])
        policy.train(batch.rows, feedback.successes, feedback.trials, BATCH)
    return found


def value_of_a_group() -> str:
    rates = np.linspace(0, 1, 21)
    lines = [Line(f"{k} rollouts", rates, p_informative(rates, k)) for k in (4, 8, 16)]
    return panels(
        [Panel("", "success rate of the prompt", lines, (0, 0.25, 0.5, 0.75, 1))], "probability of a gradient"
    )


def histogram(steps: list[np.ndarray]) -> np.ndarray:
    rates = np.concatenate(steps)
    return np.histogram(rates, np.linspace(0, 1, 11))[0] / rates.size


def selected(runs: dict[str, list[Run]]) -> str:
    """True success rates of the pool and of the selected prompts, early and late."""
    middle = np.linspace(0.05, 0.95, 10)
    rows = []
    for title, steps in (("steps 11 to 60", slice(10, 60)), ("steps 151 to 200", slice(150, 200))):
        lines = [Line("pool, uniform", middle, np.mean([histogram(r["pool"][steps]) for r in runs["uniform"]], 0))]
        lines += [
            Line(f"selected by {name}", middle, np.mean([histogram(r["selected"][steps]) for r in runs[name]], 0))
            for name in METHODS[1:]
        ]
        rows.append(Panel(title, "true success rate, tenths", lines, (0, 0.25, 0.5, 0.75, 1), top=0.8))
    return panels(rows, "share of the prompts")


def smooth(values: list[float]) -> np.ndarray:
    return np.reshape(values, (-1, WINDOW)).mean(1)


def progress(runs: dict[str, list[Run]]) -> str:
    steps = smooth(list(range(1, STEPS + 1)))
    pictures = (("informative", "groups with a gradient"), ("rate", "mean success rate of the pool"))
    return panels(
        [
            Panel(
                title,
                "policy step",
                [Line(name, steps, np.mean([smooth(r[key]) for r in runs[name]], 0)) for name in METHODS],
                (0, 50, 100, 150, 200),
            )
            for key, title in pictures
        ],
        "share",
    )


def calibration(runs: dict[str, list[Run]]) -> str:
    edges = np.linspace(0, 1, 11)
    lines = [Line("perfect", (0, 1), (0, 1))]
    for name in METHODS[1:]:
        predicted = np.concatenate([part for r in runs[name] for part in r["predicted"]])
        observed = np.concatenate([part for r in runs[name] for part in r["observed"]])
        place = np.clip(np.digitize(predicted, edges) - 1, 0, 9)
        there = [i for i in range(10) if (place == i).sum() >= 30]
        lines.append(
            Line(name, [predicted[place == i].mean() for i in there], [observed[place == i].mean() for i in there])
        )
    ticks = (0, 0.25, 0.5, 0.75, 1)
    return panels([Panel("", "predicted success rate", lines, ticks)], "observed success rate")


def main() -> None:
    runs = {name: [run(name, seed) for seed in range(SEEDS)] for name in METHODS}
    for name, picture in {
        "how-value": value_of_a_group(),
        "how-selected": selected(runs),
        "how-progress": progress(runs),
        "how-calibration": calibration(runs),
    }.items():
        (OUT / f"{name}.svg").write_text(picture, "utf-8")
        print(OUT / f"{name}.svg")
    for name in METHODS:
        informative = np.mean([np.mean(r["informative"][50:]) for r in runs[name]])
        end = np.mean([r["rate"][-1] for r in runs[name]])
        print(f"{name}: informative after step 50 {informative:.2f}, mean success rate at the end {end:.2f}")


if __name__ == "__main__":
    main()
