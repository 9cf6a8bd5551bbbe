import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgewise as ew
from edgewise.acquisition import PInformative
from edgewise.seen import SeenTable


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.integers(1, 60), st.floats(0, 6), st.integers(0, 2**31))
def test_a_bound_of_the_values_changes_no_draw(n, sharpness, seed):
    """Prompts whose wait is too long whatever their weight are left out of the valuation, and would not have been drawn."""
    pool = ew.PromptPool(range(3000), [str(i % 7) for i in range(3000)])
    rng, chosen = np.random.default_rng(seed), []
    rows = rng.choice(3000, 2500, replace=False)
    successes = rng.integers(0, 9, 2500)
    for bounded in (True, False):
        selector = ew.make_selector("edge", pool, sharpness=sharpness, seed=seed)
        selector.acquisition.highest = 1.0 if bounded else np.inf
        selector.observe(rows, successes, 8)
        chosen.append([selector.select(n, exclude=rows[:5]).tolist() for _ in range(3)])
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("rollouts", [1, 2, 8, 64])
def test_no_value_exceeds_its_bound(rollouts):
    acquisition = PInformative(rollouts)
    assert acquisition.value(np.linspace(0, 1, 1001)).max() <= acquisition.highest


@settings(derandomize=True, max_examples=30)
@given(st.lists(st.lists(st.integers(0, 99), unique=True, max_size=20), max_size=8))
def test_sorted_rows_are_all_rows_in_order(parts):
    table, seen = SeenTable(ew.PromptPool(range(100)), {}), set()
    for part in parts:
        table.insert(np.array(part, np.int64))
        seen |= set(part)
        assert table.sorted_rows().tolist() == sorted(seen)
