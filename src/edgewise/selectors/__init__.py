"""Selectors; a new one is one file with `@selectors.register(name)` and one import here."""

from edgewise.selectors.adarft import AdaRFTSelector
from edgewise.selectors.bandit import BanditSelector, bandit
from edgewise.selectors.base import Selector, list_selectors, make_selector, selectors
from edgewise.selectors.binned import BinnedSelector
from edgewise.selectors.candidates import Candidates
from edgewise.selectors.difficulty_pools import DifficultyPoolSelector
from edgewise.selectors.dps import dps
from edgewise.selectors.dump import DUMPSelector
from edgewise.selectors.e2h import E2HSelector
from edgewise.selectors.edge import EdgeSelector
from edgewise.selectors.epochs import Epochs, EpochSelector
from edgewise.selectors.greso import GRESOSelector
from edgewise.selectors.groups import LastGroups
from edgewise.selectors.history_resampling import HistoryResamplingSelector
from edgewise.selectors.kgps import kgps
from edgewise.selectors.lze import LZESelector
from edgewise.selectors.mapp import mapp
from edgewise.selectors.mopps import mopps
from edgewise.selectors.oracle import OracleSelector
from edgewise.selectors.retest import Retest
from edgewise.selectors.sec import SECSelector
from edgewise.selectors.static import StaticSelector
from edgewise.selectors.uniform import UniformSelector

__all__ = [
    "AdaRFTSelector",
    "BanditSelector",
    "BinnedSelector",
    "Candidates",
    "DUMPSelector",
    "DifficultyPoolSelector",
    "E2HSelector",
    "EdgeSelector",
    "EpochSelector",
    "Epochs",
    "GRESOSelector",
    "HistoryResamplingSelector",
    "LZESelector",
    "LastGroups",
    "OracleSelector",
    "Retest",
    "SECSelector",
    "Selector",
    "StaticSelector",
    "UniformSelector",
    "bandit",
    "dps",
    "kgps",
    "list_selectors",
    "make_selector",
    "mapp",
    "mopps",
    "selectors",
]
