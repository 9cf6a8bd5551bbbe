"""Published claims about prompt selection as experiments: comparisons, and rules that are fixed before the runs."""

from edgewise.experiments.claims.config import ClaimStudy, Part, Rule, load, names, scales

__all__ = ["ClaimStudy", "Part", "Rule", "load", "names", "scales"]
