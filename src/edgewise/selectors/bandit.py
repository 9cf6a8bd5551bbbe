"""Belief x acquisition x draw: `edge`, `mopps` and `dps` are three named pairings, `bandit` builds any other."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from edgewise.acquisition import Acquisition, acquisitions
from edgewise.arrays import Rows
from edgewise.beliefs import Belief, Prior, beliefs, priors
from edgewise.errors import ConfigError, unknown_name
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.registry import Registry
from edgewise.sampling import Draw, draws
from edgewise.selectors.base import Selector, selectors
from edgewise.selectors.candidates import Candidates
from edgewise.selectors.limit import CategoryLimit
from edgewise.selectors.retest import Retest


class BanditSelector(Selector):
    """Chooses by a draw from the acquisition values of success rates under a belief.

    Args:
        pool: the prompts.
        belief: distribution of every prompt's success rate.
        acquisition: value of a success rate.
        draw: how rows are chosen from values.
        candidate_factor: values are computed for a uniform sample of this many prompts for each one selected (16 for MoPPS
            on MATH); None: for the whole pool.
        retest: share of every selection for prompts whose last group was all wrong or all right, see `Retest`.
        category_share: of every selection that one category may take, see `CategoryLimit`; 1: no limit.
        seed: seed of draws and samples.

    Example:
        >>> import edgewise as ew
        >>> from edgewise.acquisition import Closest
        >>> from edgewise.beliefs import BetaBelief
        >>> from edgewise.sampling import Top
        >>> pool = ew.PromptPool(range(4))
        >>> selector = BanditSelector(pool, BetaBelief(pool), Closest(0.9), Top(pool))
        >>> selector.observe([2], [8], 8)
        >>> selector.select(1).tolist()
        [2]
    """

    def __init__(
        self,
        pool: PromptPool,
        belief: Belief,
        acquisition: Acquisition,
        draw: Draw,
        *,
        candidate_factor: float | None = None,
        retest: float = 0.0,
        category_share: float = 1.0,
        seed: int = 0,
    ):
        super().__init__(pool, seed=seed)
        if candidate_factor is not None and not 1 <= candidate_factor < np.inf:
            raise ConfigError(
                f"candidate_factor must be at least 1 and finite (None: the whole pool), got {candidate_factor}"
            )
        draw.check(acquisition)
        if category_share != 1 and not draw.keeps_room:
            raise ConfigError(f"{type(draw).__name__} does not keep `candidates.room`, which category_share needs")
        self.belief = self.add("belief", belief)
        self.acquisition = acquisition
        if isinstance(acquisition, Part):
            self.add("acquisition", acquisition)
        self.draw = self.add("draw", draw)
        self.rollouts = acquisition.rollouts
        self.candidate_factor = candidate_factor
        self.retest = self.add("retest", Retest(pool, share=retest)) if retest else None
        self.limit = self.add("limit", CategoryLimit(pool, share=category_share)) if category_share != 1 else None

    def choose(self, n: int, candidates: Candidates) -> Rows:
        again = np.empty(0, np.int64) if self.retest is None else self.retest.choose(n, candidates, self.rng)
        rest, wanted = candidates.without(again) if len(again) else candidates, n - len(again)
        if self.candidate_factor is not None:
            size = min(len(rest), max(wanted, int(np.ceil(self.candidate_factor * wanted))))
            rest = Candidates(self.pool, rest.sample(size, self.rng))
        rows = self._drawn(wanted, rest) if self.limit is None else self.limit.choose(wanted, rest, self._drawn)
        return np.concatenate([rows, again]) if len(again) else rows

    def _drawn(self, n: int, candidates: Candidates) -> Rows:
        return self.draw.choose(n, candidates, self.belief, self.acquisition, self.rng)


@selectors.register("bandit")
def bandit(
    pool: PromptPool,
    *,
    belief: str | Belief,
    acquisition: str | Acquisition = "p_informative",
    draw: str | Draw = "proportional",
    prior: str | Prior | None = None,
    candidate_factor: float | None = None,
    retest: float = 0.0,
    category_share: float = 1.0,
    rollouts: int = 8,
    seed: int = 0,
    **options: Any,
) -> BanditSelector:
    """Any belief with any acquisition and draw, by name or made.

    Args:
        pool: the prompts.
        belief: see `ew.list_beliefs()`.
        acquisition: see `ew.list_acquisitions()`.
        draw: see `edgewise.sampling.list_draws()`.
        prior: of a Beta belief: "fixed" or "category".
        candidate_factor: see `BanditSelector`.
        retest: see there.
        category_share: see there.
        rollouts: rollouts of a prompt, for acquisitions that depend on it.
        seed: seed of draws and samples.
        options: options of the belief, the acquisition, the draw and the prior, each for the first that takes it.

    Example:
        >>> import edgewise as ew
        >>> ew.make_selector("bandit", ew.PromptPool(range(9)), belief="beta", acquisition="closest", draw="top", target=0.3)
        BanditSelector(9 prompts, belief=BetaBelief, draw=Top)
    """
    left = dict(options)
    if prior is not None:
        left["prior"] = _made(priors, Prior, prior, left, pool)
    made_belief = _made(beliefs, Belief, belief, left, pool)
    left["rollouts"] = rollouts
    made_acquisition = _made(acquisitions, Acquisition, acquisition, left)
    left.pop("rollouts", None)
    made_draw = _made(draws, Draw, draw, left, pool)
    if left:
        known = {"belief": belief, "acquisition": acquisition, "draw": draw}
        kinds: dict[str, Registry[Any]] = {"belief": beliefs, "acquisition": acquisitions, "draw": draws}
        names = [
            option for kind, name in known.items() if isinstance(name, str) for option in _options(kinds[kind], name)
        ]
        raise unknown_name(
            "option of selector bandit",
            next(iter(left)),
            {*names, *known, "prior", "candidate_factor", "retest", "category_share"},
        )
    return BanditSelector(
        pool,
        made_belief,
        made_acquisition,
        made_draw,
        candidate_factor=candidate_factor,
        retest=retest,
        category_share=category_share,
        seed=seed,
    )


def _made(registry: Registry[Any], base: type, part: Any, options: dict[str, Any], *args: Any) -> Any:
    """`part`, made by name with those of `options` that it takes, which are removed."""
    if not isinstance(part, str):
        if not isinstance(part, base):
            raise ConfigError(f"{registry.kind} must be the name or an object of {base.__name__}, got {part!r:.80}")
        return part
    taken = {name: options.pop(name) for name in _options(registry, part) if name in options}
    return registry.make(part, *args, **taken)


def _options(registry: Registry[Any], name: str) -> list[str]:
    return [option for option in inspect.signature(registry.get(name)).parameters if option != "pool"]
