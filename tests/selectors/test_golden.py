"""Golden selections: with equal seeds, selectors select the rows that version 0.1 selected."""

import hashlib
from typing import Any

import numpy as np
import pytest

import edgewise as ew

SIZE = 300
CATEGORY = np.arange(SIZE) % 5
TRUTH = 1 / (1 + np.exp(-(np.linspace(-2, 2, 5)[CATEGORY] + np.random.default_rng(9).normal(size=SIZE))))
OPTIONS: dict[str, dict[str, Any]] = {
    # Version 0.1 had none of these.
    "edge": {"adaptive": False, "headroom": 0.0, "retest": 0.0, "category_share": 1.0, "rest": 0.0},
    "e2h": {"steps": 20},
    "mopps16": {"candidate_factor": 4.0},
    "mopps-mean": {"by": "mean"},
    "mopps-known": {"known_rates": TRUTH},
}
# Hash of the rows of 30 steps by selector and pool. Those of `edge` and `mopps` are not version 0.1's: it took the chosen rows
# in the order that `argpartition` gave them, which depends on numpy's version and on the processor. The rows of a selection
# are the same; their order, and with it what is observed of each, is now everywhere the same.
GOLDEN = {
    ("edge", "plain"): "35ae201babce",
    ("edge", "labels"): "6a6b9c1f24de",
    ("edge", "features"): "6a4d9005eb93",
    ("edge", "both"): "dcc1dea66f8d",
    ("mopps", "plain"): "2f6bc9fb0709",
    ("mopps16", "plain"): "50127e6883b1",
    ("mopps-mean", "plain"): "ea108f4d0ac1",
    ("mopps-known", "plain"): "b59debc1412f",
    ("dps", "plain"): "5fcc88776567",
    ("uniform", "plain"): "919643c5810e",
    ("greso", "plain"): "56742a488658",
    ("history_resampling", "plain"): "3ead4d2a99c7",
    ("lze", "plain"): "30ecf4508f8d",
    ("difficulty_pools", "plain"): "6bcb905c4e4d",
    ("adarft", "labels"): "b4156b87cc8b",
    ("dump", "labels"): "31fc4d953eee",
    ("e2h", "labels"): "aafbe4b2cb0e",
    ("sec", "labels"): "a2f79aefdffd",
    ("static", "labels"): "ef79c998779a",
    ("mopps", "labels"): "2f6bc9fb0709",
    ("uniform", "labels"): "919643c5810e",
}
# Rules, and parts of `edge`, that version 0.1 did not have.
GOLDEN_NOW = {
    ("edge-now", "plain"): "2e68b4941100",
    ("edge-now", "labels"): "5d555ed1b50e",
    ("edge-now", "features"): "0222b6d412b3",
    ("edge-now", "both"): "64010cc7974a",
    ("mapp", "labels"): "57697c3c8f30",
    ("kgps", "labels"): "188873ffe75c",
    ("binned", "labels"): "28c7a489a079",
}


def make_pool(kind: str) -> ew.PromptPool:
    labels = [str(code + 1) for code in CATEGORY] if kind in ("labels", "both") else None
    features = np.random.default_rng(5).normal(size=(SIZE, 6)) if kind in ("features", "both") else None
    return ew.PromptPool(range(SIZE), labels, features)


def selected(name: str, kind: str) -> str:
    """Hash of the rows of 30 steps of 16 prompts, every third with a refill, some prompts in flight."""
    selector = ew.make_selector(name.split("16")[0].split("-")[0], make_pool(kind), seed=3, **OPTIONS.get(name, {}))
    draws, rows = np.random.default_rng(1), []
    for step in range(30):
        busy = np.arange(step, SIZE, 41)
        for n, new_step in ((16, True), (8, False)) if step % 3 == 0 else ((16, True),):
            rows.append(selector.select(n, exclude=busy, new_step=new_step))
            busy = np.union1d(busy, rows[-1])
            selector.observe(rows[-1], draws.binomial(8, TRUTH[rows[-1]]), 8)
    return hashlib.sha256(np.concatenate(rows).astype("<i8").tobytes()).hexdigest()[:12]


@pytest.mark.parametrize(("name", "kind"), GOLDEN)
def test_selections_are_those_of_version_0_1(name: str, kind: str) -> None:
    assert selected(name, kind) == GOLDEN[name, kind]


@pytest.mark.parametrize(("name", "kind"), GOLDEN_NOW)
def test_selections_of_newer_rules_stay_as_they_are(name: str, kind: str) -> None:
    assert selected(name, kind) == GOLDEN_NOW[name, kind]


def test_mopps_with_the_index_of_version_0_1_selects_as_it_did(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("edgewise.sampling.thompson.PLAIN", 0)
    assert selected("mopps", "plain") == selected("mopps", "labels") == "0063d4bebb1d"
