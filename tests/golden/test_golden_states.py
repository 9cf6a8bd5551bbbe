"""Golden states: what an independent slow implementation of a rule holds after twenty steps, on every numpy."""

import json

import numpy as np
import pytest

import edgewise as ew
from tests.golden import slow

GOLDEN = json.loads(slow.FILE.read_text(encoding="utf-8"))
COUNTS_ARE_FLOAT32 = 1e-6


def after(name, **options):
    """The selector after each step of the golden observations."""
    pool = ew.PromptPool(range(len(slow.RATES)), slow.CATEGORIES)
    selector = ew.make_selector(name, pool, **options)
    for step in GOLDEN["observations"]:
        rows, successes = np.array(step).T
        selector.observe(rows, successes, slow.ROLLOUTS)
        selector.advance()
        yield selector


def last(name, **options):
    *_, selector = after(name, **options)
    return selector


def test_the_file_is_what_the_slow_implementations_compute():
    steps = slow.observations()
    assert [[list(group) for group in step] for step in steps] == GOLDEN["observations"]
    for name in ("mopps", "dps", "sec", "adarft"):
        assert getattr(slow, name)(steps) == pytest.approx(GOLDEN[name], rel=1e-12)


@pytest.mark.parametrize("name", ["mopps", "dps"])
def test_predictions_are_those_of_the_slow_implementation(name):
    assert last(name).predict().tolist() == pytest.approx(GOLDEN[name], abs=COUNTS_ARE_FLOAT32)


def test_predictions_do_not_depend_on_when_they_are_read():
    for selector in after("dps"):
        selector.predict()
    assert selector.predict().tolist() == pytest.approx(GOLDEN["dps"], abs=COUNTS_ARE_FLOAT32)


def test_a_restored_state_is_the_golden_one(tmp_path):
    pool = ew.PromptPool(range(len(slow.RATES)), slow.CATEGORIES)
    for name in ("mopps", "dps"):
        curriculum = ew.Curriculum(pool, last_over(pool, name), rollouts=slow.ROLLOUTS)
        curriculum.save(tmp_path / f"{name}.npz")
        turned = ew.PromptPool(range(len(slow.RATES))[::-1], slow.CATEGORIES[::-1])
        other = ew.Curriculum(turned, ew.make_selector(name, turned, seed=5), rollouts=slow.ROLLOUTS)
        other.load(tmp_path / f"{name}.npz")
        assert other.predict()[::-1].tolist() == pytest.approx(GOLDEN[name], abs=COUNTS_ARE_FLOAT32)


def last_over(pool, name):
    selector = ew.make_selector(name, pool)
    for step in GOLDEN["observations"]:
        rows, successes = np.array(step).T
        selector.observe(rows, successes, slow.ROLLOUTS)
        selector.advance()
    return selector


def test_sec_holds_the_probabilities_of_the_slow_implementation():
    assert last("sec").probabilities()[1:].tolist() == pytest.approx(GOLDEN["sec"], rel=1e-9)


def test_adarft_is_at_the_level_of_the_slow_implementation_after_every_step():
    levels = [selector.level for selector in after("adarft", difficulty=slow.DIFFICULTY)]
    assert levels == pytest.approx(GOLDEN["adarft"], rel=1e-12)
