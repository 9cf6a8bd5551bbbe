"""Rules beside MoPPS that predict before the rollout: mapp, kgps, binned, and the oracle as their limit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

import edgewise as ew
from edgewise.beliefs import KalmanBelief
from edgewise.errors import ConfigError
from edgewise.replay import World, simulate
from edgewise.selectors import BinnedSelector, OracleSelector


def chance(a: float, b: float, k: int) -> float:
    """E[1 - g^k - (1 - g)^k] under Beta(a, b), in closed form."""
    moment = [math.prod((x + i) / (a + b + i) for i in range(k)) for x in (a, b)]
    return 1.0 - sum(moment)


def test_mapp_draws_in_proportion_to_the_closed_form() -> None:
    pool = ew.PromptPool(range(5))
    selector = ew.make_selector("mapp", pool, rollouts=4, decay=1.0, seed=3)
    selector.observe([0, 1, 2], [0, 4, 2], 4)
    weight = np.array([chance(1 + s, 1 + k - s, 4) for s, k in ((0, 4), (4, 4), (2, 4), (0, 0), (0, 0))])
    drawn = np.bincount([selector.select(1, new_step=False)[0] for _ in range(4000)], minlength=5)
    expected = 4000 * weight / weight.sum()
    assert ((drawn - expected) ** 2 / expected).sum() < chi2.ppf(0.9999, 4)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8), st.integers(0, 3)), min_size=1, max_size=8),
    st.floats(0.0, 1.0),
)
def test_the_kalman_filter_is_that_of_the_equations(groups: list[tuple[int, int, int]], noise: float) -> None:
    belief = KalmanBelief(ew.PromptPool(range(2)), noise=noise, spread=1.2)
    m, v, seen = 0.0, 1.44, False
    for s, k, idle in groups:
        right = min(s, k)
        half = right // 2
        if half and k > half:  # in two parts
            belief.observe(np.array([0]), np.array([half]), np.array([half]))
            belief.observe(np.array([0]), np.array([right - half]), np.array([k - half]))
        else:
            belief.observe(np.array([0]), np.array([right]), np.array([k]))
        belief.advance(1 + idle)
        z, r = math.log((right + 0.5) / (k - right + 0.5)), 1 / (right + 0.5) + 1 / (k - right + 0.5)
        m, v = m + v / (v + r) * (z - m), v * r / (v + r)
        v += noise * (1 + idle)
        seen = True
    assert seen
    now = belief.distribution(np.arange(2))
    assert now.location == pytest.approx([m, 0.0], abs=1e-6)
    assert now.variance == pytest.approx([v, 1.44], rel=1e-6)


def test_bins_return_to_an_even_chance_without_rollouts_and_never_lose_the_floor() -> None:
    pool = ew.PromptPool(range(40), ["a", "b", "c", "d"] * 10)
    selector = BinnedSelector(pool, rollouts=8, retention=0.5, floor=0.2, seed=1)
    for _ in range(3):
        selector.observe(np.arange(40), np.where(np.arange(40) % 4 == 0, 4, 8), 8)
        selector.advance()
    counts = np.bincount(np.concatenate([selector.select(10, new_step=False) for _ in range(200)]) % 4, minlength=4)
    assert counts[0] > 2 * counts[1:].max()
    assert (selector.probabilities()[1:] >= 0.05 - 1e-12).all()
    selector.advance(60)
    counts = np.bincount(np.concatenate([selector.select(10, new_step=False) for _ in range(400)]) % 4, minlength=4)
    assert counts == pytest.approx(1000, rel=0.15)


def test_the_oracle_bounds_every_belief_and_is_for_simulations_alone() -> None:
    world = World(prompts=200, easiest=2.5, hardest=-2.5)
    result = simulate(["oracle", "oracle:sharpness=4", "edge", "mapp", "kgps"], world, seeds=(0,), steps=25, batch=16)
    ratios = dict(zip(result.methods, result.values["effective_ratio"][:, 0], strict=True))
    assert ratios["oracle"] == max(ratios.values())
    assert ratios["oracle"] > ratios["mapp"] > ratios["uniform"]
    assert ratios["kgps"] > ratios["uniform"]
    with pytest.raises(ConfigError, match="truth"):
        ew.make_selector("oracle", ew.PromptPool(range(3)))
    with pytest.raises(ConfigError, match=r"one success rate a prompt, \(3,\), got \(2,\)"):
        OracleSelector(ew.PromptPool(range(3)), truth=lambda: [0.5, 0.5]).select(1)
