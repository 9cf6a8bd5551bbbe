"""Final accuracy of uniform sampling, MoPPS and edge in every world of the simulator, over ten paired seeds.

    python -m tools.numbers record regimes regimes.json -- python -m tools.regimes

The selectors are given labels and features.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from edgewise.replay import simulate
from edgewise.replay.simulator import REGIMES
from edgewise.statistics import mean_interval

METHODS = ("uniform", "mopps", "edge")


def compared(accuracy: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Mean and 95% interval of each method's final accuracy (seeds,), and of edge's minus those of the others."""
    values = accuracy | {
        f"edge_minus_{other}": accuracy["edge"] - accuracy[other] for other in METHODS if other != "edge"
    }
    found = {name: mean_interval(each) for name, each in values.items()}
    return {name: {"mean": i.estimate, "low": i.low, "high": i.high} for name, i in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("regimes.json"))
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    result = {}
    for name, world in REGIMES.items():
        comparison = simulate(METHODS, world, seeds=range(options.seeds))
        accuracy = dict(zip(comparison.methods, comparison.values["accuracy"], strict=True))
        result[name] = compared(accuracy)
        print(name, *(f"{key} {value['mean']:+.3f}" for key, value in result[name].items()), flush=True)
    options.out.write_text(json.dumps({"seeds": options.seeds, "worlds": result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
