"""Rest: what rests is what was rolled out last; edge does not learn a few prompts by heart; resume, options, states."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgewise as ew
from edgewise.errors import CheckpointError, ConfigError
from edgewise.seen import OpenGroups
from edgewise.selectors.rest import BLOCKS, EVERY, SAMPLE, VISITS, Rest


@given(
    st.lists(st.lists(st.integers(0, 29), max_size=9, unique=True), max_size=25),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
def test_a_prompt_rests_the_longer_the_more_often_it_came(
    steps: list[list[int]], share: float, informative: float
) -> None:
    pool = ew.PromptPool(range(30))
    seen = OpenGroups(pool, {"step": np.int32, "visits": np.int32})
    rest = Rest(pool, seen, share=share)
    rest.expect(np.full(SAMPLE, informative))
    for rows in steps:
        seen.add_group(np.array(rows, np.int64), 1, 2, rest.now)
        seen["step"][seen.open()] = rest.now
        seen["visits"][seen.open()] += 1
        assert rest.resting(np.array(rows, np.int64)).all() == (share > 0 or not rows), "a group of this step"
        seen.close()
        rest.learn(len(rows))
        rest.advance()
    assert rest.informative == pytest.approx(informative)
    resting = rest.resting(np.arange(30))
    for row in range(30):
        visits = [at for at, rows in enumerate(steps) if row in rows]
        if not visits or not share:
            assert not resting[row]
            continue
        later = sum(len(rows) for rows in steps[visits[-1] :])
        length = share * rest.informative * 30 * min(len(visits), VISITS) / VISITS
        assert resting[row] == (later < length) or abs(later - length) < 1e-9, "but for rounding"


def test_nothing_rests_before_the_pool_was_looked_at() -> None:
    pool = ew.PromptPool(range(30))
    selector = ew.make_selector("edge", pool)
    for _ in range(EVERY - 1):
        selector.observe([3, 4], [4, 4], 8)
        selector.advance()
        assert not selector.acquisition.rest.resting(np.arange(30)).any()
    for _ in range(2):
        selector.observe([3, 4], [4, 4], 8)
        selector.advance()
    assert selector.acquisition.rest.resting(np.arange(30))[3:5].all()


def test_a_long_rest_is_kept_in_few_numbers() -> None:
    pool = ew.PromptPool(range(40_000))
    seen = OpenGroups(pool, {"step": np.int32, "visits": np.int32})
    rest = Rest(pool, seen, share=0.5)
    rest.expect(np.ones(SAMPLE))
    seen.add_group(np.arange(2), 1, 2, 0)
    seen["visits"][:] = VISITS
    seen.close()
    back = []
    for step in range(11_000):
        rest.learn(2)
        rest.advance()
        if not rest.resting(np.arange(2)).any():
            back.append(step + 1)
    # Half of 40,000 prompts at two a step.
    assert back[0] == pytest.approx(10_000, rel=0.01)
    assert back == list(range(back[0], 11_001))
    assert len(rest.steps) == len(rest.before) <= BLOCKS + 1


def test_the_sample_covers_the_pool_evenly() -> None:
    rest = Rest(
        ew.PromptPool(range(1000)),
        OpenGroups(ew.PromptPool(range(1000)), {"step": np.int32, "visits": np.int32}),
        share=0.5,
    )
    counts = np.zeros(10)
    for _ in range(5):
        part = np.bincount(rest.sample() // 100, minlength=10)
        assert np.abs(part - SAMPLE / 10).max() < 3, "every look sees the whole pool, in whatever order it is"
        counts += part
        rest.expect(np.full(SAMPLE, 0.5))
    assert np.abs(counts - SAMPLE / 2).max() < 4


def visits(rest: float, pool: ew.PromptPool, steps: int = 150) -> np.ndarray:
    """Times each of 240 prompts was selected, by a policy that learns every prompt by heart, slowly, and nothing else."""
    selector = ew.make_selector("edge", pool, rest=rest, seed=1)
    start = np.random.default_rng(3).normal(-3.0, 1.5, 240)
    count, draws = np.zeros(240), np.random.default_rng(2)
    for _ in range(steps):
        rows = selector.select(8)
        count[rows] += 1
        selector.observe(rows, draws.binomial(8, 1 / (1 + np.exp(-(start + 0.05 * count)[rows]))), 8)
    return count


@pytest.mark.parametrize("labels", [False, True])
def test_edge_does_not_learn_a_few_prompts_by_heart(labels: bool) -> None:
    pool = ew.PromptPool(range(240), [f"c{row % 3}" for row in range(240)] if labels else None)
    free, rested = visits(0.0, pool), visits(1.0, pool)
    # Uniform sampling selects each of them 5 times.
    assert free.max() > 25
    assert rested.max() < 0.75 * free.max()
    tenth, rested_tenth = (np.sort(count)[-24:].sum() / count.sum() for count in (free, rested))
    assert rested_tenth < 0.8 * tenth


def test_prompts_that_rest_are_chosen_where_no_others_are_left() -> None:
    pool = ew.PromptPool(range(12))
    selector = ew.make_selector("edge", pool, rest=1.0, retest=0.0)
    for _ in range(VISITS + 1):
        selector.observe([0, 1], [4, 8], 8)
        selector.advance()
    selector.observe([2], [4], 8)
    selector.advance()
    assert sorted(selector.select(3, candidates=[0, 1, 2], new_step=False).tolist()) == [0, 1, 2]
    picks = [int(selector.select(1, candidates=[0, 1], new_step=False)[0]) for _ in range(60)]
    assert picks.count(0) > 45, "among those that rest, the better ones first"
    again = [selector.select(6, new_step=False) for _ in range(20)]
    assert not {0, 1} & set(np.concatenate(again).tolist())


def test_a_small_pool_is_not_held_up() -> None:
    """A step that takes the whole share leaves nothing to rest."""
    pool = ew.PromptPool(range(20))
    selector = ew.make_selector("edge", pool)
    for _ in range(12):
        rows = selector.select(16)
        selector.observe(rows, np.where(rows == 3, 4, 8), 8)
    picks = np.concatenate([selector.select(4) for _ in range(50)])
    assert (picks == 3).sum() > 40


def test_resting_goes_on_after_a_resume_and_the_state_is_a_copy() -> None:
    def made() -> Any:
        return ew.make_selector("edge", ew.PromptPool(range(200)), seed=4)

    def run(selector: Any, steps: range) -> list[list[int]]:
        chosen = []
        for step in steps:
            rows = selector.select(6)
            selector.observe(rows, (rows + step) % 9, 8)
            chosen.append(rows.tolist())
        return chosen

    whole, half, resumed = made(), made(), made()
    expected = run(whole, range(40))[20:]
    run(half, range(20))
    state = half.state_dict()
    kept = [list(part) for part in (state["acquisition"]["rest"]["steps"], state["acquisition"]["rest"]["before"])]
    resumed.load_state_dict(state)
    assert run(resumed, range(20, 40)) == expected
    assert [state["acquisition"]["rest"]["steps"], state["acquisition"]["rest"]["before"]] == kept


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", ["x"]),
        ("before", []),
        ("before", [np.inf] * 4),
        ("informative", np.nan),
        ("over", None),
        ("over", [1]),
    ],
)
def test_a_broken_state_is_refused(name: str, value: Any) -> None:
    selector = ew.make_selector("edge", ew.PromptPool(range(50)))
    for _ in range(12):
        selector.observe(selector.select(4), 2, 8)
    state = selector.state_dict()
    state["acquisition"]["rest"][name] = value
    with pytest.raises(CheckpointError):
        ew.make_selector("edge", ew.PromptPool(range(50))).load_state_dict(state)


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan, np.inf])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="rest"):
        ew.make_selector("edge", ew.PromptPool(range(5)), rest=share)
