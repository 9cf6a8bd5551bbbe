"""BOTS by hand, and against its update applied to every prompt every step."""

from __future__ import annotations

import numpy as np
import pytest

from edgewise.beliefs import AnchoredBelief
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool


def parameters(belief: AnchoredBelief) -> tuple[np.ndarray, np.ndarray]:
    distribution = belief.distribution(np.arange(len(belief.pool)))
    return distribution.alpha, distribution.beta


def test_one_step_by_hand() -> None:
    pool = PromptPool(range(3))
    belief = AnchoredBelief(pool, [0.2, 0.0, 0.4], [0.6, 0.8, 1.0], retention=0.9, balance=0.25, rollouts=8)
    every = np.arange(3)
    np.testing.assert_allclose(belief.mean(every), 0.5)
    belief.observe(np.array([0, 1]), np.array([2, 4]), np.array([8, 8]))
    alpha, beta = parameters(belief)
    np.testing.assert_allclose([alpha, beta], [[3, 5, 1], [7, 5, 1]])
    belief.advance()
    # Batch: rates 0.25 and 0.5, weak 0.2 and 0, strong 0.6 and 0.8: c = (0.375 - 0.1) / (0.7 - 0.1) = 11 / 24.
    assert belief.ability == pytest.approx(11 / 24)
    # Prompt 2: 0.4 + 11/24 * 0.6 = 0.675 of 0.25 * 8 = 2 pseudo-rollouts. The others count their own eight.
    alpha, beta = parameters(belief)
    np.testing.assert_allclose([alpha, beta], [[3, 5, 1 + 1.35], [7, 5, 1 + 0.65]], rtol=1e-6)
    belief.observe(np.array([2]), np.array([8]), np.array([8]))
    belief.advance()
    # c <- 0.9 * 11/24 + 0.1 * (1 - 0.4) / 0.6.
    place = 0.9 * 11 / 24 + 0.1
    assert belief.ability == pytest.approx(place)
    alpha, beta = parameters(belief)
    # Implicit evidence is evaluated at the faded mean of c; nothing is clipped here, so it is the sum over steps.
    expected = [1 + 0.9 * 2 + 2 * (0.2 + 0.4 * place), 1 + 0.9 * 4 + 2 * 0.8 * place, 1 + 0.9 * 1.35 + 8]
    np.testing.assert_allclose(alpha, expected, rtol=1e-6)


def test_lazy_equals_updating_every_prompt_every_step() -> None:
    n, rng = 30, np.random.default_rng(0)
    weak = rng.uniform(0.1, 0.4, n)
    strong = weak + rng.uniform(0.2, 0.5, n)
    belief = AnchoredBelief(PromptPool(range(n)), weak, strong, retention=0.8, balance=0.3, rollouts=8)
    alpha, beta, place = np.ones(n), np.ones(n), None
    for _ in range(40):
        rows = rng.choice(n, 5, replace=False)
        s = rng.binomial(8, 0.5 * (weak + strong)[rows])
        belief.observe(rows, s, np.full(5, 8))
        belief.advance()
        now = ((s / 8).mean() - weak[rows].mean()) / (strong[rows].mean() - weak[rows].mean())
        place = now if place is None else 0.9 * place + 0.1 * now
        rate = weak + place * (strong - weak)
        assert 0 <= rate.min() <= rate.max() <= 1  # nothing to clip
        own_s, own_f, implied = np.zeros(n), np.zeros(n), np.full(n, 0.3 * 8)
        own_s[rows], own_f[rows], implied[rows] = s, 8 - s, 0
        alpha = 0.8 * alpha + 0.2 + own_s + implied * rate
        beta = 0.8 * beta + 0.2 + own_f + implied * (1 - rate)
    found = parameters(belief)
    np.testing.assert_allclose(found[0], alpha, rtol=1e-5)
    np.testing.assert_allclose(found[1], beta, rtol=1e-5)


def test_a_policy_beyond_the_anchors_is_clipped() -> None:
    belief = AnchoredBelief(PromptPool(range(4)), [0.1, 0.1, 0.5, 0.9], [0.2, 0.2, 0.9, 1.0])
    for _ in range(30):
        belief.observe(np.array([0, 1]), np.array([8, 8]), np.array([8, 8]))
        belief.advance()
    assert belief.ability is not None
    assert belief.ability > 1
    alpha, beta = parameters(belief)
    assert (alpha >= 1).all()
    assert (beta >= 1).all()
    assert belief.mean(np.array([3]))[0] > 0.9


def test_a_belief_goes_back_to_before_its_first_step() -> None:
    belief = AnchoredBelief(PromptPool(range(2)), [0.1, 0.3], [0.5, 0.7])
    before, every = belief.state_dict(), np.arange(2)
    belief.observe(every, np.array([8, 2]), np.array([8, 8]))
    belief.advance()
    assert belief.ability is not None
    after, means = belief.state_dict(), belief.mean(every)
    belief.load_state_dict(before)
    assert belief.ability is None
    np.testing.assert_array_equal(belief.mean(every), 0.5)
    belief.load_state_dict(after)
    np.testing.assert_array_equal(belief.mean(every), means)
    with pytest.raises(CheckpointError, match="ability"):
        belief.load_state_dict({**after, "ability": float("nan")})


def test_anchors_that_agree_tell_nothing_of_the_place() -> None:
    belief = AnchoredBelief(PromptPool(range(3)), [0.5, 0.5, 0.1], [0.5, 0.5, 0.9])
    belief.observe(np.array([0, 1]), np.array([8, 8]), np.array([8, 8]))
    belief.advance()
    assert belief.ability is None
    assert belief.mean(np.array([2]))[0] == 0.5


@pytest.mark.parametrize("rates", [[0.5], [0.5, 1.5, 0.1], [0.5, -0.1, 0.1], [0.5, np.inf, 0.1]])
def test_anchors_are_checked(rates: list[float]) -> None:
    with pytest.raises(ConfigError, match="weak"):
        AnchoredBelief(PromptPool(range(3)), rates, [0.5, 0.5, 0.5])
