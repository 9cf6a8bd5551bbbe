"""Fault injection: what a run survives, counted. Results are kept in docs/results/reliability.json.

    python -m tools.reliability                     every trial at its full number
    python -m tools.reliability kill-loop soak      some of them
    python -m tools.reliability --fast              a few of each, nothing recorded

Each trial returns how often it was tried and one line for every fault; the tests in tests/reliability run them too. Processes
are ended by a timer of their own CPU time whose signal has the effect of SIGKILL: no handler, no cleanup, at any instruction.
"""

from tools.reliability import kills, disks, damage, surroundings, fuzz, soak  # isort: skip  # their order is the table's
from tools.reliability.trials import TRIALS, Outcome, attempt

__all__ = ["TRIALS", "Outcome", "attempt", "damage", "disks", "fuzz", "kills", "soak", "surroundings"]
