"""Pools, seeded runs and comparisons that the contract checks share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgewise.arrays import Rows
from edgewise.beliefs.base import Belief
from edgewise.checkpoint import load_state, save_state
from edgewise.errors import ConfigError, EdgewiseError
from edgewise.parts import Part
from edgewise.pool import PromptPool
from edgewise.selectors.base import Selector

MakeSelector = Callable[..., Selector]
MakeBelief = Callable[[PromptPool], Belief]
MakePool = Callable[[Sequence[int]], PromptPool]


def categorised_pool(ids: Sequence[int]) -> PromptPool:
    """Prompts whose category and features follow from their id, so that any subset of them agrees about both."""
    numbers = np.asarray(ids, np.int64)
    return PromptPool(numbers, [str(i % 3 + 1) for i in numbers.tolist()])


def featured_pool(ids: Sequence[int]) -> PromptPool:
    """Like `categorised_pool`, with three features a prompt; ids below 1,000. Every twelfth prompt has no category."""
    numbers = np.asarray(ids, np.int64)
    features = np.random.default_rng(5).normal(size=(1000, 3))[numbers]
    return PromptPool(numbers, [None if i % 12 == 2 else str(i % 3 + 1) for i in numbers.tolist()], features)


def success_rates(ids: np.ndarray) -> np.ndarray:
    """True success rates of the tests' prompts: hopeless, mastered, and between."""
    return np.array([0.0, 0.3, 0.6, 1.0])[np.asarray(ids, np.int64) % 4]


def train(selector: Selector, steps: int, n: int, seed: int = 0, k: int = 4) -> list[Rows]:
    """Synchronous steps of n prompts with k rollouts; the rows selected."""
    rng = np.random.default_rng(seed)
    picks = []
    for _ in range(steps):
        rows = selector.select(n)
        picks.append(rows)
        selector.observe(rows, rng.binomial(k, success_rates(selector.pool.ids[rows])), k)
    return picks


def same_state(a: Any, b: Any) -> bool:
    """Whether two states are equal to the last bit; NaN equals NaN."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same_state(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return bool(a == b)


def columns(pool: PromptPool, part: slice) -> tuple[Any, Any, Any]:
    """Categories, features and priors of some prompts, as `PromptPool.extend` takes them."""
    codes, features = pool.categories, pool.features
    names = np.array([None, *pool.category_names], object)
    return (
        None if codes is None else names[codes[part]].tolist(),
        None if features is None else features[part],
        None if pool.priors is None else pool.priors[part],
    )


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.npz"
        save_state(path, "test", state)
        return load_state(path, "test")


def refused(call: Callable[[], object], error: type[EdgewiseError], given: str) -> None:
    try:
        call()
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{given} raised {other!r}, expected {error.__name__}") from other
    raise AssertionError(f"{given} was accepted, expected {error.__name__}")


def refuse_steps(part: Part) -> None:
    """A number of policy steps that is none is refused, and changes nothing."""
    before = part.state_dict()
    for steps in (-1, 1.5, 2**40, float("nan"), "1", None):
        refused(lambda s=steps: part.advance(s), ConfigError, f"advance({steps!r})")  # type: ignore[misc]
        assert same_state(part.state_dict(), before), f"advance({steps!r}) was refused but changed the state"


def close(a: np.ndarray, b: np.ndarray, tolerance: float, message: str) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, err_msg=message)
