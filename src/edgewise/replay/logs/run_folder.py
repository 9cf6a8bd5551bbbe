"""Facts about a run that its folder holds beside the journal: selector, size of the pool, the uniform sample that it evaluates."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from edgewise.checkpoint import load_state
from edgewise.errors import EdgewiseError
from edgewise.pool import LARGEST
from edgewise.replay.logs.jsonl import JsonLines
from edgewise.statistics import pass_at_k

UNIFORM = {"uniform", "epochs", "ds", "UniformSelector", "EpochSelector"}
"""Selectors that draw uniformly, by name and by class."""


def is_uniform(folder: Path) -> bool | None:
    """Whether config.yaml says that the selector is uniform, without a YAML package; None where it says nothing."""
    try:
        for line in (folder / "config.yaml").read_text("utf-8", "replace").splitlines():
            key, colon, value = line.partition(":")
            if colon and key == "selector":
                return draws_uniformly([value.strip().strip("'\"")])
    except OSError:
        pass
    return None


def draws_uniformly(methods: Collection[str]) -> bool | None:
    """Whether methods of selection, in one word each, all draw uniformly; None without any."""
    return all(re.split("[:+]", name)[0] in UNIFORM for name in methods) if methods else None


def uniform_sample(path: Path, k: int) -> np.ndarray | None:
    """Chance of a mixed group of k for each prompt of the sample that a run evaluates, mean over evaluations, (sample,).

    Unbiased: 1 - p^k - (1 - p)^k from at least k rollouts, by the estimator of pass@k for correct and for wrong rollouts.
    """
    if k < 2 or not path.is_file():
        return None
    found: list[np.ndarray] = []
    for _, line in JsonLines(path).read():
        sample = line.get("probe")
        try:
            successes, trials = (np.array(sample[name], np.int64) for name in ("successes", "trials"))  # type: ignore[index]
            if len(successes) < 16 or trials.min() < k or (found and len(found[0]) != len(successes)):
                continue
            found.append(pass_at_k(successes, trials, k) + pass_at_k(trials - successes, trials, k) - 1)
        except (TypeError, ValueError, KeyError, OverflowError, EdgewiseError):
            continue
    return np.mean(found, axis=0) if found else None


def pool_size(folder: Path) -> int | None:
    """Prompts of the pool by summary.json, or by the newest checkpoint's curriculum."""
    try:
        mix = json.loads((folder / "summary.json").read_text("utf-8", "replace")).get("pool")
        if isinstance(mix, dict):
            size = int(sum(mix.values()))
            return size if 0 < size < LARGEST else None
    except (OSError, ValueError, TypeError, AttributeError, OverflowError):
        pass
    found = folder.glob("checkpoints/step_*/curriculum.npz")
    # From a million steps on, names are longer.
    for path in sorted(found, key=lambda path: (len(path.parent.name), path.parent.name))[-1:]:
        try:
            return len(load_state(path, "curriculum")["ids"])
        except (EdgewiseError, OSError, KeyError):
            return None
    return None
