"""Selectors that work on a pool without options, and pools with hidden or wrong labels."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np

from edgewise.arrays import Floats
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.method import Method
from edgewise.pool import PromptPool
from edgewise.selectors import Selector, list_selectors, make_selector, selectors

ORACLE = "oracle"


def applicable(pool: PromptPool) -> list[str]:
    """Names of the registered selectors that can be built for `pool` without options."""
    names = []
    for name in list_selectors():
        parameters = list(inspect.signature(selectors.get(name)).parameters.values())[1:]
        fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        if all(p.default is not p.empty or p.kind in fixed for p in parameters):
            try:
                make_selector(name, pool)
            except EdgewiseError:  # it needs categories or features that this pool lacks
                continue
            names.append(name)
    return names


def made(method: Method, pool: PromptPool, rollouts: int, seed: int, truth: Callable[[], Floats]) -> Selector:
    """The selector of a method; `truth` gives the true success rates now, (pool,), to the oracle alone."""
    if method.selector != ORACLE:
        return method.make(pool, rollouts=rollouts, seed=seed)
    return make_selector(ORACLE, pool, rollouts=rollouts, seed=seed, truth=truth, **method.options)


def known_pool(pool: PromptPool, knows: str = "all", wrong: float = 0.0, seed: int = 0) -> PromptPool:
    """The same prompts as a selector is allowed to see them.

    Args:
        pool: the prompts with everything that was recorded.
        knows: "all", "labels" (categories only), "features" only, or "nothing".
        wrong: share of the prompts whose labels are permuted among them, in [0, 1]; frequencies stay as they were.
        seed: of the permutation.
    """
    if knows not in ("all", "labels", "features", "nothing"):
        raise ConfigError(f"knows must be 'all', 'labels', 'features' or 'nothing', got '{knows}'")
    if not 0 <= wrong <= 1:
        raise ConfigError(f"wrong is a share of the labels in [0, 1], got {wrong}")
    for kind, held in (("labels", pool.categories), ("features", pool.features)):
        if knows == kind and held is None:
            raise ConfigError(f"knows='{kind}', but the prompts have no {kind}; use knows='nothing' or another trace")
    labels = None
    if pool.categories is not None and knows in ("all", "labels"):
        codes = pool.categories.copy()
        rng = np.random.default_rng([seed, 0x1ABE])
        mixed = rng.permutation(len(pool))[: round(wrong * len(pool))]
        codes[mixed] = codes[rng.permutation(mixed)]
        labels = np.array([None, *pool.category_names], object)[codes]
    return PromptPool(pool.ids, labels, pool.features if knows in ("all", "features") else None)
