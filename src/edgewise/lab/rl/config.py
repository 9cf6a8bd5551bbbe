"""Settings of RL runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from edgewise.allocation import Allocation, make_allocation
from edgewise.errors import ConfigError
from edgewise.gates import Gate, make_gate
from edgewise.lab.model.lora import LoraSettings
from edgewise.lab.model.policy import PromptFormat
from edgewise.lab.rl.algorithms import ALGORITHMS, Algorithm
from edgewise.lab.rl.priors import PriorsConfig
from edgewise.lab.run.config import Above, Count, Seed, Size, Temperature, validate
from edgewise.lab.run.problems import TaskConfig, refused
from edgewise.method import Method
from edgewise.tasks import make_reward
from edgewise.tasks.base import check_difficulty


@dataclass(frozen=True)
class PoolConfig:
    """The prompts that can be selected."""

    size: Count = 1000
    seed: Seed = 0
    difficulty: dict[str, Any] = field(default_factory=dict)
    """Difficulty settings of the task."""
    labels: Literal["task", "shuffled", "none"] = "task"
    """"task": the problems' own categories; "shuffled": the same labels on the wrong prompts; "none"."""
    priors: PriorsConfig = field(default_factory=PriorsConfig)
    """{source, base, samples}: success rates known before the run."""
    features: Literal["none", "text", "answer", "solution"] = "none"
    """Numbers that describe each prompt to the selector. "text": hashed words; "answer", "solution": how likely the base finds
    the gold answer, or the worked solution, before training."""

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class EvalConfig:
    """Held-out problems, and a fixed sample of the pool on which predictions are judged (its results are never observed).

    Held-out problems are rolled out at temperature 1 in every run; the sample of the pool at the run's temperature, since
    predictions are of the rollouts that the run makes.
    """

    problems: Count = 300
    samples: Count = 2
    """Rollouts of each held-out problem."""
    seed: Seed = 1
    every: Count = 10
    """Steps between evaluations; the first is before training, the last after it."""
    probe: Size = 128
    """Prompts of the sample of the pool."""
    probe_samples: Count = 8
    """Rollouts of each of them."""

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class RLConfig:
    """Settings of an RL run.

    Example:
        >>> RLConfig(algorithm=Algorithm.parse("ppo"), rollouts=1).algorithm.like
        'ppo'
    """

    MOVED: ClassVar[dict[str, str]] = {"clip": "the algorithm's, such as algorithm: {like: dapo, clip: [0.2, 0.28]}"}

    base: str = "opgraph"
    """The checkpoint to start from: a folder, or the name of a shipped one."""
    task: TaskConfig | None = None
    """{name, options}: the task, for a base that is a pretrained model; null: the base's own."""
    prompts_format: PromptFormat | None = None
    """{chat, system, stop}: form of the prompts of a pretrained model; null: the base's own."""
    selector: str = "edge"
    """A selector, or a method in one word, such as edge:exploration=0+ds, which also sets the options and the gate."""
    selector_options: dict[str, Any] = field(default_factory=dict)
    gate: str | None = None
    """"informative" with the uniform selector is dynamic sampling."""
    gate_options: dict[str, Any] = field(default_factory=dict)
    pool: PoolConfig = field(default_factory=PoolConfig)
    evaluation: EvalConfig = field(default_factory=EvalConfig)
    steps: Count = 100
    prompts: Count = 16
    """Prompts a step."""
    rollouts: Count = 8
    """Rollouts a prompt; their mean where `allocation` gives each prompt its own number."""
    quota: dict[str, float] = field(default_factory=dict)
    """Share of every selection by category, as `Curriculum` takes it; categories that are not named divide what is left."""
    allocation: str = "constant"
    allocation_options: dict[str, Any] = field(default_factory=dict)
    algorithm: Algorithm = field(default_factory=lambda: Algorithm.parse({"like": "dapo", "overlong": None}))
    """A name of `edgewise.lab.rl.algorithms.ALGORITHMS`, or {like: NAME, ...} with what differs."""
    reward: str = "strict"
    """What a rollout is paid for: a kind of `tasks.rewards`, such as "outcome" or "process:0.2"."""
    learning_rate: Above = 3e-4
    epochs: Count = 1
    """Passes over each batch."""
    mini_batches: Count = 1
    """Optimiser steps of a pass, each on its own share of the groups."""
    max_grad_norm: Above = 1.0
    temperature: Temperature = 1.0
    max_new_tokens: Count = 32
    micro_batch_tokens: Count | None = None
    """Tokens that the update computes at once, a prompt once for its group; fewer need less memory. By default 4096 for models
    with a large vocabulary, 32 whole sequences for others. The gradient is that of the whole batch."""
    recompute: bool = False
    """Activation checkpointing: less memory for a fifth to a third more work."""
    lora: LoraSettings | None = None
    """{rank, alpha, targets}: train low-rank adapters alone, which checkpoints hold merged; null: all weights."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of rollouts and update; weights and moments are float32 in any case."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """"cpu", "cuda" or "auto": the GPU if there is one. Small models are faster on a CPU."""
    seed: Seed = 0
    save_every: Count = 25

    def __post_init__(self) -> None:
        validate(self)
        make_reward(self.reward)
        check_difficulty(self.pool.difficulty)
        self._read_method()
        if self.rollouts < 2 and self.algorithm.needs_groups:
            single = ", ".join(name for name, row in ALGORITHMS.items() if not row.needs_groups)
            raise ConfigError(
                f"rollouts must be at least 2 with algorithm '{self.algorithm.like}', whose baseline is the mean of a group, got"
                f" {self.rollouts}; with one rollout a prompt use one of {single}"
            )
        if self.rollouts < 2 and self.gate == "informative":
            raise ConfigError(
                f"rollouts must be at least 2 with the informative gate, got {self.rollouts}: one rollout is entirely right or"
                " entirely wrong, so that no group would ever train the policy; leave dynamic sampling ('ds', '+ds') out"
            )
        if self.prompts > self.pool.size:
            raise ConfigError(
                f"prompts must be at most the pool's size, got {self.prompts} prompts a step of {self.pool.size}"
            )
        if self.mini_batches > self.prompts:
            raise ConfigError(
                f"mini_batches must be at most prompts, got {self.mini_batches} optimiser steps on the groups of {self.prompts}"
                " prompts: each takes whole groups of its own"
            )
        if self.gate_options and self.gate is None:
            raise ConfigError("gate_options are given, but no gate; name the gate or leave them out")
        with refused(f"gate {self.gate} with gate_options", self.gate_options):
            self.make_gate()
        with refused(f"allocation {self.allocation} with allocation_options", self.allocation_options):
            self.make_allocation()

    def _read_method(self) -> None:
        """Take a method apart into selector, options and gate."""
        method = Method.parse(self.selector)
        if method.gated and self.gate not in (None, "informative"):
            raise ConfigError(
                f"selector '{self.selector}' has the informative gate, and gate is '{self.gate}'; name one of them"
            )
        gated = {"gate": "informative", "gate_options": {**method.gate_options, **self.gate_options}}
        parts = {"selector": method.selector, "selector_options": {**method.options, **self.selector_options}}
        for name, value in {**parts, **(gated if method.gated else {})}.items():
            object.__setattr__(self, name, value)

    @property
    def bfloat16(self) -> bool:
        return self.precision == "bfloat16"

    def make_gate(self) -> Gate | None:
        """Which finished groups train the policy; None: all."""
        return make_gate(self.gate, **self.gate_options) if self.gate else None

    def make_allocation(self) -> Allocation:
        """How many rollouts each prompt of a batch gets."""
        return make_allocation(self.allocation, **{"rollouts": self.rollouts, **self.allocation_options})
