"""Beliefs about success rates; a new one is one file with `@beliefs.register(name)` and one import here."""

from edgewise.beliefs.ability import AbilityBelief
from edgewise.beliefs.anchored import AnchoredBelief
from edgewise.beliefs.base import Belief, Exchangeable, beliefs, list_beliefs
from edgewise.beliefs.beta import BetaBelief, monitor_belief
from edgewise.beliefs.features import FeatureBelief
from edgewise.beliefs.hmm import MarkovBelief
from edgewise.beliefs.kalman import KalmanBelief
from edgewise.beliefs.priors import CategoryPrior, FixedPrior, KnownRates, Prior, priors

__all__ = [
    "AbilityBelief",
    "AnchoredBelief",
    "Belief",
    "BetaBelief",
    "CategoryPrior",
    "Exchangeable",
    "FeatureBelief",
    "FixedPrior",
    "KalmanBelief",
    "KnownRates",
    "MarkovBelief",
    "Prior",
    "beliefs",
    "list_beliefs",
    "monitor_belief",
    "priors",
]
