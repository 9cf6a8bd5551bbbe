"""Judge a selector in seconds: replay recorded traces, or train a simulated policy."""

from edgewise.method import Method
from edgewise.replay.command import find_trace, list_traces, main
from edgewise.replay.comparison import Comparison, format_table, interval
from edgewise.replay.methods import applicable, known_pool
from edgewise.replay.recorder import Recorder
from edgewise.replay.replay import replay
from edgewise.replay.simulator import REGIMES, Policy, World, regime, simulate, simulated_trace
from edgewise.replay.trace import Trace

__all__ = [
    "REGIMES",
    "Comparison",
    "Method",
    "Policy",
    "Recorder",
    "Trace",
    "World",
    "applicable",
    "find_trace",
    "format_table",
    "interval",
    "known_pool",
    "list_traces",
    "main",
    "regime",
    "replay",
    "simulate",
    "simulated_trace",
]
