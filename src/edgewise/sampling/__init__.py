"""Draws of rows from acquisition values; a new one is one file with `@draws.register(name)` and one import here."""

from edgewise.sampling.base import Draw, draws, list_draws
from edgewise.sampling.proportional import Proportional
from edgewise.sampling.thompson import Thompson
from edgewise.sampling.top import Top

__all__ = ["Draw", "Proportional", "Thompson", "Top", "draws", "list_draws"]
