"""prime-rl: a task sampler that asks a curriculum, and an admission gate that passes on what its gate decided.

prime-rl draws one task at a time, keeps several groups in flight and reports each when it is finished; groups that it drops
for their staleness are never reported. Its configuration names its own samplers only, so `install` puts the curriculum in
where the orchestrator builds its train source. Refill is prime-rl's: it draws on until a batch is full.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgewise.adapters.in_flight import CurriculumChoice, InFlight
from edgewise.adapters.installed import require
from edgewise.adapters.prompts import unique_pool
from edgewise.adapters.success import Floats, outcomes, verdicts
from edgewise.errors import ConfigError

require("prime-rl")

from prime_rl.orchestrator.curriculum import AdmissionGate, StandardSampler, TaskSampler  # noqa: E402
from prime_rl.orchestrator.train_source import TrainSource  # noqa: E402

Success = float | Callable[[Any], bool]
GATE = "edgewise"


def install(envs: Sequence[str] | None = None, **options: Any) -> None:
    """Let the orchestrator of this process take its tasks from a curriculum; call it before the orchestrator runs.

    Args:
        envs: train environments to do this for; None: all.
        options: of `CurriculumSampler`, the same for each environment.
    """
    from prime_rl.orchestrator import orchestrator

    orchestrator.TrainSource = functools.partial(CurriculumTrainSource, envs=envs, options=options)


class CurriculumTrainSource(TrainSource):  # type: ignore[misc]
    """prime-rl's train source with a curriculum for each of `envs`, which it tells the step of every draw."""

    def __init__(self, train_envs: Any, envs: Sequence[str] | None = None, options: dict[str, Any] | None = None):
        super().__init__(train_envs)
        names = self.env_names if envs is None else list(envs)
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
        if sampler.curriculum.gate is not None:
            theirs.gates[GATE] = CurriculumGate(sampler)
        return sampler


class CurriculumSampler(TaskSampler):  # type: ignore[misc]
    """Draws the task that a curriculum picks now, and tells it every finished group.

    Args:
        tasks: a finite taskset with unique `Task.key`s, which are the prompts' ids.
        rollouts: episodes of a group (`group_size`).
        curriculum: name of a selector, or a function from the `PromptPool` of the tasks to a `Curriculum` over it.
        category: label of a task, a function such as `lambda task: task.data.level`; None: no categories.
        success: when an episode counts as correct: a threshold on the mean reward of its trainable traces without error, or
            a function of the episode that returns a bool. None: that reward, in [0, 1], as it is.
        patience: training steps after which a group that has not been reported counts as lost. Larger than
            `max_off_policy_steps`, after which prime-rl drops groups without a word.
        seed: of a curriculum given by name.

    Raises:
        ConfigError: tasks or a curriculum that do not fit.
    """

    def __init__(
        self,
        tasks: Sequence[Any],
        rollouts: int,
        curriculum: CurriculumChoice = "edge",
        category: Callable[[Any], Any] | None = None,
        success: Success | None = None,
        patience: int = 16,
        seed: int = 0,
    ):
        self.tasks = tuple(tasks)
        categories = None if category is None else [category(task) for task in self.tasks]
        way_out = "give the tasks a property `key` that tells them apart"
        pool = unique_pool([task.key for task in self.tasks], categories, "Task.key", way_out)
        self.step, self.success = 0, success
        # Whether the group that was observed last trains the policy.
        self.admitted = True
        self._in_flight = InFlight(pool, curriculum, rollouts, seed, patience)
        self.curriculum = self._in_flight.curriculum

    def __next__(self) -> Any:
        return self.tasks[int(self._in_flight.draw(1, self.step)[0])]

    def observe(self, group: list[Any]) -> None:
        row = int(self.curriculum.pool.rows([group[0].task.key])[0])
        self.admitted = self._in_flight.report(row, self._outcomes(group))

    def state_dict(self) -> dict[str, Any]:
        return self._in_flight.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._in_flight.load_state_dict(state_dict)

    def metrics(self) -> dict[str, float]:
        return self._in_flight.metrics()

    def _outcomes(self, group: list[Any]) -> Floats:
        """In [0, 1], of each episode that has a trainable trace without error."""
        episodes, rewards = [], []
        for episode in group:
            traces = [trace for trace in episode.traces if not trace.has_error and trace.agent.trainable]
            if traces:
                episodes.append(episode)
                rewards.append(np.mean([trace.reward for trace in traces]))
        if callable(self.success):
            return verdicts([self.success(episode) for episode in episodes], len(episodes)) if episodes else np.empty(0)
        ids = np.array([group[0].task.key] * len(episodes))
        return outcomes(np.array(rewards, np.float64), self.success, ids)


class CurriculumGate(AdmissionGate):  # type: ignore[misc]
    """Passes on what the curriculum's gate decided when prime-rl showed the group to the sampler, which it does first."""

    def __init__(self, sampler: CurriculumSampler):
        self._sampler = sampler

    def admit(self, group: list[Any]) -> bool:
        return self._sampler.admitted


__all__ = ["CurriculumGate", "CurriculumSampler", "CurriculumTrainSource", "install"]
