"""Features from text without a model: signed hashing of words and word pairs, and the length."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edgewise.arrays import whole_number
from edgewise.errors import ConfigError

_CHUNK = 4096


def hashed_features(texts: Iterable[str], dim: int = 64, seed: int = 0) -> npt.NDArray[np.float32]:
    """Numbers that describe each text, for `PromptPool(features=...)`.

    Words and pairs of neighbouring words are counted into dim - 1 columns by a signed hash (the hashing trick, Weinberger
    et al. 2009); square roots of the counts tame repetition, and each row has length 1. The last column is log(1 + words).
    Deterministic by seed, on every machine. About a second for 1M words.

    Args:
        texts: n texts; words are what white space separates, case does not matter.
        dim: columns, >= 2.
        seed: of the hash.

    Returns:
        float32 (n, dim).
    """
    dim = whole_number("dim", dim, 2, ConfigError)
    if isinstance(texts, str):
        raise ConfigError("texts must be a list of texts, got one text")
    known: dict[str, int] = {}
    hashes: list[int] = []
    parts: list[npt.NDArray[np.float32]] = []
    words: list[list[int]] = []

    def close() -> None:
        if words:
            parts.append(_counted(words, np.array(hashes, np.uint64), dim, seed))
            words.clear()

    for text in texts:
        codes = []
        for word in text.lower().split():
            code = known.get(word)
            if code is None:
                code = known[word] = len(hashes)
                hashes.append(zlib.crc32(word.encode("utf-8", "surrogatepass")))
            codes.append(code)
        words.append(codes)
        if len(words) == _CHUNK:
            close()
    close()
    return np.concatenate(parts) if parts else np.empty((0, dim), np.float32)


def _counted(words: list[list[int]], hashes: npt.NDArray[np.uint64], dim: int, seed: int) -> npt.NDArray[np.float32]:
    lengths = np.array([len(codes) for codes in words])
    flat = np.array([code for codes in words for code in codes], np.int64)
    owner = np.repeat(np.arange(len(words)), lengths)
    single = _mixed(hashes[flat] + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64))
    neighbours = owner[1:] == owner[:-1]
    pairs = _mixed(single[:-1] * np.uint64(3) + single[1:])[neighbours]
    mixed, where = np.concatenate([single, pairs]), np.concatenate([owner, owner[1:][neighbours]])
    column = (mixed >> np.uint64(1)) % np.uint64(dim - 1)
    sign = np.where(mixed & np.uint64(1), 1.0, -1.0)
    place = where * (dim - 1) + column.astype(np.int64)
    counts = np.bincount(place, sign, len(words) * (dim - 1)).reshape(len(words), dim - 1)
    counts = np.sign(counts) * np.sqrt(np.abs(counts))
    norm = np.sqrt((counts**2).sum(1, keepdims=True))
    return np.concatenate([counts / np.where(norm > 0, norm, 1.0), np.log1p(lengths)[:, None]], axis=1).astype(
        np.float32
    )


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Spread every input bit over every output bit (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
