"""Pairings of belief, acquisition and draw, made by name; known rates and late results in every pairing."""

from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest

import edgewise as ew
from edgewise.acquisition import Closest, acquisitions
from edgewise.beliefs import BetaBelief, CategoryPrior
from edgewise.errors import ConfigError
from edgewise.sampling import Thompson, Top
from edgewise.selectors import BanditSelector


def test_edge_mopps_and_dps_are_pairings() -> None:
    pool = ew.PromptPool(range(9))
    parts = {
        name: (type(s.belief).__name__, type(s.acquisition).__name__, type(s.draw).__name__)
        for name in ("edge", "mopps", "dps")
        if isinstance(s := ew.make_selector(name, pool), BanditSelector)
    }
    assert parts == {
        "edge": ("AbilityBelief", "CalibratedInformative", "Proportional"),
        "mopps": ("BetaBelief", "Closest", "Thompson"),
        "dps": ("MarkovBelief", "PInformative", "Top"),
    }


def test_options_reach_the_part_that_takes_them() -> None:
    pool = ew.PromptPool(range(9), ["a", "b", "c"] * 3)
    method = ew.Method.parse(
        "bandit:belief=beta:prior=category:retention=0.9:acquisition=closest:target=0.3:draw=top:optimism=2"
    )
    made = method.make(pool, rollouts=4)
    assert isinstance(made, BanditSelector)
    assert isinstance(made.belief, BetaBelief)
    # The first part that takes an option gets it: the prior is made before the belief.
    assert isinstance(made.belief.prior, CategoryPrior)
    assert made.belief.prior.retention == 0.9
    assert isinstance(made.acquisition, Closest)
    assert made.acquisition.target == 0.3
    assert isinstance(made.draw, Top)
    assert made.draw.optimism == 2.0
    assert made.rollouts is None
    assert ew.make_selector("bandit", pool, belief="ability", rollouts=4).rollouts == 4


def test_parts_may_be_made_beforehand() -> None:
    pool = ew.PromptPool(range(9))
    belief = BetaBelief(pool, retention=0.9)
    made = ew.make_selector("bandit", pool, belief=belief, acquisition=Closest(0.2), draw=Top(pool))
    assert isinstance(made, BanditSelector)
    assert made.belief is belief
    with pytest.raises(ConfigError, match="another pool"):
        ew.make_selector("bandit", ew.PromptPool(range(9)), belief=belief)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bandit", "belief"),
        ("bandit:belief=betta", "unknown belief 'betta'.*Did you mean 'beta'"),
        ("bandit:belief=beta:acquisition=informative", "unknown acquisition 'informative'.*p_informative"),
        ("bandit:belief=beta:draw=best", "unknown draw 'best'"),
        ("bandit:belief=beta:targett=0.3", "option of selector bandit 'targett'"),
        ("bandit:belief=beta:acquisition=closest", "nothing can be drawn in proportion"),
        ("bandit:belief=beta:acquisition=information:draw=thompson", "values what is unknown"),
        ("bandit:belief=beta:candidate_factor=0.5", "candidate_factor must be at least 1"),
        ("bandit:belief=beta:candidate_factor=inf", "candidate_factor must be at least 1 and finite"),
        ("bandit:belief=3", "belief must be the name or an object of Belief, got 3"),
        ("bandit:belief=beta:prior=0.5", "prior must be the name or an object of Prior"),
        ("bandit:belief=beta:acquisition=null", "acquisition must be the name or an object of Acquisition"),
        ("bandit:belief=beta:draw=true", "draw must be the name or an object of Draw"),
        ("bandit:belief=beta:prior=category:shrinkage=inf", "shrinkage"),
        ("bandit:belief=ability:offset=1e18", "offset"),
        ("bandit:belief=ability:residual=1e300", "residual"),
        ("kgps:spread=1e300", "spread"),
        ("dps:transitions=1e300", "transitions"),
        ("dps:transitions=1e-300", "transitions"),
        ("edge:adaptive=False", "adaptive must be true or false, got 'False'"),
        ("bandit:belief=ability:adaptive=off", "adaptive must be true or false"),
        ("mopps:prior=3", "prior must be .alpha0, beta0., got 3"),
        ("mapp:prior=3", "prior must be .alpha0, beta0., got 3"),
        ("bandit:belief=beta:draw=top:optimism=-1", "optimism"),
    ],
)
def test_pairings_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ew.Method.parse(text).make(ew.PromptPool(range(3)))


def test_a_package_adds_an_acquisition_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(group: str) -> list[EntryPoint]:
        return (
            [EntryPoint("nearest", "edgewise.acquisition:Closest", group)] if group == "edgewise.acquisitions" else []
        )

    monkeypatch.setattr("importlib.metadata.entry_points", found)
    monkeypatch.setattr(acquisitions, "_discovered", False)
    monkeypatch.setattr(acquisitions, "_factories", dict(acquisitions._factories))
    made = ew.Method.parse("bandit:belief=beta:acquisition=nearest:target=0.1:draw=thompson").make(
        ew.PromptPool(range(3))
    )
    assert isinstance(made, BanditSelector)
    assert made.acquisition.peak == 0.1
    assert "nearest" in ew.list_acquisitions()


@pytest.mark.parametrize(
    "method",
    ["edge", "mopps", "mopps:by=mean", "static", "adarft", "bandit:belief=ability:acquisition=closest:draw=thompson"],
)
def test_known_rates_decide_the_first_selection(method: str) -> None:
    rates = np.tile([0.02, 0.5, 0.5, 0.98], 50)
    pool = ew.PromptPool(range(200), priors=rates, prior_strength=64)
    rows = ew.Method.parse(method).make(pool).select(40)
    wanted = rates[rows] == 0.5 if method != "adarft" else rates[rows] == 0.98  # AdaRFT begins with the easiest
    assert wanted.mean() > 0.8


@pytest.mark.parametrize("name", ["mopps", "static"])
@pytest.mark.parametrize("kind", ["list", "pandas", "torch"])
def test_options_by_row_are_taken_as_arrays(name: str, kind: str, tmp_path: Any) -> None:
    values: Any = [0.1, 0.9, float("nan"), 0.5]
    if kind == "pandas":
        values = pytest.importorskip("pandas").Series(values)
    elif kind == "torch":
        values = pytest.importorskip("torch").tensor(values, dtype=pytest.importorskip("torch").float64)
    selector = ew.make_selector(name, ew.PromptPool(range(4)), known_rates=values)
    np.testing.assert_allclose(selector.predict()[[2, 3]], 0.5)
    predicted = selector.predict()
    assert predicted[0] < 0.5 < predicted[1]
    ew.checkpoint.save_state(tmp_path / "s.npz", "selector", selector.state_dict())


@pytest.mark.parametrize("name", ["mopps", "edge"])
def test_late_results_count_what_would_have_survived(name: str) -> None:
    pool = ew.PromptPool(range(2))
    options: dict[str, Any] = {"retention": 0.9} if name == "edge" else {}
    first, late = (ew.make_selector(name, pool, **options) for _ in range(2))
    first.observe([0], [8], 8)
    late.observe([0], [8], 8, age=6)
    now, later = first.predict([0])[0], late.predict([0])[0]
    if name == "mopps":
        assert now == later, "MoPPS does not forget by policy steps: a late result counts whole"
    else:
        assert 0.5 < later < now
        # As if it had come in time and six steps had passed since, but for the drift of the ability.
        weight = 0.9**6
        assert late.belief.seen["trials"][0] == pytest.approx(8 * weight)  # type: ignore[attr-defined]


def test_draws_need_no_pool_scan() -> None:
    pool = ew.PromptPool(range(1000))
    selector = ew.make_selector("bandit", pool, belief="ability", acquisition="closest", draw="thompson")
    assert isinstance(selector, BanditSelector)
    assert isinstance(selector.draw, Thompson)
    seen: list[int] = []
    original = selector.belief.distribution
    selector.belief.distribution = lambda rows: seen.append(len(rows)) or original(rows)  # type: ignore[method-assign, func-returns-value]
    selector.select(8)
    assert sum(seen) == 0, "nothing observed: no prompt is visited"
