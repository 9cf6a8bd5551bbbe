from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgewise as ew
from edgewise.allocation import Allocation, allocations, make_allocation
from edgewise.errors import ConfigError

RATES = st.lists(st.floats(0, 1), max_size=20)
VARIABLE = ["cures", "knapsack"]


def knapsack_value(p: float, k: int) -> float:
    # Knapsack RL (arXiv 2509.25849): P(non-zero gradient) times the expected gain p (1 - p)^2.
    return (1 - p**k - (1 - p) ** k) * p * (1 - p) ** 2


def cures_value(p: float, k: int) -> float:
    # CurES (arXiv 2510.01037): minus the variance sigma^2 / n of one prompt's gradient estimate.
    return -p * (1 - p) / k


def test_the_registered_rules() -> None:
    assert {"constant", "cures", "knapsack"} <= set(allocations.names())


def test_constant_gives_every_prompt_the_same() -> None:
    assert make_allocation("constant", rollouts=4).rollouts(np.array([0.1, 0.9])).tolist() == [4, 4]


@pytest.mark.parametrize(("name", "value"), [("knapsack", knapsack_value), ("cures", cures_value)])
def test_no_other_allocation_of_the_budget_is_worth_more(name: str, value: object) -> None:
    assert callable(value)
    rng = np.random.default_rng(3)
    for rates in [*rng.random((5, 3)), np.array([0.02, 0.5, 0.97])]:
        counts = make_allocation(name, rollouts=5, minimum=2, maximum=10).rollouts(rates)
        options = [c for c in product(range(2, 11), repeat=3) if sum(c) == 15]
        best = max(sum(value(p, k) for p, k in zip(rates, c, strict=True)) for c in options)
        assert sum(value(p, k) for p, k in zip(rates, counts, strict=True)) == pytest.approx(best, abs=1e-15)


def test_knapsack_gains_are_differences_of_its_value() -> None:
    p, k = np.array([0.1, 0.5, 0.8]), np.arange(1, 6)[:, None]
    expected = [[knapsack_value(q, j + 1) - knapsack_value(q, j) for q in p] for j in range(1, 6)]
    rule = make_allocation("knapsack")
    np.testing.assert_allclose(rule.gains(p, k), expected, atol=1e-15)  # type: ignore[attr-defined]


def test_knapsack_prefers_hard_prompts_and_cures_is_symmetric() -> None:
    rates = np.array([0.1, 0.5, 0.9])
    hard, _, easy = make_allocation("knapsack").rollouts(rates)
    assert hard > easy == 2
    left, middle, right = make_allocation("cures", rollouts=16).rollouts(rates)
    # sqrt(0.09) : sqrt(0.25) : sqrt(0.09) = 3 : 5 : 3 of 48.
    assert abs(left - right) <= 1
    assert abs(left - 48 * 3 / 11) < 1
    assert abs(middle - 48 * 5 / 11) < 1


@pytest.mark.parametrize("name", VARIABLE)
@settings(max_examples=60)
@given(RATES, st.integers(1, 3), st.integers(0, 6), st.integers(0, 20))
def test_the_budget_is_kept_exactly(name: str, rates: list[float], minimum: int, more: int, room: int) -> None:
    mean = minimum + more
    rule = make_allocation(name, rollouts=mean, minimum=minimum, maximum=mean + room)
    counts = rule.rollouts(np.array(rates, np.float64))
    assert counts.dtype == np.int64
    assert counts.shape == (len(rates),)
    assert counts.sum() == len(rates) * mean
    assert (counts >= minimum).all()
    assert (counts <= mean + room).all()


@pytest.mark.parametrize("name", VARIABLE)
@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_equal_prompts_get_equal_shares(name: str, rate: float) -> None:
    assert make_allocation(name).rollouts(np.full(7, rate)).tolist() == [8] * 7


@pytest.mark.parametrize("name", VARIABLE)
def test_prompts_without_signal_get_the_minimum(name: str) -> None:
    counts = make_allocation(name).rollouts(np.array([0.0, 0.4, 1.0]))
    assert counts.tolist() == [2, 20, 2]


@pytest.mark.parametrize("name", VARIABLE)
@pytest.mark.parametrize("rates", [[np.nan], [1.5], [-0.1], [[0.5]]])
def test_rates_that_are_none_are_refused(name: str, rates: list[float]) -> None:
    with pytest.raises(ConfigError, match="success rates in"):
        make_allocation(name).rollouts(np.array(rates))


@pytest.mark.parametrize(
    "options",
    [
        {"rollouts": 0},
        {"rollouts": 2.5},
        {"rollouts": float("nan")},
        {"rollouts": 1, "minimum": 2},
        {"rollouts": 9, "maximum": 8},
        {"minimum": 0},
        {"budget": 8},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        make_allocation("knapsack", **options)


@pytest.mark.parametrize("name", VARIABLE)
def test_a_curriculum_selects_and_observes_variable_groups(name: str, tmp_path: object) -> None:
    pool = ew.PromptPool(range(40))
    rule: Allocation = make_allocation(name, rollouts=6)
    selector = ew.make_selector("mopps", pool, known_rates=np.linspace(0.05, 0.95, 40), threshold=(0.0, 1.0))
    curriculum = ew.Curriculum(pool, selector, rollouts=rule)
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(4):
        batch = curriculum.select(10)
        assert batch.rollouts.sum() == 60
        sizes |= set(batch.rollouts.tolist())
        curriculum.observe(batch, rng.random(60) < 0.4)
    assert len(sizes) > 1
    curriculum.save(f"{tmp_path}/c.npz")
    again = ew.Curriculum(pool, ew.make_selector("mopps", pool, threshold=(0.0, 1.0)), rollouts=rule)
    again.load(f"{tmp_path}/c.npz")
    assert (again.select(10).rollouts == curriculum.select(10).rollouts).all()
