import re

import numpy as np
import pytest

import edgewise as ew
from edgewise import Curriculum, PromptPool
from edgewise.advice import ALARMS, HINTS


def made(selector="uniform", size=600, categories=3, **options):
    pool = PromptPool(range(size), [f"c{i % categories}" for i in range(size)])
    return Curriculum(pool, selector, **{"rollouts": 8, **options})


def train(curriculum, rate, steps=12, n=32, seed=0):
    """`rate(rows)`: true success rates."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        batch = curriculum.select(n)
        curriculum.observe(batch, rng.random((n, 8)) < np.asarray(rate(batch.rows))[:, None])
    return {advice.rule: str(advice) for advice in curriculum.advice()}


def test_a_run_that_works_needs_no_advice():
    assert train(made(), lambda rows: np.full(len(rows), 0.5)) == {}


def test_a_category_whose_grader_fails_is_named_with_what_to_do():
    advice = train(made(), lambda rows: np.where(rows % 3 == 1, 0.0, 0.5))
    assert list(advice) == ["grader"]
    assert "'c1'" in advice["grader"]
    assert "answer format" in advice["grader"]


def test_no_success_at_all():
    assert list(train(made(), lambda rows: np.zeros(len(rows)))) == ["no_success", "calibration"] or list(
        train(made(), lambda rows: np.zeros(len(rows)))
    ) == ["no_success"]


def test_a_grader_that_accepts_everything():
    assert "all_right" in train(made(), lambda rows: np.ones(len(rows)))


def test_predictions_that_lag_are_an_alarm():
    curriculum = made("mopps:decay=1.0", size=40)
    train(curriculum, lambda rows: np.full(len(rows), 0.05), steps=60)
    assert "calibration" in train(curriculum, lambda rows: np.full(len(rows), 0.95), steps=8)


def test_prompts_that_are_given_up_are_counted():
    curriculum = made()
    for _ in range(6):
        curriculum.forget(curriculum.select(20).take(np.arange(8)))
        batch = curriculum.batch()
        curriculum.observe(batch, np.tile([1.0, 0, 1, 0, 1, 0, 1, 0], (len(batch), 1)))
    advice = {item.rule: item for item in curriculum.advice()}
    assert advice["lost"].level == "alarm"
    assert "48 of 120" in advice["lost"].text


def test_a_clock_that_does_not_move_is_reported():
    curriculum = made(size=2000)
    curriculum.select(1)
    for _ in range(140):
        batch = curriculum.select(32)
        curriculum.observe(batch, np.tile([1.0, 0, 1, 0, 1, 0, 1, 0], (32, 1)))
    assert curriculum.steps == 1
    assert "advance()" in next(item.text for item in curriculum.advice() if item.rule == "clock")


def test_more_than_half_of_the_groups_silent_is_an_alarm_that_names_the_group_size():
    curriculum = made()
    silent = train(curriculum, lambda rows: np.where(rows % 4 == 0, 0.3, 0.001), steps=20)
    assert list(silent) == ["silent"]
    assert silent["silent"].startswith("alarm")
    assert "too hard for groups of 8" in silent["silent"]
    assert "larger groups would hardly help" in silent["silent"]
    # Rates of 0.05: a group of 8 has a gradient in 1 - 0.95^8 - 0.05^8 = 34% of the cases, one of 16 in 56%.
    larger = train(made(), lambda rows: np.full(len(rows), 0.05), steps=20)["silent"]
    now, later = map(float, re.search(r"(\d+)% of them are expected.* of groups of 16 (\d+)%", larger).groups())
    assert now == pytest.approx(34, abs=6)
    assert later == pytest.approx(56, abs=8)
    assert "silent" not in train(made(), lambda rows: np.full(len(rows), 0.15), steps=20)


def test_hints_are_shown_only_without_alarms():
    starved = {"quota": {"c0": 0.5, "c1": 0.5, "c2": 0.0}}
    assert list(train(made(**starved), lambda rows: np.full(len(rows), 0.5))) == ["starved"]
    assert not set(train(made(**starved), lambda rows: np.full(len(rows), 0.001), steps=30)) & set(HINTS)


def test_selection_that_does_not_pay_is_said():
    curriculum = made("uniform", random_share=0.3)
    advice = train(curriculum, lambda rows: np.full(len(rows), 0.4), steps=20)
    assert "selection does not pay" in advice["no_gain"]


def test_a_starved_category_is_named():
    curriculum = made(quota={"c0": 0.5, "c1": 0.5, "c2": 0.0})
    assert "'c2'" in train(curriculum, lambda rows: np.full(len(rows), 0.5))["starved"]


def test_a_run_that_repeats_few_prompts_is_told_so():
    class Few(ew.Selector):
        """Nearly always among the first 40 prompts."""

        def choose(self, n, candidates):
            few = candidates.rows[:40] if self.rng.random() < 0.9 else candidates.rows
            return self.rng.choice(few, n, replace=False)

    pool = PromptPool(range(2000))
    repeated = Curriculum(pool, Few(pool), rollouts=8)
    advice = train(repeated, lambda rows: np.full(len(rows), 0.5), steps=30)
    assert "by heart" in advice["repeated"]
    assert advice["repeated"].startswith("hint")
    for selector in ("uniform", "mopps", "edge"):
        other = Curriculum(PromptPool(range(2000)), selector, rollouts=8)
        assert "repeated" not in train(other, lambda rows: np.where(rows < 100, 0.5, 0.05), steps=80)
    small = Curriculum(PromptPool(range(40)), "uniform", rollouts=8)
    assert "repeated" not in train(small, lambda rows: np.full(len(rows), 0.5), steps=60)


def test_every_rule_survives_an_empty_run_and_prompts_that_are_gone():
    assert made().advice() == []
    assert set(ALARMS).isdisjoint(HINTS)
    curriculum = made(size=60)
    train(curriculum, lambda rows: np.full(len(rows), 0.5), n=20)
    other = Curriculum(PromptPool(range(30), [f"c{i % 2}" for i in range(30)]), "uniform", rollouts=8)
    other.load_state_dict(curriculum.state_dict())
    other.advice()


def test_a_step_without_a_gradient_is_explained_where_the_trainer_logs_loss_0(
    caplog: pytest.LogCaptureFixture,
) -> None:
    curriculum = ew.Curriculum(ew.PromptPool(range(64)), "uniform", rollouts=4)

    def step(rewards: list[list[float]]) -> list[str]:
        caplog.clear()
        batch = curriculum.select(len(rewards))
        said = [record.getMessage() for record in caplog.records]
        curriculum.observe(batch, rewards)
        return said

    wrong, right, mixed = [0.0] * 4, [1.0] * 4, [0.0, 1.0, 1.0, 0.0]
    assert step([wrong, wrong]) == []
    (text,) = step([right, right])
    assert text.startswith(
        "policy step 1: loss 0 and reward std 0: all 2 groups are entirely wrong (0 of 8 rollouts correct)"
    )
    assert "check grader and length limit" in text
    (text,) = step([wrong, right])
    assert "entirely right (8 of 8 rollouts correct)" in text
    assert text.endswith("(2 steps so far)")
    # The third is not logged, the fourth is; steps with a gradient never.
    assert step([wrong, right]) == []
    (text,) = step([mixed, wrong])
    assert "either entirely right or entirely wrong (4 of 8" in text
    assert step([mixed, wrong]) == []


def test_rollouts_that_come_out_alike_are_put_down_to_the_policy_s_entropy():
    advice = train(made(), lambda rows: np.where(rows % 2, 0.0, 1.0))
    assert "entropy" in advice["silent"]
    assert "learning rate" in advice["silent"]


def test_single_rollouts_are_neither_silent_nor_wasted_nor_a_selection_that_does_not_pay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    curriculum, rng = made(rollouts=1, random_share=0.3), np.random.default_rng(0)
    for _ in range(30):
        batch = curriculum.select(32)
        curriculum.observe(batch, rng.random(32) < 0.5)
    assert not {advice.rule for advice in curriculum.advice()} & {"silent", "no_gain"}
    assert caplog.text == ""
    metrics = curriculum.metrics()
    assert (metrics["wasted_rollouts"], round(metrics["oversampling_factor"], 2)) == (0, 1.01)
