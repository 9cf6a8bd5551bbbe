"""Data sets of the package reasoning-gym as tasks, with partial credit mapped to correctness."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from edgewise.errors import ConfigError, TaskError, unknown_name
from edgewise.tasks import mixture as mixtures
from edgewise.tasks.answers import CLOSE, OPEN, final_answer, last_tagged
from edgewise.tasks.base import Problem, Task, Verdict, check_difficulty, check_whole, tasks
from edgewise.tasks.bounded import MEMORY, shared_worker

PROMPT = "{problem}\n\nGive the final answer between <answer> and </answer>."
SCORING = Path(__file__).with_name("scoring.py")
SECONDS = 10.0
BLOCK = 1024
"""Entries of one data set of the package; each block has a seed of its own, far from those of others."""
LONGEST = 10_000
"""Characters of an answer; grids and plans have many lines."""
CACHED = 100_000
"""Verdicts kept: the rollouts of a group often have the same answer."""
SETTINGS = ("datasets", "config")
UNUSABLE = ("composite",)
"""Data sets that are made of others; this task's shares do that."""

Datasets = str | Sequence[str] | Mapping[str, float]


@tasks.register("reasoning_gym")
class ReasoningGym(Task):
    """Problems of one or several of reasoning-gym's data sets.

    Args:
        datasets: a name, a list of names, each as frequent, or shares: {"chain_sum": 0.5, "countdown": 0.5}.
        config: settings of the data set, or of each by name: {"chain_sum": {"min_digits": 3}}.
        threshold: score from which an answer is correct, in (0, 1]. The package gives partial credit, such as 0.01 for a wrong
            answer and more where the answer contains the right one.
        prompt: template of the prompt, with {problem} where the question goes.
        seconds, memory: limits of one call of the package's graders, in seconds of processor time and bytes.

    Difficulty (of `problems`):
        datasets, config: as above, instead of the task's.

    The category is the name of the data set; `Verdict.score` is the package's score, with partial credit.

    Entry i of the package's seed s is entry i - 1 of its seed s + 1, so that nearby seeds share most of their entries. Here each block of
    1,024 entries has a seed that is a hash of (seed, data set, block).

    Raises:
        ConfigError: the package is not installed, an unknown data set, settings that it does not take, or a threshold outside (0, 1].
    """

    name = "reasoning_gym"

    def __init__(
        self,
        datasets: Datasets = "chain_sum",
        *,
        config: Mapping[str, Any] | None = None,
        threshold: float = 1.0,
        prompt: str = PROMPT,
        seconds: float = SECONDS,
        memory: int = MEMORY,
    ):
        if not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise ConfigError(f"threshold must be a score in (0, 1], got {threshold!r}")
        if "{problem}" not in prompt:
            raise ConfigError(f"the prompt must contain {{problem}} where the question goes, got {prompt!r}")
        self.threshold, self.prompt = float(threshold), prompt
        self._worker = shared_worker(SCORING, "reasoning_gym", "reasoning-gym", seconds, memory)
        # Entries are made in such a process too: there the order of sets, which some data sets draw from, is always the same.
        self._maker = shared_worker(SCORING, "reasoning_gym", "reasoning-gym", SECONDS, MEMORY)
        self._score = lru_cache(maxsize=CACHED)(self._score_now)
        self.datasets, self.config = datasets, {} if config is None else config
        self._cells(self.datasets, self.config)

    def source(self, seed: int, **difficulty: Any) -> Iterator[Problem]:
        check_difficulty(difficulty, SETTINGS)
        check_whole("seed", seed)
        cells = self._cells(difficulty.get("datasets", self.datasets), difficulty.get("config", self.config))
        streams = [self._stream(seed, name, config) for name, (_, config) in cells.items()]
        bounds = list(itertools.accumulate(share for share, _ in cells.values()))
        rng = Random(_hash(seed, "order"))
        while True:
            mark = rng.random() * bounds[-1]
            yield next(streams[next(i for i, bound in enumerate(bounds) if mark < bound or i == len(bounds) - 1)])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_score"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._score = lru_cache(maxsize=CACHED)(self._score_now)

    def verify(self, problem: Problem, completion: str) -> Verdict:
        """Score of the last `<answer>...</answer>`, else of the final answer in another form, else of the whole completion."""
        answer = _answer(completion)
        if answer is None:
            return Verdict(False, 0.0, reason="no answer")
        if problem.answer and answer == problem.answer:
            return Verdict(True, 1.0)
        if len(answer) > LONGEST:
            return Verdict(False, 0.0, reason="unreadable answer")
        score = self._score(problem.id, answer, json.dumps([problem.meta.get(key) for key in PLACE]))
        if score is None:
            return Verdict(False, 0.0, reason="grading limit")
        correct = score >= self.threshold
        return Verdict(correct, 1.0 if correct else score, reason="correct" if correct else "wrong answer")

    @property
    def limits(self) -> int:
        """Calls of the graders that exceeded the time or memory."""
        return self._worker.failures

    def _score_now(self, identity: str, answer: str, place: str) -> float | None:
        """Score of an answer; None beyond the limits. The identity keeps answers of different problems apart."""
        known = json.loads(place)
        if None in known:
            raise TaskError("a problem of reasoning_gym is verified by its `meta`, which is missing")
        reply = self._worker.ask({**dict(zip(PLACE, known, strict=True)), "size": BLOCK, "answer": answer})
        if reply.get("error") in ("limit", "worker"):
            return None
        score = float(reply.get("score", 0.0))
        return min(max(score, 0.0), 1.0) if math.isfinite(score) else 0.0

    def _cells(self, datasets: Datasets, config: Mapping[str, Any]) -> dict[str, tuple[float, dict[str, Any]]]:
        """Name -> (share, settings) of each data set, checked by making it once."""
        known = list_datasets()
        if isinstance(datasets, str):
            datasets = [datasets]
        if not isinstance(datasets, Mapping):
            if not datasets or len(set(datasets)) < len(datasets):
                raise ConfigError(f"datasets must be a name, different names, or shares of them, got {datasets}")
            datasets = {name: 1 / len(datasets) for name in datasets}
        for name in datasets:
            if name not in known:
                raise unknown_name("data set of reasoning-gym", name, known)
        shares = {name: share for name, share in mixtures.kinds("datasets", datasets, known).items() if share > 0}
        if not isinstance(config, Mapping):
            raise ConfigError(f"config must be settings of the data set, or of each by name, got {config!r}")
        flat = len(shares) == 1 and not set(config) <= set(shares)
        own = {next(iter(shares)): config} if flat else config
        for name in own:
            if name not in shares:
                raise ConfigError(f"config has settings of '{name}', which is none of {', '.join(shares)}")
        for name in shares:
            _make(name, dict(own.get(name) or {}), 0)
        return {name: (share, dict(own.get(name) or {})) for name, share in shares.items()}

    def _stream(self, seed: int, name: str, config: dict[str, Any]) -> Iterator[Problem]:
        for block in itertools.count():
            # The package adds the index to the seed, and some of its data sets pass the sum to numpy, which takes 32 bits.
            block_seed = _hash(seed, name, block) % (2**32 - BLOCK)
            for index in range(BLOCK):
                meta = dict(zip(PLACE, (name, json.dumps(config, sort_keys=True), block_seed, index), strict=True))
                entry = self._maker.ask({**meta, "size": BLOCK})
                if "error" in entry:
                    raise TaskError(
                        f"data set {name} of reasoning-gym made no entry {index} of seed {block_seed} ({entry['error']});"
                        " leave it out, or change its settings"
                    )
                question, answer = entry["question"], (entry["answer"] or "").strip()
                yield Problem(
                    self.prompt.replace("{problem}", question),
                    f"{OPEN}{answer}{CLOSE}" if answer else "",
                    answer,
                    name,
                    meta,
                    f"{name}\n{question}",
                )


PLACE = ("dataset", "config", "seed", "index")
"""Metadata of a problem by which its entry is generated again."""


def list_datasets() -> list[str]:
    """Names of the data sets of the installed reasoning-gym; the first call imports it, some seven seconds."""
    return [name for name in sorted(_factory().DATASETS) if name not in UNUSABLE]


@lru_cache(maxsize=1)
def _factory() -> Any:
    if importlib.util.find_spec("reasoning_gym") is None:
        raise ConfigError("reasoning_gym is not installed: pip install 'edgewise[reasoning-gym]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its dependencies, at import
        import reasoning_gym
        import reasoning_gym.factory
    return reasoning_gym.factory


def _make(name: str, config: dict[str, Any], seed: int) -> Any:
    try:
        json.dumps(config)
        return _factory().create_dataset(name, seed=seed, size=BLOCK, **config)
    except (TypeError, ValueError, AssertionError, AttributeError, KeyError) as error:
        raise ConfigError(f"data set {name} of reasoning-gym refuses the settings {config}: {error}") from error


def _hash(*parts: object) -> int:
    digest = hashlib.blake2b(" ".join(map(str, ("reasoning_gym", *parts))).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _answer(completion: str) -> str | None:
    tagged = last_tagged(completion)
    if tagged is not None:
        return tagged[1].strip() or None
    found = final_answer(completion)
    if found is not None:
        return found
    whole = completion.strip()
    return whole if 0 < len(whole) <= LONGEST else None
