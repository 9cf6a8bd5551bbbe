"""What users of trainers reported in public, and what a curriculum does instead; reports of one trainer alone are tested with it."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from edgewise import Curriculum, PromptPool, gates

K = 8


def rollouts(rng: np.random.Generator, rates: np.ndarray) -> np.ndarray:
    return (rng.random((len(rates), K)) < rates[:, None]).astype(float)


def test_mastered_prompts_are_seldom_selected_and_hopeless_ones_return() -> None:
    # prime-rl#2916: a memory, so that mastered tasks are not sampled again, with re-tests; prime-rl#2667: pools drain one way.
    rng = np.random.default_rng(0)
    rates = np.repeat([0.02, 0.5, 0.98], 100)
    curriculum = Curriculum(PromptPool(range(300)), "edge", rollouts=K, seed=0)
    counts = np.zeros(300, int)
    for step in range(120):
        if step == 60:
            rates[:100] = 0.5  # the policy has learned them
            counts[:] = 0
        batch = curriculum.select(32)
        counts[batch.rows] += 1
        curriculum.observe(batch, rollouts(rng, rates[batch.rows]))
        if step == 59:
            # A third of the prompts each: those between get most, and none of the others is given up for ever.
            assert counts[100:200].sum() > 0.6 * counts.sum()
            assert counts[:100].sum() > 0
            assert counts[200:].sum() > 0
    # Those that the policy has learned meanwhile are found by and by; mastered ones stay away.
    assert (counts[:100] > 0).sum() >= 20
    assert counts[:100].sum() > 5 * counts[200:].sum() > 0


def test_the_success_rate_that_is_logged_is_of_all_groups_and_not_of_those_that_train() -> None:
    # prime-rl#1205: reward curves after filtering mislead.
    curriculum = Curriculum(PromptPool(range(8)), "uniform", rollouts=2, gates=gates.Informative(max_rounds=1))
    feedback = curriculum.observe(curriculum.select(8), np.repeat([[1.0, 1.0], [1.0, 0.0]], [6, 2], axis=0))
    assert feedback.admitted.sum() == 2
    assert curriculum.metrics()["success_rate"] == 14 / 16


def test_a_pool_without_signal_does_not_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    # DAPO#22: the run aborts at the cap on generation batches.
    curriculum = Curriculum(PromptPool(range(64)), "uniform", rollouts=2, gates=gates.Informative(max_rounds=3))
    with caplog.at_level(logging.WARNING, "edgewise"):
        for _ in range(2):
            feedback = [curriculum.observe(batch, np.zeros((len(batch), 2))) for batch in curriculum.rounds(8)]
            assert [len(f.admitted) for f in feedback] == [8, 8, 8]
            assert feedback[-1].exhausted
    assert "stays at 0 of 8 groups after 3 rounds" in caplog.text


def test_groups_beyond_the_need_of_a_step_count_for_the_next_one() -> None:
    # OpenRLHF#1310: accepted rollouts are lost.
    gate = gates.Informative(refill="batch")
    curriculum = Curriculum(PromptPool(range(400)), "uniform", rollouts=2, gates=gate)
    turn, selected = 0, 0
    for _ in range(6):
        for batch in curriculum.rounds(8):
            # Three of four groups are informative: a refill of 8 brings 6, of which 2 were needed.
            rewards = np.tile([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], (2, 1))
            curriculum.observe(batch, rewards)
            turn, selected = turn + 1, selected + len(batch)
    assert 6 * selected / 8 - 6 * 8 < 8  # nothing admitted is lost but the last surplus
    assert turn == 8


def test_a_filter_for_continuous_rewards_goes_by_their_spread() -> None:
    # OpenRLHF#1272: dynamic filtering by the variance of rewards that are not 0 and 1.
    rewards = [[0.2, 0.4, 0.3], [0.7, 0.7, 0.7], [0.9, 0.6, 0.8]]
    curriculum = Curriculum(PromptPool(range(3)), rollouts=3, gates=gates.Informative(by="reward", max_rounds=1))
    assert curriculum.observe(curriculum.select(3), rewards).admitted.tolist() == [True, False, True]


def test_float_noise_in_equal_rewards_is_no_signal() -> None:
    # NeMo-RL#3117, #4158: the standard deviation of a group of equal float32 rewards is not 0.
    noisy = np.float32(0.1) * np.float32(3) + np.array([[0, 1e-8, 6e-8, 3e-8]], np.float32)
    assert len(np.unique(noisy)) > 1
    for by in ("reward", "success"):
        gate = gates.Informative(by=by, max_rounds=1)  # type: ignore[arg-type]
        curriculum = Curriculum(PromptPool(range(1)), rollouts=4, gates=gate)
        assert not curriculum.observe(curriculum.select(1), noisy).admitted.any()


def test_slow_prompts_are_not_starved_by_their_late_groups() -> None:
    # tinker-cookbook#822, marin#8955: late groups are discarded, and slow prompts are the hard ones.
    rng = np.random.default_rng(0)
    slow = np.arange(200) % 2 == 0
    curriculum = Curriculum(PromptPool(range(200)), "edge", rollouts=K, gates=gates.Informative(max_rounds=1))
    waiting: list[tuple[int, np.ndarray]] = []
    trained = np.zeros(200, int)
    for step in range(60):
        curriculum.advance()
        curriculum.forget(curriculum.stale(2))
        rows = curriculum.select(16).rows
        waiting += [(step + (4 if slow[row] else 0), np.array([row])) for row in rows.tolist()]
        due = [row for when, row in waiting if when <= step]
        waiting = [(when, row) for when, row in waiting if when > step]
        for row in due:
            if curriculum.expects(row)[0]:
                admitted = curriculum.observe(row, rollouts(rng, np.array([0.5]))).admitted
                trained[row] += int(admitted[0])
    assert curriculum.metrics()["late_groups"] > 100
    assert trained[slow].sum() > 0.6 * trained[~slow].sum()
