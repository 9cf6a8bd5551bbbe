"""Selectors; a new one is one file with `@selectors.register(name)` and one import here."""

from edgewise.selectors.adarft import AdaRFTSelector
from edgewise.selectors.bandit import BanditSelector
from edgewise.selectors.base import Selector, list_selectors, make_selector, realigned, selectors
from edgewise.selectors.difficulty_pools import DifficultyPoolSelector
from edgewise.selectors.dps import DPSSelector
from edgewise.selectors.dump import DUMPSelector
from edgewise.selectors.e2h import E2HSelector
from edgewise.selectors.edge import EdgeSelector
from edgewise.selectors.greso import GRESOSelector
from edgewise.selectors.history_resampling import HistoryResamplingSelector
from edgewise.selectors.lze import LZESelector
from edgewise.selectors.mopps import mopps
from edgewise.selectors.sec import SECSelector
from edgewise.selectors.static import StaticSelector
from edgewise.selectors.uniform import UniformSelector

__all__ = [
    "AdaRFTSelector",
    "BanditSelector",
    "DPSSelector",
    "DUMPSelector",
    "DifficultyPoolSelector",
    "E2HSelector",
    "EdgeSelector",
    "GRESOSelector",
    "HistoryResamplingSelector",
    "LZESelector",
    "SECSelector",
    "Selector",
    "StaticSelector",
    "UniformSelector",
    "list_selectors",
    "make_selector",
    "mopps",
    "realigned",
    "selectors",
]
