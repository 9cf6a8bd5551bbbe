"""Correctness of rollouts: by the reward itself, from a threshold on, by one named score, or by a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.arrays import NOISE, Flags, as_array, is_number, require_sequence
from edgewise.errors import ConfigError, RewardError

Floats = npt.NDArray[np.float64]
Rule = float | str | Callable[..., Any] | None
"""Threshold, name of a score, function, or None for rewards in [0, 1] that the curriculum judges."""


class Success:
    """Rule that decides which rollouts are correct; what it cannot decide is unknown, and never counted as wrong.

    Args:
        rule: a threshold: a reward of at least this is correct, up to float noise. A name out of `names`: that score
            decides, from 0.5 on. A function: see `read`. None: rewards in [0, 1] are left to the curriculum's threshold.
        names: scores that can be named; None if the trainer reveals them only with the first rollouts.

    Raises:
        ConfigError: none of these, or a threshold that is not finite.

    Example:
        >>> Success(0.9).read(np.array([0.9, -2.0]), np.array(["a", "a"]))
        array([1., 0.])
        >>> Success(lambda rewards: [True, None]).read(np.array([1.0, 0.2]), np.array(["a", "a"]))
        array([ 1., nan])
    """

    def __init__(self, rule: Rule = None, names: Collection[str] | None = ()):
        if isinstance(rule, str) and (_is_numeric(rule) if names is None else rule not in names):
            known = "it is a number" if names is None else "this trainer names no scores"
            if names:
                known = f"the scores are {', '.join(sorted(names))}"
            raise ConfigError(f"success={rule!r} names no score: {known}. A threshold is a number, without quotes")
        if not (rule is None or isinstance(rule, str) or callable(rule) or (is_number(rule) and np.isfinite(rule))):
            raise ConfigError(
                f"success is a finite threshold, the name of a score, or a function that returns bools, got {rule!r}"
            )
        self.rule = rule

    @classmethod
    def of_functions(cls, rule: Rule, names: Sequence[str]) -> Success:
        """Rule over the reward functions of these names; `ConfigError` where they do not say which one decides."""
        if rule is None and len(names) > 1:
            raise ConfigError(
                f"{len(names)} reward functions: say when a rollout is correct with success=, as the name of one of them"
                f" ({', '.join(names)}), a threshold on their weighted sum, or a function of all"
            )
        if isinstance(rule, str) and names.count(rule) > 1:
            raise ConfigError(
                f"success={rule!r} names {names.count(rule)} reward functions: give them names of their own, such as"
                " functions made by def"
            )
        return cls(rule, names)

    def __repr__(self) -> str:
        return f"Success({self.rule!r})"

    @property
    def needs_more(self) -> bool:
        """Whether the rule reads more than the rewards."""
        return isinstance(self.rule, str) or callable(self.rule)

    def read(
        self,
        rewards: Floats,
        ids: np.ndarray,
        evaluate: Callable[[Callable[..., Any]], Any] | None = None,
        score: Callable[[str], Any] | None = None,
    ) -> Floats | None:
        """Correctness of n rollouts.

        Args:
            rewards: reward of each rollout, (n,).
            ids: id of each rollout's prompt, (n,), for messages.
            evaluate: calls the rule's function on what the trainer has for it; None: on the rewards. It returns one bool a
                rollout, or None or NaN where correctness is unknown.
            score: values of a named score, (n,), None or NaN where there is none.

        Returns:
            1 where a rollout is correct, 0 where it is wrong, NaN where that is unknown, (n,); None where the curriculum
            decides by its threshold.

        Raises:
            RewardError: a reward that the rule cannot judge, or a function that does not return n bools.
        """
        if isinstance(self.rule, str):
            values = _floats(score(self.rule) if score is not None else [], self.rule, len(rewards))
            return np.where(np.isnan(values), np.nan, values >= 0.5 - NOISE)
        if callable(self.rule):
            return _bools(evaluate(self.rule) if evaluate is not None else self.rule(rewards.copy()), len(rewards))
        if self.rule is None:
            bad, fault = np.flatnonzero(~((rewards >= -NOISE) & (rewards <= 1 + NOISE))), "outside [0, 1]"
        else:
            bad, fault = np.flatnonzero(np.isnan(rewards)), "which is no number"
        if bad.size:
            raise RewardError(
                f"prompt {ids[bad[0]].item()!r} has reward {rewards[bad[0]]}, {fault}: say when a rollout is correct with"
                " success=, as a threshold or a function"
            )
        return None if self.rule is None else (rewards >= float(self.rule) - NOISE).astype(np.float64)

    def read_functions(
        self, matrix: Floats, values: Floats, ids: np.ndarray, names: Sequence[str]
    ) -> tuple[Flags, Floats | None]:
        """Which of n rollouts were scored, and the correctness of these, as `read` returns it.

        Args:
            matrix: result of each reward function, (n, functions), NaN where it returned None.
            values: the reward made of them, (n,).
            ids: id of each rollout's prompt, (n,).
            names: of the reward functions.

        Returns:
            Flags (n,) of the rollouts that a function has scored, and the correctness of those, (flags.sum(),).
        """
        known: Flags = np.asarray(~np.isnan(matrix).all(axis=1))
        correct = self.read(
            values[known],
            ids[known],
            evaluate=lambda rule: rule(matrix[known]),
            score=lambda name: matrix[known, names.index(name)],
        )
        return known, correct


def _is_numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def missing_score(name: str, there: Iterable[str]) -> RewardError:
    """The error for a score that success= names and no rollout has."""
    found = ", ".join(sorted(there))
    known = f"there are {found}" if found else "the reward function returns none"
    return RewardError(f"score '{name}', which success= names, is not there; {known}")


def number(reward: Any, prompt: Any, hint: str = "a reward is one number a rollout") -> float:
    """Reward of a rollout of `prompt` as a float; a tensor or an array of one value is that value.

    Raises:
        RewardError: something else, with the `hint`.
    """
    try:
        return float(np.asarray(_plain(reward)).item())
    except (TypeError, ValueError) as error:
        raise RewardError(f"prompt {prompt!r} has the reward {reward!r:.100}, which is no number: {hint}") from error


def _bools(given: Any, n: int) -> Floats:
    """Bools, with None or NaN for unknown, as 1, 0 and NaN, (n,). A float array of 0, 1 and NaN is the same."""
    require_sequence("the results of success", given, RewardError)
    given = as_array(given) if hasattr(given, "detach") else given
    listed = np.iterable(given) and not isinstance(given, np.ndarray)
    array = np.array([_plain(value) for value in given], object) if listed else np.asarray(given)
    if array.shape == (n,):
        if array.dtype == np.bool_:
            return array.astype(np.float64)
        if array.dtype.kind == "f" and (np.isnan(array) | (array == 0) | (array == 1)).all():
            return array.astype(np.float64)
        if array.dtype == object and all(_is_verdict(value) for value in array):
            return np.array([np.nan if value is None else float(value) for value in array], np.float64)
    raise RewardError(
        f"success must return {n} bools, one a rollout, or None where correctness is unknown; got {array.dtype} of shape"
        f" {array.shape}"
    )


def _plain(value: Any) -> Any:
    """The one value of a tensor or an array, such as what a comparison with a tensor returns; others as they are."""
    array = as_array(value) if hasattr(value, "item") else None
    return value if array is None or array.size != 1 else array.item()


def _is_verdict(value: Any) -> bool:
    return value is None or isinstance(value, (bool, np.bool_)) or (isinstance(value, float) and np.isnan(value))


def _floats(given: Any, name: str, n: int) -> Floats:
    try:
        values = np.array([np.nan if value is None else float(value) for value in given], np.float64)
    except (TypeError, ValueError) as error:
        raise RewardError(f"score '{name}', which success= names, is no number: {error}") from error
    if values.shape != (n,):
        raise RewardError(f"score '{name}', which success= names, has {len(values)} values for {n} rollouts")
    return values
