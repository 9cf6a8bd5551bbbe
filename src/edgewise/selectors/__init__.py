"""Selectors; a new one is one file with `@selectors.register(name)` and one import here."""

from edgewise.selectors.bandit import BanditSelector
from edgewise.selectors.base import Selector, list_selectors, make_selector, realigned, selectors
from edgewise.selectors.edge import edge
from edgewise.selectors.mopps import mopps
from edgewise.selectors.uniform import UniformSelector

__all__ = [
    "BanditSelector",
    "Selector",
    "UniformSelector",
    "edge",
    "list_selectors",
    "make_selector",
    "mopps",
    "realigned",
    "selectors",
]
