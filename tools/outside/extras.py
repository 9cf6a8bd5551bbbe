"""Programs of users of one extra each: `python extras.py report` uses what `pip install 'edgewise[report]'` is for."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

RUN = """\
base: opgraph
selector: edge
pool: {size: 40, difficulty: {op: [1, 3]}, labels: task}
evaluation: {problems: 6, every: 1}
steps: 2
prompts: 2
rollouts: 4
max_new_tokens: 6
learning_rate: 0.001
seed: 0
"""


def report(folder: Path) -> None:
    from edgewise.report.page import write

    (folder / "config.yaml").write_text(RUN, "utf-8")
    steps = [
        {"step": step, "reward": 0.5, "success_rate": 0.5, "effective_ratio": 0.5, "rollouts": 8 * step, "seconds": 1.0}
        | {
            "successes": [2, 4],
            "trials": [4, 4],
            "predicted": [0.5, 0.9],
            "categories": ["1", "2"],
            "select_seconds": 0.1,
        }
        for step in (1, 2)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in steps), "utf-8")
    evals = [
        {"step": step, "rollouts": 8 * step, "accuracy": 0.1 * step, "by_category": {"1": 0.5}} for step in (0, 1, 2)
    ]
    (folder / "evals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in evals), "utf-8")
    if "<html" not in write(folder).read_text("utf-8"):
        sys.exit("no page")


def logs(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    from edgewise.replay.logs import read_log

    rows = [{"step": s, "prompt": f"p{i % 2}", "reward": float(i % 2)} for s in range(3) for i in range(8)]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "log.parquet")
    if len(read_log(folder / "log.parquet")) != 6:
        sys.exit("another number of groups")


def math(folder: Path) -> None:
    from edgewise.tasks import make_task

    task = make_task("math", train=[{"problem": f"What is 1/2 + {i}?", "answer": f"{2 * i + 1}/2"} for i in range(30)])
    problem = task.problems(1, 0)[0]
    half = f"\\boxed{{\\frac{{{problem.answer.split('/')[0]}}}{{2}}}}"
    if not task.verify(problem, half).correct or task.verify(problem, "\\boxed{0}").correct:
        sys.exit("a wrong verdict")


def geometry(folder: Path) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as parquet
    from PIL import Image

    from edgewise.tasks.geometry.geometry3k import load_geometry3k

    picture = io.BytesIO()
    Image.new("RGB", (20, 10), "white").save(picture, "PNG")
    rows = [
        {"problem": "<image>Find x.", "answer": str(i), "images": [{"bytes": picture.getvalue()}]} for i in range(4)
    ]
    parquet.write_table(pa.Table.from_pylist(rows), folder / "figures.parquet")
    if len(load_geometry3k(folder / "figures.parquet")) != 4:
        sys.exit("problems are missing")


def models(folder: Path) -> None:
    import gguf

    from edgewise.lab.model.chat import ChatTemplate

    text = ChatTemplate("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}", {}).render(
        [{"role": "user", "content": "1 + 1?"}], add_generation_prompt=False
    )
    if text != "<user>1 + 1?" or not gguf.GGUFReader:
        sys.exit(f"rendered as {text!r}")


def reasoning_gym(folder: Path) -> None:
    from edgewise.tasks import make_task

    task = make_task("reasoning_gym", datasets="chain_sum")
    problem = task.problems(1, 0)[0]
    if not task.verify(problem, f"<answer>{problem.answer}</answer>").correct:
        sys.exit("the right answer is wrong")


def lab(folder: Path, **changes: Any) -> None:
    from edgewise.lab.rl.config import EvalConfig, PoolConfig, RLConfig
    from edgewise.lab.rl.trainer import train

    config = RLConfig(
        base="opgraph",
        pool=PoolConfig(size=20, difficulty={"op": [1, 3]}),
        evaluation=EvalConfig(problems=4, samples=1, every=2, probe=2, probe_samples=1),
        steps=2,
        prompts=2,
        rollouts=4,
        max_new_tokens=6,
        save_every=1,
        **changes,
    )
    if train(config, folder / "run")["steps"] != 2:
        sys.exit("another number of steps")


def trl(folder: Path) -> None:
    from edgewise.adapters.trl import EdgewiseGRPOTrainer, hook_faults

    if hook_faults() or not EdgewiseGRPOTrainer.__name__:
        sys.exit(f"hook points that are missing: {hook_faults()}")


def verl(folder: Path) -> None:
    import importlib

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as parquet

    from edgewise.adapters.verl import CurriculumDataset

    importlib.import_module("edgewise.adapters.verl.modes")  # verl's plugin: its trainer modes are registered
    rows = [
        {
            "data_source": "sums",
            "prompt": [{"role": "user", "content": f"1 + {i}?"}],
            "reward_model": {"style": "rule", "ground_truth": str(i + 1)},
            "extra_info": {"index": i},
        }
        for i in range(16)
    ]
    train, val = folder / "train.parquet", folder / "val.parquet"
    for file in (train, val):
        parquet.write_table(pa.Table.from_pylist(rows), file)
    hydra = importlib.import_module("hydra")
    given = [f"data.train_files={train}", f"data.val_files={val}", "data.train_batch_size=4"]
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        config = hydra.compose(
            "ppo_trainer", [*given, "data.dataloader_num_workers=0", "actor_rollout_ref.rollout.n=4"]
        )
    selection = CurriculumDataset(str(train), None, config.data).selection
    chosen = selection.select(4, 1)
    selection.observe_scores(np.repeat(chosen, 4), np.tile([1.0, 0.0, 1.0, 0.0], 4), {})
    if len(set(chosen.tolist())) != 4 or selection.metrics().get("edgewise/effective_ratio") != 1.0:
        sys.exit(f"selected {chosen}, {selection.metrics()}")


def lora(folder: Path) -> None:
    from edgewise.lab.model.lora import LoraSettings

    lab(folder, lora=LoraSettings(rank=2))


def ray(folder: Path) -> None:
    import importlib

    import numpy as np

    import edgewise as ew

    cluster = importlib.import_module("ray")
    cluster.init(num_cpus=1, include_dashboard=False, log_to_driver=False)

    @cluster.remote
    class Shared:
        def __init__(self) -> None:
            self.curriculum = ew.Curriculum(ew.PromptPool(range(100)), "edge", rollouts=4)

        def step(self) -> list[int]:
            batch = self.curriculum.select(4)
            self.curriculum.observe(batch, np.tile([1.0, 0.0, 1.0, 0.0], (4, 1)))
            return batch.ids.tolist()

    shared = Shared.remote()
    found = cluster.get([shared.step.remote() for _ in range(3)])
    cluster.shutdown()
    if [len(ids) for ids in found] != [4, 4, 4]:
        sys.exit(f"selected {found}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        globals()[sys.argv[1].replace("-", "_")](Path(place))
