"""Policy-gradient algorithms: an `Algorithm` is advantage + ratio + surrogate + average + regularisers; one table of the published ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from edgewise.errors import ConfigError, unknown_name
from edgewise.lab.rl import advantages, losses
from edgewise.lab.rl.batch import RolloutBatch
from edgewise.lab.run.config import Above, Finite, Fraction, NotNegative, from_dict, to_dict, validate

AdvantageName = Literal["grpo", "dr_grpo", "rloo", "reinforce", "reinforce++-baseline", "reinforce++", "gae", "mapp"]
AverageName = Literal["token_mean", "sequence_mean", "constant_length", "sequence_sum"]
Surrogate = Literal["plain", "clipped", "weighted"]
GROUPED = ("grpo", "dr_grpo", "rloo", "reinforce++-baseline", "mapp")
"""Advantages whose baseline is the group: groups of one rollout have none."""


@dataclass(frozen=True)
class Critic:
    """A value function, its loss and its use in generalised advantage estimation."""

    network: Literal["head", "own"] = "head"
    """"head": a linear head on the policy's hidden states; "own": a copy of the base with such a head."""
    coefficient: NotNegative = 0.1
    """Weight of the value loss; with a head its gradient reaches the policy's layers."""
    clip: Above | None = 0.2
    """Values are clipped to V_old +- clip; null: not at all."""
    gamma: Fraction = 1.0
    lam: Fraction = 0.95
    """Lambda of generalised advantage estimation."""
    learning_rate: Above | None = None
    """Of the critic's own optimiser; null: the policy's."""

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class Overlong:
    """DAPO's soft punishment of long completions (arXiv 2503.14476, eq. 13)."""

    buffer: Fraction = 0.2
    """Share of the longest completion allowed over which the punishment grows."""
    penalty: NotNegative = 1.0
    """Taken from the reward of a completion that fills all tokens."""

    def __post_init__(self) -> None:
        validate(self)

    def punishment(self, lengths: Tensor, longest: int) -> Tensor:
        """0 up to (1 - buffer) longest tokens, then falling linearly to -penalty at `longest`, (N,) float64."""
        width = self.buffer * longest
        if width == 0:
            return torch.zeros_like(lengths, dtype=torch.float64)
        return self.penalty * ((longest - width - lengths.double()) / width).clamp(-1.0, 0.0)


@dataclass(frozen=True)
class Algorithm:
    """How rewards become a gradient; `like` names the row of `ALGORITHMS` that it is, or was changed from.

    Example:
        >>> Algorithm.parse("dapo").clip
        (0.2, 0.28)
        >>> Algorithm.parse({"like": "grpo", "kl": 0.0}).kl
        0.0
    """

    like: str
    advantage: AdvantageName
    average: AverageName
    ratio: losses.RatioLevel = "token"
    surrogate: Surrogate = "clipped"
    clip: tuple[NotNegative, NotNegative] | None = (0.2, 0.2)
    """The importance ratio is clipped to [1 - first, 1 + second]."""
    kl: NotNegative = 0.0
    """Weight of KL(pi || pi_ref) in the loss; the reference is the base."""
    kl_estimator: losses.KLEstimator = "k3"
    """"k2" or "k3" (`losses.kl`); "k1" has no gradient as a loss, `kl_in_reward` is it in the reward."""
    kl_in_reward: NotNegative = 0.0
    """Weight of log pi_old - log pi_ref in the reward."""
    entropy: Finite = 0.0
    """Weight of the mean entropy of the written positions, which is added to the objective."""
    critic: Critic | None = None
    overlong: Overlong | None = None
    decay: Fraction = 0.5
    """Share of a prompt's counts that its next group leaves, of advantage "mapp"; no other advantage has counts."""

    def __post_init__(self) -> None:
        validate(self)
        if (self.advantage == "gae") != (self.critic is not None):
            raise ConfigError(
                f"algorithm: advantage '{self.advantage}' and critic {'set' if self.critic else 'null'} contradict each other;"
                " generalised advantage estimation ('gae') needs a critic, and no other advantage uses one"
            )
        if self.advantage != "mapp" and self.decay != 0.5:
            raise ConfigError(
                f"algorithm: decay is of advantage 'mapp', and '{self.advantage}' keeps no counts; leave it out"
            )
        if self.advantage == "mapp" and (self.overlong is not None or self.kl_in_reward):
            raise ConfigError(
                "algorithm: advantage 'mapp' counts right and wrong rollouts, so that overlong and kl_in_reward, which change the"
                " reward, have no place in it; set overlong: null and kl_in_reward: 0, or use kl"
            )
        if (self.surrogate == "plain") != (self.clip is None):
            raise ConfigError(
                f"algorithm: surrogate '{self.surrogate}' and clip {self.clip} contradict each other; 'plain' has clip: null,"
                " 'clipped' and 'weighted' need [low, high]"
            )
        if self.ratio != "token":
            if self.average != "sequence_mean":
                raise ConfigError(
                    f"algorithm: ratio '{self.ratio}' gives one value a completion, which average '{self.average}' would count"
                    " once a token; set average: sequence_mean"
                )
            if self.advantage in ("gae", "reinforce++"):
                raise ConfigError(
                    f"algorithm: ratio '{self.ratio}' needs one advantage a completion, '{self.advantage}' gives one a token"
                )
            if self.surrogate == "weighted" and self.ratio == "completion":
                raise ConfigError("algorithm: surrogate 'weighted' needs ratio 'token' or 'sequence'")

    @classmethod
    def parse(cls, value: Any, where: str = "algorithm") -> Algorithm:
        """An algorithm from its name, or from a mapping with `like` and what differs; an `Algorithm` is returned as it is.

        Raises:
            ConfigError: an unknown name or field, a value out of range, or fields that contradict each other.
        """
        if isinstance(value, Algorithm):
            return value
        if isinstance(value, str):
            value = {"like": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("like"), str):
            raise ConfigError(
                f"{where} must be a name such as 'dapo', or a mapping such as {{like: grpo, kl: 0.0}}, got {value!r}"
            )
        name = value["like"]
        if name not in ALGORITHMS:
            raise unknown_name("algorithm", name, ALGORITHMS)
        row = ALGORITHMS[name]
        changes = dict(value)
        for part in ("critic", "overlong"):
            own = getattr(row, part)
            if isinstance(changes.get(part), Mapping) and own is not None:
                changes[part] = {**to_dict(own), **changes[part]}
        return from_dict(cls, {**_fields(row), **changes}, where)

    from_plain = parse

    def to_plain(self) -> Any:
        """The shortest value that `parse` makes this algorithm of: its name, or `like` with what differs."""
        row = _fields(ALGORITHMS[self.like]) if self.like in ALGORITHMS else {}
        own = _fields(self)
        changed = {name: value for name, value in own.items() if name == "like" or value != row.get(name, self)}
        return self.like if set(changed) == {"like"} else changed

    @property
    def needs_reference(self) -> bool:
        """Whether log-probabilities under the base are used."""
        return self.kl > 0 or self.kl_in_reward > 0

    @property
    def needs_groups(self) -> bool:
        """Whether a prompt needs two rollouts or more."""
        return self.advantage in GROUPED

    @property
    def skips_zero_advantages(self) -> bool:
        """Whether a completion whose advantage is 0 has no gradient at all, so that it need not be computed."""
        return self.kl == 0 and self.entropy == 0 and self.critic is None

    def shaped(self, batch: RolloutBatch, longest: int) -> RolloutBatch:
        """The batch with the rewards that advantages are computed from: overlong completions are punished."""
        if self.overlong is None:
            return batch
        return batch.with_rewards(batch.rewards + self.overlong.punishment(batch.lengths, longest))

    def advantages(self, batch: RolloutBatch) -> tuple[Tensor, Tensor | None]:
        """Advantages, (N, 1) or (N, T - 1) float64, and the critic's targets (N, T - 1) or None, of a shaped batch."""
        beta = self.kl_in_reward
        if self.critic is not None:
            assert batch.values is not None
            raw = advantages.gae(
                advantages.token_rewards(batch, beta), batch.values, batch.mask, self.critic.gamma, self.critic.lam
            )
            return advantages.whiten(raw, batch.mask.double()), raw + batch.values
        if self.advantage == "reinforce++":
            return advantages.reinforce_pp(batch, beta), None
        if beta:
            batch = batch.with_rewards(batch.rewards - beta * advantages.kl_penalty(batch).sum(1))
        return advantages.OUTCOME[self.advantage](batch)[:, None], None

    def policy_loss(self, new: Tensor, old: Tensor, advantage: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Surrogate loss of each token, (N, T - 1) or (N, 1), and the importance ratio of the same shape."""
        ratio = losses.importance_ratio(new, old, mask, self.ratio)
        if self.clip is None:
            return losses.plain_surrogate(ratio, advantage), ratio
        if self.surrogate == "weighted":
            return losses.weighted_surrogate(ratio, advantage, new, *self.clip), ratio
        return losses.clipped_surrogate(ratio, advantage, *self.clip), ratio


def _fields(row: Algorithm) -> dict[str, Any]:
    return {field.name: to_dict(getattr(row, field.name)) for field in dataclasses.fields(row)}


ALGORITHMS: dict[str, Algorithm] = {
    # arXiv 2402.03300: beta 0.04; the clip is not given there, TRL's 0.2.
    "grpo": Algorithm("grpo", "grpo", "sequence_mean", kl=0.04),
    # arXiv 2503.20783.
    "dr_grpo": Algorithm("dr_grpo", "dr_grpo", "constant_length"),
    # arXiv 2503.14476; its dynamic sampling is selection: `gate: informative`.
    "dapo": Algorithm("dapo", "grpo", "token_mean", clip=(0.2, 0.28), overlong=Overlong()),
    # arXiv 2402.14740.
    "rloo": Algorithm("rloo", "rloo", "sequence_mean", ratio="completion", surrogate="plain", clip=None),
    # Williams 1992.
    "reinforce": Algorithm("reinforce", "reinforce", "sequence_sum", surrogate="plain", clip=None),
    # arXiv 2501.03262; beta of OpenRLHF.
    "reinforce++": Algorithm("reinforce++", "reinforce++", "token_mean", kl_in_reward=0.01),
    "reinforce++-baseline": Algorithm(
        "reinforce++-baseline", "reinforce++-baseline", "token_mean", kl=0.001, kl_estimator="k2"
    ),
    # arXiv 1707.06347 with lambda, value coefficient and value clip of TRL's PPO.
    "ppo": Algorithm("ppo", "gae", "token_mean", critic=Critic()),
    # arXiv 2507.18071, section 5.1.
    "gspo": Algorithm("gspo", "grpo", "sequence_mean", ratio="sequence", clip=(3e-4, 4e-4)),
    # arXiv 2506.13585; no lower end, the upper one of arXiv 2510.13786.
    "cispo": Algorithm("cispo", "grpo", "token_mean", surrogate="weighted", clip=(1.0, 4.0)),
    # arXiv 2609.34990, appendix B.2.
    "mapp": Algorithm("mapp", "mapp", "token_mean", clip=(0.2, 0.28)),
}
