"""Oversampling: the interval covers the number of prompts that turn out to be needed, in simulated runs with drift."""

from __future__ import annotations

import numpy as np
import pytest

from edgewise import Curriculum, PromptPool, gates
from edgewise.errors import ConfigError

ROLLOUTS, BATCH = 8, 64


def needed(selector: str, seed: int, drift: float, wanted: int, steps: int = 40) -> np.ndarray:
    """Of each step: the prompts needed for `wanted` informative groups, the interval, and the number given, (steps, 4)."""
    rng = np.random.default_rng(seed)
    difficulty, skill = rng.normal(0, 2, 2000), -2.5
    curriculum = Curriculum(PromptPool(range(2000)), selector, rollouts=ROLLOUTS, seed=seed)
    found = []
    for step in range(steps):
        guess = curriculum.oversampling(wanted)
        batch = curriculum.select(min(max(guess.high, BATCH), 1000) if step > 2 else BATCH)
        rates = 1 / (1 + np.exp(difficulty[batch.rows] - skill))
        feedback = curriculum.observe(batch, rng.random((len(batch), ROLLOUTS)) < rates[:, None])
        informative = np.cumsum(rng.permutation(feedback.informative))
        at = np.flatnonzero(informative >= wanted)
        found.append((at[0] + 1 if len(at) else np.inf, guess.low, guess.high, guess.prompts))
        skill += drift
    return np.array(found[3:], float)


@pytest.mark.parametrize("wanted", [8, 64])
@pytest.mark.parametrize("selector", ["uniform", "edge"])
def test_the_interval_covers_what_is_needed(selector, wanted):
    runs = [needed(selector, seed, drift, wanted) for seed in (11, 12) for drift in (0.0, 0.03)]
    count, low, high, prompts = np.concatenate(runs).T
    covered = (low <= count) & (count <= high)
    # Of 148 steps: 0.9 minus three standard errors.
    assert covered.mean() > 0.83
    assert np.median(count / prompts) == pytest.approx(1, abs=0.12)
    assert (high / low).mean() < 2.6


def test_as_many_prompts_as_are_expected_to_suffice():
    curriculum = Curriculum(PromptPool(range(4000)), "uniform", rollouts=2)
    curriculum.observe(curriculum.select(1000), np.tile([[1, 0], [0, 0], [0, 0], [1, 1]], (250, 1)))
    guess = curriculum.oversampling(50)
    assert guess.rate == pytest.approx(0.25, abs=0.01)
    assert guess.factor == curriculum.metrics()["oversampling_factor"] == pytest.approx(4, abs=0.1)
    assert guess.low < guess.prompts < guess.high
    wide, narrow = curriculum.oversampling(50, confidence=0.99), curriculum.oversampling(50, confidence=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_prompts_in_flight_with_better_predictions_lower_the_number():
    """Outcomes come late: what the selector has found meanwhile shows in the predictions of what is in flight."""
    curriculum = Curriculum(PromptPool(range(200)), "edge", rollouts=4)
    for _ in range(3):
        batch = curriculum.select(200)
        # Even prompts are always wrong, odd ones half right.
        curriculum.observe(batch, np.where(batch.rows[:, None] % 2, [1, 0, 1, 0], 0))
    before = curriculum.oversampling(16).prompts
    curriculum.select(50)
    assert curriculum.oversampling(16).prompts < 0.75 * before


def test_before_any_outcome_the_interval_is_wide():
    guess = Curriculum(PromptPool(range(10)), rollouts=4).oversampling(4)
    assert (guess.rate, guess.prompts, guess.groups) == (0.5, 8, 0)
    assert guess.high > 5 * guess.low


@pytest.mark.parametrize(("right", "rate"), [(0, 0.0), (1, 1.0)])
def test_no_rate_is_certain(right, rate):
    """A pool of silent groups is asked for a finite number; one of informative ones for more than are needed."""
    curriculum = Curriculum(PromptPool(range(64)), rollouts=2)
    curriculum.observe(curriculum.select(64), np.tile([[right, 0]], (64, 1)))
    guess = curriculum.oversampling(8)
    assert guess.rate == pytest.approx(rate, abs=0.03)
    assert 0 < guess.rate < 1
    assert 8 <= guess.low <= guess.prompts <= guess.high < np.inf


def test_a_gate_decides_what_is_accepted():
    curriculum = Curriculum(PromptPool(range(400)), "uniform", rollouts=2, gates=gates.Band(0.9, 1.0, max_rounds=1))
    curriculum.observe(curriculum.select(400), np.tile([[1, 1], [1, 0], [1, 0], [0, 0]], (100, 1)))
    assert curriculum.oversampling(10).factor == pytest.approx(4, abs=0.2)


def test_a_state_saved_before_acceptance_was_kept():
    curriculum = Curriculum(PromptPool(range(8)), rollouts=2)
    curriculum.observe(curriculum.select(8), np.tile([[1, 0], [0, 0]], (4, 1)))
    state = curriculum.state_dict()
    state["predictions"]["values"] = state["predictions"]["values"][:-1]
    fresh = Curriculum(PromptPool(range(8)), rollouts=2)
    fresh.load_state_dict(state)
    assert fresh.oversampling(4) == curriculum.oversampling(4)


@pytest.mark.parametrize(
    "bad", [{"n": 0}, {"n": 1.5}, {"n": None}, {"n": 4, "confidence": 1.0}, {"n": 4, "confidence": "1"}]
)
def test_numbers_that_do_not_fit(bad):
    with pytest.raises(ConfigError, match=r"the number of groups must be a whole number|confidence is a probability"):
        Curriculum(PromptPool(range(8))).oversampling(**bad)
