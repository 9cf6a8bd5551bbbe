"""Updates and runs of every algorithm: what they raise and lower, what they skip, how they resume."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.small import rl_config

from edgewise.lab.evaluation.rollouts import Rolled
from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.model.generate import Rollouts, sequence_logprobs
from edgewise.lab.rl.algorithms import ALGORITHMS, Algorithm
from edgewise.lab.rl.batch import RolloutBatch
from edgewise.lab.rl.shares import mini_batches
from edgewise.lab.rl.trainer import Trainer, train
from edgewise.lab.rl.update import Learner, UpdateSettings

VARIANTS: dict[str, Any] = {
    **{name: name for name in ALGORITHMS},
    "ppo with its own network and KL": {"like": "ppo", "critic": {"network": "own"}, "kl_in_reward": 0.05},
    "with everything": {"like": "dapo", "kl": 0.01, "entropy": 0.01, "kl_in_reward": 0.01},
}


def small() -> Decoder:
    return Decoder(ModelConfig(vocab_size=11, hidden_size=16, intermediate_size=16, num_hidden_layers=1))


def rolled(model: Decoder, rewards: list[float], group: list[int], seed: int = 0) -> RolloutBatch:
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, 11, (len(rewards), 4), generator=draw)
    lengths = torch.randint(1, 5, (len(rewards),), generator=draw)
    prompts = [[2, 3], [4], [5, 6, 7]]
    own = [prompts[g % 3] for g in group]
    batch = RolloutBatch.of(own, Rollouts(tokens, lengths, torch.zeros(len(rewards), 4)), rewards, group)
    with torch.no_grad():
        return dataclasses.replace(batch, logprobs=sequence_logprobs(model, batch.tokens) * batch.mask)


def sums(model: Decoder, batch: RolloutBatch) -> torch.Tensor:
    with torch.no_grad():
        return (sequence_logprobs(model, batch.tokens) * batch.mask).sum(1)


@pytest.mark.parametrize("name", VARIANTS)
def test_an_update_raises_what_was_rewarded(name: str) -> None:
    model = small()
    batch = rolled(model, [1.0, 0.0, 0.0, 1.0], [0, 0, 1, 1])
    settings = UpdateSettings(3e-3, 4)
    before = sums(model, batch)
    stats = Learner(model, Algorithm.parse(VARIANTS[name]), settings).update(batch)
    change = sums(model, batch) - before
    assert change[0] - change[1] > 0
    assert change[3] - change[2] > 0
    assert stats["grad_norm"] > 0
    assert all(np.isfinite(value) for value in stats.values())


def test_groups_without_an_advantage_count_in_the_mean_but_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    batch = rolled(model, [1.0, 0.0, 1.0, 1.0, 1.0], [0, 0, 1, 1, 1])
    seen: list[int] = []
    original = Decoder.hidden
    monkeypatch.setattr(
        Decoder, "hidden", lambda self, tokens, *rest: (seen.append(len(tokens)), original(self, tokens, *rest))[1]
    )

    def loss(algorithm: Any) -> float:
        seen.clear()
        learner = Learner(copy.deepcopy(model), Algorithm.parse(algorithm), UpdateSettings(1e-3, 4))
        return learner.update(batch)["loss"]

    skipped, rows = loss({"like": "dapo", "overlong": None}), sum(seen)
    assert rows == 2
    # With an entropy term of next to nothing every completion is computed, and the loss is the same.
    assert loss({"like": "dapo", "overlong": None, "entropy": 1e-12}) == pytest.approx(skipped, abs=1e-7)
    assert sum(seen) == 5
    for every in ("grpo", "ppo"):
        loss(every)
        assert sum(seen) >= 5, every


def test_a_batch_without_any_advantage_changes_nothing() -> None:
    model = small()
    before = copy.deepcopy(model.state_dict())
    batch = rolled(model, [1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1])
    for name in ("dr_grpo", "rloo", "gspo", "cispo", {"like": "dapo", "overlong": None}):
        learner = Learner(model, Algorithm.parse(name), UpdateSettings(1e-2, 4))
        assert learner.update(batch)["loss"] == 0
        assert learner.update(batch.take(torch.zeros(4, dtype=torch.bool)))["loss"] == 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_mini_batches_are_whole_groups_each_once() -> None:
    group = torch.tensor([3, 3, 0, 0, 0, 7, 9, 9])
    parts = list(mini_batches(group, 3, torch.Generator().manual_seed(0)))
    assert sorted(torch.cat(parts).tolist()) == list(range(8))
    assert len(parts) == 3
    owners = [set(group[part].tolist()) for part in parts]
    assert sum(map(len, owners)) == 4
    assert len(list(mini_batches(group, 99, None))) == 4
    assert torch.equal(next(mini_batches(group, 1)), torch.arange(8))


def test_mini_batches_make_several_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    batch = rolled(model, [1.0, 0.0] * 4, [0, 0, 1, 1, 2, 2, 3, 3])
    learner = Learner(model, Algorithm.parse("dr_grpo"), UpdateSettings(1e-3, 4, epochs=3, mini_batches=2))
    steps = []
    step = learner.optimizer.step
    monkeypatch.setattr(learner.optimizer, "step", lambda: (steps.append(1), step())[1])
    learner.update(batch, torch.Generator().manual_seed(0))
    assert len(steps) == 6


def test_the_critic_learns_the_value_of_a_prompt() -> None:
    model = small()
    batch = rolled(model, [1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1])
    for network in ("head", "own"):
        algorithm = Algorithm.parse(
            {"like": "ppo", "critic": {"network": network, "learning_rate": 0.03, "clip": None, "coefficient": 1.0}}
        )
        learner = Learner(copy.deepcopy(model), algorithm, UpdateSettings(1e-4, 4))
        first = learner.update(batch)
        for _ in range(60):
            last = learner.update(batch)
        assert last["value_loss"] < 0.3 * first["value_loss"], network
        assert last["explained_variance"] > 0.5 > first["explained_variance"], network
        values = learner.prepared(batch).values
        inside = batch.mask.bool()
        assert values[:2][inside[:2]].mean() > 0.7 > 0.3 > values[2:][inside[2:]].mean(), network


def test_the_reference_does_not_move() -> None:
    model = small()
    learner = Learner(model, Algorithm.parse("grpo"), UpdateSettings(1e-2, 4))
    batch = rolled(model, [1.0, 0.0], [0, 0])
    first = learner.prepared(batch).ref_logprobs
    torch.testing.assert_close(first, batch.logprobs)
    for _ in range(3):
        stats = learner.update(batch)
    assert torch.equal(learner.prepared(batch).ref_logprobs, first)
    assert stats["reference_kl"] > 0


def lines(path: Path) -> list[dict]:
    clocks = ("seconds", "select_seconds")
    return [{k: v for k, v in json.loads(line).items() if k not in clocks} for line in path.read_text().splitlines()]


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", VARIANTS)
def test_a_killed_run_of_every_algorithm_resumes_to_the_last_bit(base: Path, tmp_path: Path, name: str) -> None:
    algorithm = Algorithm.parse(VARIANTS[name])
    changes: dict[str, Any] = {"rollouts": 4, "gate": "informative" if algorithm.needs_groups else None}
    if not algorithm.needs_groups:
        changes |= {"rollouts": 1, "prompts": 12, "selector": "uniform"}
    config = rl_config(base, algorithm=algorithm, steps=4, save_every=2, epochs=2, mini_batches=2, **changes)

    def kill(line: dict) -> None:
        if line["step"] == 3:
            raise Killed

    train(config, tmp_path / "whole")
    with pytest.raises(Killed):
        train(config, tmp_path / "killed", kill)
    train(config, tmp_path / "killed")
    for journal in ("metrics.jsonl", "evals.jsonl", "samples.jsonl"):
        assert lines(tmp_path / "killed" / journal) == lines(tmp_path / "whole" / journal), journal
    whole, killed = (tmp_path / run / "checkpoints/step_000004" for run in ("whole", "killed"))
    files = sorted(path.name for path in whole.glob("*.safetensors"))
    assert (
        ("critic.safetensors" in files) == ("critic_optimizer.safetensors" in files) == (algorithm.critic is not None)
    )
    for file in files:
        one, other = load_file(whole / file), load_file(killed / file)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), file
    assert any(line["grad_norm"] > 0 for line in lines(tmp_path / "whole/metrics.jsonl"))


@pytest.mark.parametrize("name", ["grpo", "rloo", "gspo", "ppo", "reinforce++"])
def test_prompts_may_get_different_numbers_of_rollouts(base: Path, tmp_path: Path, name: str) -> None:
    config = rl_config(
        base, algorithm=Algorithm.parse(name), allocation="knapsack", rollouts=4, steps=3, prompts=6, gate="informative"
    )
    summary = train(config, tmp_path)
    trials = [k for line in lines(tmp_path / "metrics.jsonl") for k in line["trials"]]
    assert len(set(trials)) > 1
    assert summary["steps"] == 3


def test_surplus_groups_of_a_gate_train_the_next_step(base: Path, tmp_path: Path) -> None:
    config = rl_config(
        base,
        selector="uniform",
        gate="informative",
        gate_options={"refill": "batch"},
        steps=6,
        prompts=6,
        rollouts=8,
    )
    trainer = Trainer(config, tmp_path)
    kept = []
    trainer.run(
        lambda line: kept.append((line["trained_groups"], trainer.surplus and len(torch.unique(trainer.surplus.group))))
    )
    assert all(trained <= 6 for trained, _ in kept)
    assert any(left for _, left in kept), "some round brought more groups than the step needs"


@pytest.mark.parametrize("name", ["gspo", "grpo", "rloo"])
def test_in_bfloat16_a_policy_that_has_not_moved_has_ratios_of_1(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Rolled, "rewards", lambda self, kind: np.arange(len(self.completions)) % 2.0)
    lines, gradients = {}, {}
    for precision in ("float32", "bfloat16"):
        config = rl_config(base, algorithm=Algorithm.parse(name), precision=precision, max_grad_norm=1e9)
        trainer = Trainer(config, tmp_path / precision)
        trainer.out.mkdir()
        trainer.learner.release = lambda: None
        trainer.roller.bfloat16 = False  # the same rollouts
        lines[precision] = trainer.train_step()
        gradients[precision] = torch.cat([p.grad.flatten() for p in trainer.policy.model.parameters()])
    assert lines["float32"]["surprisal"] == lines["bfloat16"]["surprisal"]
    assert lines["bfloat16"]["clipped"] == 0
    assert lines["bfloat16"].get("reference_kl", 0) < 1e-5
    assert torch.cosine_similarity(gradients["float32"], gradients["bfloat16"], dim=0) > 0.98
    assert not torch.equal(gradients["float32"], gradients["bfloat16"])


@pytest.mark.parametrize("estimator", ["k2", "k3"])
def test_prompts_and_padding_have_no_part_in_the_kl_however_unlikely_they_are(estimator: str) -> None:
    model = small()
    batch = rolled(model, [1.0, 0.0, 0.0, 1.0], [0, 0, 1, 1])
    results = []
    for temperature in (1.0, 1e-3):
        mine = copy.deepcopy(model)
        settings = UpdateSettings(1e-3, 4, temperature=temperature)
        learner = Learner(mine, Algorithm.parse({"like": "grpo", "kl_estimator": estimator}), settings)
        output = learner.forward.output(mine, batch.tokens, batch.mask, batch.group)
        assert not output.logprobs[batch.mask == 0].any()
        own = dataclasses.replace(batch, logprobs=output.logprobs.detach())
        results.append(learner.update(own)["reference_kl"])
    assert results == [0, 0]


@pytest.mark.parametrize("name", VARIANTS)
def test_groups_computed_with_their_prompt_once_have_the_loss_and_gradient_of_rows_side_by_side(name: str) -> None:
    model, reference = small(), small()
    torch.nn.init.normal_(reference.model.norm.weight, 1.0, 0.1, generator=torch.Generator().manual_seed(1))
    batch = rolled(model, [1.0, 0.0, 0.5, 1.0, 0.25, 0.0], [0, 0, 0, 1, 1, 2])
    batch = dataclasses.replace(batch, logprobs=batch.logprobs * 1.05)
    results = []
    for grouped in (False, True):
        mine = copy.deepcopy(model)
        settings = UpdateSettings(0.0001, 4, max_grad_norm=1e9, temperature=0.8, grouped=grouped)
        learner = Learner(mine, Algorithm.parse(VARIANTS[name]), settings, reference=copy.deepcopy(reference))
        if learner.critic is not None:
            torch.nn.init.normal_(learner.critic.head.weight, 0.0, 0.3, generator=torch.Generator().manual_seed(2))
        learner.optimizer = torch.optim.SGD(mine.parameters(), lr=0.0)
        stats = learner.update(batch)
        parts = list(mine.parameters()) + ([] if learner.critic is None else list(learner.critic.parameters()))
        results.append((stats, [p.grad for p in parts]))
    (one, gradients), (other, grouped_gradients) = results
    assert one == pytest.approx(other, abs=1e-5)
    for expected, given in zip(gradients, grouped_gradients, strict=True):
        if expected is None or given is None:
            assert expected is given
        else:
            torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-4)
