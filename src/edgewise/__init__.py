"""Edgewise: choose the prompts at the edge of the policy's competence, before paying for the rollouts.

Importing this package loads the core only (numpy). Tasks, the laboratory and the adapters are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

from edgewise import acquisition, allocation, beliefs, errors, gates
from edgewise.acquisition import list_acquisitions
from edgewise.beliefs import list_beliefs
from edgewise.curriculum import Batch, Curriculum, Feedback
from edgewise.errors import EdgewiseError
from edgewise.method import Method
from edgewise.pool import PromptPool
from edgewise.selectors import Selector, list_selectors, make_selector
from edgewise.statistics import pass_at_k

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Curriculum",
    "EdgewiseError",
    "Feedback",
    "Method",
    "PromptPool",
    "Selector",
    "acquisition",
    "allocation",
    "beliefs",
    "errors",
    "gates",
    "list_acquisitions",
    "list_beliefs",
    "list_selectors",
    "list_tasks",
    "make_selector",
    "make_task",
    "pass_at_k",
    "tasks",
    "testing",
]

_LAZY = {"tasks", "testing", "lab", "report", "experiments", "replay", "adapters"}


def __getattr__(name: str) -> Any:
    if name in ("list_tasks", "make_task"):
        return getattr(importlib.import_module("edgewise.tasks"), name)
    if name in _LAZY:
        return importlib.import_module(f"edgewise.{name}")
    raise AttributeError(f"module 'edgewise' has no attribute '{name}'")
