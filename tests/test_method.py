"""Methods in one word: what is read, and what is refused before anything runs."""

from typing import Any

import pytest

from edgewise import PromptPool
from edgewise.errors import ConfigError
from edgewise.method import Method


@pytest.mark.parametrize(
    ("text", "selector", "options", "gated"),
    [
        ("edge", "edge", {}, False),
        ("ds", "uniform", {}, True),
        ("edge+ds", "edge", {}, True),
        ("mopps:decay=.5:by=mean", "mopps", {"decay": 0.5, "by": "mean"}, False),
        ("edge:exploration=0:sharpness=2.5+ds", "edge", {"exploration": 0, "sharpness": 2.5}, True),
        ("bandit:belief=beta:draw=top:target=0.3", "bandit", {"belief": "beta", "draw": "top", "target": 0.3}, False),
    ],
)
def test_methods_that_are_read(text: str, selector: str, options: dict[str, Any], gated: bool) -> None:
    method = Method.parse(text)
    assert (method.name, method.selector, dict(method.options), method.gated) == (text, selector, options, gated)
    assert [repr(gate) for gate in method.gates] == ["Informative(max_rounds=10, refill='batch')"] * gated


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("moops", "method 'moops'.*Did you mean 'mopps'"),
        ("dss", "Did you mean 'ds'"),
        ("edge:exploration", "'exploration' in 'edge:exploration' is not an option; write edge:name=value"),
        ("edge:explore=1", "option of selector edge 'explore'.*Did you mean 'exploration'"),
        ("edge:seed=1", "seed in 'edge:seed=1' is a setting of the run"),
        ("ds:rollouts=4", "rollouts in 'ds:rollouts=4' is a setting of the run"),
        ("mopps:decay=1:decay=0.5", "gives decay twice"),
        ("edge:pool=1", "option of selector edge 'pool'"),
        ("", "method ''"),
    ],
)
def test_methods_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Method.parse(text)


def test_a_method_makes_its_selector() -> None:
    pool = PromptPool(range(4))
    assert Method.parse("edge").make(pool, rollouts=3).rollouts == 3
    assert Method.parse("uniform").make(pool, rollouts=3, seed=5).rollouts is None
    custom = Method("mine", lambda pool, rollouts, seed: Method.parse("edge").make(pool, rollouts=rollouts, seed=seed))
    assert custom.make(pool, rollouts=2).rollouts == 2


def test_an_option_that_is_no_number_is_named() -> None:
    with pytest.raises(ConfigError, match=r"selector edge: exploration must be a number, got \[1\]"):
        Method.parse("edge:exploration=[1]").make(PromptPool(range(3)), rollouts=4)
