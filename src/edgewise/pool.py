"""Pool of the prompts that can be selected: ids, categories, features and prior pass rates as arrays by row."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgewise.arrays import NOISE, Counts, Floats, Rows, as_array, is_number, require_sequence, whole_as_int
from edgewise.errors import PoolError

log = logging.getLogger("edgewise")

FEW = 64
"""Rows that are checked one by one."""
LARGEST = np.iinfo(np.int32).max
ID_BYTES = 64 * 2**20
"""Text ids that take more memory than this, mostly padding, are reported."""


class PromptPool:
    """The prompts of a run.

    Args:
        ids: unique ids, all int or all str, shape (n,). Stable across runs: they decide what a resumed state belongs to.
        categories: one label a prompt, shape (n,) (data source, level, op, ...); None or NaN where a prompt has none.
            Whole floats are the same label as the int: 1.0 is "1".
        features: numbers that describe each prompt, shape (n, d), finite.
        priors: success rate of each prompt known before the run (pass rates of another model, say), shape (n,) in [0, 1],
            NaN where unknown. Every belief starts from them.
        prior_strength: number of rollouts that a known rate is worth, >= 0.

    Everything is copied; ids, categories and priors are read-only arrays. Category code 0 stands for "no category", codes 1 to C for the names in sorted order.

    Raises:
        PoolError: ids empty, repeated or of mixed type; another argument of another length or out of range.

    Example:
        >>> pool = PromptPool(["a", "b", "c"], categories=["algebra", None, "sets"], priors=[0.9, float("nan"), 0.2])
        >>> pool.category_names, pool.category_index(pool.rows(["c", "b"])).tolist()
        (['algebra', 'sets'], [2, 0])
    """

    def __init__(
        self,
        ids: Any,
        categories: Any = None,
        features: npt.ArrayLike | None = None,
        priors: npt.ArrayLike | None = None,
        *,
        prior_strength: float = 4.0,
    ):
        self._ids = _id_array(ids)
        if len(self._ids) == 0:
            raise PoolError("the pool is empty: give at least one prompt id")
        if len(self._ids) >= LARGEST:
            raise PoolError("pools of 2**31 prompts and more are not supported")
        if not is_number(prior_strength) or not 0 <= prior_strength < np.inf:
            raise PoolError(f"prior_strength must be a finite number of rollouts >= 0, got {prior_strength!r}")
        self._order: npt.NDArray[np.int32] | None = None
        self._by_category: tuple[npt.NDArray[np.int32], Rows, Counts] | None = None
        _require_unique(self._ids)
        self._codes, self._names = _encode(categories, len(self._ids), [])
        self._features = _feature_array(features, len(self._ids))
        self._priors = _prior_array(priors, len(self._ids))
        self.prior_strength = float(prior_strength)
        self._freeze()
        _report_long_ids(self._ids)

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
        """Category code by row, shape (n,), 0 where a prompt has none; None if the pool has no categories."""
        return self._codes

    @property
    def labels(self) -> list[str | None] | None:
        """Label by row, None where a prompt has none; None if the pool has no categories."""
        return None if self._codes is None else np.array([None, *self._names], object)[self._codes].tolist()

    @property
    def has_categories(self) -> bool:
        return self._codes is not None

    def category_index(self, rows: npt.NDArray[np.integer]) -> Rows:
        """Category code of each row, int64 (n,); all 0 in a pool without categories."""
        return np.zeros(len(rows), np.int64) if self._codes is None else self._codes[rows].astype(np.int64)

    @property
    def category_names(self) -> list[str]:
        """Names of the categories with code 1 to C, sorted."""
        return list(self._names)

    def match_categories(self, names: Sequence[str]) -> Rows:
        """Code in a state saved with these `names` for each present code, int64 (C + 1,); -1 where it has none.

        Code 0 (no category) always matches itself. Growing and resuming carry per-category arrays over by this alone.
        """
        saved = {name: code for code, name in enumerate(names, start=1)}
        return np.array([0, *(saved.get(name, -1) for name in self._names)], np.int64)

    @property
    def features(self) -> npt.NDArray[np.float32] | None:
        """Features by row, shape (n, d), or None."""
        return self._features

    @property
    def priors(self) -> Floats | None:
        """Success rates known before the run by row, shape (n,), NaN where unknown; None if none are known."""
        return self._priors

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

    def members(self, code: int) -> npt.NDArray[np.int32]:
        """Rows of the prompts with this category code, ascending; code 0 holds those without a category.

        The first call sorts the pool by category, once.
        """
        order, starts, _ = self._grouped()
        return order[starts[code] : starts[code + 1]]

    def category_sizes(self) -> Rows:
        """Number of prompts by category code, (C + 1,)."""
        return self._grouped()[2]

    def random_members(self, codes: Rows, rng: np.random.Generator) -> Rows:
        """A uniform row of each category code, independently, int64 (n,); every code has members."""
        order, starts, sizes = self._grouped()
        return order[starts[codes] + rng.integers(sizes[codes])].astype(np.int64)

    def sample(self, n: int, rng: np.random.Generator, exclude: Rows | None = None) -> Rows:
        """n distinct rows, uniformly and in random order, none of `exclude` (sorted, distinct); O(n) work for small n."""
        excluded = np.empty(0, np.int64) if exclude is None else exclude
        free = len(self) - len(excluded)
        if n > free:
            raise PoolError(f"asked for {n} prompts, but only {free} of {len(self)} are available")
        rows = rng.choice(free, n, replace=False)
        # The i-th free row is i plus the number of excluded rows before it.
        return rows + np.searchsorted(excluded - np.arange(len(excluded)), rows, side="right")

    def check_rows(self, rows: Any, distinct: bool = True) -> Rows:
        """`rows` as int64 (n,), inside the pool and, if asked, without repetition; otherwise `PoolError`."""
        if type(rows) is np.ndarray and rows.dtype == np.int64 and rows.ndim == 1 and 0 < len(rows) <= FEW:
            # The same by Python's own functions, which take less time than the calls below for so few.
            values = rows.tolist()
            if min(values) >= 0 and max(values) < len(self) and (not distinct or len(set(values)) == len(values)):
                return rows
        require_sequence("rows", rows, PoolError)
        given = as_array(rows)
        if given.size == 0:
            given = given.astype(np.int64)
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
            raise PoolError(
                f"rows must be a one-dimensional array of integers, got {given.dtype} of shape {given.shape}"
            )
        if given.dtype.kind == "u" and given.size and int(given.max()) >= len(self):
            raise PoolError(f"row {int(given.max())} is outside the pool of {len(self)} prompts")
        result = given.astype(np.int64, copy=False)
        # As unsigned numbers, negative rows are the largest.
        if result.view(np.uint64).max(initial=0) >= len(self):
            bad = result[(result < 0) | (result >= len(self))][0]
            raise PoolError(f"row {bad} is outside the pool of {len(self)} prompts")
        if distinct and result.size > 1:
            ordered = np.sort(result)
            repeated = ordered[1:][ordered[1:] == ordered[:-1]]
            if repeated.size:
                raise PoolError(f"row {repeated[0]} (prompt {self._ids[repeated[0]].item()!r}) is given more than once")
        return result

    def extend(
        self,
        ids: Any,
        categories: Any = None,
        features: npt.ArrayLike | None = None,
        priors: npt.ArrayLike | None = None,
    ) -> Rows:
        """Append prompts during a run; returns their rows. Rows of earlier prompts do not change, category codes may.

        Curricula over the pool follow by themselves; a selector or belief used alone needs a call of its `grow`.

        Raises:
            PoolError: an id that the pool holds, or arguments that the pool was made without (or the reverse). Nothing
                has been changed then.
        """
        new = _id_array(ids)
        if len(new) == 0:
            return np.empty(0, np.int64)
        if new.dtype.kind != self._ids.dtype.kind:
            raise PoolError(f"new ids are {new.dtype}, those of the pool are {self._ids.dtype}")
        joined = np.concatenate([self._ids, new])
        if len(joined) >= LARGEST:
            raise PoolError("pools of 2**31 prompts and more are not supported")
        _require_unique(joined)
        for name, given, held in (("categories", categories, self._codes), ("features", features, self._features)):
            if (given is None) != (held is None):
                raise PoolError(f"new prompts need {name} exactly when the pool has them")
        codes, names = _encode(categories, len(new), self._names)
        matrix = _feature_array(features, len(new))
        if self._features is not None and matrix is not None and matrix.shape[1] != self._features.shape[1]:
            raise PoolError(f"new features have {matrix.shape[1]} columns, those of the pool {self._features.shape[1]}")
        rates = _prior_array(priors, len(new))
        if self._features is not None and matrix is not None:
            self._features = np.concatenate([self._features, matrix])
        if self._codes is not None and codes is not None:
            place = {name: code for code, name in enumerate(names, start=1)}
            moved = np.array([0, *(place[name] for name in self._names)], np.int32)
            self._codes = np.concatenate([moved[self._codes], codes])
        if self._priors is not None or rates is not None:
            old = np.full(len(self), np.nan) if self._priors is None else self._priors
            self._priors = np.concatenate([old, np.full(len(new), np.nan) if rates is None else rates])
        self._names = names
        self._ids, self._order, self._by_category = joined, None, None
        self._freeze()
        return np.arange(len(joined) - len(new), len(joined), dtype=np.int64)

    def _freeze(self) -> None:
        """Writes into what `ids`, `categories` and `priors` return are refused: they would give prompts other names."""
        for array in (self._ids, self._codes, self._priors):
            if array is not None:
                array.setflags(write=False)

    def _grouped(self) -> tuple[npt.NDArray[np.int32], Rows, Counts]:
        """Rows sorted by category code, where each code begins, (C + 2,), and how many rows it has, (C + 1,)."""
        if self._by_category is None:
            if self._codes is None:
                order, sizes = np.arange(len(self), dtype=np.int32), np.array([len(self)])
            else:
                order = np.argsort(self._codes, kind="stable").astype(np.int32)
                sizes = np.bincount(self._codes, minlength=len(self._names) + 1)
            sizes.setflags(write=False)
            self._by_category = order, np.concatenate([[0], np.cumsum(sizes)]), sizes
        return self._by_category


def _id_array(ids: Any) -> np.ndarray:
    """A copy of `ids` as int64 or text, (n,)."""
    require_sequence("ids", ids, PoolError)
    if isinstance(ids, np.ma.MaskedArray):
        if np.ma.is_masked(ids):
            raise PoolError(f"every prompt needs an id, but {np.ma.count_masked(ids)} of {ids.size} are masked")
        ids = ids.data
    try:
        if not isinstance(ids, (np.ndarray, list, tuple)):
            ids = as_array(ids) if hasattr(ids, "detach") or hasattr(ids, "to_numpy") else list(ids)
        if isinstance(ids, (list, tuple)) and ids and all(_is_int(value) for value in ids):
            if max(ids) >= 2**63 or min(ids) < -(2**63):
                raise PoolError("integer ids must fit into int64; use their text instead")
            return np.array(ids, np.int64)
        array = np.array(ids) if not isinstance(ids, np.ndarray) else ids
    except (TypeError, ValueError) as error:
        raise PoolError(f"ids must be a list or an array, one id a prompt: {error}") from error
    if array.dtype.kind == "T":
        array = array.astype(object)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1:
        raise PoolError(f"ids must be one-dimensional, got shape {array.shape}")
    if array.dtype.kind == "O":
        values = array.tolist()
        if all(isinstance(value, str) for value in values):
            _require_no_nul(values)
            return array.astype(str)
        if all(_is_int(value) for value in values):
            return _id_array(values)
        types = {type(value).__name__ for value in values}
        raise PoolError(f"ids must be all int or all str, got {', '.join(sorted(types))}")
    if array.dtype.kind in "iu":
        if array.dtype.kind == "u" and int(array.max()) >= 2**63:
            raise PoolError("integer ids must fit into int64; use their text instead")
        return array.astype(np.int64)
    if array.dtype.kind == "U":
        if not isinstance(ids, np.ndarray) and not all(isinstance(value, str) for value in ids):
            raise PoolError("ids must be all int or all str, got a mixture")
        if not isinstance(ids, np.ndarray):
            _require_no_nul(ids)
        return array.copy()
    raise PoolError(f"ids must be int or str, got {array.dtype}")


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _require_no_nul(ids: Sequence[str]) -> None:
    """Refuse a NUL at the end of an id: arrays of text drop it, and the id would be another one."""
    bad = next((value for value in ids if value[-1:] == "\0"), None)
    if bad is not None:
        raise PoolError(f"ids must not end with NUL, got {bad!r}")


def _require_unique(ids: np.ndarray) -> None:
    if ids.dtype.kind == "i" and len(ids) > 1 and (np.diff(ids) > 0).all():
        return
    ordered = np.sort(ids)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if repeated.size:
        raise PoolError(f"prompt ids must be unique, but {repeated[0].item()!r} is given more than once")


def _report_long_ids(ids: np.ndarray) -> None:
    """Warn where one long id makes all of them take its room: text arrays are as wide as their longest item."""
    if ids.dtype.kind != "U" or ids.nbytes < ID_BYTES:
        return
    lengths = np.char.str_len(ids)
    if ids.nbytes > 4 * int(lengths.sum()) * 4:
        longest = int(lengths.argmax())
        log.warning(
            "the ids take %d MB because that of row %d has %d characters; use short ids, such as a hash of the text",
            ids.nbytes // 2**20,
            longest,
            int(lengths[longest]),
        )


def label_of(value: Any) -> str | None:
    """The spelling of a label, the same in every process and for every dtype that can hold it.

    Whole floats are spelt as ints, so that a column that pandas turned into floats keeps its labels; bytes are text.
    """
    if value is None or type(value).__name__ == "NAType":
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (list, tuple, dict, set, np.ndarray)):
        raise PoolError(
            f"a category is one label a prompt, got the {type(value).__name__} {value!r}; join its parts into a text"
        )
    if value != value:  # NaN of any type, and missing dates
        return None
    value = whole_as_int(value)
    kind: Any = type(value)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        raise PoolError(f"a category is a text or a number, got {value!r}, which is spelt differently in every process")
    return str(value)


def _encode(categories: Any, n: int, names: list[str]) -> tuple[npt.NDArray[np.int32] | None, list[str]]:
    """Category labels -> codes in the sorted order of all names, those of `names` included."""
    if categories is None:
        return None, names
    require_sequence("categories", categories, PoolError)
    found: list[str | None]
    if isinstance(categories, np.ndarray) or hasattr(categories, "detach") or hasattr(categories, "to_numpy"):
        categories = as_array(categories)
    elif not hasattr(categories, "__iter__"):
        raise PoolError(f"categories must be a list or an array, one label a prompt, got {categories!r}")
    if isinstance(categories, np.ndarray) and categories.ndim == 1 and categories.dtype.kind in "Uiuf":
        unique, inverse = np.unique(categories, return_inverse=True)
        # Not as Python floats: 0.1 in float32 is to be spelt 0.1.
        found = unique.tolist() if unique.dtype.kind == "U" else [label_of(value) for value in unique]
    else:
        labels = [label_of(value) for value in categories]
        place: dict[str | None, int] = {}
        inverse = np.array([place.setdefault(label, len(place)) for label in labels], np.int64)
        found = list(place)
    if inverse.shape != (n,):
        raise PoolError(f"categories must have shape ({n},), got {inverse.shape}")
    known = sorted({*names, *(label for label in found if label is not None)})
    code = {name: code for code, name in enumerate(known, start=1)}
    return np.array([0 if label is None else code[label] for label in found], np.int32)[inverse], known


def _feature_array(features: npt.ArrayLike | None, n: int) -> npt.NDArray[np.float32] | None:
    if features is None:
        return None
    try:
        require_sequence("features", features, PoolError)
        given = as_array(features)
        if given.dtype.kind == "O":
            given = np.array(given.tolist(), np.float64)
        if given.dtype.kind not in "fiub":
            given = given.astype(np.float64, casting="same_kind")
        with np.errstate(over="ignore"):
            matrix = np.array(given, np.float32)
    except (TypeError, ValueError) as error:
        raise PoolError(f"features must be numbers of shape ({n}, d): {error}") from error
    if matrix.ndim != 2 or len(matrix) != n:
        raise PoolError(f"features must have shape ({n}, d), got {matrix.shape}")
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        row, column = bad[0]
        value = given[row, column]
        why = "too large for float32; scale the features" if np.isfinite(value) else "expected finite numbers"
        raise PoolError(f"feature {column} of row {row} is {value}: {why} ({len(bad)} such values)")
    return matrix


def _prior_array(priors: npt.ArrayLike | None, n: int) -> Floats | None:
    if priors is None:
        return None
    require_sequence("priors", priors, PoolError)
    try:
        rates = np.array(as_array(priors), np.float64)
    except (TypeError, ValueError) as error:
        raise PoolError(f"priors must be success rates of shape ({n},): {error}") from error
    if rates.shape != (n,):
        raise PoolError(f"priors must have shape ({n},), got {rates.shape}")
    bad = np.flatnonzero(~np.isnan(rates) & ~((rates >= -NOISE) & (rates <= 1 + NOISE)))
    if bad.size:
        raise PoolError(
            f"the prior of row {bad[0]} is {rates[bad[0]]}; priors are success rates in [0, 1], NaN where unknown"
        )
    return np.clip(rates, 0.0, 1.0)
