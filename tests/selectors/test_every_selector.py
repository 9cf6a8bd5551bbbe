"""Contract of every registered selector: the laws that `edgewise.testing` ships for third parties."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import edgewise as ew
from edgewise import testing
from edgewise.errors import ConfigError, PoolError
from edgewise.selectors import Candidates, OracleSelector
from edgewise.testing import common, selectors

OPTIONS: dict[str, dict[str, Any]] = {
    "e2h": {"steps": 6},
    "oracle": {"truth": lambda: np.arange(60) % 9 / 8},
    "bandit": {"belief": "beta", "draw": "thompson", "acquisition": "closest"},
}
# The published rules by their registered names.
PUBLISHED = {
    "adarft",
    "binned",
    "difficulty_pools",
    "dps",
    "dump",
    "e2h",
    "greso",
    "history_resampling",
    "kgps",
    "lze",
    "mapp",
    "mopps",
    "sec",
    "static",
    "uniform",
}
METHODS = [
    *sorted(set(ew.list_selectors()) - {"bandit", "e2h", "oracle"}),
    "e2h:steps=6",
    *(
        f"bandit:belief={belief}:acquisition={acquisition}:draw={draw}"
        for belief, acquisition, draw in (
            ("beta", "p_informative", "proportional"),
            ("beta:prior=category:retention=0.9", "closest", "thompson"),
            ("ability", "closest", "thompson"),
            ("ability", "information", "top"),
            ("hmm", "learnability", "proportional"),
            ("hmm", "band", "thompson:candidate_factor=2"),
        )
    ),
]


def factory(method: str) -> Callable[..., ew.Selector]:
    return lambda pool, seed: ew.Method.parse(method).make(pool, rollouts=4, seed=seed)


def test_all_published_rules_are_there() -> None:
    assert set(ew.list_selectors()) >= PUBLISHED


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("law", selectors.SELECTOR_LAWS, ids=lambda law: law.__name__)
def test_every_selector_keeps_the_contract(law: Callable[..., None], method: str) -> None:
    law(factory(method), common.categorised_pool)


@pytest.mark.parametrize("law", selectors.SELECTOR_LAWS, ids=lambda law: law.__name__)
def test_edge_keeps_the_contract_with_features_and_with_neither(law: Callable[..., None]) -> None:
    law(factory("edge"), common.featured_pool)
    law(factory("edge"), lambda ids: ew.PromptPool(ids, priors=np.where(np.asarray(ids) % 5 == 1, np.nan, 0.3)))


@pytest.mark.parametrize("sharpness", [None, 4.0])
@pytest.mark.parametrize("law", selectors.SELECTOR_LAWS, ids=lambda law: law.__name__)
def test_the_oracle_keeps_the_contract(law: Callable[..., None], sharpness: float | None) -> None:
    def oracle(pool: ew.PromptPool, seed: int) -> ew.Selector:
        return OracleSelector(pool, truth=lambda: pool.ids % 7 / 6, rollouts=4, sharpness=sharpness, seed=seed)

    law(oracle, common.categorised_pool)


@pytest.mark.parametrize("name", sorted(set(ew.list_selectors()) - {"static", "adarft", "history_resampling"}))
def test_another_seed_selects_other_prompts(name: str) -> None:
    pool = common.categorised_pool(range(60))
    one, other = (ew.make_selector(name, pool, seed=seed, **OPTIONS.get(name, {})) for seed in (1, 2))
    picks = [common.train(selector, 6, 10) for selector in (one, other)]
    assert any(set(a.tolist()) != set(b.tolist()) for a, b in zip(*picks, strict=True))


@pytest.mark.parametrize("name", ew.list_selectors())
def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no_such_option"):
        ew.make_selector(name, common.categorised_pool(range(4)), no_such_option=1, **OPTIONS.get(name, {}))


class Broken(ew.Selector):
    """Returns what it was made with."""

    def __init__(self, pool: ew.PromptPool, answer: Any):
        super().__init__(pool)
        self.answer = answer

    def choose(self, n: int, candidates: Candidates) -> Any:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "options", "message"),
    [
        ([0, 0], {}, r"Broken\.choose returned no selection: row 0 \(prompt 'a'\) is given more than once"),
        ([0, 1], {"exclude": [1]}, r"row 1 \(prompt 'b'\), which is excluded"),
        ([0, 2], {"candidates": [0, 1]}, r"row 2 \(prompt 'c'\), which is not among the candidates"),
        ([0, 3], {}, "row 3 is outside the pool"),
        ([0], {}, "returned 1 rows, expected 2"),
        ([0.0, 1.0], {}, "float64"),
    ],
)
def test_a_selector_that_breaks_the_rules_is_named(answer: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PoolError, match=message):
        Broken(ew.PromptPool(["a", "b", "c"]), answer).select(2, **options)


def test_the_contract_tests_find_a_broken_selector() -> None:
    class Forgetful(ew.Selector):
        """Keeps a count that it does not save."""

        def __init__(self, pool: ew.PromptPool, *, seed: int = 0):
            super().__init__(pool, seed=seed)
            self.count = 0

        def choose(self, n: int, candidates: Candidates) -> Any:
            self.count += 1
            return np.roll(candidates.rows, self.count)[:n]

    with pytest.raises(AssertionError, match="selects other rows"):
        testing.check_selector(Forgetful)

    class Shuffling(ew.Selector):
        """Draws in the caller's own array."""

        def choose(self, n: int, candidates: Candidates) -> Any:
            self.rng.shuffle(candidates.rows)
            return candidates.rows[:n]

    with pytest.raises(AssertionError, match="changed the candidates"):
        testing.check_selector(Shuffling)
