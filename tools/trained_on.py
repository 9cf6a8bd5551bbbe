"""What RL runs trained on: groups with a gradient, the hard ones, their different prompts, and the breadth of what was picked.

    python -m tools.numbers record real/trained_on trained_on.json -- python -m tools.trained_on runs/real-gpu/school runs/C1-smollm2/school

Of each folder, `METHOD/seed_N` are the runs; a method that several folders have is taken from the first. Only finished runs count.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.lab.run.journal import read
from edgewise.statistics import mean_interval

HARD = 0.25
"""Largest success rate of a hard group."""
EARLY = 20
"""Steps over which breadth is counted, and after which surprisal is read."""


def counts(run: Path) -> tuple[int, int, int, int]:
    """Groups rolled out in a run, those with a gradient, the hard ones among these, and their different prompts."""
    groups, rates = 0, []
    for line in read(run / "metrics.jsonl"):
        groups += len(line["ids"])
        outcomes = zip(line["ids"], line["successes"], line["trials"], strict=True)
        rates += [(prompt, right / trials) for prompt, right, trials in outcomes if 0 < right < trials]
    return groups, len(rates), sum(rate <= HARD for _, rate in rates), len({prompt for prompt, _ in rates})


def breadth(run: Path) -> tuple[float, float]:
    """Effective number of categories of the early picks, the exponential of their entropy, and a token's surprisal after them."""
    lines = read(run / "metrics.jsonl")[:EARLY]
    picked = [category for line in lines for category in line["categories"]]
    shares = np.unique(picked, return_counts=True)[1] / len(picked)
    return float(np.exp(-(shares * np.log(shares)).sum())), float(lines[-1]["surprisal"])


def method(runs: list[Path]) -> dict[str, Any]:
    """Means over the runs of a method, and the mean and 95% interval of its last accuracy."""
    groups, informative, hard, different = np.mean([counts(run) for run in runs], axis=0).round(1).tolist()
    accuracy = np.array([[line["accuracy"] for line in read(run / "evals.jsonl")] for run in runs])
    last = mean_interval(accuracy[:, -1])
    wide, surprisal = np.mean([breadth(run) for run in runs], axis=0).round(3).tolist()
    ends = [line["by_category"] for run in runs for line in read(run / "evals.jsonl")[-2:]]
    return {
        "seeds": len(runs),
        "groups": groups,
        "informative": informative,
        "hard": hard,
        "different": different,
        "accuracy": accuracy.mean(axis=0).round(4).tolist(),
        "early_categories": wide,
        "early_surprisal": surprisal,
        "by_category": {name: round(float(np.mean([end[name] for end in ends])), 4) for name in ends[0]},
        "last": {"mean": last.estimate, "low": last.low, "high": last.high},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("trained_on.json"))
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for folder in options.folders:
        for own in sorted(path for path in folder.iterdir() if path.is_dir()):
            runs = sorted(path.parent for path in own.glob("seed_*/summary.json"))
            if runs and own.name not in found:
                found[own.name] = method(runs)
                print(own.name, found[own.name], flush=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
