"""Likelihood of gold completions: what a plain forward pass gives, and what it becomes as a feature."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.small import rl_config
from tokenizers import Tokenizer as Core
from tokenizers import models, normalizers, pre_tokenizers

from edgewise.errors import ConfigError
from edgewise.features import hashed_features
from edgewise.lab.evaluation.likelihood import gold_log_likelihood, solution_likelihood
from edgewise.lab.model.generate import sequence_logprobs
from edgewise.lab.model.policy import Policy, PromptFormat, encode_answers, encode_prompts
from edgewise.lab.model.tokenizer import Tokenizer
from edgewise.lab.rl.trainer import PoolConfig, Trainer, train
from edgewise.lab.run.corpus import Corpus


def plain(policy: Policy, prompt: list[int], completion: list[int]) -> float:
    with torch.no_grad():
        logprobs = sequence_logprobs(policy.model, torch.tensor([prompt + completion]))
    return logprobs[0, len(prompt) - 1 :].sum().item()


def test_the_likelihood_is_that_of_the_plain_forward_pass(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy.load(base)
    problems = policy.task.problems(40, 3, op=(1, 6), split="eval")
    monkeypatch.setattr("edgewise.lab.evaluation.likelihood.PACK", 60)  # several packs
    found = solution_likelihood(policy, problems)
    for row in (0, 7, 20, 39):
        prompt, solution = policy.tokenizer.encode([problems[row].prompt, problems[row].solution])
        with torch.no_grad():
            own = -sequence_logprobs(policy.model, torch.tensor([prompt + solution]))[0, len(prompt) - 1 :].sum()
        assert found.nats[row] == pytest.approx(own.item(), rel=1e-4)
        assert found.tokens[row] == len(solution)


def test_the_likelihood_holds_the_logits_of_few_tokens_where_the_vocabulary_is_large(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy.load(base)
    problems = policy.task.problems(40, 3, op=(1, 6), split="eval")
    whole = solution_likelihood(policy, problems)
    sizes = []

    def counted(hidden: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        sizes.append(len(hidden))
        return torch.nn.functional.linear(hidden, weight)

    monkeypatch.setattr("edgewise.lab.model.vocabulary.F", SimpleNamespace(linear=counted))
    for most in (100, 1):
        sizes.clear()
        monkeypatch.setattr("edgewise.lab.model.vocabulary.CHUNK_LOGITS", most * policy.model.config.vocab_size)
        np.testing.assert_allclose(solution_likelihood(policy, problems).nats, whole.nats, rtol=1e-4)
        assert max(sizes) <= most


def test_the_likelihood_of_an_answer_ends_where_a_completion_ends(base: Path) -> None:
    policy = Policy.load(base)
    problems = policy.task.problems(20, 3, op=(1, 3))
    found = gold_log_likelihood(policy, problems, "answer")
    assert found.shape == (20,)
    for row in (0, 9):
        prompt, answer = policy.tokenizer.encode([problems[row].prompt, problems[row].answer])
        assert found[row] == pytest.approx(plain(policy, prompt, [*answer, policy.tokenizer.end]), rel=1e-4)
    solutions = gold_log_likelihood(policy, problems, "solution")
    assert solutions == pytest.approx(-solution_likelihood(policy, problems).nats)


def test_problems_without_a_gold_completion_are_named(base: Path) -> None:
    policy = Policy.load(base)
    problems = policy.task.problems(3, 0, op=(1, 3))
    problems[1] = dataclasses.replace(problems[1], solution="")
    with pytest.raises(ConfigError, match=r"1 of 3 problems have no gold solution"):
        gold_log_likelihood(policy, problems, "solution")
    assert np.isfinite(gold_log_likelihood(policy, problems, "answer")).all()


def test_answers_go_on_where_the_prompt_stops(tmp_path: Path) -> None:
    pretrained = pytest.importorskip("tests.lab.model.pretrained", reason="needs transformers")
    from edgewise.lab.model.pretrained import load_pretrained

    pretrained.make(tmp_path, "llama")
    tokenizer = load_pretrained(tmp_path)[1]

    def text(prompt: str, form: PromptFormat, answer: str = "12") -> str:
        return tokenizer.core.decode(encode_answers([prompt], [answer], form, tokenizer)[0], skip_special_tokens=False)

    assert text("Answer:", PromptFormat()) == " 12<|im_end|>"
    assert text("Answer:\n", PromptFormat()) == "12<|im_end|>"
    assert text("Answer:", PromptFormat(), "\n12") == "\n12<|im_end|>"
    assert text("Answer:", PromptFormat(stop=("\n", "Q"))) == " 12\n"
    assert text("What is 7 + 5?", PromptFormat(chat=True)) == "12<|im_end|>"


@pytest.mark.parametrize(
    ("normalizer", "pre_tokenizer"),
    [
        (normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]), None),
        (None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False)),
        (None, pre_tokenizers.Metaspace(prepend_scheme="always", split=False)),
    ],
)
def test_a_tokenizer_that_puts_a_space_before_every_text_puts_none_before_an_answer(
    normalizer: Any, pre_tokenizer: Any
) -> None:
    """As the tokenizers of Llama 2 and TinyLlama do."""
    core = Core(models.BPE({"<s>": 0, "\u2581": 1, "4": 2, "\n": 3, ":": 4}, []))
    core.normalizer, core.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer = Tokenizer(core, [0], 0)
    for prompt, answer in (("4:", "44"), ("4:\n", "44"), ("4:", "\n4")):
        space = "" if "\n" in prompt + answer else " "
        whole = encode_prompts([prompt + space + answer], PromptFormat(), tokenizer)[0]
        begun = encode_prompts([prompt], PromptFormat(), tokenizer)[0]
        assert begun + encode_answers([prompt], [answer], PromptFormat(), tokenizer)[0] == [*whole, 0]


@pytest.mark.parametrize("form", [PromptFormat(), PromptFormat(stop=("\n",)), PromptFormat(chat=True)])
def test_a_solution_is_the_same_completion_as_a_feature_and_in_training(tmp_path: Path, form: PromptFormat) -> None:
    pretrained = pytest.importorskip("tests.lab.model.pretrained", reason="needs transformers")
    from tokenizers.processors import TemplateProcessing

    pretrained.make(tmp_path, "llama")
    policy = Policy.load(tmp_path, {"name": "school", "options": {}}, form)
    core = policy.tokenizer.core
    problems = policy.task.problems(2, 0, family="addition", level=(1, 1))
    # A solution begins no text of its own.
    begin = core.token_to_id("<|im_start|>")
    core.post_processor = TemplateProcessing(single="<|im_start|> $A", special_tokens=[("<|im_start|>", begin)])
    prompts = policy.encode(problems)
    assert prompts[0][0] == begin
    before, end = "" if form.chat else " ", form.stop[0] if form.stop else "<|im_end|>"
    own = [core.encode(before + p.solution + end, add_special_tokens=False).ids for p in problems]
    wanted = [plain(policy, *pair) for pair in zip(prompts, own, strict=True)]
    assert gold_log_likelihood(policy, problems, "solution") == pytest.approx(wanted, rel=1e-4)
    assert -solution_likelihood(policy, problems).nats == pytest.approx(wanted, rel=1e-4)
    shown = Corpus(policy.task, policy.tokenizer, {}, 400, form=form)[0].tokens.tolist()
    text = core.decode(shown, skip_special_tokens=False)
    assert f"{policy.task.end}{end}" in text
    assert ("Answer: " in text) is not form.chat


@pytest.mark.parametrize("features", ["text", "answer", "solution"])
def test_a_run_describes_its_prompts(base: Path, tmp_path: Path, features: str) -> None:
    pool = PoolConfig(size=60, difficulty={"op": [1, 3]}, features=features)
    trainer = Trainer(rl_config(base, selector="edge", pool=pool), tmp_path / "run")
    if features == "text":
        wanted = hashed_features([problem.prompt for problem in trainer.problems], 32)
    else:
        wanted = gold_log_likelihood(trainer.policy, trainer.problems, features)[:, None]
    assert trainer.pool.features is not None
    assert trainer.pool.features == pytest.approx(wanted, rel=1e-6)
    assert trainer.pool.category_names == ["1", "2", "3"]


def test_features_are_those_of_the_base_after_a_resume(base: Path, tmp_path: Path) -> None:
    pool = PoolConfig(size=60, difficulty={"op": [1, 3]}, features="solution")
    config = rl_config(base, selector="edge", pool=pool, steps=4, save_every=2)
    train(config, tmp_path / "run")
    again = Trainer(config, tmp_path / "run")
    again.resume()
    fresh = Trainer(config, tmp_path / "other")
    assert again.step == 4
    assert np.array_equal(again.pool.features, fresh.pool.features)
    # The trained policy finds its own way: the features are not those of its weights now.
    trained = gold_log_likelihood(again.policy, again.problems, "solution")
    assert np.abs(trained - again.pool.features[:, 0]).max() > 1e-3
