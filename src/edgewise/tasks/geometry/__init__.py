"""Visual geometry: figures drawn from a seed, and the real problems of Geometry3K."""

from edgewise.tasks.geometry.task import Geometry

__all__ = ["Geometry"]
