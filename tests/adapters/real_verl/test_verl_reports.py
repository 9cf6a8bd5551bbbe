"""Observation of `DataProto`s, whole, in part, late or wrong; and options and data that do not fit."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed here: make test-verl")
import torch
from tests.adapters.real_verl.verl_data import BATCH, GROUP, RATES, rows, source
from verl import DataProto

from edgewise.adapters.verl.options import Options
from edgewise.errors import ConfigError, PoolError, RewardError


def batch_of(selection: Any, rows_selected: Any, scores: Any = None) -> DataProto:
    """`GROUP` rollouts of each row, the first half of each group right unless `scores` (rollouts,) say otherwise."""
    repeated = np.repeat(rows_selected, GROUP)
    values = torch.tensor([float(i % GROUP < GROUP // 2) for i in range(len(repeated))] if scores is None else scores)
    info = np.empty(len(repeated), object)
    info[:] = [{"index": int(selection.prompts.pool.ids[row])} for row in repeated]
    tokens = torch.zeros(len(repeated), 3)
    tokens[:, 1] = values
    return DataProto.from_dict({"token_level_scores": tokens}, non_tensors={"extra_info": info})


def test_rows_come_in_any_order(selection):
    here = selection()
    chosen = here.next_batch(BATCH)
    order = torch.randperm(BATCH * GROUP, generator=torch.Generator().manual_seed(0))
    batch = batch_of(here, chosen)
    batch.reorder(order)
    here.update(batch)
    metrics = here.metrics()
    assert metrics["edgewise/effective_ratio"] == 1
    assert metrics["edgewise/success_rate"] == 0.5
    assert metrics["edgewise/in_flight"] == 0


def test_parts_of_groups_count_and_lost_groups_are_given_up(selection):
    here = selection()
    chosen = here.next_batch(BATCH)
    batch = batch_of(here, chosen)
    # The first group whole, the second without two rollouts, the others lost.
    here.update(batch.select_idxs(np.arange(GROUP + 2)))
    metrics = here.metrics()
    assert metrics["edgewise/rollouts"] == GROUP + 2
    assert metrics["edgewise/forgotten"] == BATCH - 2
    assert metrics["edgewise/in_flight"] == 0
    # The second group kept only right ones.
    assert metrics["edgewise/effective_ratio"] == 0.5


def test_a_batch_reported_twice_changes_nothing(selection, caplog):
    here = selection()
    batch = batch_of(here, here.next_batch(BATCH))
    here.update(batch)
    before = here.state_dict()["edgewise"]["curriculum"]
    with caplog.at_level(logging.WARNING, "edgewise"):
        here.update(batch)
    assert f"{BATCH} groups were not in flight" in caplog.text
    np.testing.assert_equal(here.state_dict()["edgewise"]["curriculum"], before)


def test_steps_that_overlap_do_not_lose_the_later_one(selection):
    here = selection()
    first, second = here.next_batch(BATCH), here.next_batch(BATCH)
    assert not set(first) & set(second)
    here.update(batch_of(here, first))
    assert sorted(here.curriculum.in_flight) == sorted(second)


def test_a_trainer_that_hands_over_no_rewards_is_stopped(selection):
    """As verl's fully asynchronous rollouter and DAPO's recipe for 0.7, whose prompts would be selected by nothing."""
    here = selection()
    for _ in range(32):
        here.next_batch(1)
    with pytest.raises(ConfigError, match="32 batches of prompts were drawn and no rewards came"):
        here.next_batch(1)
    here = selection()
    for _ in range(64):
        here.update(batch_of(here, here.next_batch(1)))


@pytest.mark.parametrize(
    ("scores", "message"), [(-1.0, "has reward -1.0, outside"), (2.0, "success="), (float("nan"), "has reward nan")]
)
def test_scores_that_say_nothing_about_success(selection, scores, message):
    here = selection()
    batch = batch_of(here, here.next_batch(BATCH), [scores] * (BATCH * GROUP))
    with pytest.raises(RewardError, match=message):
        here.update(batch)
    assert len(here.curriculum.in_flight) == BATCH


def test_success_from_a_threshold(selection):
    here = selection("+data.edgewise.success=0")
    here.update(batch_of(here, here.next_batch(BATCH), [-1.0, 1.0] * (BATCH * GROUP // 2)))
    assert here.metrics()["edgewise/success_rate"] == 0.5


def test_success_from_a_function(selection, tmp_path):
    (tmp_path / "mine.py").write_text("def right(scores, info):\n    return info['acc'] > 0\n")
    here = selection(f"+data.edgewise.success.path={tmp_path / 'mine.py'}", "+data.edgewise.success.name=right")
    batch = batch_of(here, here.next_batch(BATCH), [-7.0] * (BATCH * GROUP))
    batch.non_tensor_batch["acc"] = np.array([1, 0, 0, 0] * BATCH)
    here.update(batch)
    assert here.metrics()["edgewise/success_rate"] == 0.25


def test_success_from_a_named_score_of_which_some_are_unknown(selection):
    here = selection("+data.edgewise.success=acc")
    batch = batch_of(here, here.next_batch(BATCH), [-7.0] * (BATCH * GROUP))
    batch.non_tensor_batch["acc"] = np.array([1.0, 0.0, None, None] * BATCH, object)
    here.update(batch)
    metrics = here.metrics()
    assert metrics["edgewise/success_rate"] == 0.5
    assert metrics["edgewise/rollouts"] == metrics["edgewise/unscored_rollouts"] == BATCH * GROUP / 2


def test_a_named_score_that_no_rollout_has_names_those_that_are_there(selection):
    here = selection("+data.edgewise.success=acc")
    batch = batch_of(here, here.next_batch(BATCH))
    batch.non_tensor_batch["accuracy"] = np.ones(BATCH * GROUP)
    with pytest.raises(
        RewardError, match=r"score 'acc', which success= names, is not there; there are accuracy, extra_"
    ):
        here.update(batch)


def test_tokens_of_silent_groups_are_counted(selection):
    here = selection()
    chosen = here.next_batch(BATCH)
    batch = batch_of(here, chosen, [1.0] * GROUP + [1.0, 0.0] * ((BATCH - 1) * GROUP // 2))
    batch.batch["response_mask"] = torch.ones(BATCH * GROUP, 3, dtype=torch.int64)
    here.update(batch)
    metrics = here.metrics()
    assert (metrics["edgewise/tokens"], metrics["edgewise/wasted_tokens"]) == (3 * BATCH * GROUP, 3 * GROUP)


def test_batches_of_another_shape(selection):
    here = selection()
    batch = batch_of(here, here.next_batch(BATCH))
    scores = batch.batch["token_level_scores"]
    batch.batch["token_level_scores"] = scores.sum(-1)
    with pytest.raises(RewardError, match=r"shape \(rollouts, tokens\), got \(32,\)"):
        here.update(batch)
    del batch.batch["token_level_scores"]
    batch.batch["else"] = scores
    with pytest.raises(RewardError, match="no token_level_scores"):
        here.update(batch)


def test_more_rollouts_than_were_selected(selection):
    here = selection()
    batch = batch_of(here, here.next_batch(BATCH))
    with pytest.raises(RewardError, match="reports 8 rollouts, 4 were selected"):
        here.update(DataProto.concat([batch, batch]))


def test_prompts_of_another_dataset(selection):
    here = selection()
    batch = batch_of(here, here.next_batch(BATCH))
    batch.non_tensor_batch["extra_info"][3] = {"index": 10_000}
    with pytest.raises(PoolError, match="such as 10000: it was made for another dataset"):
        here.update(batch)
    del batch.non_tensor_batch["extra_info"]
    with pytest.raises(RewardError, match="carries no extra_info"):
        here.update(batch)


def test_a_state_of_another_dataset(selection, tmp_path):
    state = selection().state_dict()
    other = [{**row, "extra_info": {"index": 10_000 + place}} for place, row in enumerate(rows())]
    with pytest.raises(PoolError, match="for another dataset"):
        selection(data=other).load_state_dict(state)


def test_the_dataset_may_be_reordered_and_grow(selection):
    here = selection()
    here.update(batch_of(here, here.next_batch(BATCH)))
    known = dict(zip(here.prompts.pool.ids.tolist(), here.curriculum.selector.predict().tolist(), strict=True))
    there = selection(data=rows(80)[::-1])
    there.load_state_dict(here.state_dict())
    now = dict(zip(there.prompts.pool.ids.tolist(), there.curriculum.selector.predict().tolist(), strict=True))
    assert len(now) == 80
    np.testing.assert_allclose([now[index] for index in known], list(known.values()))


def test_ids(selection, caplog):
    assert selection().prompts.pool.ids.tolist() == [3 * row + 1 for row in range(64)]
    with caplog.at_level(logging.WARNING, "edgewise"):
        assert len(set(selection("+data.edgewise.ids=prompt").prompts.pool.ids.tolist())) == 64
        assert "hash" not in caplog.text
        assert len(set(selection(data=rows(index=False)).prompts.pool.ids.tolist())) == 64
    assert "no extra_info.index given: a prompt's id is a hash of its content" in caplog.text


def test_ids_that_do_not_fit(selection):
    data = rows()
    with pytest.raises(ConfigError, match=r"rows 0 and 64 have the same id 1 \(extra_info.index\).*ids=prompt"):
        selection(data=[*data, {**data[0], "prompt": data[1]["prompt"]}])
    with pytest.raises(ConfigError, match=r"rows 0 and 64 have the same id '.*' \(the hash of the prompt"):
        selection(
            "+data.edgewise.ids=prompt", data=[*data, {**data[0], "extra_info": {"index": 9999, "split": "train"}}]
        )
    with pytest.raises(ConfigError, match=r"row 5 has no extra_info.index"):
        selection(
            data=[{**row, "extra_info": {"index": None if place == 5 else place}} for place, row in enumerate(data)]
        )


def test_categories(selection):
    assert sorted(selection().prompts.pool.category_names) == ["always", "even", "hard", "never"]
    assert selection("+data.edgewise.category=extra_info.split").prompts.pool.category_names == ["train"]
    assert selection("+data.edgewise.category=null").prompts.pool.categories is None
    with pytest.raises(ConfigError, match="no column 'topic'"):
        selection("+data.edgewise.category=topic")


def test_known_success_rates_come_from_a_column_or_a_file(selection, tmp_path):
    data = rows()
    for row, line in enumerate(data):
        line["extra_info"]["pass_rate"] = None if row % 2 else RATES[source(row)]
    known = [float("nan") if row % 2 else RATES[source(row)] for row in range(len(data))]
    file = tmp_path / "priors.json"
    file.write_text(json.dumps({line["extra_info"]["index"]: line["extra_info"]["pass_rate"] for line in data}))
    for given in ("extra_info.pass_rate", file):
        made = selection(f"+data.edgewise.priors={given}", "+data.edgewise.prior_strength=16", data=data)
        np.testing.assert_array_equal(made.pool.priors, known)
        assert made.pool.prior_strength == 16
    assert selection().pool.priors is None
    with pytest.raises(ConfigError, match=r"no column 'rating' .*name another with \+data.edgewise.priors="):
        selection("+data.edgewise.priors=rating")


def test_features_come_from_a_column_or_a_file(selection, tmp_path):
    data = rows()
    for row, line in enumerate(data):
        line["extra_info"]["loglik"] = -row / 4
        line["extra_info"]["embedding"] = [row / 2, 1.0]
    file = tmp_path / "features.json"
    file.write_text(json.dumps({line["extra_info"]["index"]: line["extra_info"]["loglik"] for line in data}))
    for given in ("extra_info.loglik", file):
        features = selection(f"+data.edgewise.features={given}", data=data).pool.features
        assert features.tolist() == [[-row / 4] for row in range(len(data))]
    made = selection("+data.edgewise.features=extra_info.embedding", data=data)
    assert made.pool.features.tolist() == [[row / 2, 1.0] for row in range(len(data))]
    assert made.prompts.pool is made.curriculum.pool
    assert selection().pool.features is None
    with pytest.raises(ConfigError, match=r"no column 'rating' .*name another with \+data.edgewise.features="):
        selection("+data.edgewise.features=rating")
    data[5]["extra_info"]["loglik"] = None
    with pytest.raises(ConfigError, match=r"prompt 16 has no features in column 'extra_info.loglik': every prompt"):
        selection("+data.edgewise.features=extra_info.loglik", data=data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["+data.edgewise.selektor=edge"], "Did you mean 'selector'"),
        (["+data.edgewise.selector=edgy"], "unknown method 'edgy'"),
        (["+data.edgewise.selector=mopps", "+data.edgewise.selector_options.targt=1"], "Did you mean 'target'"),
        (["+data.edgewise.ids=name"], "'index' or 'prompt'"),
        (["+data.edgewise.success=[1]"], "a number, the name of a score, or path and name"),
        (["+data.edgewise.success.path=x"], "a number, the name of a score, or path and name"),
        (["+data.edgewise.allocation=knapsack"], "rolls out 4 completions for every prompt"),
        (["+data.edgewise.random_share=2"], "random_share is a share"),
        (["+data.edgewise=edge"], r"options by name, such as \+data\.edgewise\.selector=edge; got 'edge'"),
        (["+data.edgewise.selector=[edge]"], r"data\.edgewise\.selector is a text, got \['edge'\]"),
        (["+data.edgewise.selector_options=sharpness"], r"selector_options is options by name, got 'sharpness'"),
        (["+data.edgewise.category=[a,b]"], r"data\.edgewise\.category is a text"),
        (["data.train_batch_size=65"], "each step takes 65 prompts, but the dataset has 64"),
        (["data.dataloader_num_workers=2"], "set data.dataloader_num_workers=0"),
    ],
)
def test_options_that_do_not_fit(selection, options, message):
    with pytest.raises(ConfigError, match=message):
        selection(*options)


def test_an_option_without_a_value_is_the_default(selection):
    names = ("selector", "selector_options", "allocation", "ids", "priors", "prior_strength", "random_share", "trace")
    here = selection(*(f"+data.edgewise.{name}=null" for name in names))
    assert here.options == Options()
    assert selection("+data.edgewise.category=null").pool.categories is None


def test_a_path_to_resume_from_without_a_value_is_left_to_verl(selection):
    assert len(selection("trainer.resume_mode=resume_path").next_batch(BATCH)) == BATCH


def test_the_selector_knows_its_options_and_the_group_size(selection):
    here = selection("+data.edgewise.selector=mopps", "+data.edgewise.selector_options.target=0.3")
    assert here.curriculum.selector.acquisition.peak == 0.3
    assert here.curriculum.allocation.mean == GROUP


def test_a_dataset_that_is_not_verls(config):
    from edgewise.adapters.verl.selection import Selection

    with pytest.raises(ConfigError, match="list has no `dataframe`"):
        Selection([1, 2, 3], config().data)


def test_a_trace_is_recorded(selection, tmp_path):
    from edgewise.replay import Trace

    here = selection(f"+data.edgewise.trace={tmp_path / 'trace.npz'}")
    here.state_dict()
    for _ in range(3):
        here.update(batch_of(here, here.next_batch(BATCH)))
    here.state_dict()
    assert Trace.load(tmp_path / "trace.npz").trials.sum() == 3 * BATCH * GROUP


def test_validation_data_are_not_selected(config):
    from edgewise.adapters.verl import CurriculumDataset

    data = config("+data.edgewise.selector=edge").data
    made = CurriculumDataset(data.val_files, None, data)
    assert [row["extra_info"]["index"] for row in made.__getitems__([2, 0])] == [7, 1]
    assert CurriculumDataset(data.train_files, None, data).selection is not None
    data.val_files = data.train_files
    with pytest.raises(ConfigError, match="share a file"):
        CurriculumDataset(data.train_files, None, data)


def test_the_other_verl_is_named():
    from tests.adapters.real_verl.entrances import IS_07

    import edgewise.adapters.verl as adapter

    if IS_07:
        assert adapter.CurriculumSampler.__name__ == "CurriculumSampler"
    else:
        with pytest.raises(ConfigError, match=r"verl 0\.9\.\d has no curriculum samplers; they end with verl 0\.7"):
            _ = adapter.CurriculumSampler


def test_an_unsupported_version(monkeypatch):
    from edgewise.adapters import installed

    monkeypatch.setattr(installed, "_version", lambda package: "0.8.0")
    with pytest.raises(ConfigError, match=r"verl 0\.8\.0 is not supported; versions that work: 0\.7\.\*, 0\.9\.\*"):
        installed.require("verl")


def test_the_doctor_finds_the_adapter():
    from edgewise.adapters import doctor

    (verl,) = (trainer for trainer in doctor() if trainer.name == "verl")
    assert verl.works
