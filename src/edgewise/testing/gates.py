"""Contract of a gate, as checks."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from edgewise.gates import Gate, Groups
from edgewise.testing.common import same_state, through_a_file

COLUMNS = ("rows", "ids", "rewards", "successes", "trials", "steps", "lengths")


def check_gate(factory: Callable[[], Gate]) -> None:
    """Contract of a gate: one flag a group, the same for the same groups, no change of what it is given, exact state.

    Args:
        factory: makes the gate anew, always with the same options.

    Raises:
        AssertionError: names what does not hold.
    """
    rng = np.random.default_rng(0)
    first, second = factory(), factory()
    assert isinstance(first, Gate), f"the factory made a {type(first).__name__}, expected a Gate"
    assert hasattr(first, "max_rounds"), "a gate calls super().__init__(max_rounds=...), which says how it refills"
    for number, size in enumerate((5, 0, 1, 12, 7)):
        trials = rng.integers(1, 9, size)
        rewards = rng.random(int(trials.sum())).round(1)
        successes = np.array(
            [int((part >= 0.5).sum()) for part in np.split(rewards, np.cumsum(trials)[:-1])][:size], np.int64
        )
        rows = rng.permutation(100)[:size].astype(np.int64)
        lengths = rng.integers(1, 50, int(trials.sum()))
        groups = Groups(rows, rows + 1000, rewards, successes, trials, np.full(size, 1), 1 + number, lengths)
        before, state = copy.deepcopy(groups), first.state_dict()
        saved = copy.deepcopy(state)
        admitted = np.asarray(first.admit(groups))
        assert admitted.dtype == np.bool_, f"admit returned {admitted.dtype}, expected bool"
        assert admitted.shape == (size,), f"admit returned shape {admitted.shape} for {size} groups"
        same = all(np.array_equal(getattr(before, name), getattr(groups, name)) for name in COLUMNS)
        assert same, "admit changed the groups it was given"
        assert same_state(state, saved), "a state changed after it was taken"
        again = np.asarray(second.admit(groups))
        assert np.array_equal(admitted, again), "two gates made alike admit different groups"
        numbers = first.metrics()
        assert all(isinstance(value, (int, float)) for value in numbers.values()), "metrics are numbers by name"
        assert np.isfinite(list(numbers.values())).all(), "metrics must be finite"
        assert second.metrics() == numbers, "a restored gate has other metrics"
        second = factory()
        second.load_state_dict(through_a_file({"state": first.state_dict()})["state"])
