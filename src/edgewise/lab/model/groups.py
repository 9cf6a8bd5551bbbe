"""Groups of completions that share their prompt: the prompt is computed once, its completions attend to it.

The tokens of all prompts and completions stand in one row without padding, as in `packed`. What works token by token sees
that row. Attention has two parts: prompts attend to themselves, and completions, those of similar length side by side, to
their prompt and themselves. Logits are computed only where a completion token is predicted, once for each place: all
completions of a group are predicted from the last token of one prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from edgewise.errors import ConfigError
from edgewise.lab.model.decoder import Decoder, Layer, attend, fold_mask
from edgewise.lab.model.vocabulary import token_logprobs

SPREAD = 1.5
"""Side by side, the longest completion (and prompt) is at most this many times, and SLACK tokens, longer than the shortest."""
SLACK = 8


@dataclass(frozen=True)
class _Bucket:
    """Sequences of similar length side by side: places of queries (rows, width) and keys (rows, keys), and the mask that is
    added to the scores, (rows, 1, width, keys), or None for causal attention of the queries to themselves."""

    queries: Tensor
    keys: Tensor
    mask: Tensor | None


@dataclass(frozen=True)
class GroupPack:
    """Prompts and their completions in one row of N tokens, prompts first; M completion tokens are predicted.

    Attributes:
        tokens: (N,) int64. The last token of a completion is not in the row: nothing is predicted from it.
        positions: position of each token in its sequence, (N,) int64.
        read: places whose next token is predicted, (U,) int64, each once.
        places: index in `read` of the place that predicts each completion token, (M,) int64.
        targets: the completion tokens, (M,) int64, in the order of groups, completions and tokens.
        lengths: tokens of each completion, (completions,) int64.
        sizes: completions of each group, (groups,) int64.
    """

    tokens: Tensor
    positions: Tensor
    read: Tensor
    places: Tensor
    targets: Tensor
    lengths: Tensor
    sizes: Tensor
    gathered: Tensor
    buckets: tuple[_Bucket, ...]

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[Sequence[int]]]) -> GroupPack:
        """Pack groups: `completions[i]` are those of `prompts[i]`, all of at least one token.

        Example:
            >>> from edgewise.lab.model.groups import GroupPack
            >>> pack = GroupPack.of([[5, 6, 7]], [[[8, 9], [8, 4, 9]]])
            >>> pack.tokens.tolist(), pack.targets.tolist()
            ([5, 6, 7, 8, 8, 4], [8, 9, 8, 4, 9])
        """
        sizes = np.array([len(group) for group in completions], np.int64)
        flat = [completion for group in completions for completion in group]
        head = np.array([len(prompt) for prompt in prompts], np.int64)
        tail = np.array([len(completion) for completion in flat], np.int64)
        if len(head) != len(sizes) or not len(head) or not head.all() or not len(tail) or not tail.all():
            raise ConfigError("a pack needs groups of prompts and completions of at least one token")
        owner = np.repeat(np.arange(len(head)), sizes)
        inner = tail - 1
        head_begin = np.cumsum(head) - head
        begin = head.sum() + np.cumsum(inner) - inner
        targets = np.fromiter((token for completion in flat for token in completion), np.int64, tail.sum())
        first = np.cumsum(tail) - tail
        inside = np.arange(len(targets)) - np.repeat(first, tail)
        # A completion's first token is predicted by its prompt's last, every other by the one before it.
        before = np.repeat(begin, tail) + inside - 1
        before[first] = (head_begin + head - 1)[owner]
        kept = np.ones(len(targets), bool)
        kept[first + inner] = False
        tokens = np.concatenate(
            [np.fromiter((token for p in prompts for token in p), np.int64, head.sum()), targets[kept]]
        )
        positions = np.concatenate(
            [np.arange(head.sum()) - np.repeat(head_begin, head), (np.repeat(head[owner], tail) + inside)[kept]]
        )
        read, places = np.unique(before, return_inverse=True)
        buckets = [_prompts(head_begin[rows], head[rows]) for rows in _alike(head)]
        long = inner.nonzero()[0]
        buckets += [
            _completions(head_begin[owner[rows]], head[owner[rows]], begin[rows], inner[rows])
            for rows in (long[part] for part in _alike(inner[long], head[owner[long]]))
        ]
        gathered = np.empty(len(tokens), np.int64)
        slots = np.concatenate([bucket.queries.numpy().ravel() for bucket in buckets])
        # Padding repeats a sequence's last place, and only the first slot of a place is its own: it is assigned last.
        gathered[slots[::-1]] = np.arange(len(slots))[::-1]
        arrays = (tokens, positions, read, places, targets, tail, sizes, gathered)
        parts: list[Any] = [*map(torch.from_numpy, arrays), tuple(buckets)]
        return cls(*parts)

    def to(self, device: torch.device) -> GroupPack:
        """The same on a device."""

        def move(item: Any) -> dict[str, Any]:
            values = {f.name: getattr(item, f.name) for f in fields(item) if f.name != "buckets"}
            return {
                name: value if value is None else value.to(device, non_blocking=True) for name, value in values.items()
            }

        return replace(self, **move(self), buckets=tuple(_Bucket(**move(bucket)) for bucket in self.buckets))


def micro_batches(
    prompts: npt.ArrayLike, completions: npt.ArrayLike, group: npt.ArrayLike, tokens: int
) -> list[npt.NDArray[np.int64]]:
    """Completions in parts of at most about `tokens` tokens, groups whole where they fit; the losses of the parts add up.

    Args:
        prompts: tokens of the prompt of each completion, (n,) int.
        completions: tokens of each completion, (n,) int.
        group: which prompt each completion belongs to, (n,) int.
        tokens: tokens of a part, a shared prompt counted once; a single completion may be longer.

    Returns:
        Positions of the completions of each part; groups of like size stand together.

    Example:
        >>> from edgewise.lab.model.groups import micro_batches
        >>> [part.tolist() for part in micro_batches([5, 5, 9, 9], [3, 3, 4, 4], [0, 0, 1, 1], tokens=16)]
        [[0, 1], [2, 3]]
    """
    head, tail, names = (np.asarray(values, np.int64) for values in (prompts, completions, group))
    found = [(names == name).nonzero()[0] for name in np.unique(names)]
    found.sort(key=lambda rows: head[rows[0]] + (tail[rows] - 1).sum())
    parts: list[list[int]] = [[]]
    count = 0
    for rows in found:
        size = head[rows[0]] + (tail[rows] - 1).sum()
        if parts[-1] and count + size > tokens:
            parts.append([])
            count = 0
        if size <= tokens:
            parts[-1] += rows.tolist()
            count += size
            continue
        # A group that does not fit is cut, and its prompt computed in every part.
        count = head[rows[0]]
        for row in rows.tolist():
            if parts[-1] and count + tail[row] - 1 > tokens:
                parts.append([])
                count = head[row]
            parts[-1].append(row)
            count += tail[row] - 1
    return [np.array(part, np.int64) for part in parts if part]


def completion_logprobs(
    model: Decoder, pack: GroupPack, temperature: float = 1.0, recompute: bool = False
) -> tuple[Tensor, Tensor]:
    """Log-probability of each completion token given its prompt and the tokens before it, and entropy of its distribution.

    Args:
        model: the policy.
        pack: groups of completions.
        temperature: of the distribution, > 0.
        recompute: activation checkpointing: keep the input of each layer only, and compute the rest again in the backward
            pass; a third more work, a tenth of the memory.

    Returns:
        (M,) and (M,) float32, in the order of `pack.targets`.
    """
    hidden = model.model.norm(hidden_states(model, pack, recompute))
    return token_logprobs(hidden, model.head, pack.places, pack.targets, temperature)


def hidden_states(model: Decoder, pack: GroupPack, recompute: bool = False) -> Tensor:
    """Hidden states before the last norm at the places `pack.read`, (U, hidden)."""
    turns = model.turns(int(pack.positions.max()) + 1)[:, pack.positions, None]
    rope = (turns[0], turns[1])
    x = model.embed(pack.tokens)
    groups = model.config.num_attention_heads // model.config.num_key_value_heads
    masks = [None if bucket.mask is None else fold_mask(bucket.mask.to(x.dtype), groups) for bucket in pack.buckets]
    *early, last = (cast(Layer, layer) for layer in model.model.layers)
    for layer in early:
        if recompute and torch.is_grad_enabled():
            x = cast(Tensor, checkpoint(_layer, layer, x, pack, rope, masks, None, use_reentrant=False))
        else:
            x = _layer(layer, x, pack, rope, masks, None)
    # Nothing reads the other places of the last layer but its own attention.
    return _layer(last, x, pack, rope, masks, pack.read)


def _layer(
    layer: Layer,
    x: Tensor,
    pack: GroupPack,
    rope: tuple[Tensor, Tensor],
    masks: list[Tensor | None],
    read: Tensor | None,
) -> Tensor:
    """One layer on x (N, hidden): its output at the places `read`, or at all."""
    attention = layer.self_attn
    q, k, v = attention.project(layer.input_layernorm(x), rope)
    v = v.to(q.dtype)
    outputs = []
    for bucket, mask in zip(pack.buckets, masks, strict=True):
        shape = bucket.queries.shape
        # (rows, heads, width, size)
        own = q.index_select(0, bucket.queries.flatten()).unflatten(0, shape).transpose(1, 2)
        keys, values = (
            part.index_select(0, bucket.keys.flatten()).unflatten(0, bucket.keys.shape).transpose(1, 2)
            for part in (k, v)
        )
        mask = None if mask is None else mask.to(q.dtype)
        outputs.append(attend(own, keys, values, mask).transpose(1, 2).flatten(2).flatten(0, 1))
    gathered = pack.gathered if read is None else pack.gathered.index_select(0, read)
    x = x if read is None else x.index_select(0, read)
    x = x + attention.o_proj(torch.cat(outputs).index_select(0, gathered))
    return x + layer.mlp(layer.post_attention_layernorm(x))


def _prompts(begin: npt.NDArray[np.int64], length: npt.NDArray[np.int64]) -> _Bucket:
    """Prompts that attend to themselves, causally."""
    places = _places(begin, length)
    return _Bucket(places, places, None)


def _completions(
    head: npt.NDArray[np.int64],
    head_length: npt.NDArray[np.int64],
    begin: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
) -> _Bucket:
    """Completions that attend to all of their prompt and causally to themselves."""
    own, prompt = _places(begin, length), _places(head, head_length)
    wide, width = prompt.shape[1], own.shape[1]
    mask = torch.zeros(len(begin), 1, width, wide + width)
    padding = torch.arange(wide) >= torch.from_numpy(head_length)[:, None]
    mask[..., :wide].masked_fill_(padding[:, None, None], -torch.inf)
    mask[..., wide:].masked_fill_(torch.ones(width, width, dtype=torch.bool).triu(1), -torch.inf)
    return _Bucket(own, torch.cat([prompt, own], 1), mask)


def _places(begin: npt.NDArray[np.int64], length: npt.NDArray[np.int64]) -> Tensor:
    """Places of sequences side by side, (rows, longest); padding repeats the last one of a sequence."""
    inner = np.minimum(np.arange(length.max()), length[:, None] - 1)
    return torch.from_numpy(begin[:, None] + inner)


def _alike(*lengths: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Rows in parts, in each of which every kind of length (rows,) differs little."""
    order = np.lexsort(lengths[::-1])[::-1]
    while len(order):
        near = np.ones(len(order), bool)
        for length in lengths:
            near &= length[order[0]] <= length[order] * SPREAD + SLACK
            near &= length[order] <= length[order[0]] * SPREAD + SLACK
        yield order[near]
        order = order[~near]
