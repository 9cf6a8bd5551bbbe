"""What every belief promises, tried on each of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.beliefs import AbilityBelief, AnchoredBelief, Belief, FeatureBelief, MarkovBelief
from edgewise.checkpoint import load_state, save_state
from edgewise.pool import PromptPool

SIZE = 12
EVERYONE = np.arange(SIZE)
MAKE: dict[str, Callable[[PromptPool], Belief]] = {
    "hmm": lambda pool: MarkovBelief(pool, retention=0.7, transitions="progress"),
    "hmm-constant": lambda pool: MarkovBelief(pool, retention=1.0),
    "ability": lambda pool: AbilityBelief(pool, retention=0.9),
    "features": lambda pool: FeatureBelief(pool, retention=0.9),
    "anchored": lambda pool: AnchoredBelief(pool, *anchors(pool)),
}


def anchors(pool: PromptPool) -> tuple[np.ndarray, np.ndarray]:
    """Pass rates that belong to the ids, one of them unknown."""
    weak = np.array([(int(i) % 7) / 10 for i in pool.ids])
    weak[pool.ids == 3] = np.nan
    return weak, np.minimum(weak + 0.4, 1.0)


def make_pool(ids: np.ndarray = EVERYONE) -> PromptPool:
    """Categories and features that belong to the ids, so that a pool can be reordered; one prompt has no category."""
    features = np.random.default_rng(5).normal(size=(100, 3))[ids]
    return PromptPool(ids, [None if i == 2 else "xyz"[int(i) % 3] for i in ids], features)


Step = list[tuple[int, int, int]]
steps = st.lists(
    st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, 64), st.integers(1, 64)), max_size=6), max_size=12
)


def tell(belief: Belief, step: Step) -> None:
    """One step's groups, each told on its own: the same prompt may come twice."""
    for row, successes, trials in step:
        belief.observe(np.array([row]), np.array([min(successes, trials)]), np.array([trials]))


def play(belief: Belief, sequence: list[Step]) -> Belief:
    for step in sequence:
        tell(belief, step)
        belief.advance()
    return belief


def random_steps(seed: int, n: int) -> list[Step]:
    rng = np.random.default_rng(seed)
    return [[(int(row), int(rng.integers(9)), 8) for row in rng.choice(SIZE, 4, replace=False)] for _ in range(n)]


@pytest.mark.parametrize("name", MAKE)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(sequence=steps, silence=st.integers(0, 40))
def test_rates_are_proper(name: str, sequence: list[Step], silence: int) -> None:
    belief = play(MAKE[name](make_pool()), sequence)
    for _ in range(2):
        mean, spread = belief.mean(EVERYONE), belief.std(EVERYONE)
        drawn = belief.draw(EVERYONE, np.random.default_rng(0))
        for values in (mean, spread, drawn):
            assert values.shape == (SIZE,)
            assert values.dtype == np.float64
            assert ((values >= 0) & (values <= 1)).all()
        assert (spread <= 0.5).all()
        assert all(np.isfinite(value) for value in belief.metrics().values())
        for _ in range(silence):
            belief.advance()
        tell(belief, [(0, 1, 1), (1, 0, 1000), (0, 0, 1)])


@pytest.mark.parametrize("name", MAKE)
def test_order_within_a_step_does_not_matter(name: str) -> None:
    forward, backward = MAKE[name](make_pool()), MAKE[name](make_pool())
    for step in random_steps(1, 8):
        step = [*step, step[0]]
        tell(forward, step)
        tell(backward, step[::-1])
        np.testing.assert_array_equal(forward.mean(EVERYONE), backward.mean(EVERYONE))
        forward.advance()
        backward.advance()
        np.testing.assert_array_equal(forward.mean(EVERYONE), backward.mean(EVERYONE))


@pytest.mark.parametrize("name", MAKE)
def test_a_prompts_own_group_counts_at_once(name: str) -> None:
    belief = MAKE[name](make_pool())
    row = np.array([4])
    before = belief.mean(row)[0]
    tell(belief, [(4, 8, 8)])
    assert belief.mean(row)[0] > before


@pytest.mark.parametrize("name", MAKE)
def test_asking_changes_nothing(name: str) -> None:
    asked, left_alone = MAKE[name](make_pool()), MAKE[name](make_pool())
    for step in random_steps(2, 20):
        tell(asked, step)
        tell(left_alone, step)
        asked.mean(EVERYONE)
        asked.std(EVERYONE[::2])
        asked.advance()
        left_alone.advance()
    np.testing.assert_allclose(asked.mean(EVERYONE), left_alone.mean(EVERYONE), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("mid_step", [False, True])
def test_state_goes_on_identically(name: str, mid_step: bool, tmp_path: object) -> None:
    belief = play(MAKE[name](make_pool()), random_steps(3, 6))
    if mid_step:
        tell(belief, [(1, 3, 8), (9, 0, 4)])
    save_state(f"{tmp_path}/belief.npz", "belief", belief.state_dict())
    other = MAKE[name](make_pool())
    other.load_state_dict(load_state(f"{tmp_path}/belief.npz", "belief"))
    for step in [[], *random_steps(4, 4)]:
        np.testing.assert_array_equal(belief.mean(EVERYONE), other.mean(EVERYONE))
        for each in (belief, other):
            play(each, [step])
    np.testing.assert_array_equal(belief.std(EVERYONE), other.std(EVERYONE))


@pytest.mark.parametrize("name", MAKE)
def test_state_follows_the_ids_into_another_pool(name: str) -> None:
    pool = make_pool()
    # Categories are then met in another order; two prompts are gone, two are new.
    ids = np.array([20, 11, 10, 9, 7, 6, 5, 4, 3, 2, 1, 21])
    moved = make_pool(ids)
    remap = moved.find(pool.ids)
    belief, other = play(MAKE[name](pool), random_steps(5, 6)), MAKE[name](moved)
    tell(belief, [(1, 3, 8), (8, 1, 8)])
    other.load_state_dict(belief.state_dict(), remap)
    kept = remap >= 0
    np.testing.assert_allclose(other.mean(remap[kept]), belief.mean(EVERYONE[kept]), rtol=0, atol=1e-12)
    assert np.isfinite(other.mean(np.arange(len(ids)))).all()
    other.advance()
    assert np.isfinite(other.mean(np.arange(len(ids)))).all()


@pytest.mark.parametrize("name", MAKE)
def test_a_pool_may_grow(name: str) -> None:
    pool = make_pool()
    belief = play(MAKE[name](pool), random_steps(6, 5))
    before = belief.mean(EVERYONE)
    rows = pool.extend([50, 51], ["x", "brand new"], np.zeros((2, 3)))
    belief.grow()
    np.testing.assert_allclose(belief.mean(EVERYONE), before, atol=1e-12)
    assert ((belief.mean(rows) > 0) & (belief.mean(rows) < 1)).all()
    belief.observe(rows, np.array([8, 0]), np.array([8, 8]))
    belief.advance()
    mean = belief.mean(rows)
    assert mean[0] > mean[1]
