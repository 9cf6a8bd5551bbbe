"""Budgets against the paper's table and sums done by hand."""

import math

import pytest

from edgewise.errors import ConfigError
from edgewise.lab.run.budgets import require_equal, rl_steps, rl_tokens, split, tokens_of, train_flops, train_steps

# arXiv 2512.07783: a mid-training step is 512K tokens, an RL step 1024 prompts x 6 rollouts x 2048 tokens.
MID, RL = 512 * 1024, (1024, 6, 2048)
TABLE = [
    (1.05e9, 2000, 50),
    (2.1e9, 4000, 100),
    (4.2e9, 8000, 200),
    (8.4e9, 16000, 400),
    (12.58e9, 24000, 600),
    (16.8e9, 32000, 800),
    (20e9, 38147, 954),
]


@pytest.mark.parametrize(("tokens", "mid", "rl"), TABLE)
def test_the_papers_table(tokens: float, mid: int, rl: int) -> None:
    # The table rounds its token counts to three digits.
    assert mid * MID == pytest.approx(tokens, rel=0.002)
    assert rl_tokens(rl * RL[0], *RL[1:]) == pytest.approx(mid * MID, rel=0.001)
    assert train_steps(mid * MID, MID) == mid
    assert rl_steps(mid * MID, *RL) == rl


def test_sums_by_hand() -> None:
    assert train_flops(103_000_000, 10e9) == pytest.approx(6.18e18)
    assert tokens_of(6.18e18, 103_000_000) == pytest.approx(10e9)
    # One RL step of the paper: 1024 * 6 * 2048 = 12,582,912 tokens, times 5/3.
    assert rl_tokens(*RL) == pytest.approx(20_971_520)
    # 204.8k prompts are 200 steps, as many as 8000 steps of mid-training.
    assert rl_tokens(204_800, 6, 2048) == pytest.approx(8000 * MID)
    assert split(10.0, 0.2) == pytest.approx((8.0, 2.0))


def test_arms_of_unequal_budget_are_refused_by_name() -> None:
    require_equal({"light": 1.0e9, "heavy": 1.009e9})
    with pytest.raises(ConfigError, match=r"differ in budget by 2\.0%.*light costs.*heavy") as refused:
        require_equal({"light": 0.98e9, "heavy": 1.0e9, "medium": 0.99e9})
    assert "medium" not in str(refused.value)
    require_equal({"light": 0.5e9, "heavy": 1.0e9}, tolerance=math.inf)
    require_equal({"nothing": 0.0, "none": 0.0})
    require_equal({})


def test_budgets_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="share of RL"):
        split(1.0, 1.2)
    with pytest.raises(ConfigError, match="budget of a must be"):
        require_equal({"a": math.nan, "b": 1.0})
    with pytest.raises(ConfigError, match="tolerance"):
        require_equal({"a": 1.0}, tolerance=math.nan)
    with pytest.raises(ConfigError, match="tokens must be"):
        train_flops(10, -1)
    with pytest.raises(ConfigError, match="RL step"):
        rl_steps(1e6, 4, 4, 0)
