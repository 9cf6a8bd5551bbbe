"""Beliefs about success rates; a new one is one file with `@beliefs.register(name)` and one import here."""

from edgewise.beliefs.base import Belief
from edgewise.beliefs.beta import BetaBelief
from edgewise.beliefs.hmm import MarkovBelief
from edgewise.beliefs.priors import CategoryPrior, FixedPrior, KnownRates, Prior, priors
from edgewise.beliefs.registry import beliefs

__all__ = [
    "Belief",
    "BetaBelief",
    "CategoryPrior",
    "FixedPrior",
    "KnownRates",
    "MarkovBelief",
    "Prior",
    "beliefs",
    "priors",
]
