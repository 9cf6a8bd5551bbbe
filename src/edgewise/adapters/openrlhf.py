"""OpenRLHF: a prompt loader with selected prompts, and a samples generator that observes every response of the engines.

OpenRLHF's samples generator draws prompts from a data loader, one by one, and replaces those that its dynamic filtering
rejects. The adapter is that loader, and a generator that reads rewards off the responses, rejected ones included. No
id travels with a response, so a prompt is identified by its text (or, with `identify=`, by its label). Left out: the
curriculum's gates, as OpenRLHF filters by itself, and reward models, whose rewards come after generation.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgewise.adapters.features import FeatureChoice
from edgewise.adapters.in_flight import CurriculumChoice, InFlight
from edgewise.adapters.installed import require
from edgewise.adapters.priors import PriorChoice
from edgewise.adapters.prompts import hashes, unique_pool
from edgewise.adapters.success import Rule, Success, missing_score, number
from edgewise.errors import ConfigError, RewardError

require("openrlhf")

import torch  # noqa: E402
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator  # noqa: E402

log = logging.getLogger("edgewise")


def install(**options: Any) -> None:
    """Let OpenRLHF's PPO trainers, synchronous and asynchronous, train on selected prompts.

    Call it before the trainer is created, in the process that creates it: Ray takes the change to the trainer's actor.

    Args:
        options: of `CurriculumLoader`.

    Raises:
        TypeError: an option that does not exist.
    """
    from openrlhf.trainer import ppo_trainer, ppo_trainer_async

    # Here, not in the trainer's actor, which exists when the engines have been started.
    inspect.signature(CurriculumLoader).bind(None, None, **options)

    original = ppo_trainer.prepare_datasets
    if isinstance(original, functools.partial):
        # Installed before: the last options count.
        original = original.args[0]
    prepare = functools.partial(_prepare_datasets, original, options)
    for module in (ppo_trainer, ppo_trainer_async):
        module.prepare_datasets, module.SamplesGenerator = prepare, CurriculumSamplesGenerator


def _prepare_datasets(original: Callable[..., Any], options: dict[str, Any], strategy: Any, tokenizer: Any) -> Any:
    prompts, evaluation, max_steps = original(strategy, tokenizer)
    return CurriculumLoader(prompts.dataset, strategy.args, **options), evaluation, max_steps


class CurriculumLoader:
    """OpenRLHF's prompt data loader, with selected prompts: an episode has as many as the dataset, but not each once.

    Categories are the dataset's `datasource`s, if there are several.

    Args:
        dataset: OpenRLHF's `PromptDataset`.
        args: OpenRLHF's arguments.
        curriculum: name of a selector, or a function from the `PromptPool` of the dataset to a `Curriculum` over it.
        identify: unique id of a prompt from its text and label, such as
            `lambda prompt, label: json.loads(label)["id"]`. None: a hash of the text.
        priors: success rates known before the run: a JSON file of `edgewise fit --priors`, or rates by id.
        prior_strength: rollouts that a known rate is worth.
        features: numbers that describe each prompt, such as the log-likelihood of its answer: a JSON file of `edgewise
            features`, or numbers by id.
        success: correctness of a rollout: a threshold on its score, the name of an entry of `extra_logs`, or a function of
            OpenRLHF's response (a dict with `scores`, `reward`, `label`, `extra_logs`, ...) that returns a bool, None where
            it is unknown. None: the score, in [0, 1], as it is.

    Raises:
        ConfigError: arguments, a dataset or a curriculum that do not fit.
    """

    def __init__(
        self,
        dataset: Any,
        args: Any,
        curriculum: CurriculumChoice = "edge",
        identify: Callable[[str, str], Any] | None = None,
        success: Rule = None,
        priors: PriorChoice = None,
        prior_strength: float = 4.0,
        features: FeatureChoice = None,
    ):
        if not args.reward.remote_url:
            raise ConfigError(
                "a reward model's rewards come after generation, too late for the curriculum: give a reward function with"
                " --reward.remote_url, or an agent with --train.agent_func_path"
            )
        if identify is None:
            ids, source = hashes(dataset.prompts, "identify"), "the hash of the prompt"
        else:
            ids = [identify(*pair) for pair in zip(dataset.prompts, dataset.labels, strict=True)]
            source = "what identify= returned"
        categories = dataset.datasources if len(set(dataset.datasources)) > 1 else None
        hint = "put an id into the label and read it with identify="
        pool = unique_pool(
            ids,
            categories,
            source,
            hint,
            priors=priors,
            prior_strength=prior_strength,
            features=features,
        )
        self.dataset, self._identify, self._success = dataset, identify, Success(success, names=None)
        self._row_of_prompt = {prompt: row for row, prompt in enumerate(dataset.prompts)}
        self._in_flight = InFlight(pool, curriculum, args.rollout.n_samples_per_prompt, seed=args.train.seed)
        self.curriculum = self._in_flight.curriculum
        if self.curriculum.gates.parts:
            raise ConfigError(
                "OpenRLHF filters groups itself: --algo.dynamic_filtering_enable, and a curriculum without gate"
            )
        # Prompts left in this episode, and whether the next iteration goes on with them.
        self._left, self._resumed = 0, False
        # Steps that have drawn prompts, and whether the present one has.
        self._step, self._is_open = 0, False
        # Whether some response has had the score that success= names.
        self._named = False
        # Whether a response has ever been of a prompt that was drawn, and the last one that was not.
        self._matched, self._stray = False, None
        # Responses so far of the prompts in flight, by row.
        self._responses: dict[int, list[dict[str, Any]]] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[list[Any], list[Any], list[Any], list[Any]]]:
        self._left, self._resumed = self._left if self._resumed else len(self.dataset), False
        while self._left:
            self._left, self._is_open = self._left - 1, True
            row = int(self._in_flight.select(1, self._step)[0])
            self._responses[row] = []
            yield tuple([value] for value in self.dataset[row])  # type: ignore[misc]

    def observe(self, response: dict[str, Any]) -> None:
        """Take in one response of a prompt in flight; the curriculum observes the group when it is complete."""
        if self._identify is None:
            row = self._row_of_prompt.get(response["prompt"], -1)
        else:
            row = int(self.curriculum.pool.find(np.array([self._identify(response["prompt"], response["label"])]))[0])
        if row not in self._responses:
            self._stray = response["prompt"]
            log.warning("a response to a prompt that is not in flight changes no belief: %.60r", response["prompt"])
            return
        self._matched = True
        self._responses[row].append(response)
        if len(self._responses[row]) == self.curriculum.allocation.mean:
            self._observe_group(row)

    def end_step(self) -> None:
        """Everything has come back that will; incomplete groups are observed as far as they go."""
        for row in list(self._responses):
            self._observe_group(row)
        self._step, self._is_open = self._step + self._is_open, False
        if self._stray is not None and not self._matched:
            raise RewardError(
                f"no response is of a prompt that was drawn; the last one has the prompt {self._stray!r:.60}: responses have to"
                " carry the prompt of the dataset as it is, or identify= an id that does not change"
            )

    def metrics(self) -> dict[str, float]:
        return self._in_flight.metrics()

    def state_dict(self) -> dict[str, Any]:
        return {"edgewise": self._in_flight.state_dict(), "left": self._left, "step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._in_flight.load_state_dict(state.get("edgewise", {}))
        self._left, self._step, self._resumed = int(state["left"]), int(state["step"]), True

    def _observe_group(self, row: int) -> None:
        responses = [response for response in self._responses.pop(row) if _score(response) is not None]
        self._in_flight.observe_group(
            row,
            [number(_score(response), self.curriculum.pool.ids[row].item()) for response in responses],
            self._success,
            [_turns(response) for response in responses],
            evaluate=lambda rule: [rule(response) for response in responses],
            score=lambda name: self._scores(name, responses),
        )

    def _scores(self, name: str, responses: list[dict[str, Any]]) -> list[Any]:
        """An entry of `extra_logs` of each response, None where it has none; an error where none has ever had it."""
        logs = [response.get("extra_logs") or {} for response in responses]
        there = {key for entries in logs for key in entries}
        self._named = self._named or name in there
        if there and not self._named:
            raise missing_score(name, there)
        return [entries.get(name) for entries in logs]


class CurriculumSamplesGenerator(SamplesGenerator):  # type: ignore[misc]
    """OpenRLHF's generator, whose `CurriculumLoader` observes the responses to training prompts; evaluation is not touched."""

    _training = False

    def generate_samples(self, **generate_kwargs: Any) -> Any:
        self._training = True
        try:
            samples, *rest = super().generate_samples(**generate_kwargs)
        finally:
            self._training = False
            self.prompts_dataloader.end_step()
        metrics = {f"edgewise_{name}": value for name, value in self.prompts_dataloader.metrics().items()}
        for sample in samples:
            # One number a sample, as OpenRLHF logs the mean over samples.
            sample.info.update({name: torch.tensor([value]) for name, value in metrics.items()})
        return samples, *rest

    def _process_response_into_experience(self, response: dict[str, Any], **generate_kwargs: Any) -> Any:
        if self._training:
            self.prompts_dataloader.observe(response)
        return super()._process_response_into_experience(response, **generate_kwargs)


def _turns(response: dict[str, Any]) -> list[int | None]:
    """Tokens of each turn that the policy wrote."""
    ranges = response.get("action_ranges")
    return [None] if ranges is None else [end - start for start, end in ranges]


def _score(response: dict[str, Any]) -> Any:
    return response["scores"] if response.get("scores") is not None else response.get("reward")


__all__ = ["CurriculumLoader", "CurriculumSamplesGenerator", "install"]
