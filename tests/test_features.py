"""Hashed text features: fixed by seed, sensitive to words and their order, safe on odd input."""

from __future__ import annotations

import numpy as np
import pytest

from edgewise.errors import ConfigError
from edgewise.features import hashed_features


def test_the_same_on_every_machine() -> None:
    # Frozen values: a saved run's weights belong to these columns.
    found = hashed_features(["one two", "Two  one\ttwo"], 4, seed=3)
    assert found.dtype == np.float32
    frozen = [[0.5773503, -0.5773503, -0.5773503, 1.0986123], [0.6324555, -0.4472136, -0.6324555, 1.3862944]]
    np.testing.assert_allclose(found, frozen, atol=1e-6)


def test_words_pairs_and_length() -> None:
    a, b, c, d = hashed_features(["red green blue", "red green blue", "blue green red", "red"], 512)
    np.testing.assert_array_equal(a, b)
    assert 0.3 < a[:-1] @ c[:-1] < 0.9  # the same words, no pair in common
    assert a[:-1] @ a[:-1] == pytest.approx(1.0)
    assert a[-1] == pytest.approx(np.log(4))
    assert d[-1] == pytest.approx(np.log(2))


def test_chunks_do_not_matter() -> None:
    texts = [f"word{i % 700} of {i % 13} \ud800" for i in range(9000)]
    whole = hashed_features(texts, 16)
    assert whole.shape == (9000, 16)
    np.testing.assert_array_equal(whole[8000:8005], hashed_features(texts[8000:8005], 16))
    assert np.isfinite(whole).all()
    assert (hashed_features(texts[:9], 16, seed=1) != whole[:9]).any()


def test_unrelated_texts_are_nearly_orthogonal() -> None:
    texts = [" ".join(f"{i}x{j}" for j in range(20)) for i in range(200)]
    vectors = hashed_features(texts, 257)[:, :-1]
    overlap = (vectors @ vectors.T)[np.triu_indices(200, 1)]
    assert abs(overlap.mean()) < 0.01
    assert overlap.std() == pytest.approx(1 / 16, rel=0.2)


def test_empty_input() -> None:
    assert hashed_features([], 8).shape == (0, 8)
    np.testing.assert_array_equal(hashed_features(["", "  "], 8), 0.0)


def test_misuse_is_caught() -> None:
    with pytest.raises(ConfigError, match="dim"):
        hashed_features(["a"], 1)
    with pytest.raises(ConfigError, match="list"):
        hashed_features("a text", 8)
