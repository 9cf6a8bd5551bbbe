"""The measure of speed, on methods that are known to be identical and on one that is known to be faster."""

import pytest

from edgewise.experiments.placebo import World, simulate


@pytest.mark.parametrize(("seeds", "comparisons"), [(5, 2000), (40, 300)])
@pytest.mark.parametrize("spread", [0.0, 0.04])
def test_identical_methods_come_out_equal(seeds: int, comparisons: int, spread: float) -> None:
    found = simulate(seeds, comparisons, world=World(seed_spread=spread))
    assert abs(found.speed - 1) < 0.02
    # Four standard errors of a share of 5% are 0.02 of 2,000 and 0.05 of 300.
    margin = 0.02 if comparisons == 2000 else 0.05
    assert found.gains < 0.05 + margin
    assert found.losses < 0.05 + margin
    assert found.finite > 0.99
    assert found.reached > 0.9


def test_a_faster_method_is_found_faster() -> None:
    found = simulate(10, 300, pace=1.7)
    assert 1.4 < found.speed < 1.7
    assert found.gains > 0.8
    assert found.losses == 0
