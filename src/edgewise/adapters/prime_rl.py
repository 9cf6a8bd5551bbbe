"""prime-rl: a task sampler with selected tasks, and an admission gate that passes on the decision of the curriculum's gates.

prime-rl draws one task at a time, keeps several groups in flight and reports each when it is finished; groups that it drops
for their staleness are never reported. Its configuration names its own samplers only, so `install` puts the curriculum in
where the orchestrator builds its train source. Refill is prime-rl's: it draws until a batch is full.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from edgewise.adapters.features import FeatureChoice
from edgewise.adapters.in_flight import CurriculumChoice, InFlight
from edgewise.adapters.installed import require
from edgewise.adapters.priors import PriorChoice
from edgewise.adapters.prompts import unique_pool
from edgewise.adapters.success import Rule, Success, number
from edgewise.arrays import Counts, Rows, whole_number
from edgewise.errors import ConfigError
from edgewise.outcomes import Outcome, outcomes
from edgewise.pool import PromptPool

require("prime-rl")

from prime_rl.orchestrator.curriculum import AdmissionGate, StandardSampler, TaskSampler  # noqa: E402
from prime_rl.orchestrator.train_source import TrainSource  # noqa: E402

GATE = "edgewise"


def install(envs: Sequence[str] | None = None, **options: Any) -> None:
    """Let the orchestrator of this process take its tasks from a curriculum; call it before the orchestrator runs.

    Args:
        envs: train environments to do this for; None: all.
        options: of `CurriculumSampler`, the same for each environment.

    Raises:
        TypeError: an option that does not exist.
    """
    from prime_rl.orchestrator import orchestrator

    inspect.signature(CurriculumSampler).bind(None, None, **options)
    orchestrator.TrainSource = functools.partial(CurriculumTrainSource, envs=envs, options=options)


class CurriculumTrainSource(TrainSource):  # type: ignore[misc]
    """prime-rl's train source with a curriculum for each of `envs`; every draw carries the training step."""

    def __init__(self, train_envs: Any, envs: Sequence[str] | None = None, options: dict[str, Any] | None = None):
        super().__init__(train_envs)
        names = self.env_names if envs is None else [envs] if isinstance(envs, str) else list(envs)
        unknown = sorted(set(names) - set(self.env_names))
        if unknown:
            raise ConfigError(f"no train environment '{unknown[0]}'; there are {', '.join(self.env_names)}")
        self._samplers = []
        for env in self.envs:
            if env.name in names:
                self._samplers.append(self._plug_in(env, options or {}))

    def next_task(self, *, step: int) -> Any:
        for sampler in self._samplers:
            sampler.step = step
        return super().next_task(step=step)

    def _plug_in(self, env: Any, options: dict[str, Any]) -> CurriculumSampler:
        theirs = self.curricula[env.name]
        if not isinstance(theirs.sampler, StandardSampler):
            raise ConfigError(
                f"environment '{env.name}' is configured with the sampler {type(theirs.sampler).__name__}: remove it from the"
                " configuration, or leave the environment out with envs="
            )
        if theirs.sampler.tasks is None:
            raise ConfigError(
                f"the taskset of environment '{env.name}' is infinite: a curriculum selects from a finite one. Materialise"
                " part of it in the taskset, or leave the environment out with envs="
            )
        sampler = CurriculumSampler(theirs.sampler.tasks, env.config.group_size, **options)
        theirs.sampler = sampler
        if sampler.curriculum.gates.parts:
            theirs.gates[GATE] = CurriculumGate(sampler)
        return sampler


class CurriculumSampler(TaskSampler):  # type: ignore[misc]
    """Draws the task that the curriculum selects, and observes every finished group.

    Args:
        tasks: a finite taskset with unique `Task.key`s, which are the prompts' ids.
        rollouts: episodes of a group (`group_size`).
        curriculum: name of a selector, or a function from the `PromptPool` of the tasks to a `Curriculum` over it.
        category: label of a task, a function such as `lambda task: task.data.level`; None: no categories.
        success: correctness of an episode: a threshold on the mean reward of its trainable traces without error, or a
            function of the episode that returns a bool, None where it is unknown. None: that reward, in [0, 1], as it is.
        priors: success rates known before the run: a JSON file of `edgewise fit --priors`, or rates by `Task.key`.
        prior_strength: rollouts that a known rate is worth.
        patience: training steps after which a group that has not been reported is forgotten. Larger than
            `max_off_policy_steps`, after which prime-rl drops groups without a report.
        seed: seed of a curriculum given by name.
        features: numbers that describe each prompt, such as the log-likelihood of its answer: a JSON file of `edgewise
            features`, or numbers by `Task.key`.

    Raises:
        ConfigError: tasks or a curriculum that do not fit.
    """

    def __init__(
        self,
        tasks: Sequence[Any],
        rollouts: int,
        curriculum: CurriculumChoice = "edge",
        category: Callable[[Any], Any] | None = None,
        success: Rule = None,
        priors: PriorChoice = None,
        prior_strength: float = 4.0,
        patience: int = 16,
        seed: int = 0,
        features: FeatureChoice = None,
    ):
        self.tasks = tuple(tasks)
        patience = whole_number("patience", patience, 1, ConfigError)
        categories = None if category is None else [category(task) for task in self.tasks]
        hint = "give the tasks a property `key` that tells them apart"
        keys = [task.key for task in self.tasks]
        pool = unique_pool(
            keys,
            categories,
            "Task.key",
            hint,
            priors=priors,
            prior_strength=prior_strength,
            features=features,
        )
        self.step, self._success = 0, Success(success)
        # Whether the group that was observed last trains the policy.
        self.admitted = True
        self._in_flight = InFlight(pool, curriculum, rollouts, seed=seed, patience=patience)
        self.curriculum = self._in_flight.curriculum
        self._shares, self._untrainable = OutcomeShares(pool), 0
        self.curriculum.listeners.append(self._shares)

    def __next__(self) -> Any:
        return self.tasks[int(self._in_flight.select(1, self.step)[0])]

    def observe(self, group: list[Any]) -> None:
        row = self._in_flight.row_of(group[0].task.key)
        if row < 0:
            self.admitted = not self.curriculum.gates.parts
            return
        episodes, rewards, sizes = [], [], []
        for episode in group:
            traces = [trace for trace in episode.traces if not trace.has_error and trace.agent.trainable]
            # One that was not scored leaves the reward of its episode unknown.
            if traces and all(trace.reward is not None for trace in traces):
                episodes.append(episode)
                rewards.append(float(np.mean([number(trace.reward, group[0].task.key) for trace in traces])))
                sizes.append([getattr(trace, "num_output_tokens", None) for trace in traces])
        # Without episodes nothing of it can train, whatever the gates would say.
        self._untrainable += not episodes
        self.admitted = self._in_flight.observe_group(
            row, rewards, self._success, sizes, evaluate=lambda rule: [rule(episode) for episode in episodes]
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            **self._in_flight.state_dict(),
            "outcomes": self._shares.state_dict(),
            "untrainable_groups": self._untrainable,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._in_flight.load_state_dict(state_dict)
        self._shares.load_state_dict(state_dict.get("outcomes", {}))
        self._untrainable = int(state_dict.get("untrainable_groups", 0))

    def metrics(self) -> dict[str, float]:
        """The curriculum's metrics, and those that prime-rl#3262 names."""
        values = {**self._in_flight.metrics(), **self._shares.metrics(), "untrainable_groups": float(self._untrainable)}
        if "tokens" in values:
            values["wasted_token_frac"] = values["wasted_tokens"] / values["tokens"]
        return values


class OutcomeShares:
    """Listener of a curriculum: shares of the tasks by what their last group showed, as prime-rl#3262 names them."""

    NAMES: ClassVar = {
        "unseen": Outcome.UNSEEN,
        "hopeless": Outcome.ALL_WRONG,
        "learnable": Outcome.MIXED,
        "saturated": Outcome.ALL_RIGHT,
    }

    def __init__(self, pool: PromptPool):
        self._pool, self._last = pool, np.zeros(len(pool), np.int8)

    def observed(self, step: int, rows: Rows, successes: Counts, trials: Counts) -> None:
        self._last[rows] = outcomes(successes, trials)

    def restored(self, step: int) -> None: ...

    def metrics(self) -> dict[str, float]:
        """Four shares that add up to 1, and `coverage`, the share of tasks with a group."""
        shares = {name: float((self._last == outcome).mean()) for name, outcome in self.NAMES.items()}
        return {**shares, "coverage": 1 - shares["unseen"]}

    def state_dict(self) -> dict[str, Any]:
        seen = np.flatnonzero(self._last)
        return {"ids": self._pool.ids[seen], "last": self._last[seen]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._last[:] = 0
        if len(state.get("ids", ())):
            rows = self._pool.find(state["ids"])
            self._last[rows[rows >= 0]] = state["last"][rows >= 0]


class CurriculumGate(AdmissionGate):  # type: ignore[misc]
    """Passes on the decision about the group that prime-rl has just shown to the sampler, which it does first."""

    def __init__(self, sampler: CurriculumSampler):
        self._sampler = sampler

    def admit(self, group: list[Any]) -> bool:
        return self._sampler.admitted


__all__ = ["CurriculumGate", "CurriculumSampler", "CurriculumTrainSource", "install"]
