import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgewise as ew
from edgewise.acquisition import PInformative
from edgewise.seen import SeenTable


@settings(max_examples=25)
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


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 99), unique=True, max_size=20), max_size=8))
def test_sorted_rows_are_all_rows_in_order(parts):
    table, seen = SeenTable(ew.PromptPool(range(100)), {}), set()
    for part in parts:
        table.insert(np.array(part, np.int64))
        seen |= set(part)
        assert table.sorted_rows().tolist() == sorted(seen)


def test_arrivals_up_to_a_limit_are_distributed_as_order_statistics():
    """Shortest times of both ways: class of the winner, and the times themselves, by chi-square and Kolmogorov-Smirnov."""
    from scipy.stats import chi2_contingency, ks_2samp

    from edgewise.sampling.proportional import first_arrivals, order_statistics

    sizes, log_weight = np.array([3, 40, 1, 500, 7]), np.log(np.array([1.0, 0.2, 0.9, 0.03, 0.5]))
    drawn = {}
    for way in (order_statistics, first_arrivals):
        rng, winners, last = np.random.default_rng(7), [], []
        for _ in range(3000):
            owner, times = way(6, log_weight, sizes, rng)
            assert (np.bincount(owner, minlength=5) <= sizes).all()
            order = np.argsort(times)[:6]
            winners.append(np.bincount(owner[order], minlength=5))
            last.append(times[order[-1]])
        drawn[way] = np.sum(winners, axis=0), np.array(last)
    (a, times_a), (b, times_b) = drawn.values()
    assert chi2_contingency([a, b]).pvalue > 1e-3
    assert ks_2samp(times_a, times_b).pvalue > 1e-3


def test_arrivals_go_on_until_enough_fit_into_the_room_of_their_classes():
    from scipy.stats import chi2_contingency

    from edgewise.sampling.base import within
    from edgewise.sampling.proportional import first_arrivals, order_statistics

    sizes, log_weight = np.array([5000, 3, 40, 7]), np.log(np.array([0.9, 0.03, 0.01, 0.1]))
    room, found = np.array([4, 2, 40, 0]), []
    for way in (order_statistics, lambda *args: first_arrivals(*args, room)):
        rng, counts = np.random.default_rng(3), np.zeros((4, 11), int)
        for _ in range(2000):
            owner, times = way(10, log_weight, sizes, rng)
            owner = owner[np.argsort(times)]
            chosen = np.bincount(owner[within(owner, room, 10)], minlength=4)
            counts[np.arange(4), chosen] += 1
        assert counts[0, 4] == counts[3, 0] == 2000
        found.append(counts[1, :3])
    assert chi2_contingency(found).pvalue > 1e-3


def test_weights_too_small_for_a_number_are_drawn_after_all_others():
    pool = ew.PromptPool(range(1200), [str(i % 300) for i in range(1200)])
    selector = ew.make_selector("edge", pool, sharpness=3000, seed=1, category_share=1.0, exploration=0.0)
    for _ in range(5):
        selector.observe(np.arange(300), np.where(np.arange(300) % 2, 0, 4), 8)
        selector.advance()
    rows = selector.select(1000)
    assert len(set(rows.tolist())) == 1000
    fresh = rows[rows >= 300]
    assert (fresh % 2 == 0).sum() == 450, "every untried prompt of a promising category"


def test_few_prompts_in_all_are_all_found():
    from edgewise.sampling.proportional import first_arrivals

    owner, _ = first_arrivals(50, np.log(np.array([0.5, 1e-12, 1.0])), np.array([2, 3, 1]), np.random.default_rng(0))
    assert np.bincount(owner).tolist() == [2, 3, 1]


def test_unseen_prompts_of_many_categories_are_drawn_uniformly_and_once():
    pool = ew.PromptPool(range(3000), [str(i % 200) for i in range(3000)])
    selector, counts = ew.make_selector("edge", pool, seed=1), np.zeros(3000)
    selector.observe(np.arange(0, 3000, 3), np.full(1000, 4), 8)
    exclude = np.arange(1, 3000, 90)
    for _ in range(300):
        rows = selector.select(256, exclude=exclude, new_step=False)
        assert len(set(rows.tolist())) == 256
        counts[rows] += 1
    assert (counts[exclude] == 0).all()
    fresh = np.setdiff1d(np.arange(3000), np.concatenate([np.arange(0, 3000, 3), exclude]))
    same = counts[fresh]
    # Unseen prompts of one category are alike; most categories here have equal evidence.
    assert same.min() > 0
    assert same.std() < 2.2 * np.sqrt(same.mean())
