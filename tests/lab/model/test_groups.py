"""Shared-prefix packs against the plain forward pass on whole sequences."""

import numpy as np
import pytest
import torch

from edgewise.errors import ConfigError
from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.model.generate import sequence_logprobs
from edgewise.lab.model.groups import GroupPack, completion_logprobs, micro_batches
from edgewise.lab.model.vocabulary import token_logprobs

WORDS = 31
Groups = tuple[list[list[int]], list[list[list[int]]]]
FEATURES = [
    {},
    {"attention_bias": False, "tie_word_embeddings": False, "head_dim": 10},
    {"query_key_norm": True, "attention_bias": False, "num_key_value_heads": 1},
]


def make(**features: object) -> Decoder:
    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}
    return Decoder(ModelConfig(**{"vocab_size": WORDS, **sizes, **features})).double()


def groups(seed: int) -> Groups:
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(0, WORDS, length).tolist() for length in (1, 3, 17, 40, 4, 12)]
    # Completions of one token, of many lengths, and a group of one.
    counts = (3, 4, 1, 6, 2, 5)
    completions = [
        [rng.integers(0, WORDS, rng.integers(1, 40 if i == 3 else 9)).tolist() for _ in range(n)]
        for i, n in enumerate(counts)
    ]
    completions[0][0] = [7]
    completions[4] = [[3], [4]]
    return prompts, completions


def plain(model: Decoder, batch: Groups, temperature: float) -> torch.Tensor:
    """Log-probabilities of completion tokens, one whole sequence at a time."""
    parts = [
        sequence_logprobs(model, torch.tensor([prompt + completion]), temperature)[0, len(prompt) - 1 :]
        for prompt, group in zip(*batch, strict=True)
        for completion in group
    ]
    return torch.cat(parts)


def gradients(model: Decoder, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("recompute", [False, True])
def test_loss_and_gradient_are_those_of_whole_sequences(features: dict, recompute: bool) -> None:
    model, batch = make(**features), groups(0)
    weights = torch.randn(sum(len(c) for group in batch[1] for c in group), generator=torch.Generator().manual_seed(1))
    pack = GroupPack.of(*batch)
    shared, _ = completion_logprobs(model, pack, 0.7, recompute)
    whole = plain(model, batch, 0.7)
    torch.testing.assert_close(shared.double(), whole, atol=1e-5, rtol=1e-5)
    ours, theirs = gradients(model, (shared * weights).sum()), gradients(model, (whole * weights).sum())
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, atol=1e-5, rtol=1e-5, msg=name)


def test_every_prompt_token_is_computed_once() -> None:
    prompts, completions = groups(1)
    pack = GroupPack.of(prompts, completions)
    assert len(pack.tokens) == sum(map(len, prompts)) + sum(len(c) - 1 for group in completions for c in group)
    assert len(pack.targets) == sum(len(c) for group in completions for c in group)
    assert len(pack.read) == len(pack.read.unique())
    assert pack.lengths.tolist() == [len(c) for group in completions for c in group]


@pytest.mark.parametrize("limit", [1, 60, 150, 10_000])
@pytest.mark.parametrize("shuffle", [False, True])
def test_micro_batches_hold_every_completion_once_and_add_up(limit: int, shuffle: bool) -> None:
    model, (prompts, completions) = make(), groups(2)
    rows = [(i, completion) for i, group in enumerate(completions) for completion in group]
    if shuffle:
        rows = [rows[i] for i in np.random.default_rng(3).permutation(len(rows))]
    names = [i for i, _ in rows]
    heads, tails = [len(prompts[i]) for i in names], [len(completion) for _, completion in rows]
    whole = gradients(model, plain(model, (prompts, completions), 1.0).sum())
    model.zero_grad()
    seen: list[int] = []
    for part in micro_batches(heads, tails, names, limit):
        seen += part.tolist()
        own: dict[int, list[list[int]]] = {}
        for row in part.tolist():
            own.setdefault(rows[row][0], []).append(rows[row][1])
        assert [names[row] for row in part] == [name for name in own for _ in own[name]]
        pack = GroupPack.of([prompts[i] for i in own], list(own.values()))
        assert len(pack.tokens) <= limit or len(part) == 1
        completion_logprobs(model, pack)[0].sum().backward()
    assert sorted(seen) == list(range(len(rows)))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, whole[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_chunked_logprobs_and_entropies_are_those_of_full_logits(chunk: int) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(10, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(WORDS, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    places = torch.tensor([4, 0, 0, 9, 4, 2, 7, 7, 7])
    targets = torch.randint(WORDS, (9,), generator=generator)
    first, second = torch.randn(2, 9, generator=generator)
    full = (hidden @ weight.T / 1.3).log_softmax(-1)[places]
    wanted = (full[torch.arange(9), targets], -(full.exp() * full).sum(-1))
    found = token_logprobs(hidden, weight, places, targets, 1.3, chunk)
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine.double(), theirs, atol=1e-5, rtol=1e-5)
    for values in ((found[0] * first).sum(), (found[0] * first).sum() + (found[1] * second).sum()):
        values.backward(retain_graph=True)
    ours = (hidden.grad.clone(), weight.grad.clone())
    hidden.grad = weight.grad = None
    (2 * (wanted[0] * first).sum() + (wanted[1] * second).sum()).backward()
    for mine, theirs in zip(ours, (hidden.grad, weight.grad), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_empty_texts_are_refused() -> None:
    for prompts, completions in (([], []), ([[]], [[[1]]]), ([[1]], [[[]]]), ([[1]], [[]])):
        with pytest.raises(ConfigError, match="at least one token"):
            GroupPack.of(prompts, completions)
