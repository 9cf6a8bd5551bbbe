"""Rows of a batch that are computed together: mini-batches of whole groups, shares of processes, and parts that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from edgewise.lab.model.groups import micro_batches
from edgewise.lab.rl.batch import RolloutBatch

CHUNK = 32
"""Sequences computed at once, side by side."""


def mini_batches(group: Tensor, count: int, generator: torch.Generator | None = None) -> Iterator[Tensor]:
    """Rows of `count` mini-batches of whole groups, shuffled if there are several; (n,) int64 each, none empty."""
    if count == 1:
        yield torch.arange(len(group), device=group.device)
        return
    names, place = torch.unique(group, return_inverse=True)
    device = "cpu" if generator is None else generator.device
    shuffled = torch.randperm(len(names), generator=generator, device=device).to(group.device)
    for part in shuffled.tensor_split(min(count, len(names))):
        yield torch.isin(place, part).nonzero()[:, 0]


def parts(
    batch: RolloutBatch, rows: Tensor, ranks: int, *, scale: int = 1, tokens: int | None = None
) -> list[list[Tensor]]:
    """Rows that are computed at once, (n,) int64 each, in turn, of each process.

    Args:
        batch: the rows' sequences.
        rows: to be computed, (n,) int64.
        ranks: number of processes.
        scale: a part may be this many times as large: 1 with gradients, more without.
        tokens: tokens of a part of whole groups; None: parts of sequences side by side.
    """
    lengths = totals(batch.mask[rows])
    # Short sequences first: little of a part is padding, and every size-th makes a share like the others.
    order = rows[lengths.argsort(stable=True)]
    if tokens is None:
        shares = [order[rank::ranks] for rank in range(ranks)]
        return [list(share.split(scale * CHUNK)) if len(share) else [] for share in shares]
    heads = batch.mask.argmax(1) + 1
    tails = totals(batch.mask) - heads
    groups = [rows[batch.group[rows] == name] for name in dict.fromkeys(batch.group[order].tolist())]
    shares = [torch.cat(groups[rank::ranks]) if rank < len(groups) else rows[:0] for rank in range(ranks)]
    heads, tails, names, limit = heads.cpu(), tails.cpu(), batch.group.cpu(), scale * tokens

    def cut(share: Tensor) -> list[Tensor]:
        own = share.cpu()
        cuts = micro_batches(heads[own], tails[own], names[own], limit)
        return [share[torch.from_numpy(part).to(share.device)] for part in cuts]

    return [cut(share) for share in shares]


def totals(mask: Tensor) -> Tensor:
    """Tokens of each sequence up to the last written one, (N,) int64, from the mask (N, T - 1)."""
    return mask.shape[1] + 1 - mask.flip(1).argmax(1)
