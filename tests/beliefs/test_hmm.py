"""DPS's hidden Markov model: by hand, against an eager reference, and after long silences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgewise.beliefs.hmm import MarkovBelief
from edgewise.errors import ConfigError
from edgewise.pool import PromptPool

NONE = np.empty(0, np.int64)


class Eager:
    """The published procedure, prompt by prompt and step by step."""

    def __init__(self, n: int, decay: float, prior: np.ndarray):
        self.decay, self.prior = decay, prior
        self.counts = np.repeat(prior[None], n, axis=0)
        self.predicted = np.full((n, 3), 1 / 3)
        self.posterior = self.predicted.copy()

    def step(self, shown: dict[int, int]) -> None:
        for i in range(len(self.predicted)):
            gained = np.zeros((3, 3))
            posterior = self.predicted[i]
            if i in shown:
                posterior = np.eye(3)[shown[i]]
                mean = self.counts[i] / self.counts[i].sum(0)
                gained[shown[i]] = mean[shown[i]] * self.posterior[i]
                gained = (
                    gained / gained.sum() if gained.sum() > 0 else posterior[:, None] * self.posterior[i]
                )  # a move called impossible
            self.counts[i] = self.decay * self.counts[i] + (1 - self.decay) * self.prior + gained
            self.posterior[i] = posterior
            self.predicted[i] = self.counts[i] / self.counts[i].sum(0) @ posterior


def one(decay: float = 0.5) -> MarkovBelief:
    return MarkovBelief(PromptPool(["a", "b"]), retention=decay)


def observe(belief: MarkovBelief, rows: list[int], successes: list[int], trials: int = 8) -> None:
    belief.observe(np.array(rows), np.array(successes), np.full(len(rows), trials))


def test_two_steps_by_hand() -> None:
    belief = one(0.5)
    row = np.array([0])
    assert belief.states(row)[:, 0] == pytest.approx([1 / 3] * 3)
    observe(belief, [0], [3])
    assert belief.states(row)[:, 0] == pytest.approx([0, 1, 0])
    belief.advance()
    # Counts stay 1 under decay; row "partial" gains (1/3, 1/3, 1/3). From partial: (1, 4/3, 1) / (10/3).
    assert belief.states(row)[:, 0] == pytest.approx([0.3, 0.4, 0.3])
    observe(belief, [0], [8])
    belief.advance()
    # Before: the prompt was partial for certain, so the move is partial -> right: A[right, partial] gains 1.
    # Counts: decay (1 + gain) + (1 - decay): row partial 1 + 1/6, then + 1 at [right, partial].
    # From right: (1, 7/6, 1) / (19/6) = (6, 7, 6) / 19.
    assert belief.states(row)[:, 0] == pytest.approx([6 / 19, 7 / 19, 6 / 19])
    assert belief.partial(row)[0] == pytest.approx(7 / 19)
    assert belief.mean(row)[0] == pytest.approx(6 / 19 + 3.5 / 19)
    # Silent for a step: counts fade to (1, 13/12, 1) from wrong and right, (1, 13/12, 3/2) from partial.
    belief.advance()
    ends, middle = np.array([12, 13, 12]) / 37, np.array([12, 13, 18]) / 43
    assert belief.states(row)[:, 0] == pytest.approx(12 / 19 * ends + 7 / 19 * middle)


def test_rates_of_the_states() -> None:
    belief = one()
    observe(belief, [0], [8])
    rows = np.array([0, 1])
    assert belief.mean(rows) == pytest.approx([1.0, 0.5])
    assert belief.std(rows) == pytest.approx([0.0, np.sqrt(1 / 3 + 1 / 9 - 1 / 4)])
    drawn = belief.draw(np.ones(20000, np.int64), np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(0.5, abs=0.01)
    assert drawn.std() == pytest.approx(belief.std(rows)[1], abs=0.01)
    assert (drawn == 0).mean() == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("transitions", [1.0, "progress", "stability", "local"])
def test_lazy_equals_stepwise(decay: float, transitions: Any) -> None:
    n, every = 5, np.arange(5)
    pool = PromptPool(range(n))
    read, unread = (MarkovBelief(pool, retention=decay, transitions=transitions) for _ in range(2))
    eager = Eager(n, decay, read.prior)
    rng = np.random.default_rng(0)
    for step in range(100):
        np.testing.assert_allclose(read.states(every), eager.predicted.T, atol=1e-6)
        rows = rng.choice(n, 2, replace=False) if step < 20 or step > 90 else NONE
        shown = rng.integers(0, 3, len(rows))
        for belief in (read, unread):
            belief.observe(rows, shown, np.full(len(rows), 2))
            belief.advance()
        eager.step(dict(zip(rows.tolist(), shown.tolist(), strict=True)))
    np.testing.assert_allclose(unread.states(every), eager.predicted.T, atol=1e-6)


def test_a_known_rate_counts_more_with_its_strength_and_never_rules_a_partial_group_out() -> None:
    partial = []
    for strength in (0.0, 0.5, 1.0, 2.0, 4.0):
        pool = PromptPool(range(3), priors=[0.5, 0.95, np.nan], prior_strength=strength)
        even, easy, unknown = MarkovBelief(pool).partial(np.arange(3))
        assert unknown == pytest.approx(1 / 3)
        partial.append([even, easy])
    np.testing.assert_allclose(partial[0], 1 / 3)
    np.testing.assert_allclose(partial[2], [(1 / 2 + 1 / 3) / 2, (0.095 + 1 / 3) / 2])
    np.testing.assert_allclose(partial[3:], [[1 / 2, 0.095], [7 / 8, 1 - 0.95**4 - 0.05**4]])
    assert (np.diff(np.array(partial)[:, 0]) > 0).all()


def test_a_group_in_pieces_is_one_group() -> None:
    whole, pieces = one(), one()
    observe(whole, [0, 1], [4, 0])
    observe(pieces, [0], [4], 4)
    assert pieces.states(np.array([0]))[:, 0] == pytest.approx([0, 0, 1])
    observe(pieces, [1], [0])
    observe(pieces, [0], [0], 4)
    rows = np.array([0, 1])
    for _ in range(3):
        np.testing.assert_array_equal(whole.states(rows), pieces.states(rows))
        whole.advance()
        pieces.advance()


def test_a_solved_prompt_comes_back() -> None:
    belief = one(0.5)
    observe(belief, [0], [8])
    belief.advance()
    first = belief.partial(np.array([0]))[0]
    for _ in range(60):
        belief.advance()
    assert first < 1 / 3
    assert belief.partial(np.array([0]))[0] == pytest.approx(1 / 3)


def test_options_are_checked() -> None:
    for options in ({"retention": 1.5}, {"transitions": 0.0}, {"transitions": "sideways"}):
        with pytest.raises(ConfigError):
            MarkovBelief(PromptPool([1]), **options)  # type: ignore[arg-type]
