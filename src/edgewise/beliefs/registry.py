"""Beliefs by name."""

from __future__ import annotations

from edgewise.beliefs.base import Belief
from edgewise.registry import Registry

beliefs: Registry[Belief] = Registry("belief")
