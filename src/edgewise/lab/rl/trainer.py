"""RL with verifiable rewards: select -> roll out -> observe -> update -> save.

Of several processes (torchrun) each holds the whole curriculum and the whole batch, rolls out its share of the groups and
computes its share of the gradient. They stay alike, since all of them see the same; the first writes.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edgewise.arrays import Floats
from edgewise.batch import Batch
from edgewise.checkpoint import load_state, write_json
from edgewise.curriculum import Curriculum
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.features import hashed_features
from edgewise.lab.evaluation.likelihood import gold_log_likelihood
from edgewise.lab.evaluation.rollouts import CHUNK, Roller
from edgewise.lab.model.checkpoints import (
    generator_from_json,
    generator_to_json,
    read_state,
    read_tensors,
)
from edgewise.lab.model.lora import adapter_tensors, add_lora, load_adapters
from edgewise.lab.model.memory import StepSize, check_memory, enough_memory, rows_at_once
from edgewise.lab.model.policy import Policy
from edgewise.lab.model.tensors import write_tensors
from edgewise.lab.rl.batch import RolloutBatch
from edgewise.lab.rl.config import EvalConfig, PoolConfig, RLConfig
from edgewise.lab.rl.monitor import Monitor, Round
from edgewise.lab.rl.posterior import Posterior
from edgewise.lab.rl.priors import level_rates, measured_rates
from edgewise.lab.rl.update import MICRO_TOKENS, Learner, UpdateSettings
from edgewise.lab.run.folder import RunCheckpoints, load_policy, require_finite, run_folder
from edgewise.lab.run.interrupts import Stop, at_once, stopping
from edgewise.lab.run.parallel import World, find_device, world
from edgewise.lab.run.problems import draw_problems, refused
from edgewise.pool import PromptPool
from edgewise.selectors import make_selector, selectors
from edgewise.tasks import Problem, Task
from edgewise.tasks.base import check_disjoint

TEXT_FEATURES = 32
"""Columns of hashed words."""
LESS = (
    "let fewer runs share it (--workers), or begin again with a smaller micro_batch_tokens, recompute: true or fewer prompts x"
    " rollouts"
)
"""What takes less memory."""
LORA = "lora"
"""Name of the file of adapters in a checkpoint."""
Progress = Callable[[dict[str, Any]], None]


def make_problems(task: Task, config: PoolConfig) -> tuple[list[Problem], PromptPool]:
    """The training prompts and their pool, labels as configured."""
    problems = draw_problems(task, config.size, config.seed, "train", config.difficulty, "pool.size")
    labels = np.array([problem.category for problem in problems])
    if config.labels == "shuffled":
        labels = np.random.default_rng([config.seed, 7]).permutation(labels)
    return problems, PromptPool([p.id for p in problems], None if config.labels == "none" else labels)


def make_curriculum(config: RLConfig, pool: PromptPool) -> Curriculum:
    """Selector, gate and allocation of a run."""
    known = selectors.accepted(config.selector, seed=config.seed, rollouts=config.rollouts)
    with refused(f"selector {config.selector} with selector_options", config.selector_options):
        selector = make_selector(config.selector, pool, **{**known, **config.selector_options})
    return Curriculum(
        pool,
        selector,
        gates=config.make_gate(),
        rollouts=config.make_allocation(),
        quota=config.quota or None,
        seed=config.seed,
    )


class Trainer:
    """One RL run: everything that lives between steps, in this process alone or in one of `here`."""

    def __init__(self, config: RLConfig, out: Path, here: World | None = None):
        self.config, self.out, self.here = config, out, here or World(0, 1, find_device(config.device))
        self.policy = load_policy(config.base, config.task, config.prompts_format)
        self.policy.model.to(self.here.device)
        if config.lora is not None:
            add_lora(self.policy.model, config.lora, config.seed)
        task, evaluation = self.policy.task, config.evaluation
        self.problems, self.pool = make_problems(task, config.pool)
        self.roller = self._roller(self.problems, config.temperature)
        self.size = self._step_size()
        check_memory(self.policy.model.config, self.size, self.here.device)
        self.pool = self._described(self.pool)
        self.curriculum = make_curriculum(config, self.pool)
        if config.prompts > self.curriculum.available:
            raise ConfigError(
                f"prompts must be at most {self.curriculum.available}, the prompts of the pool in categories that have a share in"
                f" quota, got {config.prompts}"
            )
        difficulty = config.pool.difficulty
        held_out = draw_problems(task, evaluation.problems, evaluation.seed, "eval", difficulty, "evaluation.problems")
        check_disjoint(self.problems, held_out)
        self.generator = torch.Generator(self.here.device).manual_seed(config.seed)
        chosen = np.random.default_rng([evaluation.seed, 3]).permutation(len(self.pool))
        rows = np.sort(chosen[: evaluation.probe])
        calibration = self._roller([self.problems[row] for row in rows], config.temperature) if len(rows) else None
        evaluated = self._roller(held_out, 1.0)
        chunk = self._chunk(evaluated, self.roller)
        self.monitor = Monitor(out, evaluation, self.problems, evaluated, calibration, rows, chunk)
        self.learner = Learner(
            self.policy.model,
            config.algorithm,
            UpdateSettings(
                config.learning_rate,
                config.max_new_tokens,
                config.epochs,
                config.mini_batches,
                config.max_grad_norm,
                config.temperature,
                grouped=True if config.micro_batch_tokens is not None or config.recompute else None,
                micro_tokens=config.micro_batch_tokens or MICRO_TOKENS,
                recompute=config.recompute,
                bfloat16=config.bfloat16,
            ),
            self.here,
        )
        self.posterior = Posterior(self.pool, config.algorithm.decay) if config.algorithm.advantage == "mapp" else None
        self.checkpoints = RunCheckpoints(out)
        self.step, self.seconds = 0, 0.0
        self.surplus: RolloutBatch | None = None

    def _roller(self, problems: list[Problem], temperature: float, policy: Policy | None = None) -> Roller:
        """Rollouts of the run's length and arithmetic, by another policy than its own if one is given."""
        config = self.config
        return Roller(
            policy or self.policy, problems, config.max_new_tokens, temperature, self.here, bfloat16=config.bfloat16
        )

    def _described(self, pool: PromptPool) -> PromptPool:
        """The pool with the success rates and features that the configuration asks for."""
        priors, features = self._priors(), self._features()
        if priors is None and features is None:
            return pool
        return PromptPool(
            pool.ids, pool.labels, features, priors, prior_strength=float(self.config.pool.priors.samples)
        )

    def _priors(self) -> Floats | None:
        """Success rates known before the run, (prompts,)."""
        priors = self.config.pool.priors
        if priors.source == "none":
            return None
        if priors.source == "levels":
            return level_rates(self.problems)
        policy = self.policy
        if priors.base:
            policy = load_policy(priors.base, self.config.task, self.config.prompts_format)
            policy.model.to(self.here.device)
        roller = self._roller(self.problems, self.config.temperature, policy)
        return measured_rates(roller, priors.samples, self.config.pool.seed, self._chunk(roller))

    def _features(self) -> npt.NDArray[np.floating] | None:
        """Numbers that describe the prompts, (prompts, d)."""
        of = self.config.pool.features
        if of == "none":
            return None
        if of == "text":
            return hashed_features([problem.prompt for problem in self.problems], TEXT_FEATURES)
        values = gold_log_likelihood(self.policy, self.problems, of)
        # The leader's, so that all processes select alike whatever their devices round to.
        return np.array(self.here.sum(values.tolist() if self.here.leads else [0.0] * len(values)))[:, None]

    def _chunk(self, *rollers: Roller) -> int:
        """Completions that these sample at once outside of a step."""
        longest = max(roller.longest for roller in rollers)
        return rows_at_once(self.policy.model.config, self.size, longest, CHUNK)

    def _step_size(self) -> StepSize:
        """What decides the memory of a step."""
        config, algorithm = self.config, self.config.algorithm
        rows = config.prompts * config.rollouts // self.here.size
        whole = config.prompts * (self.roller.longest - config.max_new_tokens) + rows * config.max_new_tokens
        return StepSize(
            rows,
            self.roller.longest,
            min(config.micro_batch_tokens or MICRO_TOKENS, whole),
            int(algorithm.needs_reference)
            + 4 * int(algorithm.critic is not None and algorithm.critic.network == "own"),
            config.recompute,
            None if config.lora is None else sum(p.numel() for p in self.policy.model.parameters() if p.requires_grad),
            config.bfloat16,
        )

    def run(self, progress: Progress | None = None, stop: Stop | None = None) -> dict[str, Any]:
        """Train to the end, from the newest checkpoint if there is one; writes and returns the summary.

        Raises:
            ConfigError: another process works in the folder, or it holds another run.
            EdgewiseError: loss, gradient or weights are not finite any more; checkpoints before that are kept.
            KeyboardInterrupt: `stop` was asked for, of any process, after the step in hand was saved; of one process alone, during
                the evaluation before the first step at once.
        """
        config = self.config
        with run_folder(self.out, config, config.base, self.here.leads), enough_memory(LESS):
            self.resume()
            if self.step == 0:
                with at_once(stop if self.here.size == 1 else None):
                    self.monitor.evaluate(0, self.curriculum)
            while self.step < config.steps:
                line = self.train_step()
                last = self.step == config.steps
                if self.step % config.evaluation.every == 0 or last:
                    self.monitor.evaluate(self.step, self.curriculum)
                stopped = self.here.any(stop is not None and stop.asked)
                if self.step % config.save_every == 0 or last or stopped:
                    self.save()
                # Last: a stop here finds the step complete, its evaluation included.
                if progress is not None and self.here.leads:
                    progress({**line, "steps": config.steps})
                if stopped and not last:
                    raise KeyboardInterrupt
            summary = {
                "steps": self.step,
                "seconds": self.seconds,
                "pool": self.monitor.mix(),
                "curriculum": self.curriculum.metrics(),
                "advice": [str(item) for item in self.curriculum.advice()],
            }
            if self.here.leads:
                write_json(self.out / "summary.json", summary)
            return summary

    def train_step(self) -> dict[str, Any]:
        """One policy step: rounds of rollouts until the gate has enough groups, then one update."""
        began = clock = time.perf_counter()
        selecting, surplus = 0.0, 0
        rounds: list[Round] = []
        admitted = [] if self.surplus is None else [self.surplus]
        for batch in self.curriculum.rounds(min(self.config.prompts, len(self.pool))):
            selecting += time.perf_counter() - clock
            self._require_same(batch)
            rolled = self.roller.roll(batch.rows, batch.rollouts, self.generator)
            rewards = rolled.rewards(self.config.reward)
            clock = time.perf_counter()
            feedback = self.curriculum.observe(
                batch, rewards, correct=rolled.correct, lengths=rolled.tensors.lengths.cpu().numpy()
            )
            selecting += time.perf_counter() - clock
            rounds.append(Round(batch, rolled, rewards))
            group = np.repeat(np.arange(len(batch)), batch.rollouts)
            part = RolloutBatch.of(rolled.prompts, rolled.tensors, rewards, group)
            if self.posterior is not None:
                part = self.posterior.observe(part, batch.rows, batch.rollouts)
            admitted.append(self.learner.scored(part.take(torch.from_numpy(feedback.admitted[group]))))
            surplus, clock = feedback.surplus, time.perf_counter()
        used, self.surplus = _split(RolloutBatch.cat(admitted), self.config.prompts if surplus else None)
        stats = self.learner.update(used, self.generator)
        self.learner.release()
        if self.posterior is not None:
            self.posterior.advance()
        self.step += 1
        self.seconds += time.perf_counter() - began
        clocks = {"seconds": self.seconds, "select_seconds": selecting}
        trained, rollouts = len(torch.unique(used.group)), int(self.curriculum.metrics()["rollouts"])
        return self.monitor.step(self.step, rounds, stats, trained, clocks, rollouts)

    def _require_same(self, batch: Batch) -> None:
        """Stop if the processes selected different prompts: rollouts would silently go to the wrong ones."""
        mark = float(zlib.crc32(batch.rollouts.tobytes(), zlib.crc32(batch.rows.tobytes())))
        # Sums of so few 32-bit numbers are exact.
        if self.here.sum([mark])[0] != mark * self.here.size:
            raise EdgewiseError(
                f"the processes selected different prompts at step {self.step + 1}: selector '{self.config.selector}' must choose"
                " by its seed and by what it observed, nothing else"
            )

    def save(self) -> None:
        """Write a checkpoint of this step; processes go on, or leave, when it is written."""
        if self.here.leads:
            for module in (self.policy.model, self.learner.critic):
                if module is not None:
                    require_finite(module, f"step {self.step} of {self.out}")
            self.monitor.sync()
            self.checkpoints.save(self.step, self._write)
        self.here.wait()

    def _write(self, folder: Path) -> None:
        self.policy.save(folder)
        adapters = adapter_tensors(self.policy.model)
        extra = {LORA: adapters} if adapters else {}
        for name, tensors in {**self.learner.tensors(), **extra, **_surplus_tensors(self.surplus)}.items():
            write_tensors(folder / f"{name}.safetensors", tensors)
        self.curriculum.save(folder / "curriculum.npz")
        if self.posterior is not None:
            self.posterior.save(folder)
        state = {"seconds": self.seconds, "generator": generator_to_json(self.generator), "step": self.step}
        write_json(folder / "state.json", state)

    def resume(self) -> None:
        """Go back to the newest checkpoint, and cut the journals to it; without one, the run begins anew."""
        self.checkpoints.latest(self._load)
        if self.here.leads:
            self.monitor.rewind(self.step)

    def _load(self, folder: Path) -> None:
        # Everything is read before anything changes: a damaged part must not leave half a state.
        policy = Policy.load(folder)
        state = read_state(folder)
        parts = {path.stem: read_tensors(path) for path in folder.glob("*.safetensors") if path.stem != "model"}
        saved = load_state(folder / "curriculum.npz", "curriculum")
        posterior = None if self.posterior is None else self.posterior.read(folder)
        step, seconds = int(state["step"]), float(state["seconds"])
        self.curriculum.load_state_dict(saved)
        if self.config.lora is None:
            self.policy.model.load_state_dict(policy.model.state_dict())
        else:
            # The frozen weights are those of the base; the checkpoint's own have the adapters in them.
            load_adapters(self.policy.model, parts.get(LORA, {}))
        self.learner.load_tensors(parts)
        if self.posterior is not None and posterior is not None:
            self.posterior.restore(posterior)
        generator_from_json(self.generator, state["generator"])
        self.surplus = RolloutBatch(**parts["surplus"]).to(self.here.device) if "surplus" in parts else None
        self.step, self.seconds = step, seconds


def _split(batch: RolloutBatch, groups: int | None) -> tuple[RolloutBatch, RolloutBatch | None]:
    """The first groups of a batch and the rest, None if there is none."""
    place = torch.unique(batch.group, return_inverse=True)[1]
    if groups is None or not len(batch) or int(place.max()) < groups:
        return batch, None
    return batch.take(place < groups), batch.take(place >= groups)


def _surplus_tensors(surplus: RolloutBatch | None) -> dict[str, dict[str, torch.Tensor]]:
    if surplus is None:
        return {}
    return {"surplus": {k: v.cpu().contiguous() for k, v in vars(surplus).items() if v is not None}}


def train(
    config: RLConfig, out: Path, progress: Progress | None = None, stopped: Callable[[], bool] | None = None
) -> dict[str, Any]:
    """Run or resume an RL run in folder `out`; every process of a torchrun calls this alike, see `Trainer.run`.

    Ctrl-C, SIGTERM, SIGHUP and `stopped()` let the step in hand finish and save it, then raise KeyboardInterrupt; before the first
    step, where nothing can be lost, they raise it at once, unless several processes run.
    """
    with world(config.device) as here:
        with at_once(Stop(stopped) if here.size == 1 else None):
            trainer = Trainer(config, out, here)
        with stopping(stopped) as stop:
            return trainer.run(progress, stop)


__all__ = ["EvalConfig", "PoolConfig", "RLConfig", "Trainer", "make_curriculum", "make_problems", "train"]
