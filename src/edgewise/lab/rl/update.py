"""Updates of the policy, and of the critic where there is one: epochs x mini-batches x ranks over one batch of rollouts."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from edgewise.errors import CheckpointError, EdgewiseError
from edgewise.lab.model.checkpoints import optimizer_tensors, restore_optimizer
from edgewise.lab.model.decoder import Decoder
from edgewise.lab.model.memory import release_memory
from edgewise.lab.rl import losses, shares
from edgewise.lab.rl.algorithms import Algorithm
from edgewise.lab.rl.batch import RolloutBatch
from edgewise.lab.rl.critic import ValueModel
from edgewise.lab.rl.forward import Forward
from edgewise.lab.run.parallel import ALONE, World

LARGE_VOCABULARY = 4096
"""From this number of tokens on, groups are computed with their prompt once and logits in parts (`lab.model.groups`)."""
MICRO_TOKENS = 4096
"""Tokens of groups computed at once, about."""
BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class UpdateSettings:
    """What an update needs besides the algorithm.

    Attributes:
        learning_rate: of AdamW.
        longest: tokens of the longest completion allowed.
        epochs: passes over a batch.
        mini_batches: optimiser steps of a pass.
        max_grad_norm: largest norm of a gradient.
        temperature: of the sampling distribution.
        grouped: whether a prompt is computed once for its whole group; None: where the vocabulary is large. Small models are
            faster side by side.
        micro_tokens: tokens of groups whose activations are held at once.
        recompute: activation checkpointing of groups: less memory for a fifth to a third more work.
        bfloat16: forward and backward pass in bfloat16 where that is safe; weights and moments stay float32.
    """

    learning_rate: float
    longest: int
    epochs: int = 1
    mini_batches: int = 1
    max_grad_norm: float = 1.0
    temperature: float = 1.0
    grouped: bool | None = None
    micro_tokens: int = MICRO_TOKENS
    recompute: bool = False
    bfloat16: bool = False


@dataclass(frozen=True)
class _Chunk:
    """Sequences computed at once: tokens (n, t), the rest (n, t - 1), `weight` (n, 1) or None, `advantage` (n, 1) or (n, t - 1)."""

    tokens: Tensor
    mask: Tensor
    old: Tensor
    advantage: Tensor
    weight: Tensor | None
    ref: Tensor | None
    values: Tensor | None
    targets: Tensor | None
    group: Tensor


class Learner:
    """Policy, critic and reference with their optimisers.

    Args:
        policy: trained in place.
        algorithm: of the update.
        settings: of the update.
        here: the processes that share every update; all of them hold the same weights before and after it.
        reference: the policy that the KL penalty refers to; default: a copy of `policy` as it is now, where one is needed.
    """

    def __init__(
        self,
        policy: Decoder,
        algorithm: Algorithm,
        settings: UpdateSettings,
        here: World = ALONE,
        reference: Decoder | None = None,
    ):
        self.policy, self.algorithm, self.settings, self.here = policy, algorithm, settings, here
        large = policy.config.vocab_size >= LARGE_VOCABULARY
        grouped = large if settings.grouped is None else settings.grouped
        self.forward = Forward(settings.temperature, grouped, settings.recompute)
        self.optimizer = _adamw(policy, settings.learning_rate)
        self.reference = (
            (reference or copy.deepcopy(policy)).requires_grad_(False) if algorithm.needs_reference else None
        )
        self.critic: ValueModel | None = None
        self.critic_optimizer: torch.optim.Optimizer | None = None
        if algorithm.critic is not None:
            self.critic = ValueModel(policy, algorithm.critic.network)
            self.critic_optimizer = _adamw(self.critic, algorithm.critic.learning_rate or settings.learning_rate)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """What exact resume needs besides the policy: moments of the optimisers, and the critic."""
        parts = {"optimizer": optimizer_tensors(self.optimizer)}
        if self.critic is not None and self.critic_optimizer is not None:
            parts["critic"] = {name: v.detach().cpu().contiguous() for name, v in self.critic.state_dict().items()}
            parts["critic_optimizer"] = optimizer_tensors(self.critic_optimizer)
        return parts

    def load_tensors(self, parts: dict[str, dict[str, Tensor]]) -> None:
        """Take back what `tensors` gave.

        Raises:
            CheckpointError: a part is missing or does not fit; nothing has changed then.
        """
        missing = sorted(self.tensors().keys() - parts.keys())
        if missing:
            raise CheckpointError(f"the checkpoint lacks {', '.join(missing)}; it is of a run with another algorithm")
        if self.critic is not None and self.critic_optimizer is not None:
            try:
                self.critic.load_state_dict(parts["critic"])
            except RuntimeError as error:
                raise CheckpointError(f"the critic of the checkpoint does not fit: {error}") from error
            restore_optimizer(self.critic_optimizer, parts["critic_optimizer"])
        restore_optimizer(self.optimizer, parts["optimizer"])

    def update(self, batch: RolloutBatch, generator: torch.Generator | None = None) -> dict[str, float]:
        """Train on one batch and return the statistics of the last pass.

        Args:
            batch: equal in all processes, `scored`, without values and reference log-probabilities.
            generator: shuffles groups over the mini-batches, equal in all processes; only used if there are several.

        Returns:
            `loss`, `grad_norm` before clipping, `clipped` (share of tokens whose ratio is outside the clip range), and, where
            the algorithm has them, `reference_kl`, `entropy`, `value_loss`, `explained_variance`.

        Raises:
            EdgewiseError: the loss or a gradient is not finite; weights and optimisers are those before the step in question.
        """
        stats = {"loss": 0.0, "grad_norm": 0.0, "clipped": 0.0}
        if not len(batch):
            return stats
        batch = self.algorithm.shaped(self.prepared(batch), self.settings.longest)
        advantages, targets = self.algorithm.advantages(batch)
        steps = [
            self._chunks(batch, advantages, targets, rows)
            for rows in shares.mini_batches(batch.group, self.settings.mini_batches, generator)
        ]
        for _ in range(self.settings.epochs):
            lines = [self._step(chunks, tokens, divisor) for chunks, tokens, divisor, any_row in steps if any_row]
            if lines:
                stats = {name: sum(line[name] for line in lines) / len(lines) for name in lines[0]}
        if targets is not None and batch.values is not None:
            stats["explained_variance"] = _explained(batch.values, targets, batch.mask)
        return stats

    def scored(self, batch: RolloutBatch) -> RolloutBatch:
        """The batch, just sampled, with log pi_old as the update computes it: sampling, a token at a time, rounds otherwise.

        In float32 that is nothing; in bfloat16 the ratio of a policy that has not moved would be away from 1.
        """
        if not self.settings.bfloat16:
            return batch
        return self._computed(batch, {"logprobs": lambda *part: self.forward.output(self.policy, *part).logprobs})

    def prepared(self, batch: RolloutBatch) -> RolloutBatch:
        """The batch with V_old and log pi_ref, as far as the algorithm uses them."""
        columns: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {}
        reference, critic = self.reference, self.critic
        if reference is not None:
            columns["ref_logprobs"] = lambda *part: self.forward.output(reference, *part).logprobs
        if critic is not None:
            columns["values"] = lambda *part: self.forward.values(self.policy, critic, *part)
        return self._computed(batch, columns)

    @torch.no_grad()
    def _computed(
        self, batch: RolloutBatch, columns: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]]
    ) -> RolloutBatch:
        """The batch with these columns, each a function of tokens, mask and group; processes share the work."""
        if not columns or not len(batch):
            return batch
        every_part = self._parts(batch, torch.arange(len(batch), device=batch.tokens.device), 4)
        owner = np.empty(len(batch), np.int64)
        for rank, own_parts in enumerate(every_part):
            for rows in own_parts:
                owner[rows.cpu().numpy()] = rank
        mine = owner == self.here.rank
        place = torch.from_numpy(np.cumsum(mine) - 1).to(batch.tokens.device)
        own = torch.zeros(int(mine.sum()), len(columns), batch.mask.shape[1], device=batch.tokens.device)
        with self._arithmetic():
            for rows in every_part[self.here.rank]:
                width = int(shares.totals(batch.mask[rows]).max()) - 1
                part = batch.tokens[rows, : width + 1], batch.mask[rows, :width], batch.group[rows]
                for column, compute in enumerate(columns.values()):
                    own[place[rows], column, :width] = compute(*part).float()
        every = self.here.gather(own, owner) * batch.mask[:, None]
        return replace(batch, **dict(zip(columns, every.unbind(1), strict=True)))

    def _arithmetic(self) -> torch.autocast:
        """Context of every forward pass."""
        return torch.autocast(next(self.policy.parameters()).device.type, torch.bfloat16, self.settings.bfloat16)

    def _chunks(
        self, batch: RolloutBatch, advantages: Tensor, targets: Tensor | None, rows: Tensor
    ) -> tuple[list[_Chunk], float, float, bool]:
        """This process's sequences of a mini-batch; tokens and divisor of the whole mini-batch; whether it has a gradient."""
        lengths = batch.lengths[rows]
        weight, divisor = losses.AVERAGES[self.algorithm.average](lengths, self.settings.longest)
        kept = torch.arange(len(rows), device=rows.device)
        if self.algorithm.skips_zero_advantages:
            kept = kept[((advantages[rows] * batch.mask[rows]) != 0).any(1)]
        chunks = []
        for inside in self._parts(batch.take(rows) if len(rows) < len(batch) else batch, kept)[self.here.rank]:
            index = rows[inside]
            time = int(shares.totals(batch.mask[index]).max())

            def cut(column: Tensor | None, index: Tensor = index, width: int = time - 1) -> Tensor | None:
                return None if column is None else column[index, :width].float()

            own = cut(advantages) if advantages.shape[1] > 1 else advantages[index].float()
            chunks.append(
                _Chunk(
                    batch.tokens[index, :time],
                    batch.mask[index, : time - 1],
                    batch.logprobs[index, : time - 1],
                    own if own is not None else advantages,
                    None if weight is None else weight[inside, None],
                    cut(batch.ref_logprobs),
                    cut(batch.values),
                    cut(targets),
                    batch.group[index],
                )
            )
        return chunks, max(float(lengths.sum()), 1.0), divisor, len(kept) > 0

    def _parts(self, batch: RolloutBatch, rows: Tensor, scale: int = 1) -> list[list[Tensor]]:
        tokens = self.settings.micro_tokens if self.forward.grouped else None
        return shares.parts(batch, rows, self.here.size, scale=scale, tokens=tokens)

    def _step(self, chunks: list[_Chunk], tokens: float, divisor: float) -> dict[str, float]:
        """One optimiser step on a mini-batch of `tokens` written tokens."""
        modules: dict[nn.Module, torch.optim.Optimizer] = {self.policy: self.optimizer}
        if self.critic is not None and self.critic_optimizer is not None:
            modules[self.critic] = self.critic_optimizer
        for optimizer in modules.values():
            optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {"loss": 0.0, "clipped": 0.0, **self._extras()}
        for chunk in chunks:
            with self._arithmetic():
                loss, parts = self._loss(chunk, tokens, divisor)
            # What the forward pass freed goes back before the backward pass, where a step takes the most memory.
            release_memory(self.policy)
            loss.backward()
            sums["loss"] += loss.item()
            for name, value in parts.items():
                sums[name] += float(value)
        for module in modules:
            self.here.sum_gradients(module)
        norms = {m: torch.nn.utils.clip_grad_norm_(m.parameters(), self.settings.max_grad_norm).item() for m in modules}
        totals = dict(zip(sums, self.here.sum(list(sums.values())), strict=True))
        stats = {"loss": totals.pop("loss"), "grad_norm": norms[self.policy], **totals}
        if not all(map(math.isfinite, [stats["loss"], *norms.values()])):
            raise EdgewiseError(
                f"the loss became {stats['loss']} and the norm of the gradient {max(norms.values(), key=_badness)};"
                " a lower learning_rate or max_grad_norm may help"
            )
        for optimizer in modules.values():
            optimizer.step()
        return stats

    def release(self) -> None:
        """Free the gradients, which are not needed while rollouts are sampled."""
        for optimizer in (self.optimizer, self.critic_optimizer):
            if optimizer is not None:
                optimizer.zero_grad(set_to_none=True)
        release_memory(self.policy)

    def _extras(self) -> dict[str, float]:
        names = {
            "reference_kl": self.algorithm.kl > 0,
            "entropy": self.algorithm.entropy != 0,
            "value_loss": self.critic is not None,
        }
        return {name: 0.0 for name, there in names.items() if there}

    def _loss(self, chunk: _Chunk, tokens: float, divisor: float) -> tuple[Tensor, dict[str, Tensor]]:
        """This chunk's part of the mini-batch's loss, and of its statistics."""
        a = self.algorithm
        output = self.forward.output(self.policy, chunk.tokens, chunk.mask, chunk.group, self.critic)
        new = output.logprobs
        surrogate, ratio = a.policy_loss(new, chunk.old, chunk.advantage, chunk.mask)
        parts: dict[str, Tensor] = {}
        if a.kl and chunk.ref is not None:
            divergence = losses.kl(new, chunk.ref, a.kl_estimator)
            surrogate = surrogate + a.kl * divergence
            parts["reference_kl"] = (divergence.detach() * chunk.mask).sum() / tokens
        weighted = surrogate * chunk.mask
        loss = (weighted if chunk.weight is None else weighted * chunk.weight).sum() / divisor
        if a.entropy:
            entropy = (output.entropy() * chunk.mask).sum() / tokens
            loss, parts["entropy"] = loss - a.entropy * entropy, entropy.detach()
        if (
            a.critic is not None
            and output.values is not None
            and chunk.values is not None
            and chunk.targets is not None
        ):
            error = (
                losses.value_loss(output.values, chunk.values, chunk.targets, a.critic.clip) * chunk.mask
            ).sum() / tokens
            loss, parts["value_loss"] = loss + a.critic.coefficient * error, error.detach()
        with torch.no_grad():
            low, high = a.clip or (math.inf, math.inf)
            outside = ((ratio < 1 - low) | (ratio > 1 + high)) & chunk.mask.bool()
            parts["clipped"] = outside.sum() / tokens
        return loss, parts


def _adamw(module: nn.Module, rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(module.parameters(), lr=rate, betas=BETAS, weight_decay=0.0, fused=True)


def _explained(values: Tensor, targets: Tensor, mask: Tensor) -> float:
    """1 - Var(R - V) / Var(R) over the written tokens; 0 where R does not vary."""
    inside = mask.bool()
    target, value = targets[inside].double(), values[inside].double()
    spread = target.var(correction=0)
    return float(1 - (target - value).var(correction=0) / spread) if spread > 1e-12 else 0.0


def _badness(value: float) -> float:
    return math.inf if math.isnan(value) else value
