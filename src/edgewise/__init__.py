"""Edgewise: selection of the prompts at the edge of a policy's competence, before the rollouts are paid for.

    import edgewise as ew

    pool = ew.PromptPool(ids, categories=sources)
    curriculum = ew.Curriculum(pool, "edge", rollouts=8)

    for step in range(steps):
        batch = curriculum.select(256)                          # .ids .rows .rollouts .predicted
        rewards = roll_out(batch.ids, batch.rollouts)           # in [0, 1], grouped in the batch's order
        feedback = curriculum.observe(batch, rewards)           # .admitted .successes .informative
        curriculum.save("curriculum.npz")                       # resume with curriculum.load("curriculum.npz")

Importing this package loads the core alone (numpy). `edgewise.tasks`, `lab`, `adapters`, `replay`, `experiments`, `report`,
`watch` and `testing` are imported on first use; the command `edgewise --help` lists what can be done without code.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgewise import acquisition, allocation, beliefs, errors, gates, sampling, selectors
from edgewise.acquisition import list_acquisitions
from edgewise.advice import Advice
from edgewise.allocation import make_allocation
from edgewise.batch import Batch, Feedback
from edgewise.beliefs import list_beliefs
from edgewise.curriculum import Curriculum
from edgewise.errors import EdgewiseError
from edgewise.features import hashed_features
from edgewise.gates import list_gates, make_gate
from edgewise.method import Method
from edgewise.pool import PromptPool
from edgewise.selectors import Selector, list_selectors, make_selector
from edgewise.statistics import pass_at_k

if TYPE_CHECKING:
    from edgewise.tasks import list_tasks, make_task

__version__ = "0.2.0"

__all__ = [
    "Advice",
    "Batch",
    "Curriculum",
    "EdgewiseError",
    "Feedback",
    "Method",
    "PromptPool",
    "Selector",
    "acquisition",
    "adapters",
    "allocation",
    "beliefs",
    "errors",
    "experiments",
    "gates",
    "hashed_features",
    "lab",
    "list_acquisitions",
    "list_beliefs",
    "list_gates",
    "list_selectors",
    "list_tasks",
    "make_allocation",
    "make_gate",
    "make_selector",
    "make_task",
    "pass_at_k",
    "replay",
    "report",
    "sampling",
    "selectors",
    "tasks",
    "testing",
    "watch",
]

_LAZY = {"adapters", "experiments", "lab", "replay", "report", "tasks", "testing", "watch"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"edgewise.{name}")
    if name in ("list_tasks", "make_task"):
        return getattr(importlib.import_module("edgewise.tasks"), name)
    raise AttributeError(f"module 'edgewise' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
