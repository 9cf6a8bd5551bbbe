"""Flat batches of rollouts: one row a completion, any number of completions a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgewise.errors import RewardError
from edgewise.lab.model.generate import Rollouts


@dataclass(frozen=True)
class RolloutBatch:
    """N completions with their prompts, on one device; T tokens at most, prompt and completion together.

    Column t of a (N, T - 1) array belongs to the prediction of token t + 1.

    Attributes:
        tokens: (N, T) int64, left-aligned, 0 behind the end.
        mask: (N, T - 1) float32, 1 where the predicted token was written by the policy.
        logprobs: (N, T - 1) float32, log pi_old of the written tokens under the sampling distribution, 0 elsewhere.
        rewards: (N,) float64.
        group: (N,) int64, equal for the completions of one prompt; groups may differ in size.
        values: (N, T - 1) float32, V_old; None without a critic.
        ref_logprobs: (N, T - 1) float32, log pi_ref; None without a reference.
        alpha, beta: (N,) float64, Beta posterior of the prompt's success rate, this group included; None: Beta(1, 1) and this group.

    Example:
        >>> import torch
        >>> from edgewise.lab.model.generate import Rollouts
        >>> rollouts = Rollouts(torch.tensor([[5, 1], [6, 0]]), torch.tensor([2, 1]), torch.zeros(2, 2))
        >>> batch = RolloutBatch.of([[2, 3], [4]], rollouts, [1.0, 0.0], [0, 1])
        >>> batch.tokens.tolist(), batch.mask.tolist()
        ([[2, 3, 5, 1], [4, 6, 0, 0]], [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    """

    tokens: Tensor
    mask: Tensor
    logprobs: Tensor
    rewards: Tensor
    group: Tensor
    values: Tensor | None = None
    ref_logprobs: Tensor | None = None
    alpha: Tensor | None = None
    beta: Tensor | None = None

    @classmethod
    def of(
        cls,
        prompts: Sequence[Sequence[int]],
        rollouts: Rollouts,
        rewards: npt.ArrayLike,
        group: npt.ArrayLike,
    ) -> RolloutBatch:
        """Join prompts and their completions.

        Args:
            prompts: N sequences of token ids.
            rollouts: N completions.
            rewards: (N,) finite numbers.
            group: (N,) int, which prompt each completion belongs to.

        Raises:
            RewardError: rewards or groups have another length, or a reward is not finite.
        """
        paid, index = np.asarray(rewards, np.float64), np.asarray(group, np.int64)
        count = len(prompts)
        if paid.shape != (count,) or index.shape != (count,):
            raise RewardError(
                f"{count} completions need as many rewards and groups, got {paid.shape} and {index.shape}"
            )
        if not np.isfinite(paid).all():
            raise RewardError(
                f"reward {int(np.flatnonzero(~np.isfinite(paid))[0])} is not finite; rewards must be numbers"
            )
        device = rollouts.tokens.device
        sizes = torch.tensor([len(prompt) for prompt in prompts], device=device)[:, None]
        width = int((sizes[:, 0] + rollouts.lengths).max())
        position = torch.arange(width, device=device)
        tokens = torch.zeros(count, width, dtype=torch.int64, device=device)
        tokens[position < sizes] = torch.tensor([t for prompt in prompts for t in prompt], device=device)
        # Both masks select row by row, so the k-th place of one is the k-th of the other.
        column = torch.arange(rollouts.tokens.shape[1], device=device)
        real = column < rollouts.lengths[:, None]
        written = (position >= sizes) & (position < sizes + rollouts.lengths[:, None])
        tokens[written] = rollouts.tokens[real]
        mask = written[:, 1:]
        logprobs = torch.zeros(mask.shape, device=device)
        logprobs[mask] = rollouts.logprobs[real].float()
        return cls(
            tokens,
            mask.float(),
            logprobs,
            torch.from_numpy(paid).to(device),
            torch.from_numpy(index).to(device),
        )

    @classmethod
    def cat(cls, parts: Sequence[RolloutBatch]) -> RolloutBatch:
        """The completions of all parts in order; groups of different parts stay different groups."""
        if len(parts) == 1:
            return parts[0]
        width = max(part.tokens.shape[1] for part in parts)
        first = 0
        renamed = []
        for part in parts:
            group = torch.unique(part.group, return_inverse=True)[1] + first
            first = int(group.max()) + 1 if len(group) else first
            renamed.append(group)

        def join(name: str) -> Tensor | None:
            columns = [getattr(part, name) for part in parts]
            if any(column is None for column in columns):
                return None
            if columns[0].dim() == 1:
                return torch.cat(columns)
            goal = width - (name != "tokens")
            return torch.cat([torch.nn.functional.pad(column, (0, goal - column.shape[1])) for column in columns])

        return cls._made({**{field.name: join(field.name) for field in fields(cls)}, "group": torch.cat(renamed)})

    @classmethod
    def _made(cls, columns: dict[str, Any]) -> RolloutBatch:
        return cls(**columns)

    def take(self, rows: Tensor) -> RolloutBatch:
        """The completions at these positions, (n,) int64 or a bool mask (N,); columns that nothing uses are cut."""
        mask = self.mask[rows]
        used = int(mask.any(0).nonzero().max()) + 1 if mask.any() else 1

        def cut(name: str) -> Tensor | None:
            column = getattr(self, name)
            if column is None:
                return None
            return column[rows, : used + (name == "tokens")] if column.dim() == 2 else column[rows]

        return self._made({field.name: cut(field.name) for field in fields(self)})

    def to(self, device: torch.device) -> RolloutBatch:
        """The same on a device."""
        return self._made({name: None if value is None else value.to(device) for name, value in vars(self).items()})

    def with_rewards(self, rewards: Tensor) -> RolloutBatch:
        """The same completions with other rewards, (N,)."""
        return replace(self, rewards=rewards)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def lengths(self) -> Tensor:
        """Tokens of each completion, (N,) float32."""
        return self.mask.sum(1)

    def group_sizes(self) -> Tensor:
        """Completions of the own group, (N,) float64."""
        return self._grouped(torch.ones_like(self.rewards))

    def group_mean(self, values: Tensor) -> Tensor:
        """Mean of `values` (N,) over the own group, (N,) float64."""
        return self._grouped(values) / self.group_sizes()

    def group_std(self, values: Tensor) -> Tensor:
        """Sample standard deviation of `values` (N,) over the own group, (N,) float64; 0 in groups of one."""
        squares = self._grouped((values - self.group_mean(values)) ** 2)
        return (squares / (self.group_sizes() - 1).clamp(min=1)).sqrt()

    def _grouped(self, values: Tensor) -> Tensor:
        names, place = torch.unique(self.group, return_inverse=True)
        return values.new_zeros(len(names)).index_add_(0, place, values)[place]
