import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise import PromptPool
from edgewise.errors import CheckpointError
from edgewise.seen import SeenTable

COLUMNS = {"x": np.float32, "n": np.int32}


def table_of(values, size=100):
    table = SeenTable(PromptPool(range(size)), COLUMNS)
    rows = np.array(list(values), np.int64)
    slots, _ = table.insert(rows)
    table["x"][slots] = list(values.values())
    return table


def contents(table):
    return dict(zip(table.rows.tolist(), table["x"].tolist(), strict=True))


batches = st.lists(st.sets(st.integers(0, 99), max_size=40), max_size=12)


@settings(max_examples=80)
@given(batches, st.integers(0, 2**32))
def test_behaves_like_a_dict(given_batches, seed):
    rng = np.random.default_rng(seed)
    table, model = SeenTable(PromptPool(range(100)), COLUMNS), {}
    for batch in given_batches:
        rows = rng.permutation(np.array(sorted(batch), np.int64))
        slots, new = table.insert(rows)
        assert new.tolist() == [row not in model for row in rows.tolist()]
        assert (table["x"][slots[new]] == 0).all()
        table["x"][slots] += rows
        for row in rows.tolist():
            model[row] = model.get(row, 0) + row
        places = rng.choice(len(table), min(len(table), 7), replace=False)
        table.move(places, rng.permutation(places))
        assert contents(table) == model
        assert (table.slots(np.arange(100)) >= 0).sum() == len(table) == len(model)
        assert np.array_equal(table.rows[table.slots(table.rows)], table.rows)


@settings(max_examples=40)
@given(st.dictionaries(st.integers(0, 99), st.integers(0, 1000)), st.integers(0, 2**32))
def test_state_survives_reordering_shrinking_and_growing(values, seed):
    table = table_of(values)
    remap = np.random.default_rng(seed).permutation(130)[:100]
    remap[remap >= 110] = -1
    restored = SeenTable(PromptPool(range(110)), COLUMNS)
    restored.insert(np.array([1, 2]))
    restored.load_state_dict(table.state_dict(), remap)
    assert contents(restored) == {int(remap[row]): x for row, x in values.items() if remap[row] >= 0}


def test_state_is_the_same_in_whatever_order_rows_came():
    a, b = table_of({5: 1, 3: 2, 9: 3}), table_of({9: 3, 5: 1, 3: 2})
    assert all(np.array_equal(a.state_dict()[name], b.state_dict()[name]) for name in ("rows", "x", "n"))


def test_growing_keeps_what_was_there():
    table = table_of({3: 1.5, 99: 2.5})
    table.pool.extend(range(100, 5000))
    table.grow()
    table.insert(np.arange(4000, 5000))
    assert contents(table)[99] == 2.5
    assert len(table) == 1002


@pytest.mark.parametrize(
    "damage",
    [
        {"rows": np.array([0, 0])},
        {"rows": np.array([0, 100])},
        {"rows": np.array([0])},
        {"x": np.array(["a", "b"])},
        {"n": None},
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(damage):
    table = table_of({5: 1.0, 6: 2.0})
    state = {**table_of({7: 1.0, 8: 2.0}).state_dict(), **damage}
    if state["n"] is None:
        del state["n"]
    with pytest.raises(CheckpointError):
        table.load_state_dict(state)
    assert contents(table) == {5: 1.0, 6: 2.0}


@settings(max_examples=50)
@given(st.lists(st.sets(st.integers(0, 199), min_size=1), max_size=6), st.integers(0, 2**31))
def test_rows_at_places_are_those_of_the_sorted_rows(parts, seed):
    table, rng = SeenTable(PromptPool(range(200)), {}), np.random.default_rng(seed)
    for part in parts:
        table.insert(rng.permutation(sorted(part)))
        places = rng.integers(len(table), size=7)
        found = table.sorted_at(places)
        assert found.tolist() == np.sort(table.rows)[places].tolist()
        assert found.dtype == np.int64
    assert table.sorted_rows().tolist() == sorted(set().union(*parts))


@pytest.mark.parametrize("members", [None, np.arange(3, 90, 2, dtype=np.int32)])
def test_few_unseen_rows_are_drawn_as_from_a_look_at_all(members):
    """What the table keeps of earlier draws changes none: against a table that is made anew for each."""
    table, seen = SeenTable(PromptPool(range(100)), {}), np.empty(0, np.int64)
    everything = np.arange(100) if members is None else members.astype(np.int64)
    order = np.random.default_rng(0).permutation(everything)
    for step in range(0, len(order) - 3, 3):
        table.insert(order[step : step + 3])
        seen = np.union1d(seen, order[step : step + 3])
        exclude = np.sort(np.random.default_rng(step).choice(100, 2, replace=False))
        left = len(np.setdiff1d(everything, np.union1d(seen, exclude)))
        fresh = SeenTable(PromptPool(range(100)), {})
        fresh.insert(seen)
        n = min(2, left)
        found = [
            t.sample_unseen(members, n, left, exclude, np.random.default_rng(step)).tolist() for t in (table, fresh)
        ]
        assert found[0] == found[1]
        assert not np.isin(found[0], np.union1d(seen, exclude)).any()
    table.grow()
    assert table.sample_unseen(members, 0, 1, np.empty(0, np.int64), np.random.default_rng(0)).size == 0
