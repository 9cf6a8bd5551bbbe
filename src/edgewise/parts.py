"""Parts of a selector: they learn from rollouts, follow the policy's clock, grow with the pool, and are saved."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np

from edgewise.arrays import Counts, Floats, Rows, whole_number
from edgewise.checkpoint import require_numbers
from edgewise.errors import CheckpointError, ConfigError
from edgewise.pool import PromptPool

P = TypeVar("P", bound="Part")


class Part:
    """Base of selectors, beliefs, and whatever else keeps state about the prompts of a pool.

    A part may have parts of its own (`add`): each call below reaches them too. What a class has to save it names in class
    attributes, and the base saves, restores, grows and renumbers it:

        saved: attributes that are numbers, text, None, lists of them, or arrays.
        by_row: name -> value for a new prompt, of float64 arrays (pool,), or None; they follow the ids into another pool. NaN:
            what the object was made with, else unknown.
        by_category: name -> value for a new category, of float64 arrays (.., C + 1) whose last axis is the category code.

    `now` counts the policy steps that `advance` was called with: the only clock.

    Args:
        pool: the prompts.

    Example:
        >>> import numpy as np
        >>> from edgewise import PromptPool
        >>> class Rollouts(Part):
        ...     saved = ("total",)
        ...     total = 0
        ...     def observe(self, rows, successes, trials, age=None):
        ...         self.total += int(trials.sum())
        >>> part = Rollouts(PromptPool(range(3)))
        >>> part.observe(np.array([0, 2]), np.array([1, 0]), np.array([4, 4]))
        >>> part.state_dict()
        {'part': 'Rollouts', 'now': 0, 'total': 8}
    """

    saved: ClassVar[tuple[str, ...]] = ()
    by_row: ClassVar[Mapping[str, float]] = {}
    by_category: ClassVar[Mapping[str, float]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "advance" in vars(cls):
            # A subclass does its work before the base is reached: what is refused must not have changed it.
            cls.advance = _checked(cls.advance)  # type: ignore[method-assign]

    def __init__(self, pool: PromptPool):
        self.pool = pool
        self.now = 0
        self._parts: dict[str, Part] = {}
        self._categories = pool.category_names if self.by_category else []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.pool)} prompts)"

    def add(self, name: str, part: P) -> P:
        """Declare `part` under a name that the state and error messages use; returns it."""
        if name in self._parts or name in ("part", "now", "categories", *self.saved, *self.by_row, *self.by_category):
            raise ConfigError(f"{type(self).__name__} has two parts or attributes called '{name}'")
        if part.pool is not self.pool:
            raise ConfigError(f"the {name} of {type(self).__name__} was made for another pool; use the same PromptPool")
        self._parts[name] = part
        return part

    def observe(self, rows: Rows, successes: Counts, trials: Counts, age: Counts | None = None) -> None:
        """Take in groups, checked: distinct rows, 0 <= successes <= trials, trials >= 1, int64 (n,) each.

        Args:
            rows, successes, trials: the groups. Parts of one group may come one after the other within a step.
            age: policy steps between selection and result, int64 (n,) >= 0; None: all 0. Evidence of a late result counts
                what would have survived of it had it come at once.
        """
        for part in self._parts.values():
            part.observe(rows, successes, trials, age)

    def advance(self, steps: int = 1) -> None:
        """The policy has been updated `steps` times. Cost independent of the pool. A subclass does its work, then calls this."""
        steps = _whole_steps(self, steps)
        for part in self._parts.values():
            part.advance(steps)
        self.now += steps

    def forget(self, rows: Rows) -> None:
        """The results of these selected rows will never come."""
        for part in self._parts.values():
            part.forget(rows)

    def grow(self) -> None:
        """The pool has been extended: make room for new rows, and renumber categories."""
        for name, fresh in self.by_row.items():
            values = getattr(self, name)
            if values is not None:
                setattr(self, name, np.concatenate([values, np.full(len(self.pool) - len(values), fresh)]))
        if self.by_category:
            self._carry_categories({name: getattr(self, name) for name in self.by_category}, self._categories)
        for part in self._parts.values():
            part.grow()

    def metrics(self) -> dict[str, float]:
        """Plain numbers for a logger."""
        return {name: value for part in self._parts.values() for name, value in part.metrics().items()}

    def state_dict(self) -> dict[str, Any]:
        """Everything learned, as arrays and JSON values; rows refer to the pool as it is now."""
        state: dict[str, Any] = {"part": type(self).__name__, "now": self.now}
        for name in (*self.saved, *self.by_row, *self.by_category):
            value = getattr(self, name)
            state[name] = value.copy() if isinstance(value, (np.ndarray, list, dict)) else value
        if self.by_category:
            state["categories"] = list(self._categories)
        return state | {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state: Mapping[str, Any], remap: Rows | None = None) -> None:
        """Restore `state_dict`. `remap[old row]` is the present row, -1 for prompts that are gone; None: the same pool.

        Raises:
            CheckpointError: it is not the state of such a part. The present state stays as it was.
        """
        before = self.state_dict()
        try:
            self.restore(state, remap)
        except (CheckpointError, KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
            self.restore(before, None)
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"not the state of a {type(self).__name__}: {error!r}") from error

    def restore(self, state: Mapping[str, Any], remap: Rows | None) -> None:
        """`load_state_dict` without its guarantee: an error may leave the state half restored."""
        if state["part"] != type(self).__name__:
            raise CheckpointError(
                f"the checkpoint holds the state of {state['part']}, expected {type(self).__name__}: make the same selector"
                " with the same options, over a pool that has categories and features as before"
            )
        missing = [name for name in self._parts if name not in state]
        if missing:
            raise CheckpointError(
                f"the checkpoint of {type(self).__name__} holds no {missing[0]}: make the selector with the options it had"
            )
        self.now = int(state["now"])
        for name in self.saved:
            require_numbers(name, state[name] if isinstance(getattr(self, name), (np.ndarray, float)) else 0)
            setattr(self, name, _like(name, getattr(self, name), state[name]))
        for name, fresh in self.by_row.items():
            setattr(self, name, _moved(name, state[name], getattr(self, name), np.full(len(self.pool), fresh), remap))
        if self.by_category:
            self._carry_categories({name: state[name] for name in self.by_category}, state["categories"])
        for name, part in self._parts.items():
            part.restore(state[name], remap)

    def _carry_categories(self, arrays: Mapping[str, Any], names: list[str]) -> None:
        """Take over `arrays` by category, numbered after `names`, into the present numbering."""
        source = self.pool.match_categories(names)
        for name, fresh in self.by_category.items():
            array, held = np.asarray(arrays[name], np.float64), getattr(self, name)
            if not np.isnan(fresh):
                require_numbers(name, array)
            if array.shape != (*held.shape[:-1], len(names) + 1):
                raise CheckpointError(
                    f"the saved {name} has shape {array.shape}, which does not fit {len(names)} categories"
                )
            setattr(self, name, carried(array, source, fresh))
        self._categories = self.pool.category_names


def _whole_steps(part: Part, steps: int) -> int:
    return whole_number("the number of policy steps", steps, 0, ConfigError, below=2**31 - part.now)


def _checked(advance: Callable[[Any, int], None]) -> Callable[..., None]:
    @functools.wraps(advance)
    def checked(self: Part, steps: int = 1) -> None:
        advance(self, _whole_steps(self, steps))

    return checked


def _moved(name: str, saved: Any, given: Floats | None, fresh: Floats, remap: Rows | None) -> Floats | None:
    """Values by row of a state, moved into the present pool; new prompts have `fresh`, or what was given where that is NaN."""
    if saved is None:
        return given
    values = np.asarray(saved, np.float64)
    if not np.isnan(fresh).any():
        require_numbers(name, values)
    if remap is None:
        if values.shape != fresh.shape:
            raise CheckpointError(f"the saved {name} has shape {values.shape}, expected {fresh.shape}")
        return values.copy()
    result = fresh if given is None else np.where(np.isnan(fresh), given, fresh)
    result[remap[remap >= 0]] = values[remap >= 0]
    return result


def carried(array: Floats, source: Rows, fresh: float) -> Floats:
    """Values by category in a new numbering: column c is column `source[c]` of `array`, or `fresh` where that is -1."""
    result = array[..., np.maximum(source, 0)]
    result[..., source < 0] = fresh
    return result


def _like(name: str, held: Any, saved: Any) -> Any:
    """`saved` as the type of the attribute it replaces."""
    if isinstance(held, np.ndarray):
        array = np.array(saved, held.dtype)
        if array.shape != held.shape:
            raise CheckpointError(f"the saved {name} has shape {array.shape}, expected {held.shape}")
        return array
    if isinstance(held, (bool, int, float, str)):
        return type(held)(saved)
    # A list is the part's own from now on.
    return list(saved) if isinstance(held, list) else saved
