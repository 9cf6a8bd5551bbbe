"""The simulated policy: more informative groups teach more, equal seeds give equal worlds, methods run through a curriculum."""

import numpy as np
import pytest

import edgewise as ew
from edgewise.errors import ConfigError
from edgewise.replay import REGIMES, Policy, World, applicable, main, regime, simulate, simulated_trace

QUIET = World(prompts=200, categories=4, noise=0.0, wander=0.0)
SHORT = {"world": World(prompts=200, categories=5, rate=0.25), "seeds": [0, 1], "steps": 20, "batch": 16, "probe": 32}


def grown(world, rows, successes, steps=1, batch=8):
    policy = Policy(world)
    for _ in range(steps):
        policy.train(np.array(rows), np.array(successes), np.full(len(rows), 8), batch)
    return policy.ability


def test_only_informative_groups_teach():
    assert (grown(QUIET, [0, 4, 8], [0, 8, 0]) == 0).all()
    one, two, four = (grown(QUIET, [0, 4, 8, 12], [4] * n + [0] * (4 - n))[0] for n in (1, 2, 4))
    assert 0 < one < two < four
    assert four / one == pytest.approx(2.0)  # returns = 1/2
    proportional = World(**{**vars(QUIET), "returns": 1.0})
    assert grown(proportional, [0, 4], [4, 4])[0] / grown(proportional, [0, 4], [4, 0])[0] == pytest.approx(2.0)
    # A group at 1/2 teaches more than one near the border, either border the same.
    even, hard, easy = (grown(QUIET, [0], [s])[0] for s in (4, 1, 7))
    assert even > hard == easy > 0
    # A full batch at 1/2 gains `rate`.
    assert grown(QUIET, range(0, 32, 4), [4] * 8)[0] == pytest.approx(QUIET.rate)


def test_progress_transfers_to_neighbours():
    ability = grown(QUIET, [1, 5], [4, 4])
    assert ability[0] == pytest.approx(QUIET.transfer * ability[1])
    assert ability[2] == ability[0]
    assert ability[3] == pytest.approx(QUIET.transfer**2 * ability[1])
    alone = grown(World(**{**vars(QUIET), "transfer": 0.0}), [1, 5], [4, 4])
    assert (alone[[0, 2, 3]] == 0).all()
    assert alone[1] > 0


def test_unpractised_categories_are_forgotten():
    policy = Policy(World(**{**vars(QUIET), "forgetting": 0.1, "transfer": 0.0}))
    rows, half, k = np.array([0]), np.array([4]), np.array([8])
    policy.train(rows, half, k, 1)
    learned = policy.ability[0]
    policy.train(rows + 1, half, k, 1)
    assert policy.ability[0] == pytest.approx(0.9 * learned)
    assert policy.ability[1] == pytest.approx(learned)


def test_rates_follow_ability_and_guessing():
    policy = Policy(World(**{**vars(QUIET), "floor": 0.25}))
    before = policy.rates()
    assert (before >= 0.25).all()
    assert (before <= 1).all()
    policy.ability += 1.0
    assert (policy.rates() > before).all()
    means = [before[policy.category == c].mean() for c in range(4)]
    assert means == sorted(means, reverse=True)


def test_rollouts_have_the_rates():
    policy = Policy(QUIET)
    rows = np.arange(200)
    rates = policy.roll(rows, 2000).mean(axis=1)
    error = (rates - policy.rates()) / np.sqrt(np.maximum(policy.rates() * (1 - policy.rates()), 1e-4) / 2000)
    assert abs(error).max() < 5


def test_equal_seeds_are_equal_worlds():
    first, second, other = Policy(World(), 3), Policy(World(), 3), Policy(World(), 4)
    assert np.array_equal(first.rates(), second.rates())
    assert np.array_equal(first.pool.features, second.pool.features)
    assert not np.array_equal(first.rates(), other.rates())


@pytest.mark.parametrize("name", [*applicable(Policy(SHORT["world"]).pool), "ds", "mopps+ds"])
def test_every_method_trains_the_same_twice(name):
    first, second = (simulate([name], **SHORT) for _ in range(2))
    for metric, values in first.values.items():
        assert np.array_equal(values, second.values[metric], equal_nan=True), metric
    accuracy = first.curves["accuracy"][first.methods.index(name)]
    start = np.array([Policy(SHORT["world"], seed).rates().mean() for seed in SHORT["seeds"]])
    assert (accuracy[:, -1] > start + 0.02).all()
    assert (first.values["regret"] >= -1e-12).all()


def test_the_baseline_runs_alone_as_it_runs_beside_others():
    alone, beside = simulate([], **SHORT), simulate(["mopps", "ds"], **SHORT)
    assert beside.methods == ["uniform", "mopps", "ds"]
    for metric, values in alone.values.items():
        assert np.array_equal(values[0], beside.values[metric][0], equal_nan=True), metric


def test_dynamic_sampling_and_prediction_take_fewer_steps():
    """What real runs show: DS in about half the steps at about twice the rollouts, predictions with fewer of both."""
    result = simulate(["ds", "mopps"], seeds=[0, 1], steps=150)
    means = {
        metric: [result.interval(metric, name)[0] for name in result.methods]
        for metric in ("effective_ratio", "steps_to_target", "rollouts_to_target", "accuracy")
    }
    uniform, ds, mopps = means["effective_ratio"]
    assert 0.2 < uniform < 0.35
    assert mopps > 0.5
    uniform, ds, mopps = means["steps_to_target"]
    assert 1.5 < uniform / ds < 2.5
    assert uniform / mopps > 1.2
    uniform, ds, mopps = means["rollouts_to_target"]
    assert 1.5 < ds / uniform < 3.0
    assert mopps < uniform
    assert means["accuracy"][1] > means["accuracy"][0]


def test_the_target():
    ahead = simulate(["mopps"], **SHORT, target=0.01)
    assert (ahead.values["steps_to_target"] == 1).all()
    assert (ahead.values["rollouts_to_target"] == 16 * 8).all()
    never = simulate(["mopps"], **SHORT, target=1.0)
    assert np.isnan(never.values["steps_to_target"]).all()
    own = simulate(["mopps"], **SHORT)
    assert (own.values["steps_to_target"][0] <= 20).all()


def test_dynamic_sampling_trains_on_full_batches():
    """Groups beyond a step's need wait for the next one: nothing that was admitted is lost or used twice."""
    trained = []

    class Watched(Policy):
        def train(self, rows, successes, trials, batch):
            trained.append((len(rows), bool(((successes > 0) & (successes < trials)).all())))
            super().train(rows, successes, trials, batch)

    from edgewise.replay.simulator import _trained

    policy = Watched(REGIMES["useful"], 0)
    curriculum = ew.Curriculum(policy.pool, "ds", rollouts=8)
    _, curves = _trained(policy, curriculum, 0, steps=12, batch=16, probe=8)
    assert trained == [(16, True)] * 12
    assert curves["rollouts"][-1] == curriculum.metrics()["rollouts"]
    assert curves["rollouts"][-1] >= 12 * 16 * 8


def test_a_simulated_trace_shows_learning():
    trace = simulated_trace(World(prompts=300), steps=40, checkpoints=5, samples=16)
    assert trace.complete
    assert trace.steps.tolist() == [0, 10, 20, 30, 40]
    assert trace.rates(40).mean() > trace.rates(0).mean() + 0.05
    with pytest.raises(ConfigError, match="checkpoints"):
        simulated_trace(steps=3, checkpoints=5)


@pytest.mark.parametrize("name", REGIMES)
def test_regimes_run(name, capsys):
    result = main(f"simulator:{name}", ["mopps"], seeds=1, steps=3)
    assert result.methods == ["uniform", "mopps"]
    assert "mopps" in capsys.readouterr().out


def test_regimes_are_what_they_say():
    def informative(name):
        rates = Policy(regime(name)).rates()
        return (1 - rates**8 - (1 - rates) ** 8).mean()

    assert informative("hard") < 0.2 < informative("default") < 0.4 < informative("useful")


def test_what_is_learned_by_heart_is_known_of_its_prompt_and_teaches_little():
    def trained(rote, rows):
        policy = Policy(World(prompts=40, categories=2, noise=0.0, wander=0.0, rote=rote))
        start = policy.skill()
        for row in rows:
            policy.train(np.array([row]), np.array([4]), np.array([8]), 1)
        return (policy.skill() - start).sum(), policy.rates() - policy.skill()

    same, different = [0] * 8, [0, 2, 4, 6, 8, 10, 12, 14]  # of one category
    plain, none = trained(0.0, same)
    assert plain == trained(0.0, different)[0]
    assert not none.any()
    repeated, known = trained(1.0, same)
    assert repeated < trained(1.0, different)[0] == pytest.approx(plain)
    assert known[0] > 0
    assert not known[1:].any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rote": -1.0}, "rote"),
        ({"prompts": 1}, "prompts"),
        ({"categories": 0}, "categories"),
        ({"easiest": -20.0}, "easiest"),
        ({"spread": -1.0}, "spread"),
        ({"rate": np.inf}, "rate"),
        ({"floor": 1.0}, "floor"),
        ({"returns": 0.0}, "returns"),
        ({"transfer": 1.1}, "transfer"),
        ({"forgetting": 1.0}, "forgetting"),
    ],
)
def test_bad_worlds_are_named(changes, words):
    with pytest.raises(ConfigError, match=words):
        World(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"batch": 201}, "200"), ({"rollouts": 1}, "rollouts"), ({"steps": 0}, "steps"), ({"target": 0.0}, "target")],
)
def test_bad_settings_are_named(changes, words):
    with pytest.raises(ConfigError, match=words):
        simulate(["mopps"], **{**SHORT, **changes})
