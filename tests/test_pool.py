from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise import PromptPool
from edgewise.errors import PoolError


@settings(max_examples=60)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, min_size=1, max_size=30), st.randoms())
def test_ids_find_their_rows(ids, random):
    pool = PromptPool(ids)
    order = list(range(len(ids)))
    random.shuffle(order)
    rows = pool.rows([ids[i] for i in order])
    assert rows.dtype == np.int64
    assert rows.tolist() == order
    assert pool.ids[rows].tolist() == [ids[i] for i in order]


@settings(max_examples=60)
@given(st.lists(st.text(st.characters(exclude_characters="\x00", codec="utf-8")), unique=True, min_size=1, max_size=20))
def test_text_ids_find_their_rows(ids):
    assert PromptPool(ids).rows(ids[::-1]).tolist() == list(range(len(ids)))[::-1]


@pytest.mark.parametrize(
    "ids",
    [
        [],
        [1, 1],
        ["a", "a"],
        [1, "a"],
        (x for x in [1, "a"]),
        [1.5, 2.5],
        [None, "a"],
        [True, False],
        [[1], [2]],
        [2**63, 1],
        np.array([2**64 - 1], np.uint64),
        np.array([object(), object()]),
        3,
        None,
        np.int64(3),
        [["a"], ["b", "c"]],
        ["a\0", "a"],
        np.array(["a\0", "b"], object),
    ],
)
def test_bad_ids_are_refused(ids):
    with pytest.raises(PoolError):
        PromptPool(ids)


@pytest.mark.parametrize(
    "ids",
    [
        range(3),
        iter([2, 0, 1]),
        np.array([5, 3], np.uint8),
        np.array(["b", "a"], object),
        np.array(["b", "a"], np.dtypes.StringDType()) if hasattr(np.dtypes, "StringDType") else ["b", "a"],
        [np.int8(5), 3, np.uint64(4)],
        (1, 2),
    ],
)
def test_ids_come_in_any_container(ids):
    pool = PromptPool(ids)
    assert pool.rows(pool.ids).tolist() == list(range(len(pool)))


def test_columns_of_pyarrow_are_ids_labels_features_and_priors():
    pyarrow = pytest.importorskip("pyarrow")
    ids, labels = pyarrow.array(["b", "a", "c"]), pyarrow.array(["x", None, "x"])
    features, priors = pyarrow.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), pyarrow.array([0.5, None, 1.0])
    for kind in (lambda column: column, lambda column: pyarrow.chunked_array([column[:1], column[1:]])):
        pool = PromptPool(kind(ids), kind(labels), kind(features), kind(priors))
        assert pool.ids.tolist() == ["b", "a", "c"]
        assert pool.labels == ["x", None, "x"]
        assert pool.features.tolist() == [[1, 2], [3, 4], [5, 6]]
        assert np.array_equal(pool.priors, [0.5, np.nan, 1.0], equal_nan=True)
        assert PromptPool(kind(ids.dictionary_encode())).ids.tolist() == ["b", "a", "c"]
    with pytest.raises(PoolError):
        PromptPool(pyarrow.array(["a", None]))


def test_unknown_ids_are_named():
    with pytest.raises(PoolError, match="99"):
        PromptPool([3, 1, 2]).rows([1, 99])
    with pytest.raises(PoolError, match="'1'"):
        PromptPool([3, 1, 2]).rows(["1"])
    assert PromptPool([3, 1]).rows([]).shape == (0,)


@pytest.mark.parametrize("rows", [[0.5], [[0]], [-1], [3], [True], ["a"], [0, 0]])
def test_bad_rows_are_refused(rows):
    with pytest.raises(PoolError):
        PromptPool([10, 20, 30]).check_rows(rows)


def test_a_repeated_row_names_its_prompt():
    with pytest.raises(PoolError, match="'beta'"):
        PromptPool(["alpha", "beta"]).check_rows([1, 1])
    assert PromptPool(["alpha"]).check_rows([0, 0], distinct=False).tolist() == [0, 0]


def test_categories_and_features():
    pool = PromptPool([1, 2, 3, 4], ["b", None, "a", "b"], np.eye(4))
    assert [pool.category_names[c - 1] if c > 0 else None for c in pool.categories] == ["b", None, "a", "b"]
    assert pool.features.dtype == np.float32
    with pytest.raises(PoolError, match="shape"):
        PromptPool([1, 2], ["a"])
    with pytest.raises(PoolError, match="finite"):
        PromptPool([1], features=[[np.nan]])


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=30),
    st.lists(st.sampled_from(["b", "d", None])),
)
def test_members_partition_the_pool(first, more):
    pool = PromptPool(range(len(first)), first)
    pool.members(0)
    pool.extend(range(len(first), len(first) + len(more)), more)
    names, labels = pool.category_names, first + more
    for code in range(len(names) + 1):
        wanted = [i for i, label in enumerate(labels) if label == (names[code - 1] if code > 0 else None)]
        assert pool.members(code).tolist() == wanted
        assert pool.category_sizes()[code] == len(wanted)
    assert pool.category_sizes().sum() == len(pool)


def test_extend_appends_and_leaves_the_pool_as_it_was_on_errors():
    pool = PromptPool(["a", "b"], ["x", "y"], [[1.0], [2.0]])
    for bad in (
        (["b"], ["x"], [[1.0]]),
        (["c"], None, [[1.0]]),
        (["c"], ["x"], None),
        (["c"], ["x"], [[1.0, 2.0]]),
        (["c", "c"], ["x", "x"], [[1.0], [1.0]]),
        ([7], ["x"], [[1.0]]),
    ):
        with pytest.raises(PoolError):
            pool.extend(*bad)
    assert (len(pool), pool.category_names, pool.features.tolist()) == (2, ["x", "y"], [[1.0], [2.0]])
    assert pool.extend(["a long id"], ["z"], [[3.0]]).tolist() == [2]
    assert pool.rows(["a long id", "a"]).tolist() == [2, 0]
    assert pool.category_names == ["x", "y", "z"]
    assert pool.extend([], None, None).shape == (0,)


@settings(max_examples=60)
@given(st.integers(1, 200), st.sets(st.integers(0, 199)), st.integers(0, 200), st.integers(0, 2**32))
def test_samples_are_distinct_and_avoid_the_excluded(size, exclude, n, seed):
    pool, rng = PromptPool(range(size)), np.random.default_rng(seed)
    barred = np.array(sorted(x for x in exclude if x < size), np.int64)
    free = size - len(barred)
    rows = pool.sample(min(n, free), rng, barred)
    assert len(set(rows.tolist()) - set(barred.tolist())) == min(n, free)
    with pytest.raises(PoolError, match="available"):
        pool.sample(free + 1, rng, barred)


def test_samples_are_uniform():
    rng, barred = np.random.default_rng(0), np.array([0, 3, 4, 9])
    counts = np.bincount(
        np.concatenate([PromptPool(range(10)).sample(2, rng, barred) for _ in range(6000)]), minlength=10
    )
    assert (counts[barred] == 0).all()
    free = np.delete(counts, barred)
    assert ((free - 2000) ** 2 / 2000).sum() < 20.5  # chi-square, 5 degrees of freedom, p = 0.001


def test_labels_are_those_the_pool_was_made_with() -> None:
    labels = ["sets", None, "algebra", "sets"]
    assert PromptPool(range(4), labels).labels == labels
    assert PromptPool(range(4)).labels is None
    for missing in (np.nan, np.float32("nan"), np.datetime64("NaT"), Decimal("nan")):
        assert PromptPool(range(2), [missing, "a"]).labels == [None, "a"]
    with pytest.raises(PoolError, match="one label a prompt"):
        PromptPool(range(2), 5)
