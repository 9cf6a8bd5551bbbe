"""Selection's share of a training step of the laboratory, where steps are as short as they ever get."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.row import Row
from edgewise.experiments import preset
from edgewise.lab.rl.trainer import train

STEPS = 30


def rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    for method in ("mopps", "edge"):
        with tempfile.TemporaryDirectory() as folder:
            config = preset("opgraph").arm(method, seed=7)
            out = Path(folder)
            train(_short(config), out)
            lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        clocks = np.diff([0.0, *(line["seconds"] for line in lines)])
        shares = np.array([line["select_seconds"] for line in lines]) / clocks
        name = f"{method}: select + observe in a training step, 1,000 prompts"
        yield Row.below(name, 100 * float(np.median(shares)), "% of the step", 2.0)


def _short(config):  # type: ignore[no-untyped-def]
    import dataclasses

    evaluation = dataclasses.replace(config.evaluation, problems=8, samples=1, every=1000, probe=8)
    return dataclasses.replace(config, steps=STEPS, evaluation=evaluation)
