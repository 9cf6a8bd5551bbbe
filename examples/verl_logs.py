"""Logs of rollouts as verl writes them, from a small model that is trained on a CPU.

    python examples/verl_logs.py rollouts
    edgewise replay rollouts

verl needs GPUs; this run is one of the laboratory (task opgraph, uniform prompts), and its rollouts are written as the trainers of
verl 0.9 do with `trainer.rollout_data_dir=rollouts`: one file a step, the same fields, among them a `uid` that is different for each
rollout. Needs `pip install 'edgewise[lab]'`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import uuid
from pathlib import Path
from typing import Any

import torch

from edgewise.lab.rl.trainer import EvalConfig, PoolConfig, RLConfig, Trainer

PROMPTS, ROLLOUTS, POOL = 16, 8, 400
"""Prompts a step, rollouts a prompt, prompts of the pool."""


class LoggedTrainer(Trainer):
    """A trainer of the laboratory that writes every rollout to `folder`."""

    def __init__(self, config: RLConfig, out: Path, folder: Path):
        super().__init__(config, out)
        self.folder = folder
        self.roll = self.roller.roll
        self.roller.roll = self.rolled  # type: ignore[method-assign]

    def rolled(self, rows: Any, counts: Any, generator: torch.Generator) -> Any:
        rolled = self.roll(rows, counts, generator)
        names = [str(uuid.UUID(int=(self.step << 32) + int(row), version=4)) for row in rows]
        keys = [f"{name}_{i}_0" for name, k in zip(names, counts, strict=True) for i in range(k)]
        with (self.folder / f"{self.step + 1}.jsonl").open("w") as file:
            for key, problem, text, verdict in zip(
                keys, rolled.problems, rolled.completions, rolled.verdicts, strict=True
            ):
                line = {
                    "input": problem.prompt,
                    "output": text,
                    "gts": problem.answer,
                    "score": float(verdict.correct),
                    "step": self.step + 1,
                    "uid": key,
                }
                file.write(json.dumps(line) + "\n")
        return rolled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="verl's rollout_data_dir")
    parser.add_argument("--steps", type=int, default=75)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as out:
        config = RLConfig(
            base="opgraph",
            selector="uniform",
            pool=PoolConfig(size=POOL, difficulty={"op": [1, 24]}),
            evaluation=EvalConfig(problems=8, every=arguments.steps, probe=0),
            steps=arguments.steps,
            prompts=PROMPTS,
            rollouts=ROLLOUTS,
            learning_rate=2e-4,
            max_new_tokens=26,
        )
        LoggedTrainer(config, Path(out) / "run", arguments.folder).run()
    print(f"edgewise replay {arguments.folder}")


if __name__ == "__main__":
    main()
