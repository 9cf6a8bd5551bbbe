"""Controlled studies: a config, many runs, one table with confidence intervals."""

from edgewise.experiments.comparison import ComparisonConfig, compare, preset
from edgewise.experiments.summary import summarise

__all__ = ["ComparisonConfig", "compare", "preset", "summarise"]
