"""Arithmetic and word problems in English, in families and levels."""

from edgewise.tasks.school.task import School

__all__ = ["School"]
