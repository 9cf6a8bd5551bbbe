"""Packed documents against the plain forward pass, one document at a time."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgewise.errors import ConfigError
from edgewise.lab.model import Decoder, ModelConfig
from edgewise.lab.model.packed import SPREAD, Objective, Pack, token_losses


@pytest.fixture
def model() -> Decoder:
    sizes = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2}
    return Decoder(ModelConfig(vocab_size=31, num_attention_heads=12, num_key_value_heads=2, **sizes))


def documents(seed: int, count: int = 30) -> tuple[list[list[int]], list[int]]:
    rng = np.random.default_rng(seed)
    lengths = np.concatenate([[1, 2], rng.integers(2, 60, count - 2)])
    return [rng.integers(0, 31, length).tolist() for length in lengths], rng.integers(0, lengths).tolist()


def alone(model: Decoder, document: list[int], start: int) -> torch.Tensor:
    """The losses of one document by the plain forward pass."""
    tokens = torch.tensor([document])
    if len(document) == 1:
        return torch.zeros(0)
    losses = F.cross_entropy(model(tokens[:, :-1])[0], tokens[0, 1:], reduction="none")
    return losses[max(start, 1) - 1 :]


def test_losses_are_those_of_each_document_by_itself(model: Decoder) -> None:
    texts, starts = documents(0)
    pack = Pack.of(texts, starts)
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    expected = torch.cat([alone(model, texts[i], starts[i]) for i in order])
    torch.testing.assert_close(token_losses(model, pack), expected, atol=1e-5, rtol=1e-5)
    assert len(pack.tokens) == sum(map(len, texts))


def test_gradients_are_those_of_the_plain_forward_pass(model: Decoder) -> None:
    texts, starts = documents(1)
    Objective(model)(Pack.of(texts, starts)).backward()
    packed = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    sum(alone(model, text, start).sum() for text, start in zip(texts, starts, strict=True)).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(packed[name], parameter.grad, atol=1e-4, rtol=1e-4, msg=name)


def test_no_document_sees_another(model: Decoder) -> None:
    texts, starts = documents(2)
    before = token_losses(model, Pack.of(texts, starts))
    longest = max(range(len(texts)), key=lambda i: len(texts[i]))
    texts[longest] = [(token + 1) % 31 for token in texts[longest]]
    after = token_losses(model, Pack.of(texts, starts))
    # The longest stands first: its losses change, no other does.
    own = len(texts[longest]) - max(starts[longest], 1)
    assert not torch.equal(before[:own], after[:own])
    assert torch.equal(before[own:], after[own:])


def test_padding_is_bounded_by_the_spread() -> None:
    texts, starts = documents(3, 400)
    pack = Pack.of(texts, starts)
    assert len(pack.spread) == sum(count * width for count, width in pack.groups)
    assert len(pack.tokens) <= len(pack.spread) <= SPREAD * len(pack.tokens)
    assert torch.equal(pack.tokens[pack.spread][pack.gathered], pack.tokens)


def test_bfloat16_is_close(model: Decoder) -> None:
    pack = Pack.of(*documents(4))
    exact = Objective(model)(pack).item()
    with torch.autocast("cpu", torch.bfloat16):
        rough = Objective(model)(pack)
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact, rel=0.02)
    assert rough.item() != exact


def test_documents_that_cannot_be_packed_are_refused(model: Decoder) -> None:
    with pytest.raises(ConfigError, match="at least one token"):
        Pack.of([[1, 2], []], [0, 0])
    with pytest.raises(ConfigError, match="at least one token"):
        Pack.of([], [])
    with pytest.raises(ConfigError, match="sequence of 200 tokens is longer than the model's 128"):
        Objective(model)(Pack.of([[1] * 200], [0]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch warns of its own parts
def test_a_compiled_objective_gives_the_same_loss_and_gradient(model: Decoder) -> None:
    compiled = Objective(model)
    compiled.compile()
    for seed in range(3):
        pack = Pack.of(*documents(seed, 20 + seed))
        results = []
        for objective in (compiled, Objective(model)):
            model.zero_grad()
            loss = objective(pack)
            loss.backward()
            results.append((loss.item(), model.model.embed_tokens.weight.grad.clone()))
        assert results[0][0] == pytest.approx(results[1][0], rel=1e-4)
        torch.testing.assert_close(results[0][1], results[1][1], atol=1e-3, rtol=1e-3)
