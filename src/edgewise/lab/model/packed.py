"""Documents of unequal length without padding: one long row of tokens, attention inside each document only.

All that works token by token (embedding, norms, projections, MLP, logits) sees the row and nothing else. Attention sees
documents of similar length side by side, padded to the longest of their group; since it is causal and the padding stands
behind, no mask is needed. Logits are computed only where the loss counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgewise.errors import ConfigError
from edgewise.lab.model.decoder import Decoder, Layer, attend
from edgewise.lab.model.vocabulary import token_logprobs

SPREAD = 1.4
"""In a group, the longest document is at most this many times as long as the shortest."""


@dataclass(frozen=True)
class Pack:
    """Documents end to end, the longest first, N tokens in all.

    Attributes:
        tokens: (N,) int64.
        predicted: places whose next token counts in the loss, (M,) int64.
        targets: those next tokens, (M,) int64.
        spread: place in the row of each slot of the padded groups, (P,) int64; padding repeats a document's last place.
        positions: position in its document of each slot, (P,) int64.
        gathered: slot of each place of the row, (N,) int64.
        groups: (documents, slots of each) of each group; their products add up to P.
        patches: patches of pictures that tokens beyond the vocabulary stand for, (patches, pixels) uint8, or None.
    """

    tokens: Tensor
    predicted: Tensor
    targets: Tensor
    spread: Tensor
    positions: Tensor
    gathered: Tensor
    groups: tuple[tuple[int, int], ...]
    patches: Tensor | None = None

    @classmethod
    def of(cls, documents: list[list[int]], starts: list[int], patches: Tensor | None = None) -> Pack:
        """Pack documents of at least one token; the loss counts their tokens from place starts[i] on (never the first)."""
        lengths = np.array([len(document) for document in documents], np.int64)
        if not len(lengths) or not lengths.all():
            raise ConfigError("only documents of at least one token can be packed")
        order = np.argsort(-lengths, kind="stable")
        lengths = lengths[order]
        ends = np.cumsum(lengths)
        begins = ends - lengths
        tokens = np.fromiter((token for i in order for token in documents[i]), np.int64, ends[-1])
        inside = np.arange(ends[-1]) - np.repeat(begins, lengths)
        # A token that counts is predicted at the place before it.
        counted = (inside >= np.repeat(np.array(starts, np.int64)[order], lengths)) & (inside > 0)
        predicted = counted.nonzero()[0] - 1
        groups, slots, positions = [], [], []
        for first, last in _groups(lengths):
            width = int(lengths[first])
            column = np.arange(width)
            groups.append((last - first, width))
            # Padding repeats a real place: it is read, but nothing it yields is used.
            inner = np.minimum(column, lengths[first:last, None] - 1)
            slots.append((begins[first:last, None] + inner).ravel())
            positions.append(inner.ravel())
        widths = np.concatenate([np.full(count, width) for count, width in groups])
        gathered = np.repeat(np.cumsum(widths) - widths, lengths) + inside
        return cls(
            torch.from_numpy(tokens),
            torch.from_numpy(predicted),
            torch.from_numpy(tokens[predicted + 1]),
            torch.from_numpy(np.concatenate(slots)),
            torch.from_numpy(np.concatenate(positions)),
            torch.from_numpy(gathered),
            tuple(groups),
            patches,
        )

    def to(self, device: torch.device) -> Pack:
        """The same on a device."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        tensors: dict[str, Any] = {name: part for name, part in parts.items() if isinstance(part, Tensor)}
        return replace(self, **{name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()})


def _groups(lengths: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Slices of documents of similar length; `lengths` (documents,) falls."""
    slices, first = [], 0
    while first < len(lengths):
        last = int(np.searchsorted(-lengths, -lengths[first] / SPREAD, side="right"))
        slices.append((first, last))
        first = last
    return slices


Within = Callable[[tuple[Tensor, ...], Pack], Tensor]
"""Attention inside each document, see `_attend_within`."""


class Objective(nn.Module):
    """The loss of a pack as a module, which is what compilers and data parallelism wrap."""

    def __init__(self, model: Decoder):
        super().__init__()
        self.decoder = model
        self._within = _attend_within

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile all but the attention: the groups change from pack to pack, the rest does not."""
        # Not a decorator: it would import the compiler wherever models are used.
        self._within = torch.compiler.disable(_attend_within)
        super().compile(*args, **kwargs)

    def forward(self, pack: Pack) -> Tensor:
        """Sum over the counted tokens of their negative log-likelihood in nats, a scalar."""
        return token_losses(self.decoder, pack, self._within).sum()


def token_losses(model: Decoder, pack: Pack, within: Within | None = None) -> Tensor:
    """Negative log-likelihood of each counted token in nats, (M,) in the order of `pack.predicted`."""
    hidden = model.model.norm(hidden_states(model, pack, within or _attend_within))
    if not torch.is_grad_enabled():
        places = torch.arange(len(hidden), device=hidden.device)
        return -token_logprobs(hidden, model.head, places, pack.targets)[0]
    # Of a pack that is trained on, the logits are kept: computing them anew for the gradient would take a third longer.
    return F.cross_entropy(model.logits(hidden).float(), pack.targets, reduction="none")


def hidden_states(model: Decoder, pack: Pack, within: Within) -> Tensor:
    """Hidden states before the last norm at the places `pack.predicted`, (M, hidden): those of each document by itself."""
    turns = model.turns(max(width for _, width in pack.groups))[:, pack.positions[pack.gathered], None]
    rope = (turns[0], turns[1])
    x = model.embed(pack.tokens, pack.patches)
    *early, last = (cast(Layer, layer) for layer in model.model.layers)
    for layer in early:
        x = _layer(layer, x, x, pack, rope, pack.gathered, within)
    # Nothing reads the other places of the last layer but its own attention.
    return _layer(
        last, x, x.index_select(0, pack.predicted), pack, rope, pack.gathered.index_select(0, pack.predicted), within
    )


def _layer(
    layer: Layer, x: Tensor, kept: Tensor, pack: Pack, rope: tuple[Tensor, Tensor], gathered: Tensor, within: Within
) -> Tensor:
    """One layer on x (N, hidden), whose output is computed for the places of `kept` alone, found in slots `gathered`."""
    attention = layer.self_attn
    parts = attention.project(layer.input_layernorm(x), rope)
    out = within(parts, pack)
    kept = kept + attention.o_proj(out.index_select(0, gathered))
    return kept + layer.mlp(layer.post_attention_layernorm(kept))


def _attend_within(parts: tuple[Tensor, ...], pack: Pack) -> Tensor:
    """Causal attention in each document: q, k and v (N, heads, size) -> (P, heads * size)."""
    sizes = [count * width for count, width in pack.groups]
    # Split, not sliced: the gradient of a split is one concatenation.
    slots = (part.index_select(0, pack.spread).split(sizes) for part in parts)
    outputs = []
    for (count, width), *own in zip(pack.groups, *slots, strict=True):
        # (documents, heads, width, size)
        q, k, v = (part.unflatten(0, (count, width)).transpose(1, 2) for part in own)
        outputs.append(attend(q, k, v.to(q.dtype), None).transpose(1, 2).flatten(2).flatten(0, 1))
    return torch.cat(outputs)
