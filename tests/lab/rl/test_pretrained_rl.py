"""RL of a pretrained model of a Hugging Face folder: any task, its own tokenizer, checkpoints for transformers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.lab.model.pretrained import make

from edgewise.errors import ConfigError, EdgewiseError
from edgewise.lab.evaluation.rollouts import Roller
from edgewise.lab.model import import_model
from edgewise.lab.model.memory import EVALUATION, StepSize, check_memory, enough_memory, rows_at_once, step_bytes
from edgewise.lab.model.policy import Policy, PromptFormat
from edgewise.lab.rl import trainer
from edgewise.lab.rl.config import RLConfig
from edgewise.lab.rl.trainer import Trainer, train
from edgewise.lab.run.config import from_dict
from edgewise.tasks import make_task


@pytest.fixture(scope="module", params=["llama", "qwen2", "qwen3"])
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    make(folder / "source", request.param)
    return import_model(folder / "source", folder / "model").folder


def config(base: Path, **changes: Any) -> RLConfig:
    values = {
        "base": str(base),
        "task": "school",
        "prompts_format": {"stop": ["\n"]},
        "selector": "uniform",
        "pool": {"size": 12, "difficulty": {"family": "addition", "level": [1, 1]}},
        "evaluation": {"problems": 4, "samples": 1, "every": 10, "probe": 2, "probe_samples": 2},
        "steps": 2,
        "prompts": 4,
        "rollouts": 4,
        # A random model answers nothing right: any reward that differs makes a gradient.
        "algorithm": "dr_grpo",
        "max_new_tokens": 6,
        "save_every": 1,
        "micro_batch_tokens": 100,
    }
    return from_dict(RLConfig, {**values, **changes})


def rewards(self: Any, kind: str) -> np.ndarray:
    """The share of even tokens: rewards that differ inside a group."""
    tokens, lengths = self.tensors.tokens.cpu().numpy(), self.tensors.lengths.cpu().numpy()
    return np.array([(row[:length] % 2 == 0).mean() for row, length in zip(tokens, lengths, strict=True)])


def test_a_run_trains_it_and_its_checkpoints_load_in_transformers(
    imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setattr("edgewise.lab.evaluation.rollouts.Rolled.rewards", rewards)
    train(config(imported), tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints" / "step_000002"
    policy = Policy.load(folder)
    assert policy.prompts == PromptFormat(stop=("\n",))
    assert policy.task_spec == {"name": "school", "options": {}}
    before = Policy.load(imported, policy.task_spec).model.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in policy.model.state_dict().items())
    auto, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    problem = policy.task.problems(1, 0)[0]
    ids = policy.encode([problem])[0]
    assert tokenizer(problem.prompt)["input_ids"] == ids
    with torch.no_grad():
        torch.testing.assert_close(
            auto(torch.tensor([ids])).logits, policy.model(torch.tensor([ids])), atol=1e-3, rtol=1e-4
        )
    messages = [{"role": "user", "content": "Hi"}]
    assert policy.tokenizer.chat is not None
    assert tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    ) == policy.tokenizer.chat.render(messages)
    # The same command goes on from the checkpoint, which names its task itself.
    trainer = Trainer(config(imported, steps=3), tmp_path / "other")
    trainer._load(folder)
    assert trainer.step == 2


@pytest.mark.parametrize("changes", [{"recompute": True}, {"micro_batch_tokens": 1}, {"micro_batch_tokens": 100_000}])
def test_memory_settings_do_not_change_what_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    make(tmp_path / "source", "llama")
    monkeypatch.setattr("edgewise.lab.evaluation.rollouts.Rolled.rewards", rewards)
    weights = []
    for name, settings in (("plain", {}), ("changed", changes)):
        trainer = Trainer(config(tmp_path / "source", steps=1, learning_rate=1e-4, **settings), tmp_path / name)
        trainer.out.mkdir()
        trainer.train_step()
        weights.append(trainer.policy.model.state_dict())
    # The first step of Adam has the size of the learning rate, whatever the gradient: a wrong sign would be 2e-4 away.
    off = [(weights[0][name] - weights[1][name]).abs() for name in weights[0]]
    assert sum(float((part > 1e-5).sum()) for part in off) / sum(part.numel() for part in off) < 0.002


@pytest.mark.parametrize("algorithm", ["dr_grpo", "ppo", {"like": "ppo", "critic": {"network": "own"}}])
def test_an_update_in_bfloat16_is_near_that_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: Any
) -> None:
    make(tmp_path / "source", "qwen3")
    monkeypatch.setattr("edgewise.lab.evaluation.rollouts.Rolled.rewards", rewards)
    norms = []
    for precision in ("float32", "bfloat16"):
        settings = {"precision": precision, "algorithm": algorithm}
        trainer = Trainer(config(tmp_path / "source", **settings), tmp_path / precision)
        trainer.out.mkdir()
        trainer.roller.bfloat16 = False  # the same rollouts
        norms.append(trainer.train_step()["grad_norm"])
        assert all(parameter.dtype == torch.float32 for parameter in trainer.policy.model.parameters())
    assert norms[1] == pytest.approx(norms[0], rel=0.1)
    assert norms[1] != norms[0]


def test_prompts_by_the_chat_template_and_stop_strings(imported: Path) -> None:
    form = PromptFormat(chat=True, system="Be brief.", stop=("\n", "##"))
    policy = Policy.load(imported, {"name": "school", "options": {}}, form)
    problem = policy.task.problems(1, 0)[0]
    wanted = f"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{problem.prompt}<|im_end|>\n<|im_start|>assistant\n"
    assert policy.render(problem) == wanted
    assert policy.encode([problem]) == policy.tokenizer.encode([wanted], special=False)
    rows = [policy.tokenizer.encode([text])[0] for text in (" 12\n", " 12 # 3", " 12 #", " 12 ##")]
    ended = [bool(policy.ending(torch.tensor([row]))) for row in rows]
    assert ended == [True, False, False, True]
    width = max(map(len, rows))
    tokens = np.array([row + [0] * (width - len(row)) for row in rows])
    assert policy.decode(tokens, np.array([len(row) for row in rows])) == [" 12", " 12 # 3", " 12 #", " 12 "]


def test_a_folder_without_generation_settings_is_a_base(tmp_path: Path) -> None:
    make(tmp_path, "llama")
    (tmp_path / "generation_config.json").unlink(missing_ok=True)
    assert Policy.load(tmp_path, {"name": "school", "options": {}}).tokenizer.ends == (2,)
    with pytest.raises(ConfigError, match="names no task: add `task"):
        Policy.load(tmp_path)


def test_what_does_not_fit_together_is_one_sentence(imported: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no task: add `task"):
        Trainer(config(imported, task=None), tmp_path / "run")
    with pytest.raises(ConfigError, match="knows the words of task 'opgraph' only"):
        Trainer(from_dict(RLConfig, {"base": "opgraph", "task": "school"}), tmp_path / "run")
    with pytest.raises(ConfigError, match="a system message needs chat"):
        config(imported, prompts_format={"system": "Be brief."})
    with pytest.raises(ConfigError, match="task lacks the setting name"):
        config(imported, task={"options": {}})
    path = imported / "tokenizer_config.json"
    original = path.read_text()
    for template, message in (
        ("{{ messages[0].nothing.at_all }}", "chat template fails on messages of user"),
        ("{% if %}", "chat template cannot be read"),
        ("{{ raise_exception('only two roles') }}", "only two roles"),
        (None, "has no chat template"),
    ):
        path.write_text(json.dumps({**json.loads(original), "chat_template": template}))
        with pytest.raises(ConfigError, match=message):
            Trainer(config(imported, prompts_format={"chat": True}), tmp_path / "run")
    path.write_text(original)
    assert not (tmp_path / "run").exists()


def test_a_step_that_does_not_fit_is_refused_with_a_setting_that_does(imported: Path) -> None:
    model = Policy.load(imported, {"name": "school"}).model.config
    size = StepSize(rows=64, longest=200, micro_tokens=8192)
    needed = sum(step_bytes(model, size).values())
    check_memory(model, size, torch.device("cpu"), needed)
    with pytest.raises(ConfigError, match=r"micro_batch_tokens: \d+ would fit"):
        check_memory(model, size, torch.device("cpu"), needed - 1)
    with pytest.raises(ConfigError, match="no setting fits"):
        check_memory(model, size, torch.device("cpu"), 1000)
    smaller = StepSize(rows=64, longest=200, micro_tokens=8192, recompute=True)
    assert sum(step_bytes(model, smaller).values()) < needed
    # Of a batch whose keys and values outweigh the update, sampling in bfloat16 spares half of them.
    long, half = (StepSize(rows=512, longest=400, micro_tokens=64, bfloat16=bfloat16) for bfloat16 in (False, True))
    keys = 2 * model.num_hidden_layers * model.num_key_value_heads * model.head_dim * 512 * 400
    assert step_bytes(model, long)["step"] - step_bytes(model, half)["step"] == 2 * keys


def test_an_evaluation_needs_no_more_memory_than_the_step_that_was_checked(imported: Path) -> None:
    model = dataclasses.replace(
        Policy.load(imported, {"name": "school"}).model.config, num_hidden_layers=30, vocab_size=49_152
    )
    size = StepSize(rows=256, longest=2_000, micro_tokens=4_096)
    for longest in (500, 2_000, 20_000):
        rows = rows_at_once(model, size, longest, most=100_000)
        sampled = StepSize(rows, longest, micro_tokens=1)
        larger = dataclasses.replace(sampled, rows=rows + 1)
        allowed = max(step_bytes(model, size)["step"], EVALUATION)
        assert step_bytes(model, sampled)["step"] <= allowed < step_bytes(model, larger)["step"]
    assert rows_at_once(model, size, 500, most=7) == 7
    assert rows_at_once(model, size, 10**9, most=7) == 1


def test_evaluations_and_prior_pass_rates_are_sampled_in_parts_that_fit(
    imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    roll = Roller.roll

    def watched(self: Roller, rows: Any, counts: Any, generator: Any) -> Any:
        sizes.append(int(counts.sum()))
        return roll(self, rows, counts, generator)

    monkeypatch.setattr(Roller, "roll", watched)
    monkeypatch.setattr(trainer, "CHUNK", 6)
    run = Trainer(config(imported, pool={"size": 10, "priors": {"source": "rollouts", "samples": 2}}), tmp_path / "run")
    measured = len(sizes)
    (tmp_path / "run").mkdir()
    run.monitor.evaluate(0, run.curriculum)
    assert 4 <= measured < len(sizes)
    assert max(sizes) <= 6


def test_memory_that_runs_out_ends_a_run_with_a_sentence_and_costs_no_step(
    imported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(imported)
    whole = train(settings, tmp_path / "whole")
    step = Trainer.train_step

    def ends(self: Trainer) -> Any:
        if self.step == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.09 GiB.")
        return step(self)

    monkeypatch.setattr(Trainer, "train_step", ends)
    with pytest.raises(EdgewiseError, match=r"memory of the GPU ran out: .*micro_batch_tokens"):
        train(settings, tmp_path / "run")
    monkeypatch.undo()
    resumed = train(settings, tmp_path / "run")
    assert resumed["curriculum"] == whole["curriculum"]
    with pytest.raises(EdgewiseError, match="memory of the machine ran out: less"), enough_memory("less"):
        torch.empty(10**15)
    with pytest.raises(RuntimeError, match="another"), enough_memory("less"):
        raise RuntimeError("another")


def test_the_configuration_that_is_shipped_is_valid() -> None:
    from edgewise.lab.run.config import read_yaml

    path = Path(__file__).parents[3] / "configs" / "rl" / "school-smollm2.yaml"
    settings = from_dict(RLConfig, read_yaml(path))
    assert settings.task is not None
    problems = make_task(settings.task.name).problems(
        settings.pool.size, settings.pool.seed, **settings.pool.difficulty
    )
    assert len(problems) == settings.pool.size
