"""Dose of a context: number of its problems that a pre-training shows, so that shares of corpora of different sizes can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgewise.experiments.study.stages import Stage
from edgewise.lab.model.tokenizer import Tokenizer
from edgewise.tasks import TextWorld, make_text_world

SAMPLE = 2000
"""Texts whose mean length decides how many a corpus holds."""


def problems_shown(stage: Stage) -> dict[str, float]:
    """Expected number of problems of each context in the texts of a pre-training.

    Args:
        stage: of kind "pretrain"; the contexts come from the settings `mixture`, `context` and `task_options`.

    Returns:
        Number by context: tokens of the stage / mean tokens of a text x share of the context.
    """
    settings = stage.settings
    task = make_text_world(settings["task"], **settings["task_options"])
    tokens = settings["steps"] * settings["accumulate"] * settings["tokens"]
    texts = tokens / _mean_length(task, settings["difficulty"])
    return {context: texts * share for context, share in context_shares(settings["difficulty"], task).items()}


def context_shares(difficulty: Mapping[str, Any], task: TextWorld) -> dict[str, float]:
    """Share of each context among the texts of a difficulty, zeros included."""
    contexts = list(getattr(task, "contexts", []))
    shares = dict.fromkeys(contexts, 0.0)
    for part in difficulty.get("mixture") or [{"share": 1.0}]:
        given = part.get("context", difficulty.get("context")) or contexts[0]
        for context, share in (given if isinstance(given, Mapping) else {given: 1.0}).items():
            shares[context] += part["share"] * share
    return shares


def _mean_length(task: TextWorld, difficulty: Mapping[str, Any]) -> float:
    pairs = task.demonstrations(SAMPLE, 0, **difficulty)
    encode = Tokenizer.for_task(task).encode
    lengths = [len(tokens) for side in zip(*pairs, strict=True) for tokens in encode(list(side))]
    return float(np.sum(lengths)) / len(pairs)
