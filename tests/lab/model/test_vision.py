"""Pictures in the decoder: parity with a separate computation, gradients, no sharing between pictures, the same losses everywhere."""

from __future__ import annotations

import base64
import copy
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.small import VISION as MODEL

from edgewise.errors import ConfigError, TaskError
from edgewise.lab.model.config import ModelConfig
from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.generate import generate
from edgewise.lab.model.groups import GroupPack, completion_logprobs
from edgewise.lab.model.packed import Pack, token_losses
from edgewise.lab.model.policy import Policy
from edgewise.lab.model.vision import Gallery, PictureFormat, blank, data_uri, grey
from edgewise.lab.run.corpus import Corpus
from edgewise.tasks import Problem, make_task

FORM = PictureFormat(image_size=60, patch_size=10, vocab_size=397, placeholder=2)


@pytest.fixture
def policy() -> Policy:
    policy = Policy.fresh({"name": "geometry", "options": {}}, MODEL, 0)
    torch.nn.init.normal_(policy.model.vision.position, std=0.1)  # type: ignore[union-attr]
    return policy


@pytest.fixture
def problems() -> list[Problem]:
    return make_task("geometry").problems(12, 0, op=(1, 3))


def by_hand(model: Decoder, prompt: list[int], images: tuple[Any, ...]) -> torch.Tensor:
    """Embeddings of a prompt: words from the table, each picture cut into squares one by one."""
    assert model.vision is not None
    rows, seen = [], 0
    squares = [
        np.asarray(image)[10 * row : 10 * row + 10, 10 * column : 10 * column + 10]
        for image in images
        for row in range(6)
        for column in range(6)
    ]
    for token in prompt:
        if token < model.config.vocab_size:
            rows.append(model.model.embed_tokens.weight[token])
            continue
        ink = 1 - torch.tensor(squares[seen].ravel() / 255, dtype=torch.float32)
        rows.append(model.vision.patch.weight @ ink + model.vision.patch.bias + model.vision.position[seen % 36])
        seen += 1
    assert seen == len(squares)
    return torch.stack(rows)


def test_embeddings_are_those_computed_by_hand(policy: Policy, problems: list[Problem]) -> None:
    for problem, prompt in zip(problems, policy.encode(problems), strict=True):
        assert len(prompt) == 36 + len(problem.prompt.split()) - 1
        embedded = policy.model.embed(torch.tensor(prompt))
        torch.testing.assert_close(embedded, by_hand(policy.model, prompt, problem.images))


def test_gradients_reach_patches_and_places(policy: Policy, problems: list[Problem]) -> None:
    prompt, model = policy.encode(problems[:1])[0], policy.model
    parameters = dict(model.named_parameters())
    names = ("vision.patch.weight", "vision.patch.bias", "vision.position", "model.embed_tokens.weight")
    weight = torch.randn(len(prompt), model.config.hidden_size, generator=torch.Generator().manual_seed(0))
    gradients = [
        torch.autograd.grad((embedded * weight).sum(), [parameters[name] for name in names])
        for embedded in (model.embed(torch.tensor(prompt)), by_hand(model, prompt, problems[0].images))
    ]
    for own, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(own, wanted)
    assert gradients[0][0].abs().sum() > 0


def test_a_model_without_pictures_is_as_before(problems: list[Problem]) -> None:
    config = ModelConfig(vocab_size=397, num_hidden_layers=1)
    assert Decoder(config).vision is None
    assert "image_size" not in config.to_hugging_face([1], 0)
    without = Policy.fresh({"name": "geometry", "options": {}}, {"num_hidden_layers": 1}, 0)
    with pytest.raises(ConfigError, match="have pictures and the model reads none"):
        without.encode(problems)
    with pytest.raises(ConfigError, match="multiple of patch_size"):
        ModelConfig(vocab_size=5, image_size=60, patch_size=7)


def test_two_pictures_under_the_same_words_do_not_share_a_prefill(policy: Policy, problems: list[Problem]) -> None:
    one, other = (replace(problem, prompt="<image> Find x .") for problem in problems[:2])
    prompts = policy.encode([one, other, one])
    assert prompts[0] == prompts[2] != prompts[1]

    def greedy(prompts: list[list[int]]) -> list[list[int]]:
        return generate(policy.model, prompts, 6, policy.ending, policy.tokenizer.pad, None, 0.0).tokens.tolist()

    assert greedy(prompts) == [greedy([prompt])[0] for prompt in prompts]
    logits = [policy.model(torch.tensor([prompt]))[0, -1] for prompt in prompts]
    assert not torch.allclose(logits[0], logits[1])
    torch.testing.assert_close(logits[0], logits[2])


def test_packs_groups_and_rows_give_the_same_likelihoods(policy: Policy, problems: list[Problem]) -> None:
    prompts = policy.encode(problems)
    solutions = policy.tokenizer.encode([problem.solution for problem in problems])
    model = policy.model
    alone = []
    for prompt, solution in zip(prompts, solutions, strict=True):
        scores = model(torch.tensor([prompt + solution[:-1]]))[0, len(prompt) - 1 :].log_softmax(-1)
        alone.append(scores.gather(1, torch.tensor(solution)[:, None])[:, 0])
    grouped, _ = completion_logprobs(model, GroupPack.of(prompts, [[solution] for solution in solutions]))
    torch.testing.assert_close(grouped, torch.cat(alone), rtol=1e-4, atol=1e-5)
    documents = [prompt + solution for prompt, solution in zip(prompts, solutions, strict=True)]
    order = np.argsort([-len(document) for document in documents], kind="stable")
    packed = token_losses(model, Pack.of(documents, [len(prompt) for prompt in prompts]))
    torch.testing.assert_close(-packed, torch.cat([alone[index] for index in order]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["completion", "text"])
def test_a_corpus_brings_its_pictures_along(policy: Policy, loss: str) -> None:
    corpus = Corpus(policy.task, policy.tokenizer, {}, 600, loss, 128, 0, policy.pictures)  # type: ignore[arg-type]
    pack = corpus[3]
    assert pack.patches is not None
    pictured = pack.tokens >= policy.model.config.vocab_size
    rows = pack.tokens[pictured] - policy.model.config.vocab_size
    assert rows.min() == 0
    assert rows.max() < len(pack.patches) == 36 * len(rows.unique().div(36, rounding_mode="floor").unique())
    assert (pack.targets < policy.model.config.vocab_size).all()
    # The same documents through the gallery: other rows, the same embeddings.
    assert policy.model.vision is not None
    policy.model.vision.gallery.add(np.zeros((36, 100), np.uint8))
    first = [policy.model.vision.gallery.add(part.numpy()) for part in pack.patches.split(36)]
    moved = pack.tokens.clone()
    moved[pictured] = policy.model.config.vocab_size + torch.tensor(first)[rows // 36] + rows % 36
    torch.testing.assert_close(policy.model.embed(pack.tokens, pack.patches), policy.model.embed(moved))


def test_a_corpus_names_the_settings_that_a_model_without_pictures_lacks() -> None:
    without = Policy.fresh({"name": "geometry", "options": {}}, {"num_hidden_layers": 1}, 0)
    with pytest.raises(ConfigError, match="set image_size and patch_size under model"):
        Corpus(without.task, without.tokenizer, {}, 600)  # type: ignore[arg-type]


def test_a_checkpoint_reads_the_same_pictures(policy: Policy, problems: list[Problem], tmp_path: Path) -> None:
    policy.save(tmp_path)
    again = Policy.load(tmp_path)
    tokens = [torch.tensor([own.encode(problems)[3]]) for own in (policy, again)]
    torch.testing.assert_close(policy.model(tokens[0]), again.model(tokens[1]))


def test_copies_of_a_model_share_the_gallery(policy: Policy, problems: list[Problem]) -> None:
    twin = copy.deepcopy(policy.model)
    prompt = torch.tensor(policy.encode(problems[:1]))
    torch.testing.assert_close(twin(prompt), policy.model(prompt))


def test_blank_pictures_are_one_picture(policy: Policy, problems: list[Problem]) -> None:
    prompts = policy.encode(problems, without_pictures=True)
    assert len({tuple(token for token in prompt if token >= 397) for prompt in prompts}) == 1
    assert (blank(problems[0].images[0]) == 255).all()


def test_a_gallery_holds_each_picture_once() -> None:
    gallery = Gallery(4)
    pictures = [np.full((3, 4), value, np.uint8) for value in range(200)]
    assert [gallery.add(picture) for picture in pictures] == list(range(0, 600, 3))
    assert gallery.add(pictures[7].copy()) == 21
    assert (gallery.take(torch.tensor([[21, 599]])).numpy() == [[[7] * 4, [199] * 4]]).all()


def test_a_prompt_needs_as_many_placeholders_as_pictures() -> None:
    assert FORM.expand([5, 2, 6, 2], [0, 36])[:3] == [5, 397, 398]
    for tokens, firsts in (([5], [0]), ([2, 2], [0]), ([2], [])):
        with pytest.raises(TaskError, match="the two must be equal"):
            FORM.expand(tokens, firsts)


def test_other_kinds_of_pictures_become_grey_squares() -> None:
    from PIL import Image

    colours = np.zeros((40, 80, 4), np.uint8)
    assert grey(colours).tolist() == [[255] * 80] * 40
    colours[..., 3] = 255
    patches = FORM.patches(Image.fromarray(colours))
    square = patches.reshape(6, 6, 10, 10).swapaxes(1, 2).reshape(60, 60)
    assert (square[15:45] == 0).all()
    assert (square[:15] == 255).all()
    assert (grey(Image.new("1", (3, 3), 1)) == 255).all()
    with pytest.raises(TaskError, match="a picture must be"):
        grey(np.zeros((2, 2)))


def test_pictures_are_written_as_png() -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (7, 5), np.uint8)
    address = data_uri(pixels)
    decoded = Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))
    assert (np.asarray(decoded) == pixels).all()
