"""Picture of `edgewise watch` for the documentation: a simulated run with selection, its page in headless Chromium.

python docs/images/screens.py watch
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from screens import screenshot

import edgewise as ew
from edgewise.replay import Policy, World
from edgewise.replay.logs import open_logs
from edgewise.watch import Watcher
from edgewise.watch.page import embedded_prompts, page

OUT = Path(__file__).parent / "watch.png"
PROMPTS, BATCH, ROLLOUTS, STEPS = 2000, 64, 8, 200


def run(folder: Path, selector: str, random_share: float) -> None:
    """The journal of a simulated run, as `edgewise rl` writes it."""
    folder.mkdir(parents=True)
    policy = Policy(World(prompts=PROMPTS), 1)
    pool = policy.pool
    curriculum = ew.Curriculum(pool, selector, rollouts=ROLLOUTS, random_share=random_share, seed=1)
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, STEPS + 1):
            batch = curriculum.select(BATCH)
            feedback = curriculum.observe(batch, policy.roll(batch.rows, ROLLOUTS))
            policy.train(batch.rows, feedback.successes, feedback.trials, BATCH)
            line = {
                "step": step,
                "ids": batch.ids.tolist(),
                "random": batch.random.tolist(),
                "predicted": np.round(batch.predicted, 4).tolist(),
                "successes": feedback.successes.tolist(),
                "trials": feedback.trials.tolist(),
                "categories": [pool.category_names[code - 1] for code in pool.category_index(batch.rows)],
            }
            file.write(json.dumps(line) + "\n")
    (folder / "summary.json").write_text(json.dumps({"pool": {"all": PROMPTS}}))


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run(folder / "runs" / "edge", "edge", 0.1)
        run(folder / "runs" / "mopps", "mopps", 0.1)
        readers = open_logs([folder / "runs"])
        watcher = Watcher(readers)
        watcher.update()
        (folder / "page.html").write_text(page(watcher.views, prompts=embedded_prompts(readers)))
        screenshot(folder / "page.html", OUT, 1280, 1560)


if __name__ == "__main__":
    main()
