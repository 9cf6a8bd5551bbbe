"""Shared-prefix packs against the plain forward pass on whole sequences."""

import numpy as np
import pytest
import torch

from edgewise.errors import ConfigError
from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.model.generate import sequence_logprobs
from edgewise.lab.model.groups import GroupPack, batch_logprobs, completion_logprobs, micro_batches
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


def padded(batch: Groups, shuffle: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, mask and group of whole sequences, those of one group side by side or not."""
    rows = [(i, prompt, c) for i, (prompt, group) in enumerate(zip(*batch, strict=True)) for c in group]
    if shuffle:
        rows = [rows[i] for i in np.random.default_rng(3).permutation(len(rows))]
    width = max(len(prompt) + len(c) for _, prompt, c in rows)
    tokens, mask = torch.zeros(len(rows), width, dtype=torch.int64), torch.zeros(len(rows), width - 1)
    for row, (_, prompt, completion) in enumerate(rows):
        end = len(prompt) + len(completion)
        tokens[row, :end] = torch.tensor(prompt + completion)
        mask[row, len(prompt) - 1 : end - 1] = 1
    return tokens, mask, torch.tensor([i for i, *_ in rows])


@pytest.mark.parametrize("limit", [1, 60, 150, 10_000])
@pytest.mark.parametrize("shuffle", [False, True])
def test_micro_batches_of_padded_sequences_add_up_to_the_plain_gradient(limit: int, shuffle: bool) -> None:
    model = make()
    tokens, mask, group = padded(groups(2), shuffle)
    weights = torch.randn(mask.shape, generator=torch.Generator().manual_seed(0))
    whole = gradients(model, (sequence_logprobs(model, tokens, 1.3) * mask * weights).sum())
    model.zero_grad()
    lengths = mask.sum(1).long()
    heads = mask.argmax(1) + 1
    seen: list[int] = []
    for part in micro_batches(heads, lengths, group, limit):
        seen += part.tolist()
        pack = GroupPack.of(*split(tokens, heads, lengths, group, part))
        assert len(pack.tokens) <= limit or len(part) == 1
        logprobs, entropies = batch_logprobs(model, tokens[part], mask[part], group[part], 1.3)
        assert ((logprobs != 0) == (mask[part] != 0)).all()
        assert (entropies[mask[part] == 0] == 0).all()
        (logprobs * weights[part]).sum().backward()
    assert sorted(seen) == list(range(len(tokens)))
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, whole[name], atol=1e-5, rtol=1e-5)


def split(
    tokens: torch.Tensor, heads: torch.Tensor, lengths: torch.Tensor, group: torch.Tensor, part: np.ndarray
) -> Groups:
    """Prompts and completions of the sequences in a part."""
    prompts: dict[int, list[int]] = {}
    completions: dict[int, list[list[int]]] = {}
    for row in part.tolist():
        name, end = int(group[row]), int(heads[row] + lengths[row])
        prompts[name] = tokens[row, : heads[row]].tolist()
        completions.setdefault(name, []).append(tokens[row, heads[row] : end].tolist())
    return [prompts[name] for name in completions], list(completions.values())


def test_places_between_written_tokens_do_not_count_but_are_read() -> None:
    model = make()
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, 7, 8, 9, 0]])
    mask = torch.tensor([[0.0, 1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0, 0.0]])
    logprobs, _ = batch_logprobs(model, tokens, mask, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(logprobs.double(), sequence_logprobs(model, tokens) * mask, atol=1e-5, rtol=1e-5)


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
