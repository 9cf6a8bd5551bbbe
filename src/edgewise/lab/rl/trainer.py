"""RL with verifiable rewards: the curriculum picks prompts, the policy rolls them out, verified groups train it.

Of several processes (torchrun) each holds the whole curriculum and the whole batch, rolls out its share of the groups and
computes its share of the gradient. They stay alike, since all of them see the same; the first writes.
"""

from __future__ import annotations

import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgewise.batch import Batch
from edgewise.checkpoint import load_state
from edgewise.curriculum import Curriculum
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.gates import make_gate
from edgewise.lab.evaluation.rollouts import Roller, evaluate, sorted_labels
from edgewise.lab.model.checkpoints import (
    RunFolder,
    find,
    generator_from_json,
    generator_to_json,
    read_state,
    read_tensors,
    restore_optimizer,
)
from edgewise.lab.model.policy import Policy
from edgewise.lab.rl import advantages
from edgewise.lab.rl.update import Sample, update
from edgewise.lab.run.config import claim
from edgewise.lab.run.interrupts import Stop, stopping
from edgewise.lab.run.journal import Journal
from edgewise.lab.run.parallel import World, find_device, world
from edgewise.pool import PromptPool
from edgewise.selectors import make_selector, selectors
from edgewise.tasks import Problem, Task, make_reward
from edgewise.tasks.base import check_difficulty

Progress = Callable[[dict[str, Any]], None]
BELIEF_BINS = 20


@dataclass(frozen=True)
class PoolConfig:
    """The prompts that can be selected."""

    size: int = 1000
    seed: int = 0
    difficulty: dict[str, Any] = field(default_factory=dict)
    """Arguments of the task's `make`."""
    labels: str = "task"
    """"task": the problems' own categories; "shuffled": the same labels on the wrong prompts; "none"."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"the pool needs at least one prompt, got size {self.size}")
        if self.labels not in ("task", "shuffled", "none"):
            raise ConfigError(f"labels must be 'task', 'shuffled' or 'none', got '{self.labels}'")


@dataclass(frozen=True)
class EvalConfig:
    """Held-out problems, and a fixed sample of the pool on which predictions are judged (never shown to the selector)."""

    problems: int = 300
    samples: int = 2
    seed: int = 1
    every: int = 10
    probe: int = 128
    probe_samples: int = 8


@dataclass(frozen=True)
class RLConfig:
    """Settings of an RL run."""

    base: str = "opgraph"
    """The checkpoint to start from: a folder, or the name of a shipped one."""
    selector: str = "edge"
    selector_options: dict[str, Any] = field(default_factory=dict)
    gate: str | None = None
    """"informative" with the uniform selector is dynamic sampling."""
    gate_options: dict[str, Any] = field(default_factory=dict)
    pool: PoolConfig = field(default_factory=PoolConfig)
    evaluation: EvalConfig = field(default_factory=EvalConfig)
    steps: int = 100
    prompts: int = 16
    """Prompts a step."""
    rollouts: int = 8
    """Rollouts a prompt."""
    algorithm: str = "grpo"
    reward: str = "strict"
    """What a rollout is paid for: a kind of `tasks.rewards`, such as "outcome" or "process:0.2"."""
    learning_rate: float = 3e-4
    epochs: int = 1
    """Optimiser steps on each batch."""
    clip: tuple[float, float] = (0.2, 0.28)
    max_grad_norm: float = 1.0
    temperature: float = 1.0
    max_new_tokens: int = 32
    device: str = "cpu"
    """"cpu", "cuda" or "auto": the GPU if there is one. Small models are faster on a CPU."""
    seed: int = 0
    save_every: int = 25

    def __post_init__(self) -> None:
        for name in ("steps", "prompts", "rollouts", "epochs", "save_every", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        make_reward(self.reward)
        if self.rollouts < 2:
            raise ConfigError("groups of one rollout have no advantage: rollouts must be at least 2")
        if self.prompts > self.pool.size:
            raise ConfigError(f"{self.prompts} prompts a step, but the pool has only {self.pool.size}")
        advantages.estimator(self.algorithm)


def make_problems(task: Task, config: PoolConfig) -> tuple[list[Problem], PromptPool]:
    """The training prompts and their pool, labels as configured."""
    check_difficulty(config.difficulty)
    problems = task.problems(config.size, config.seed, **config.difficulty)
    labels = np.array([problem.category for problem in problems])
    if config.labels == "shuffled":
        labels = np.random.default_rng([config.seed, 7]).permutation(labels)
    return problems, PromptPool([p.id for p in problems], None if config.labels == "none" else labels)


class Trainer:
    """One RL run: everything that lives between steps, in this process alone or in one of `here`."""

    def __init__(self, config: RLConfig, out: Path, here: World | None = None):
        self.config, self.here = config, here or World(0, 1, find_device(config.device))
        self.policy = Policy.load(find(config.base))
        self.policy.model.to(self.here.device)
        self.problems, self.pool = make_problems(self.policy.task, config.pool)
        known = selectors.accepted(config.selector, seed=config.seed, rollouts=config.rollouts)
        selector = make_selector(config.selector, self.pool, **{**known, **config.selector_options})
        gate = make_gate(config.gate, **config.gate_options) if config.gate else None
        self.curriculum = Curriculum(self.pool, selector, gates=gate, rollouts=config.rollouts, seed=config.seed)
        self.optimizer = torch.optim.AdamW(
            self.policy.model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True
        )
        self.generator = torch.Generator(self.here.device).manual_seed(config.seed)
        self.roller = Roller(self.policy, self.problems, config.max_new_tokens, config.temperature, self.here)
        held_out = self.policy.task.problems(
            config.evaluation.problems, config.evaluation.seed, split="eval", **config.pool.difficulty
        )
        self.judge = Roller(self.policy, held_out, config.max_new_tokens, here=self.here)
        chosen = np.random.default_rng([config.evaluation.seed, 3]).permutation(len(self.pool))
        self.probe = np.sort(chosen[: config.evaluation.probe])
        probed = [self.problems[row] for row in self.probe]
        self.probe_roller = Roller(self.policy, probed, config.max_new_tokens, here=self.here)
        # Only now: settings that nothing can be made of leave no trace that would be in the way of the next try.
        if self.here.leads:
            claim(out, config)
        self.folder = RunFolder(out)
        self.metrics, self.evals = Journal(out / "metrics.jsonl"), Journal(out / "evals.jsonl")
        self.samples = Journal(out / "samples.jsonl")
        self.step, self.seconds = 0, 0.0
        self.surplus: list[Sample] = []
        self.estimate = advantages.estimator(config.algorithm)

    def run(self, progress: Progress | None = None, stop: Stop | None = None) -> dict[str, Any]:
        """Train to the end, from the newest checkpoint if there is one; returns the summary.

        Raises:
            EdgewiseError: the loss is not finite any more.
            KeyboardInterrupt: `stop` was asked for, of any process, after the step in hand was saved.
        """
        self._resume()
        # The leader decides: only its view of the files is sure to be up to date.
        if self.here.any(self.here.leads and self.step == 0 and not self.evals.path.exists()):
            self._evaluate()
        while self.step < self.config.steps:
            line = self._train_step()
            last = self.step == self.config.steps
            if self.step % self.config.evaluation.every == 0 or last:
                self._evaluate()
            stopped = self.here.any(stop is not None and stop.asked)
            if self.step % self.config.save_every == 0 or last or stopped:
                self.save()
            # Last: whoever stops the run here finds the step complete, its evaluation included.
            if progress is not None and self.here.leads:
                progress({**line, "steps": self.config.steps})
            if stopped and not last:
                raise KeyboardInterrupt
        mix = Counter(problem.category for problem in self.problems)
        return {
            "steps": self.step,
            "seconds": self.seconds,
            "pool": {name: mix[name] for name in sorted_labels(list(mix))},
            "curriculum": self.curriculum.metrics(),
        }

    def _train_step(self) -> dict[str, Any]:
        began = time.perf_counter()
        config = self.config
        groups, parts, selecting = self.surplus, [], 0.0
        rounds = 0
        clock = time.perf_counter()
        for batch in self.curriculum.rounds(min(config.prompts, len(self.pool))):
            selecting += time.perf_counter() - clock
            self._require_same(batch)
            rolled = self.roller.roll(batch.rows, batch.rollouts, self.generator)
            rewards = rolled.rewards(config.reward)
            clock = time.perf_counter()
            feedback = self.curriculum.observe(batch, np.clip(rewards, 0.0, 1.0), correct=rolled.correct)
            selecting += time.perf_counter() - clock
            rounds += 1
            new = _samples(rolled, rewards.reshape(len(batch), -1))
            groups = groups + [group for group, keep in zip(new, feedback.admitted, strict=True) if keep]
            parts.append((batch, rolled, rewards))
            clock = time.perf_counter()
        # A gate's surplus trains the next step; its oldest groups go first.
        used = groups[: config.prompts] if feedback.surplus else groups
        self.surplus = groups[len(used) :]
        if used:
            advantage = self.estimate(np.stack([group.rewards for group in used]))
            stats = update(
                self.policy.model,
                self.optimizer,
                used,
                advantage,
                config.clip,
                config.max_grad_norm,
                config.epochs,
                config.temperature,
                self.here,
            )
        else:
            stats = {"loss": 0.0, "grad_norm": 0.0, "clipped": 0.0}
        if not np.isfinite(stats["loss"]):
            raise EdgewiseError(
                f"the loss became {stats['loss']} at step {self.step + 1}; checkpoints before it are kept"
            )
        self.step += 1
        elapsed = time.perf_counter() - began
        self.seconds += elapsed
        line = self._line(parts, stats, rounds, selecting, len(used))
        if self.here.leads:
            self.metrics.append(line)
        return line

    def _require_same(self, batch: Batch) -> None:
        """Stop if the processes picked different prompts: rollouts would silently go to the wrong ones."""
        mark = float(zlib.crc32(batch.rollouts.tobytes(), zlib.crc32(batch.rows.tobytes())))
        # Sums of so few 32-bit numbers are exact.
        if self.here.sum([mark])[0] != mark * self.here.size:
            raise EdgewiseError(
                f"the processes picked different prompts at step {self.step + 1}: selector '{self.config.selector}' must choose"
                " by its seed and by what it observed, nothing else"
            )

    def _line(
        self, parts: list[Any], stats: dict[str, float], rounds: int, selecting: float, trained: int
    ) -> dict[str, Any]:
        batches = [batch for batch, _, _ in parts]
        trials = np.concatenate([batch.rollouts for batch in batches])
        correct = np.concatenate([rolled.correct for _, rolled, _ in parts])
        successes = np.add.reduceat(correct, np.cumsum(trials) - trials, dtype=np.int64)
        informative = (successes > 0) & (successes < trials)
        rows = np.concatenate([batch.rows for batch in batches])
        return {
            "step": self.step,
            "reward": float(np.concatenate([rewards for *_, rewards in parts]).mean()),
            "success_rate": float(correct.mean()),
            "effective_ratio": float(informative.mean()),
            "rollouts": int(self.curriculum.metrics()["rollouts"]),
            "groups": len(rows),
            "trained_groups": trained,
            "rounds": rounds,
            **stats,
            "seconds": round(self.seconds, 4),
            "select_seconds": round(selecting, 6),
            "predicted": np.concatenate([batch.predicted for batch in batches]).round(4).tolist(),
            "successes": successes.tolist(),
            "trials": trials.tolist(),
            "categories": [self.problems[row].category for row in rows],
        }

    def _evaluate(self) -> None:
        """Measure; draws from its own generator, so that how often it happens does not change the run."""
        config = self.config.evaluation
        generator = torch.Generator(self.here.device).manual_seed(1_000_003 * (self.config.seed + 1) + self.step)
        result = evaluate(self.judge, config.samples, generator)
        probe = evaluate(self.probe_roller, config.probe_samples, generator)
        rows = np.arange(0, len(self.judge.problems), max(len(self.judge.problems) // 6, 1))
        rolled = self.judge.roll(rows, np.ones(len(rows), np.int64), generator)
        if not self.here.leads:
            return
        believed = self.curriculum.predict()
        histogram = np.histogram(believed, BELIEF_BINS, (0.0, 1.0))[0] / len(believed)
        labels = np.array([problem.category for problem in self.problems])
        self.evals.append(
            {
                "step": self.step,
                "rollouts": int(self.curriculum.metrics()["rollouts"]),
                "accuracy": result.accuracy(),
                "by_category": result.by_category(),
                "reasons": result.reasons,
                "believed": histogram.round(5).tolist(),
                "believed_by_category": {
                    name: float(believed[labels == name].mean()) for name in sorted_labels(labels)
                },
                "probe": {
                    "predicted": believed[self.probe].round(4).tolist(),
                    "successes": probe.successes.tolist(),
                    "trials": [probe.trials] * len(self.probe),
                },
            }
        )
        for problem, text, verdict in zip(rolled.problems, rolled.completions, rolled.verdicts, strict=True):
            self.samples.append(
                {
                    "step": self.step,
                    "category": problem.category,
                    "prompt": problem.prompt,
                    "completion": text,
                    "correct": verdict.correct,
                    "reason": verdict.reason,
                }
            )

    def save(self) -> None:
        """Write a checkpoint of this step; processes go on, or leave, when it is written."""
        if self.here.leads:
            self._write()
        self.here.wait()

    def _write(self) -> None:
        surplus = [
            {"prompt": s.prompt, "completions": s.completions, "logprobs": s.logprobs, "rewards": s.rewards.tolist()}
            for s in self.surplus
        ]
        state = {"seconds": self.seconds, "generator": generator_to_json(self.generator), "surplus": surplus}
        self.folder.save(self.step, self.policy, self.optimizer, state, self._save_curriculum)

    def _save_curriculum(self, folder: Path) -> None:
        self.curriculum.save(folder / "curriculum.npz")

    def _resume(self) -> None:
        self.folder.latest(self._load)
        if not self.here.leads:
            return
        for journal in (self.metrics, self.evals, self.samples):
            journal.rewind(self.step)
        if self.step == 0 and self.evals.path.exists() and not _has_lines(self.evals.path):
            self.evals.path.unlink()

    def _load(self, folder: Path) -> None:
        # Read everything before changing anything: a damaged part must not leave half a state.
        policy, state = Policy.load(folder), read_state(folder)
        moments = read_tensors(folder / "optimizer.safetensors")
        saved = load_state(folder / "curriculum.npz", "curriculum")
        self.curriculum.load_state_dict(saved)
        self.policy.model.load_state_dict(policy.model.state_dict())
        restore_optimizer(self.optimizer, moments)
        generator_from_json(self.generator, state["generator"])
        self.surplus = [Sample(**{**item, "rewards": np.array(item["rewards"])}) for item in state["surplus"]]
        self.step, self.seconds = int(state["step"]), float(state["seconds"])


def _samples(rolled: Any, rewards: np.ndarray) -> list[Sample]:
    tokens, lengths = rolled.tensors.tokens.tolist(), rolled.tensors.lengths.tolist()
    logprobs = rolled.tensors.logprobs.tolist()
    k = rewards.shape[1]
    groups = []
    for index, row in enumerate(rewards):
        part = range(index * k, (index + 1) * k)
        groups.append(
            Sample(
                rolled.prompts[index * k],
                [tokens[i][: lengths[i]] for i in part],
                [logprobs[i][: lengths[i]] for i in part],
                row,
            )
        )
    return groups


def _has_lines(path: Path) -> bool:
    return bool(path.read_text().strip())


def train(config: RLConfig, out: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Run or resume an RL run in folder `out`; every process of a torchrun calls this alike, see `Trainer.run`.

    Ctrl-C and SIGTERM let the step in hand finish and save it, then raise KeyboardInterrupt.
    """
    with world(config.device) as here:
        trainer = Trainer(config, out, here)
        with stopping() as stop:
            return trainer.run(progress, stop)


__all__ = ["EvalConfig", "PoolConfig", "RLConfig", "Trainer", "make_problems", "train"]
