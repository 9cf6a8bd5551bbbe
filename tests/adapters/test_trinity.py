"""Trinity-RFT: a curriculum as its data selector (a stand-in of the interface of 0.6), reported by mean rewards."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.adapters.known_rates import table
from tests.adapters.standins.loading import standing_in

from edgewise.errors import CheckpointError, ConfigError, RewardError
from edgewise.replay import Recorder, Trace

K = 4


@pytest.fixture
def trinity() -> Any:
    pytest.importorskip("datasets")
    with standing_in("trinity", "trinity") as adapter:
        yield adapter


def made(trinity: Any, data: Any = None, **options: Any) -> Any:
    from types import SimpleNamespace

    reader = SimpleNamespace(dataset=table() if data is None else data)
    seed = options.pop("seed", 1)
    kwargs = {"rollouts": K, "id_column": "name", "category_column": "kind", **options}
    return trinity.CurriculumSelector(reader, SimpleNamespace(seed=seed, kwargs=kwargs))


def step(selector: Any, luck: Any, size: int = 8) -> list[int]:
    indices = selector.get_indices(size)
    rates = np.array(selector.data_source.dataset["rate"])[indices]
    order = luck.permutation(size)
    values = luck.binomial(K, rates)[order] / K
    selector.feedback(indices=np.array(indices)[order].tolist(), values=values.tolist())
    return indices


def test_selection_pays(trinity):
    shares = {}
    for name in ("uniform", "edge"):
        selector, luck = made(trinity, curriculum=name), np.random.default_rng(0)
        rows = [row for _ in range(20) for row in step(selector, luck)]
        shares[name] = np.mean(np.array(selector.data_source.dataset["rate"])[rows[64:]] == 0.5)
        assert selector.metrics()["steps"] == 20
        assert selector.metrics()["rollouts"] == 20 * 8 * K
    assert shares["edge"] > shares["uniform"] + 0.2


def test_exact_resume_through_json(trinity):
    whole, luck = made(trinity), np.random.default_rng(0)
    for _ in range(4):
        step(whole, luck)
    state = json.loads(json.dumps(whole.state_dict()))
    resumed = made(trinity)
    resumed.load_state_dict(state)
    assert resumed.get_indices(8) == whole.get_indices(8)
    assert resumed.metrics() == whole.metrics()


@pytest.mark.parametrize(("patience", "batches"), [(4, 32), (30, 60)])
def test_a_run_whose_rewards_are_not_reported_stops_with_the_operator_that_is_missing(trinity, patience, batches):
    selector = made(trinity, patience=patience)
    for _ in range(batches):
        selector.get_indices(1)
    with pytest.raises(
        ConfigError, match=f"{batches} batches .* no mean reward came: add the operator pass_rate_calculator"
    ):
        selector.get_indices(1)
    reported = made(trinity, patience=patience)
    step(reported, np.random.default_rng(0))
    for _ in range(batches + 8):
        reported.get_indices(1)


def test_a_subclass_records(trinity, tmp_path):
    path = tmp_path / "trace.npz"

    class Recorded(trinity.CurriculumSelector):
        def __init__(self, data_source, config):
            super().__init__(data_source, config)
            Recorder(self.in_flight.pool, path, every=1).attach(self.in_flight.curriculum)

    plain = made(trinity)
    selector, luck = Recorded(plain.data_source, plain.config), np.random.default_rng(0)
    for _ in range(3):
        step(selector, luck)
    assert Trace.load(path).trials.sum() == 3 * 8 * K


def test_patience_without_a_value_is_the_default(trinity):
    assert made(trinity, patience=None).in_flight.patience == made(trinity).in_flight.patience == 16
    with pytest.raises(ConfigError, match="patience must be a whole number >= 0, got 'long'"):
        made(trinity, patience="long")


def test_an_option_without_a_value_is_the_default(trinity):
    nothing = dict.fromkeys(trinity.OPTIONS[1:])
    assert made(trinity, **nothing).in_flight.pool.prior_strength == 4
    assert made(trinity, **nothing).in_flight.curriculum.method == "edge"
    with pytest.raises(ConfigError, match="Did you mean 'priors'"):
        made(trinity, prior=None)


@pytest.mark.parametrize("number", ["rollouts", "seed"])
@pytest.mark.parametrize("given", ["four", 4.5, -1])
def test_numbers_that_are_none_are_refused_in_words(trinity, number, given):
    with pytest.raises(ConfigError, match=f"{number} must be a whole number"):
        made(trinity, **{number: given})


def test_a_task_whose_reward_never_came_is_forgotten(trinity):
    selector = made(trinity, patience=2)
    lost = selector.get_indices(4)
    for _ in range(3):
        step(selector, np.random.default_rng(0), 4)
    assert selector.metrics()["forgotten"] == 4
    selector.feedback(lost, [1.0] * 4)
    assert selector.metrics()["late_groups"] == 4


def test_a_task_some_of_whose_runs_failed_is_evidence_of_the_others(trinity):
    selector = made(trinity)
    selector.feedback(selector.get_indices(3), [2 / 3, np.float32(1 / 3), 0.25])
    assert selector.metrics()["rollouts"] == 3 + 3 + 4
    assert selector.metrics()["success_rate"] == 4 / 10
    assert selector.metrics()["in_flight"] == 0


def test_a_reward_for_a_task_that_is_not_in_the_dataset_any_more(trinity, caplog):
    selector = made(trinity)
    indices = selector.get_indices(2)
    selector.feedback([*indices, 40], [1.0, 0.5, 1.0])
    assert selector.metrics()["rollouts"] == 2 * K
    assert "1 tasks are not in the dataset any more" in caplog.text


def test_what_does_not_fit_is_named(trinity):
    with pytest.raises(ConfigError, match=r"with rollouts: the value of algorithm\.repeat_times"):
        made(trinity, rollouts=None)
    with pytest.raises(ConfigError, match="Did you mean 'curriculum'"):
        made(trinity, curiculum="edge")
    with pytest.raises(ConfigError, match="without gates"):
        made(trinity, curriculum="edge+ds:max_rounds=1")
    selector = made(trinity)
    with pytest.raises(RewardError, match=r"has the mean reward 0\.3, which up to 4 rewards of 0 or 1 cannot have"):
        selector.feedback(selector.get_indices(1), [0.3])
    for indices, values, message in (
        ([0], ["good"], "prompt 0 has the reward 'good', which is no number"),
        (["first"], [1.0], "indices of tasks must be whole numbers"),
        ([0, 1], [1.0], r"indices of tasks must have shape \(1,\), got \(2,\)"),
    ):
        with pytest.raises(RewardError, match=message):
            selector.feedback(indices, values)
    selector.load_state_dict({"current_index": 0})  # a fresh start
    with pytest.raises(CheckpointError, match="saved without a curriculum"):
        selector.load_state_dict({"current_index": 64})
    assert len(made(trinity, id_column=None).in_flight.pool) == 40


@pytest.mark.parametrize("text", ["not base64", "AAAA", None, 3])
def test_a_damaged_state_is_refused(trinity, text):
    with pytest.raises(CheckpointError):
        made(trinity).load_state_dict({"edgewise": text, "current_index": 0})
