from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import ConfigError
from edgewise.gates import Band, Gate, Groups, Informative, gates, make_gate
from edgewise.testing import check_gate


def groups(*rewards: list[float], success: float = 0.5) -> Groups:
    values = np.concatenate([np.asarray(r, np.float64) for r in rewards]) if rewards else np.empty(0)
    trials = np.array([len(r) for r in rewards], np.int64)
    successes = np.array([sum(v >= success for v in r) for r in rewards], np.int64)
    n = np.arange(len(rewards))
    return Groups(n, n, values, successes, trials, np.ones_like(n), 1)


def test_the_registered_gates() -> None:
    assert {"band", "informative"} <= set(gates.names())


def test_dynamic_sampling_admits_groups_with_some_but_not_all_right() -> None:
    # DAPO (arXiv 2503.14476), eq. 11: 0 < |{correct}| < G.
    mixed = groups([1, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0])
    assert Informative().admit(mixed).tolist() == [True, False, False, True]


def test_groups_of_different_sizes_are_kept_apart() -> None:
    uneven = groups([1], [1, 0], [0, 0, 0], [0, 1, 1])
    assert Informative().admit(uneven).tolist() == [False, True, False, True]
    assert Informative(by="reward").admit(uneven).tolist() == [False, True, False, True]
    np.testing.assert_allclose(uneven.means(), [1, 0.5, 0, 2 / 3])
    np.testing.assert_allclose(uneven.spreads(), [0, 1, 0, 1])


def test_shaped_rewards_that_differ_are_signal_only_by_reward() -> None:
    shaped = groups([0.1, 0.0, 0.1, 0.0], [0.1] * 4)
    assert Informative().admit(shaped).tolist() == [False, False]
    assert Informative(by="reward").admit(shaped).tolist() == [True, False]


def test_float_noise_is_not_signal() -> None:
    noisy = groups([0.3, 0.1 + 0.2, 0.3], [float(np.float32(0.7)), 0.7, 0.7])
    assert noisy.spreads().min() > 0
    assert not Informative(by="reward").admit(noisy).any()
    assert Informative(by="reward", tolerance=0.0).admit(noisy).all()


def test_band_admits_its_borders_whatever_the_rounding() -> None:
    # The balanced filter (arXiv 2504.03380): low <= pass rate <= high.
    tens = [0.2] * 10
    assert np.cumsum(tens)[-1] / 10 < 0.2  # as `sum` rounds before Python 3.12
    borders = groups(tens, [0.8] * 10, [0.19] * 10, [0.81] * 10)
    assert Band(0.2, 0.8, by="reward").admit(borders).tolist() == [True, True, False, False]


def test_band_counts_successes_by_default() -> None:
    # A wrong answer in the right format earns 0.1 (Countdown): the group's mean is 0.325, its success rate 0.25.
    shaped = groups([1, 0.1, 0.1, 0.1])
    assert Band(0.2, 0.3).admit(shaped).tolist() == [True]
    assert Band(0.2, 0.3, by="reward").admit(shaped).tolist() == [False]


@pytest.mark.parametrize("gate", [Informative(), Informative(by="reward"), Band(), Band(by="reward")])
def test_no_groups_no_admissions(gate: Informative) -> None:
    assert gate.admit(groups()).shape == (0,)


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=6), min_size=1, max_size=8))
def test_for_binary_rewards_both_readings_agree(rewards: list[list[float]]) -> None:
    given_groups = groups(*rewards)
    expected = [0 < sum(r) < len(r) for r in rewards]
    assert Informative().admit(given_groups).tolist() == expected
    assert Informative(by="reward").admit(given_groups).tolist() == expected
    assert (Band().admit(given_groups) == Band(by="reward").admit(given_groups)).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("informative", {"by": "variance"}),
        ("informative", {"tolerance": -1.0}),
        ("informative", {"tolerance": float("nan")}),
        ("informative", {"max_rounds": 0}),
        ("informative", {"max_rounds": float("inf")}),
        ("informative", {"max_rounds": 1.5}),
        ("informative", {"refill": "some"}),
        ("band", {"low": 0.8, "high": 0.2}),
        ("band", {"low": float("nan")}),
        ("band", {"by": "p"}),
        ("band", {"middle": 0.5}),
        ("bend", {}),
    ],
)
def test_options_that_make_no_sense_are_refused(name: str, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        make_gate(name, **options)  # type: ignore[arg-type]


def test_a_gate_says_how_it_refills() -> None:
    assert repr(make_gate("band", low=0.1, max_rounds=3)) == "Band(max_rounds=3, refill='shortfall')"
    assert make_gate("informative", refill="batch").refill == "batch"


def test_float32_rewards_at_a_border_are_inside() -> None:
    border = groups([float(np.float32(0.8))] * 4, [float(np.float32(0.2))] * 4)
    assert Band(0.2, 0.8, by="reward").admit(border).tolist() == [True, True]


@pytest.mark.parametrize("factory", [Informative, Band, lambda: Informative(by="reward")])
def test_the_gates_keep_the_contract(factory) -> None:  # type: ignore[no-untyped-def]
    check_gate(factory)


@pytest.mark.parametrize("name", ["rewards", "trials", "lengths"])
def test_the_contract_finds_a_gate_that_changes_its_groups(name: str) -> None:
    class Greedy(Informative):
        def admit(self, given):  # type: ignore[no-untyped-def]
            admitted = super().admit(given)
            getattr(given, name)[:] = 1
            return admitted

    with pytest.raises(AssertionError, match="changed"):
        check_gate(Greedy)


class Counting(Gate):
    """Admits all, and counts them."""

    def __init__(self) -> None:
        super().__init__(max_rounds=1)
        self.seen = {"groups": 0}

    def admit(self, groups):  # type: ignore[no-untyped-def]
        self.seen["groups"] += len(groups)
        return np.ones(len(groups), bool)

    def metrics(self) -> dict[str, float]:
        return {"seen": float(self.seen["groups"])}

    def state_dict(self) -> dict[str, Any]:
        return {"seen": dict(self.seen)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = dict(state["seen"])


class Shared(Counting):
    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}


class Forgetful(Counting):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Undefined(Counting):
    def metrics(self) -> dict[str, float]:
        return {"seen": float("nan")}


class Unmade(Counting):
    def __init__(self) -> None:
        self.seen = {"groups": 0}


def test_the_contract_finds_gates_whose_state_or_metrics_are_wrong() -> None:
    check_gate(Counting)
    for gate, message in (
        (Shared, "a state changed after it was taken"),
        (Forgetful, "a restored gate has other metrics"),
        (Undefined, "metrics must be finite"),
        (Unmade, r"a gate calls super\(\)\.__init__"),
        (dict, "the factory made a dict, expected a Gate"),
    ):
        with pytest.raises(AssertionError, match=message):
            check_gate(gate)  # type: ignore[arg-type]
