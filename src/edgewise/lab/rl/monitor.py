"""Monitoring of an RL run: the line of a step, held-out evaluation, and predictions judged on a fixed sample of the pool."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edgewise.batch import Batch
from edgewise.curriculum import Curriculum
from edgewise.errors import CheckpointError
from edgewise.lab.evaluation.pictures import blank_roller
from edgewise.lab.evaluation.rollouts import CHUNK, Rolled, Roller, evaluate, own_generator, sorted_labels
from edgewise.lab.model.vision import data_uri
from edgewise.lab.rl.config import EvalConfig
from edgewise.lab.run.journal import Journal, read
from edgewise.tasks import Problem

BINS = 20
"""Of the histogram of predictions, over [0, 1]."""
TEXTS = 6
"""Completions kept as text at an evaluation, about."""


@dataclass(frozen=True)
class Round:
    """One round of a step: a batch, what was rolled out for it, and the rewards, (sum of rollouts,)."""

    batch: Batch
    rolled: Rolled
    rewards: npt.NDArray[np.float64]


class Monitor:
    """Journals of one run; only the leading process writes.

    Args:
        out: the run's folder.
        config: of the evaluation.
        problems: those of the pool, in its order.
        held_out: samples held-out problems.
        calibration: samples the prompts of the pool at `calibration_rows`, on which predictions are judged.
        calibration_rows: (n,) int64.
        chunk: completions of a process that are sampled at once.
    """

    def __init__(
        self,
        out: Path,
        config: EvalConfig,
        problems: list[Problem],
        held_out: Roller,
        calibration: Roller | None,
        calibration_rows: npt.NDArray[np.int64],
        chunk: int = CHUNK,
    ):
        self.config, self.problems, self.chunk = config, problems, chunk
        self.held_out, self.calibration, self.calibration_rows = held_out, calibration, calibration_rows
        self.here = held_out.here
        self.blank = blank_roller(held_out)
        self.labels = np.array([problem.category for problem in problems])
        self.metrics, self.evals, self.samples = (
            Journal(out / f"{name}.jsonl") for name in ("metrics", "evals", "samples")
        )

    @property
    def journals(self) -> tuple[Journal, Journal, Journal]:
        return self.metrics, self.evals, self.samples

    def rewind(self, step: int) -> None:
        """Cut all journals back to a checkpoint's step; 0: a run without a checkpoint begins anew."""
        if step == 0:
            for journal in self.journals:
                journal.clear()
            return
        self.metrics.rewind(step, every=1)
        for journal in (self.evals, self.samples):
            journal.rewind(step, every=self.config.every)
        if not self.evals.path.exists() or not any(line["step"] == 0 for line in read(self.evals.path)):
            raise CheckpointError(
                f"{self.evals.path} lacks the evaluation of step 0; restore the file, or start anew in another folder"
            )

    def sync(self) -> None:
        """Flush the journals to disk, before a checkpoint that relies on them."""
        for journal in self.journals:
            journal.sync()

    def step(
        self,
        step: int,
        rounds: list[Round],
        stats: dict[str, float],
        trained: int,
        clocks: dict[str, float],
        rollouts: int,
    ) -> dict[str, Any]:
        """Write the line of a step and return it.

        Args:
            step: counted from 1.
            rounds: of the step, at least one.
            stats: of the update.
            trained: groups that trained the policy.
            clocks: `seconds` of the run so far and `select_seconds` of the step.
            rollouts: of the run so far.
        """
        batches = [part.batch for part in rounds]
        trials = np.concatenate([batch.rollouts for batch in batches])
        correct = np.concatenate([part.rolled.correct for part in rounds])
        successes = np.add.reduceat(correct, np.cumsum(trials) - trials, dtype=np.int64)
        informative = (successes > 0) & (successes < trials)
        rows = np.concatenate([batch.rows for batch in batches])
        lengths = torch.cat([part.rolled.tensors.lengths for part in rounds])
        written = torch.cat([part.rolled.tensors.logprobs.sum(1) for part in rounds])
        line = {
            "step": step,
            "reward": float(np.concatenate([part.rewards for part in rounds]).mean()),
            "success_rate": float(correct.mean()),
            "effective_ratio": float(informative.mean()),
            "rollouts": rollouts,
            "groups": len(rows),
            "trained_groups": trained,
            "rounds": len(rounds),
            "length": round(float(lengths.double().mean()), 4),
            "surprisal": round(-float(written.double().sum() / lengths.sum()), 5),
            **stats,
            "seconds": round(clocks["seconds"], 4),
            "select_seconds": round(clocks["select_seconds"], 6),
            "predicted": np.concatenate([batch.predicted for batch in batches]).round(4).tolist(),
            "successes": successes.tolist(),
            "trials": trials.tolist(),
            "categories": self.labels[rows].tolist(),
            "ids": np.concatenate([batch.ids for batch in batches]).tolist(),
            "random": np.concatenate([batch.random for batch in batches]).tolist(),
            "lengths": np.add.reduceat(lengths.cpu().numpy(), np.cumsum(trials) - trials, dtype=np.int64).tolist(),
        }
        if self.here.leads:
            self.metrics.append(line)
        return line

    def evaluate(self, step: int, curriculum: Curriculum) -> None:
        """Measure and write; draws from a generator of its own, so that how often it happens does not change the run."""
        config = self.config
        generator = own_generator(self.here.device, config.seed, step)
        result = evaluate(self.held_out, config.samples, generator, self.chunk)
        judged = None
        if self.calibration is not None:
            judged = evaluate(self.calibration, config.probe_samples, generator, self.chunk)
        rows = np.arange(0, len(self.held_out.problems), max(len(self.held_out.problems) // TEXTS, 1))
        rolled = self.held_out.roll(rows, np.ones(len(rows), np.int64), generator)
        blank = None if self.blank is None else evaluate(self.blank, 1, generator, self.chunk)
        if not self.here.leads:
            return
        predicted = curriculum.predict()
        for problem, text, verdict in zip(rolled.problems, rolled.completions, rolled.verdicts, strict=True):
            self.samples.append(
                {
                    "step": step,
                    "category": problem.category,
                    "prompt": problem.prompt,
                    **({"images": [data_uri(image) for image in problem.images]} if problem.images else {}),
                    "completion": text,
                    "correct": verdict.correct,
                    "reason": verdict.reason,
                }
            )
        self.evals.append(
            {
                "step": step,
                "rollouts": int(curriculum.metrics()["rollouts"]),
                "accuracy": result.accuracy(),
                **({} if blank is None else {"accuracy_without_pictures": blank.accuracy()}),
                "by_category": result.by_category(),
                "reasons": result.reasons,
                "believed": (np.histogram(predicted, BINS, (0.0, 1.0))[0] / len(predicted)).round(5).tolist(),
                "believed_by_category": {
                    name: float(predicted[self.labels == name].mean()) for name in sorted_labels(self.labels)
                },
                "probe": {
                    "predicted": predicted[self.calibration_rows].round(4).tolist(),
                    "successes": [] if judged is None else judged.successes.tolist(),
                    "trials": [] if judged is None else [judged.trials] * len(self.calibration_rows),
                },
            }
        )

    def mix(self) -> dict[str, int]:
        """Prompts of the pool by category."""
        count = Counter(self.labels.tolist())
        return {name: count[name] for name in sorted_labels(list(count))}
