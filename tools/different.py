"""How many groups of RL runs had a gradient, of how many different prompts, beside their held-out accuracy.

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


def counts(run: Path) -> tuple[int, int, int]:
    """Groups rolled out in a run, those with a gradient, and the different prompts among these."""
    groups, prompts = 0, []
    for line in read(run / "metrics.jsonl"):
        groups += len(line["ids"])
        outcomes = zip(line["ids"], line["successes"], line["trials"], strict=True)
        prompts += [prompt for prompt, successes, trials in outcomes if 0 < successes < trials]
    return groups, len(prompts), len(set(prompts))


def method(runs: list[Path]) -> dict[str, Any]:
    """Means over the runs of a method, and the mean and 95% interval of its last accuracy."""
    groups, informative, different = np.mean([counts(run) for run in runs], axis=0).round(1).tolist()
    accuracy = np.array([[line["accuracy"] for line in read(run / "evals.jsonl")] for run in runs])
    last = mean_interval(accuracy[:, -1])
    return {
        "seeds": len(runs),
        "groups": groups,
        "informative": informative,
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
