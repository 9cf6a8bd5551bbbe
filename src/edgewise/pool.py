"""All prompts that can be selected: ids, categories and features as arrays, addressed by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.errors import PoolError

Rows = npt.NDArray[np.int64]


class PromptPool:
    """The prompts of a run.

    Args:
        ids: unique ids, all int or all str, shape (n,). Stable across runs: they decide what a resumed state belongs to.
        categories: one label a prompt, shape (n,) (data source, level, op, ...); None where a prompt has none.
        features: numbers that describe each prompt, shape (n, d), finite.

    Raises:
        PoolError: ids empty, repeated or of mixed type; categories or features of another length.
    """

    def __init__(self, ids: Any, categories: Any = None, features: Any = None):
        self._ids = _id_array(ids)
        if len(self._ids) == 0:
            raise PoolError("the pool is empty: give at least one prompt id")
        self._order: npt.NDArray[np.int32] | None = None
        self._by_category: tuple[npt.NDArray[np.int32], Rows] | None = None
        if len(self._ids) >= np.iinfo(np.int32).max:
            raise PoolError("pools of 2**31 prompts and more are not supported")
        _require_unique(self._ids)
        self._codes, self._names = _encode(categories, len(self._ids), [])
        self._features = _feature_array(features, len(self._ids))

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return f"PromptPool({len(self)} prompts, {len(self._names)} categories)"

    @property
    def ids(self) -> np.ndarray:
        """Ids by row, shape (n,), int64 or str."""
        return self._ids

    @property
    def categories(self) -> npt.NDArray[np.int32] | None:
        """Category code by row, shape (n,), -1 where a prompt has none; None if the pool has no categories."""
        return self._codes

    @property
    def category_names(self) -> list[str]:
        """Names by category code."""
        return list(self._names)

    @property
    def features(self) -> npt.NDArray[np.float32] | None:
        return self._features

    def rows(self, ids: Any) -> Rows:
        """Rows of `ids`, int64 (n,). An unknown id raises `PoolError`."""
        wanted = _id_array(ids)
        if len(wanted) == 0:
            return np.empty(0, np.int64)
        rows = self.find(wanted)
        if (rows < 0).any():
            missing = wanted[rows < 0]
            raise PoolError(
                f"{len(missing)} of {len(wanted)} ids are not in the pool, first: {missing[0].item()!r}"
                f" (the pool holds {len(self)} ids such as {self._ids[0].item()!r})"
            )
        return rows

    def find(self, ids: np.ndarray) -> Rows:
        """Rows of `ids`, -1 where an id is not in the pool. Both kinds of id compare equal only to their own kind."""
        if ids.dtype.kind != self._ids.dtype.kind:
            return np.full(len(ids), -1, np.int64)
        if self._order is None:
            self._order = np.argsort(self._ids, kind="stable").astype(np.int32)
        place = np.searchsorted(self._ids, ids, sorter=self._order)
        rows = self._order[np.minimum(place, len(self) - 1)]
        return np.where(self._ids[rows] == ids, rows, -1).astype(np.int64)

    def members(self, category: int) -> npt.NDArray[np.int32]:
        """Rows of the prompts with this category code, ascending; of those without a category for -1.

        The first call sorts the pool by category, once.
        """
        order, starts = self._grouped()
        return order[starts[category + 1] : starts[category + 2]]

    def category_sizes(self) -> Rows:
        """Number of prompts by category code, and last of those without a category, (categories + 1,)."""
        sizes = np.diff(self._grouped()[1])
        return np.concatenate([sizes[1:], sizes[:1]])

    def sample(self, n: int, rng: np.random.Generator, exclude: Rows | None = None) -> Rows:
        """n distinct rows, uniformly and in random order, none of `exclude` (sorted, distinct); O(n) work for small n."""
        barred = np.empty(0, np.int64) if exclude is None else exclude
        free = len(self) - len(barred)
        if n > free:
            raise PoolError(f"asked for {n} prompts, but only {free} of {len(self)} are available")
        rows = rng.choice(free, n, replace=False)
        # The i-th free row is i plus the number of barred rows before it.
        return rows + np.searchsorted(barred - np.arange(len(barred)), rows, side="right")

    def check_rows(self, rows: Any, distinct: bool = True) -> Rows:
        """`rows` as int64 (n,), inside the pool and, if asked, without repetition; otherwise `PoolError`."""
        given = np.asarray(rows)
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
            raise PoolError(
                f"rows must be a one-dimensional array of integers, got {given.dtype} of shape {given.shape}"
            )
        result = given.astype(np.int64, copy=False)
        if result.size and (result.min() < 0 or result.max() >= len(self)):
            bad = result[(result < 0) | (result >= len(self))][0]
            raise PoolError(f"row {bad} is outside the pool of {len(self)} prompts")
        if distinct and result.size > 1:
            ordered = np.sort(result)
            repeated = ordered[1:][ordered[1:] == ordered[:-1]]
            if repeated.size:
                raise PoolError(f"row {repeated[0]} (prompt {self._ids[repeated[0]].item()!r}) is given more than once")
        return result

    def extend(self, ids: Any, categories: Any = None, features: Any = None) -> Rows:
        """Append prompts during a run; returns their rows. Rows of earlier prompts do not change."""
        new = _id_array(ids)
        if len(new) == 0:
            return np.empty(0, np.int64)
        if new.dtype.kind != self._ids.dtype.kind:
            raise PoolError(f"new ids are {new.dtype}, those of the pool are {self._ids.dtype}")
        joined = np.concatenate([self._ids, new])
        if len(joined) >= np.iinfo(np.int32).max:
            raise PoolError("pools of 2**31 prompts and more are not supported")
        _require_unique(joined)
        if (categories is None) != (self._codes is None):
            raise PoolError("new prompts need categories exactly when the pool has them")
        if (features is None) != (self._features is None):
            raise PoolError("new prompts need features exactly when the pool has them")
        names = list(self._names)
        codes, names = _encode(categories, len(new), names)
        matrix = _feature_array(features, len(new))
        if self._features is not None and matrix is not None:
            if matrix.shape[1] != self._features.shape[1]:
                raise PoolError(
                    f"new features have {matrix.shape[1]} columns, those of the pool {self._features.shape[1]}"
                )
            self._features = np.concatenate([self._features, matrix])
        if self._codes is not None and codes is not None:
            self._codes = np.concatenate([self._codes, codes])
        self._names = names
        self._ids, self._order, self._by_category = joined, None, None
        return np.arange(len(joined) - len(new), len(joined), dtype=np.int64)

    def _grouped(self) -> tuple[npt.NDArray[np.int32], Rows]:
        """Rows sorted by category, those without one first, and where each begins, (categories + 2,)."""
        if self._by_category is None:
            if self._codes is None:
                order, sizes = np.arange(len(self), dtype=np.int32), np.array([len(self)])
            else:
                order = np.argsort(self._codes, kind="stable").astype(np.int32)
                sizes = np.bincount(self._codes + 1, minlength=len(self._names) + 1)
            self._by_category = order, np.concatenate([[0], np.cumsum(sizes)])
        return self._by_category


def _id_array(ids: Any) -> np.ndarray:
    if not isinstance(ids, (np.ndarray, list, tuple)):
        ids = list(ids)
    array = np.asarray(ids)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1:
        raise PoolError(f"ids must be one-dimensional, got shape {array.shape}")
    if array.dtype.kind == "O":
        values = array.tolist()
        if all(isinstance(value, str) for value in values):
            return array.astype(str)
        if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            return _int64(array)
        kinds = {type(value).__name__ for value in values}
        raise PoolError(f"ids must be all int or all str, got {', '.join(sorted(kinds))}")
    if array.dtype.kind in "iu":
        return _int64(array)
    if array.dtype.kind == "U":
        if not isinstance(ids, np.ndarray) and not all(isinstance(value, str) for value in ids):
            raise PoolError("ids must be all int or all str, got a mixture")
        return array
    raise PoolError(f"ids must be int or str, got {array.dtype}")


def _int64(array: np.ndarray) -> Rows:
    if array.dtype.kind != "i" and (int(array.max()) >= 2**63 or int(array.min()) < -(2**63)):
        raise PoolError("integer ids must fit into int64; use their text instead")
    return array.astype(np.int64, copy=False)


def _require_unique(ids: np.ndarray) -> None:
    if ids.dtype.kind == "i" and len(ids) > 1 and (np.diff(ids) > 0).all():
        return
    ordered = np.sort(ids)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if repeated.size:
        raise PoolError(f"prompt ids must be unique, but {repeated[0].item()!r} is given more than once")


def _encode(categories: Any, n: int, names: list[str]) -> tuple[npt.NDArray[np.int32] | None, list[str]]:
    """Category labels -> codes, continuing the numbering of `names`."""
    if categories is None:
        return None, names
    labels = np.asarray(categories)
    if labels.shape != (n,):
        raise PoolError(f"categories must have shape ({n},), got {labels.shape}")
    if labels.dtype.kind == "O":
        missing = np.array([label is None for label in labels.tolist()])
        labels = np.array(["" if label is None else str(label) for label in labels.tolist()])
    else:
        missing = np.zeros(n, bool)
    unique, inverse = np.unique(labels[~missing], return_inverse=True)
    known = {name: code for code, name in enumerate(names)}
    translate = np.array([known.setdefault(str(label), len(known)) for label in unique.tolist()], np.int32)
    codes = np.full(n, -1, np.int32)
    codes[~missing] = translate[inverse]
    return codes, list(known)


def _feature_array(features: Any, n: int) -> npt.NDArray[np.float32] | None:
    if features is None:
        return None
    matrix = np.asarray(features, np.float32)
    if matrix.ndim != 2 or len(matrix) != n:
        raise PoolError(f"features must have shape ({n}, d), got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise PoolError("features must be finite numbers")
    return matrix
