"""verl 0.7's own `create_rl_sampler` and torchdata's `StatefulDataLoader`, with real `DataProto`s."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

pytest.importorskip("verl", reason="verl is not installed here: make test-verl")
from tests.adapters.real_verl.entrances import IS_07, SAMPLER

if not IS_07:
    pytest.skip("verl ended curriculum samplers with 0.7", allow_module_level=True)

import torch
from tests.adapters.real_verl.verl_data import BATCH, GROUP, PROMPTS, informative, score
from torchdata.stateful_dataloader import StatefulDataLoader
from verl import DataProto
from verl.experimental.dataset.sampler import AbstractCurriculumSampler
from verl.trainer.main_ppo import create_rl_sampler
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from edgewise.errors import CheckpointError, ConfigError


def loader(config: Any) -> StatefulDataLoader:
    """As verl's trainer makes it."""
    dataset = RLHFDataset(config.data.train_files, None, config.data)
    sampler = create_rl_sampler(config.data, dataset)
    return StatefulDataLoader(
        dataset=dataset,
        batch_size=config.data.train_batch_size,
        num_workers=config.data.dataloader_num_workers,
        drop_last=True,
        collate_fn=collate_fn,
        sampler=sampler,
    )


def rolled_out(rows: dict[str, Any], step: int) -> DataProto:
    """What verl hands to `update`: groups found by uid alone, rows in another order."""
    batch = DataProto.from_single_dict(rows)
    batch.non_tensor_batch["uid"] = np.array([str(uuid.uuid4()) for _ in range(len(batch))], object)
    batch = batch.repeat(GROUP, interleave=True)
    scores = torch.zeros(len(batch), 4)
    for row, info in enumerate(batch.non_tensor_batch["extra_info"]):
        scores[row, 2] = score(info["index"], step, row % GROUP)
    batch.batch["token_level_scores"] = scores
    batch.reorder(torch.randperm(len(batch), generator=torch.Generator().manual_seed(step)))
    return batch


def train(data: StatefulDataLoader, steps: int, start: int = 0, save: int | None = None) -> tuple[list[list[int]], Any]:
    """Ids of each step, and the loader's state after step `save`, with its rewards observed or not yet (`save` + 0.5)."""
    selected, state, step = [], None, start
    while step < steps:
        for rows in data:
            selected.append([info["index"] for info in rows["extra_info"]])
            step += 1
            if save == step - 0.5:
                state = data.state_dict()
            data.sampler.update(batch=rolled_out(rows, step))
            if save == step:
                state = data.state_dict()
            if step == steps:
                break
    return selected, state


def test_verl_takes_the_sampler(config):
    data = loader(config(*SAMPLER))
    assert isinstance(data.sampler, AbstractCurriculumSampler)
    assert len(data) == PROMPTS // BATCH
    selected, _ = train(data, 16)
    assert [len(set(step)) for step in selected] == [BATCH] * 16
    assert informative(selected[8:]) > 2 * informative([[3 * row + 1 for row in range(PROMPTS)]])
    assert data.sampler.selection.curriculum.in_flight.size == 0


def test_an_epoch_has_as_many_steps_as_uniform_prompts_would_have(config):
    data = loader(config(*SAMPLER, "data.train_batch_size=24"))
    assert len(list(data)) == 2 == len(data)


@pytest.mark.parametrize("step", [3, 8, 11])
def test_the_loaders_state_resumes_exactly(config, step):
    settings = config(*SAMPLER, "trainer.default_local_dir=null")
    whole, state = train(loader(settings), 14, save=step)
    resumed = loader(settings)
    resumed.load_state_dict(state)
    assert train(resumed, 14, start=step)[0] == whole[step:]


def test_a_state_with_rewards_to_come_forgets_them_where_they_were_not_kept(config):
    settings = config(*SAMPLER, "trainer.default_local_dir=null")
    whole, state = train(loader(settings), 6, save=2.5)
    resumed = loader(settings)
    resumed.load_state_dict(state)
    selected, _ = train(resumed, 6, start=3)
    assert len(selected) == 3
    assert resumed.sampler.selection.metrics()["edgewise/forgotten"] == BATCH
    assert len(whole) == 6


def test_workers_would_draw_ahead(config):
    with pytest.raises(ConfigError, match=r"dataloader_num_workers is 8: .* set data.dataloader_num_workers=0"):
        loader(config(*SAMPLER, "data.dataloader_num_workers=8"))


def test_a_checkpoint_of_uniform_prompts_is_refused(config, tmp_path):
    from tests.adapters.real_verl.cpu_trainer import run

    run(config("trainer.total_training_steps=4", "trainer.save_freq=4", "data.shuffle=False"))
    with pytest.raises(CheckpointError, match="saved without a curriculum"):
        run(config(*SAMPLER, "trainer.total_training_steps=8"))
