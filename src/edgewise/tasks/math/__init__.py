"""Mathematics from data sets, graded by the final answer."""

from edgewise.tasks.math.task import Math

__all__ = ["Math"]
