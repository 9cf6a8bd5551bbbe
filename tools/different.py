"""How many groups of RL runs had a gradient, how many of them were hard, and of how many different prompts, beside held-out accuracy.

    python -m tools.numbers record real/different different.json -- python -m tools.different runs/real-gpu/school runs/C1-smollm2/school

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


def counts(run: Path) -> tuple[int, int, int, int]:
    """Groups rolled out in a run, those with a gradient, the hard ones among these, and their different prompts."""
    groups, rates = 0, []
    for line in read(run / "metrics.jsonl"):
        groups += len(line["ids"])
        outcomes = zip(line["ids"], line["successes"], line["trials"], strict=True)
        rates += [(prompt, right / trials) for prompt, right, trials in outcomes if 0 < right < trials]
    return groups, len(rates), sum(rate <= HARD for _, rate in rates), len({prompt for prompt, _ in rates})


def method(runs: list[Path]) -> dict[str, Any]:
    """Means over the runs of a method, and the mean and 95% interval of its last accuracy."""
    groups, informative, hard, different = np.mean([counts(run) for run in runs], axis=0).round(1).tolist()
    accuracy = np.array([[line["accuracy"] for line in read(run / "evals.jsonl")] for run in runs])
    last = mean_interval(accuracy[:, -1])
    return {
        "seeds": len(runs),
        "groups": groups,
        "informative": informative,
        "hard": hard,
        "different": different,
        "accuracy": accuracy.mean(axis=0).round(4).tolist(),
        "last": {"mean": last.estimate, "low": last.low, "high": last.high},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("different.json"))
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
