"""Prompts with known success rates, and a curriculum that records its selections and observations."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from edgewise import Curriculum, PromptPool

PROMPTS = 40
OFTEN = (0.3, 0.5, 0.7)
"""Rates of prompts whose groups are mostly informative."""


def scored(completion: str, rate: float) -> float:
    """1 with probability about `rate`, decided by what the model wrote."""
    return float(zlib.crc32(completion.encode()) % 1000 < 1000 * rate)


def by_completion(completions: list[Any], rate: list[float], **_: Any) -> list[float]:
    return [scored(completion, r) for completion, r in zip(completions, rate, strict=True)]


def by_place(rate: list[float], **_: Any) -> list[float]:
    """The same for any completion: with a rate of 0.5, every other rollout is right."""
    return [float(r == 1 or (r == 0.5 and place % 2)) for place, r in enumerate(rate)]


class Spy(Curriculum):
    """Records selections and observations, with the batches, their rewards and their correctness."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.events: list[str] = []
        self.batches: list[Any] = []
        self.observed: list[Any] = []
        self.correct: list[Any] = []
        self.lengths: list[Any] = []
        self.saved: dict[str, int] = {}
        """Number of batches selected until each checkpoint was saved, by the name of its folder."""

    def rounds(self, n: int, **options: Any) -> Any:
        for batch in super().rounds(n, **options):
            self.events.append("select")
            self.batches.append(batch)
            yield batch

    def observe(self, batch: Any, rewards: Any, **options: Any) -> Any:
        self.events.append("observe")
        self.observed.append((batch, np.asarray(rewards)))
        self.correct.append(options.get("correct"))
        self.lengths.append(options.get("lengths"))
        return super().observe(batch, rewards, **options)

    def save(self, path: Any) -> None:
        super().save(path)
        self.saved[Path(path).parent.name] = len(self.batches)

    def selected(self) -> list[list[Any]]:
        return [batch.ids.tolist() for batch in self.batches]


def table(rates: tuple[float, ...] = (0.0, 0.5, 1.0)) -> Any:
    """Prompts of several lengths whose success rates are `rates` in turn; each rate is a category."""
    from datasets import Dataset

    rows = range(PROMPTS)
    return Dataset.from_dict(
        {
            "prompt": [f"{'7 ' * (row % 4)}{1 + row % 12} {1 + row // 12} -> {1 + row} :" for row in rows],
            "name": [f"p{row}" for row in rows],
            "kind": [str(row % len(rates)) for row in rows],
            "rate": [rates[row % len(rates)] for row in rows],
        }
    )


def spy(data: Any, selector: str = "edge", rollouts: int = 4, **options: Any) -> Spy:
    return Spy(PromptPool(data["name"][:]), selector, rollouts=rollouts, **options)
