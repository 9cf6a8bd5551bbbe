"""Data sets of the package reasoning-gym as tasks."""

from edgewise.tasks.reasoning_gym.task import ReasoningGym, list_datasets

__all__ = ["ReasoningGym", "list_datasets"]
