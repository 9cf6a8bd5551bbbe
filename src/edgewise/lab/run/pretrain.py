"""Language modelling on a task's demonstrations: pre-training of a fresh model, mid-training of a checkpoint.

Documents are packed without padding (`packed`), made as they are needed (`corpus`), and trained on by one process or by
those that torchrun started (`parallel`): the steps are the same whatever their number. Left out: a second optimiser,
dropout, and sharding of the model, which none of the laboratory's sizes needs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from edgewise.checkpoint import write_json
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.lab.model import ModelConfig
from edgewise.lab.model.checkpoints import find, optimizer_tensors, read_state, read_tensors, restore_optimizer
from edgewise.lab.model.memory import enough_memory
from edgewise.lab.model.packed import Objective, Pack
from edgewise.lab.model.policy import Policy, PromptFormat
from edgewise.lab.model.tensors import write_tensors
from edgewise.lab.model.tokenizer import Tokenizer, is_word_level, read_core
from edgewise.lab.run.config import Above, Count, Fraction, NotNegative, Seed, Size, validate
from edgewise.lab.run.corpus import Corpus, packs
from edgewise.lab.run.folder import RunCheckpoints, load_policy, require_finite, run_folder
from edgewise.lab.run.interrupts import stopping
from edgewise.lab.run.journal import Journal
from edgewise.lab.run.parallel import World, world
from edgewise.lab.run.problems import TaskConfig
from edgewise.lab.run.schedule import cosine
from edgewise.tasks import make_text_world

Progress = Callable[[dict[str, Any]], None]
LOG_EVERY = 10
"""Steps."""


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of a stage of language modelling."""

    base: str = ""
    """The checkpoint to start from: a folder, or the name of a shipped one; empty: a fresh model."""
    task: str = "opgraph"
    """Empty: the base's."""
    task_options: dict[str, Any] = field(default_factory=dict)
    prompts_format: PromptFormat | None = None
    """{chat, system, stop}: form of the prompts of a pretrained model; null: the base's own."""
    difficulty: dict[str, Any] = field(default_factory=dict)
    """Arguments of the task's `demonstrations`: ranges, contexts, mixtures."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Sizes of a fresh model."""
    loss: Literal["completion", "text"] = "completion"
    """"completion": only completions count; "text": prompts too."""
    steps: Count = 3000
    tokens: Count = 2048
    """Tokens of a pack: what is computed at once."""
    accumulate: Count = 1
    """Packs of a step, over all processes; a step trains on tokens x accumulate."""
    learning_rate: Above = 1e-3
    final_learning_rate: NotNegative = 1e-4
    warmup: Fraction = 0.05
    """Share of the steps."""
    weight_decay: NotNegative = 0.01
    clip: Above = 1.0
    """Largest norm of the gradient."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """"auto": the GPU if there is one; "cpu"; "cuda"."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """"float32"; "bfloat16": autocast, the weights stay float32; "auto": bfloat16 on a GPU."""
    compile: Literal["auto", "on", "off"] = "auto"
    """"on" or "off"; "auto": on a GPU."""
    data_workers: Size = 0
    """Processes that make text ahead; 0: none."""
    seed: Seed = 0
    save_every: Count = 500

    def __post_init__(self) -> None:
        validate(self)
        if self.model.vocab_size:
            raise ConfigError("model.vocab_size follows from the task's vocabulary; leave it out")
        if not self.task:
            if not self.base:
                raise ConfigError("task is empty, and there is no base whose task could be taken; name a task")
            if self.task_options:
                raise ConfigError(
                    "task_options are given, but no task: the base's task is taken with its own options; name the task, or leave"
                    " the options out"
                )

    @property
    def planned_tokens(self) -> int:
        """Tokens of the whole stage: T of its budget."""
        return self.steps * self.accumulate * self.tokens


@dataclass(frozen=True)
class MidtrainConfig(PretrainConfig):
    """The same, from a checkpoint: `base` is required."""

    task: str = ""
    learning_rate: Above = 3e-4
    final_learning_rate: NotNegative = 3e-5
    warmup: Fraction = 0.15

    def __post_init__(self) -> None:
        if not self.base:
            raise ConfigError(
                "mid-training starts from a checkpoint: set base to a folder or the name of a shipped one"
            )
        super().__post_init__()


def pretrain(
    config: PretrainConfig, out: Path, progress: Progress | None = None, stopped: Callable[[], bool] | None = None
) -> Path:
    """Train, or resume the run of the same configuration in `out`; returns the last checkpoint's folder.

    Every process of a torchrun calls this alike; the first of them writes, and tells `progress`.

    Raises:
        ConfigError: settings that do not fit each other, the base or the folder.
        EdgewiseError: the loss is not finite any more; the message names the checkpoint to go back to.
        KeyboardInterrupt: Ctrl-C, SIGTERM, SIGHUP or `stopped()`, after the step in hand was saved.
    """
    with world(config.device) as here:
        return _Stage(config, out, here).run(progress, stopped)


def midtrain(config: MidtrainConfig, out: Path, progress: Progress | None = None) -> Path:
    """As `pretrain`, from the checkpoint `config.base`."""
    return pretrain(config, out, progress)


class _Stage:
    """One run of one process: what lives between its steps."""

    def __init__(self, config: PretrainConfig, out: Path, here: World):
        if config.accumulate % here.size:
            raise ConfigError(
                f"{here.size} processes cannot share {config.accumulate} packs a step evenly;"
                f" set accumulate to a multiple of {here.size}"
            )
        self.config, self.here, self.out = config, here, out
        self.policy = starting_policy(config)
        self.model = self.policy.model.to(here.device)
        self.corpus = Corpus(
            self.policy.task,
            self.policy.tokenizer,
            config.difficulty,
            config.tokens,
            config.loss,
            self.model.config.max_position_embeddings,
            config.seed,
            self.policy.pictures,
            self.policy.prompts,
        )
        self.checkpoints, self.journal = RunCheckpoints(out), Journal(out / "metrics.jsonl")
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
            fused=True,
        )
        gpu = here.device.type == "cuda"
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and gpu)
        objective: nn.Module = Objective(self.model)
        if config.compile == "on" or (config.compile == "auto" and gpu):
            objective.compile()
        self.objective = here.wrap(objective)
        self.step, self.seconds = 0, 0.0

    def run(self, progress: Progress | None, stopped: Callable[[], bool] | None = None) -> Path:
        """Train to the end, from the newest checkpoint if there is one."""
        # Claimed only now: settings that do not work leave no folder behind.
        less = "begin again with fewer tokens, and as many times larger accumulate, or let fewer processes share it"
        with run_folder(self.out, self.config, self.config.base, self.here.leads), enough_memory(less):
            self.here.wait()
            self.checkpoints.latest(self._load)
            return self._run(progress, stopped)

    def _run(self, progress: Progress | None, asked: Callable[[], bool] | None) -> Path:
        config, here = self.config, self.here
        if here.leads:
            self._rewind()
        if self.step >= config.steps:
            return self.checkpoints.steps()[-1]
        mine = [
            step * config.accumulate + part
            for step in range(self.step, config.steps)
            for part in range(here.rank, config.accumulate, here.size)
        ]
        data = packs(self.corpus, mine, config.data_workers)
        began, since, before = time.perf_counter(), self.step, self.seconds
        with stopping(asked) as stop:
            while self.step < config.steps:
                rate = cosine(
                    self.step + 1, config.steps, config.warmup, config.learning_rate, config.final_learning_rate
                )
                parts = [next(data).to(here.device) for _ in range(config.accumulate // here.size)]
                loss, norm, stopped = self._update(parts, rate, stop.asked)
                self.step += 1
                passed = time.perf_counter() - began
                self.seconds = before + passed
                last = self.step == config.steps
                if here.leads and (self.step % LOG_EVERY == 0 or last):
                    line = {
                        "step": self.step,
                        "loss": loss,
                        "grad_norm": norm,
                        "learning_rate": rate,
                        "tokens": self.step * config.accumulate * config.tokens,
                        "tokens_per_second": round((self.step - since) * config.accumulate * config.tokens / passed, 1),
                        "seconds": round(self.seconds, 4),
                    }
                    self.journal.append(line)
                    if progress is not None:
                        progress({**line, "steps": config.steps})
                if here.leads and (self.step % config.save_every == 0 or last or stopped):
                    self.journal.sync()
                    self.checkpoints.save(self.step, self._write)
                if stopped and not last:
                    # torchrun ends all processes once one has left: not before the step is on disk.
                    here.wait()
                    raise KeyboardInterrupt
        here.wait()
        return self.checkpoints.steps()[-1]

    def _update(self, parts: list[Pack], rate: float, stop: bool) -> tuple[float, float, bool]:
        """One optimiser step: loss a token, norm of the gradient, whether any process was asked to stop."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for index, part in enumerate(parts):
            # Gradients travel once a step, with its last pack.
            with self.here.local(self.objective) if index + 1 < len(parts) else nullcontext():
                loss = self._loss(part)
                loss.backward()
            total += loss.item()
        own = sum(len(part.targets) for part in parts)
        total, counted, asked = self.here.sum([total, float(own), float(stop)])
        # Processes average their gradients; the loss is a mean over the tokens of all of them.
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(self.here.size / max(counted, 1.0))
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip).item()
        loss_mean = total / max(counted, 1.0)
        if not (math.isfinite(loss_mean) and math.isfinite(norm)):
            kept = self.checkpoints.steps()
            where = f"the last good checkpoint is {kept[-1]}" if kept else "no checkpoint was written before it"
            raise EdgewiseError(
                f"the loss became {loss_mean} (norm of the gradient {norm}) at step {self.step + 1}; {where};"
                " a lower learning_rate or clip may help"
            )
        self.optimizer.step()
        return loss_mean, norm, asked > 0

    def _loss(self, part: Pack) -> Tensor:
        with torch.autocast(self.here.device.type, torch.bfloat16, enabled=self.half):
            return self.objective(part)

    def _rewind(self) -> None:
        if self.step == 0:
            self.journal.clear()
        else:
            self.journal.rewind(self.step, every=LOG_EVERY)

    def _write(self, folder: Path) -> None:
        require_finite(self.model, f"step {self.step} of {self.out}")
        self.policy.save(folder)
        write_tensors(folder / "optimizer.safetensors", optimizer_tensors(self.optimizer))
        write_json(folder / "state.json", {"step": self.step, "seconds": self.seconds})

    def _load(self, path: Path) -> None:
        # Everything is read before anything changes: a damaged part must not leave half a state.
        saved, moments, state = Policy.load(path), read_tensors(path / "optimizer.safetensors"), read_state(path)
        step, seconds = int(state["step"]), float(state.get("seconds", 0.0))
        self.model.load_state_dict(saved.model.state_dict())
        restore_optimizer(self.optimizer, moments)
        self.step, self.seconds = step, seconds


def starting_policy(config: PretrainConfig) -> Policy:
    """A fresh model, or the base under the stage's task.

    Raises:
        ConfigError: the settings ask for another architecture or vocabulary than the base has.
    """
    sizes = {f.name: getattr(config.model, f.name) for f in fields(ModelConfig) if f.name != "vocab_size"}
    if not config.base:
        return Policy.fresh({"name": config.task, "options": config.task_options}, sizes, config.seed)
    base = _base(config)
    if config.model != ModelConfig():
        own = base.model.config
        other = [
            f"{name} {getattr(own, name)} there, {value} asked"
            for name, value in sizes.items()
            if value != getattr(own, name)
        ]
        if other:
            raise ConfigError(
                f"the checkpoint {config.base} has another architecture ({', '.join(other)}); leave out `model`"
            )
    if not config.task or base.tokenizer.unknown is None:
        return base
    spec = {"name": config.task, "options": config.task_options}
    task = make_text_world(config.task, **config.task_options)
    words = Tokenizer.for_task(task)
    wanted, there = words.core.get_vocab(), base.tokenizer.core.get_vocab()
    if wanted != there or words.end != base.tokenizer.end:
        # Words that only one of them knows, or those that stand elsewhere.
        strange = sorted(wanted.keys() ^ there.keys()) or sorted(dict(wanted.items() ^ there.items()))
        word = f", first at '{strange[0]}'" if strange else ""
        raise ConfigError(
            f"the checkpoint {config.base} was made for {base.task_spec['name']} with a vocabulary of {len(there)}, which is"
            f" not that of {config.task} with {len(wanted)}{word}; choose a base of the same task and options"
        )
    return Policy(base.model, base.tokenizer, task, spec)


def _base(config: PretrainConfig) -> Policy:
    """The policy that a stage starts from; one that is pretrained on text at large takes any task."""
    general = not is_word_level(read_core(find(config.base) / "tokenizer.json"))
    task = TaskConfig(config.task, config.task_options) if general and config.task else None
    return load_policy(config.base, task, config.prompts_format)
