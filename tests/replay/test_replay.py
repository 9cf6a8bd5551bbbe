"""Replay: the oracle has no regret, draws are shared between methods, labels change only what a selector knows."""

import json

import numpy as np
import pytest

import edgewise as ew
from edgewise.acquisition import PInformative
from edgewise.errors import CheckpointError, ConfigError
from edgewise.replay import (
    Method,
    Recorder,
    Trace,
    World,
    applicable,
    find_trace,
    format_table,
    known_pool,
    main,
    replay,
    simulated_trace,
)
from edgewise.selectors.base import Selector

TRACE = simulated_trace(World(prompts=160, categories=4), steps=30, checkpoints=4, samples=16)
SMALL = {"seeds": [0, 1], "steps": 24, "batch": 16, "probe": 40}


class Oracle(Selector):
    """Knows the recorded rates and takes the best, or the worst."""

    def __init__(self, pool, steps=24, sign=1.0):
        super().__init__(pool)
        self.future = iter([TRACE.rates(step) for step in np.linspace(TRACE.steps[0], TRACE.steps[-1], steps)])
        self.sign = sign

    def choose(self, n, candidates):
        self.present = next(self.future)
        return np.argsort(-self.sign * PInformative(8).value(self.present), kind="stable")[:n]

    def rates(self, rows):
        return self.present[rows]


class Random(Selector):
    """Selects at random and predicts 1/2 for every prompt."""

    def choose(self, n, candidates):
        return self.rng.choice(len(self.pool), n, replace=False)

    def rates(self, rows):
        return np.full(len(rows), 0.5)


ORACLE = Method("oracle", lambda pool, rollouts, seed: Oracle(pool))
WORST = Method("worst", lambda pool, rollouts, seed: Oracle(pool, sign=-1.0))
RANDOM = Method("random", lambda pool, rollouts, seed: Random(pool, seed=seed))


def test_the_oracle_has_no_regret_and_predicts_perfectly():
    result = replay(TRACE, [ORACLE, RANDOM, WORST], baseline=None, **SMALL)
    regret = dict(zip(result.methods, result.values["regret"], strict=True))
    share = dict(zip(result.methods, result.values["share_of_oracle"], strict=True))
    assert np.allclose(regret["oracle"], 0.0, atol=1e-12)
    assert np.allclose(share["oracle"], 1.0)
    assert (regret["random"] > 0.1).all()
    assert (regret["worst"] > regret["random"]).all()
    assert (share["random"] < 0.9).all()
    assert np.allclose(result.values["probe_spearman"][0], 1.0)
    assert (result.values["probe_calibration_error"][0] < 1e-9).all()
    # A selector that always says 1/2 has no rank correlation and the Brier score of a coin.
    assert np.isnan(result.values["probe_spearman"][1]).all()
    assert np.allclose(result.values["probe_brier"][1], 0.25)
    assert np.allclose(result.values["probe_log_loss"][1], np.log(2))
    effective = result.values["effective_ratio"]
    assert (effective[0] > effective[1]).all()
    assert (effective[1] > effective[2]).all()


@pytest.mark.parametrize("name", applicable(TRACE.pool))
def test_every_selector_replays_the_same_twice(name):
    first, second = (replay(TRACE, [name], baseline=None, **SMALL) for _ in range(2))
    for metric, values in first.values.items():
        assert np.array_equal(values, second.values[metric], equal_nan=True), metric
    assert (first.values["regret"] >= -1e-12).all()
    predictions = ("probe_brier", "probe_calibration_error")
    predicts = ew.make_selector(name, TRACE.pool).predicts
    for metric in ("effective_ratio", "share_of_oracle", *(predictions if predicts else ())):
        assert ((first.values[metric] >= 0) & (first.values[metric] <= 1)).all(), metric
    if not predicts:
        # Rules without predictions of their own are not credited with those of a belief beside them.
        assert all(np.isnan(first.values[metric]).all() for metric in predictions)


def test_methods_do_not_disturb_each_other_and_share_their_draws():
    alone = replay(TRACE, ["mopps"], baseline=None, **SMALL)
    twin = Method("twin", lambda pool, rollouts, seed: Method.parse("mopps").make(pool, rollouts=rollouts, seed=seed))
    together = replay(TRACE, ["uniform", "mopps", twin], **SMALL)
    for metric, values in alone.values.items():
        assert np.array_equal(values[0], together.values[metric][1], equal_nan=True), metric
    for metric in together.values:
        assert np.array_equal(together.values[metric][1], together.values[metric][2], equal_nan=True), metric
    seeds = replay(TRACE, ["mopps"], baseline=None, **{**SMALL, "seeds": [1]})
    assert seeds.values["probe_brier"][0, 0] == alone.values["probe_brier"][0, 1]
    assert alone.values["probe_brier"][0, 0] != alone.values["probe_brier"][0, 1]


def test_means_are_over_the_last_three_quarters():
    result = replay(TRACE, ["uniform"], **SMALL)
    for metric in ("regret", "effective_ratio", "share_of_oracle"):
        curve = result.curves[metric]
        assert curve.shape == (1, 2, 24)
        assert np.allclose(result.values[metric], curve[:, :, 6:].mean(axis=2))


def test_labels_help_a_selector_that_shares_them_only_while_they_are_right():
    def spearman(name, **what):
        return replay(TRACE, [name], baseline=None, **SMALL, **what).curves["probe_spearman"][0][:, 1:4].mean()

    right, wrong = spearman("edge", knows="labels"), spearman("edge", knows="labels", wrong=1.0)
    none = spearman("edge", knows="nothing")
    assert right > wrong + 0.2
    assert right > none + 0.2
    assert spearman("mopps", knows="labels") == spearman("mopps", knows="nothing")


def test_known_pool():
    pool = TRACE.pool
    assert known_pool(pool, "labels").features is None
    assert known_pool(pool, "features").categories is None
    assert known_pool(pool, "nothing").categories is None
    assert np.array_equal(known_pool(pool).categories, pool.categories)
    assert np.array_equal(known_pool(pool).features, pool.features)
    some, same = (known_pool(pool, wrong=0.25, seed=3) for _ in range(2))
    assert np.array_equal(some.categories, same.categories)
    assert np.array_equal(np.bincount(some.categories), np.bincount(pool.categories))
    changed = (some.categories != pool.categories).mean()
    assert 0.1 < changed <= 0.25
    assert (known_pool(pool, wrong=1.0).categories != pool.categories).mean() > 0.6
    partly = ew.PromptPool([1, 2, 3], ["a", None, "b"])
    assert np.array_equal(known_pool(partly).categories, partly.categories)


def a_run(n=300, steps=40):
    """Uniform picks from prompts that are always or never solved."""
    recorder, rng = Recorder(ew.PromptPool(np.arange(n))), np.random.default_rng(0)
    for step in range(steps):
        rows = rng.choice(n, 60, replace=False)
        recorder.record(step * 10, rows, np.where(rows % 2, 8, 0), 8)
    return recorder.trace()


def test_a_sparse_trace_is_scored_prequentially():
    result = replay(a_run(), ["mopps", RANDOM], seeds=[0, 1])
    assert result.kind == "prequential"
    assert result.methods == ["uniform", "mopps", "random"]
    # The first picks are unknown to every belief: what is scored is the prediction before the outcome.
    assert np.allclose(result.curves["selected_brier"][1:, :, 0], 0.25)
    assert np.isnan(result.values["selected_brier"][0]).all()  # uniform predicts nothing
    assert (result.curves["selected_brier"][1, :, -1] < 0.05).all()
    assert (result.values["selected_spearman"][1] > 0.8).all()
    assert np.allclose(result.values["selected_brier"][2], 0.25)
    assert "effective_ratio" not in result.values
    assert "off-policy" in format_table(result)


def test_prequential_scores_weigh_by_rollouts():
    pool = ew.PromptPool([0, 1, 2])
    trace = Trace(pool, [0], [0, 0], [0, 1], [3, 0], [3, 1])
    sure = Method("sure", lambda pool, rollouts, seed: Sure(pool))
    values = replay(trace, [sure], seeds=[0], baseline=None).values
    assert values["selected_brier"][0, 0] == pytest.approx((3 * 0.01 + 0.81) / 4)
    assert values["selected_calibration_error"][0, 0] == pytest.approx(abs(0.9 - 0.75))


class Sure(Selector):
    def choose(self, n, candidates):
        return np.arange(n)

    def rates(self, rows):
        return np.full(len(rows), 0.9)


@pytest.mark.parametrize(
    ("methods", "options", "words"),
    [
        (["mops"], {}, "mopps"),
        (["ds"], {}, "simulator"),
        (["mopps:decay"], {}, "name=value"),
        (["mopps:decai=1"], {}, "decay"),
        (["mopps", "mopps"], {}, "each once"),
        (["mopps"], {"seeds": []}, "at least one seed"),
        (["mopps"], {"seeds": [-1]}, "a seed must be a whole number >= 0, got -1"),
        (["mopps"], {"batch": 161}, "160"),
        (["mopps"], {"rollouts": 1}, "never informative"),
        (["mopps"], {"steps": 0}, "at least 1"),
        (["mopps"], {"probe": 1}, "probe"),
        (["mopps"], {"knows": "all of it"}, "knows"),
        (["mopps"], {"wrong": 1.5}, "wrong"),
    ],
)
def test_bad_settings_are_named(methods, options, words):
    with pytest.raises(ConfigError, match=words):
        replay(TRACE, methods, **{**SMALL, **options})


def test_knowing_what_was_not_recorded_is_an_error():
    trace = Trace.from_evaluations(ew.PromptPool(np.arange(20)), [0, 1], np.ones((2, 20), int), 2)
    for knows in ("labels", "features"):
        with pytest.raises(ConfigError, match=f"no {knows}"):
            replay(trace, ["mopps"], batch=4, knows=knows)


def test_options_reach_the_selector():
    pool = ew.PromptPool(np.arange(4))
    made = Method.parse("mopps:decay=0.25:by=mean:prior=[2, 6]").make(pool, seed=7)
    assert (made.belief.decay, type(made.draw).__name__) == (0.25, "Top")
    assert made.predict().tolist() == [0.25] * 4
    assert Method.parse("ds").gated
    assert Method.parse("edge+ds").gated
    assert not Method.parse("edge").gated


def test_main_on_a_file(tmp_path, capsys):
    path, out = tmp_path / "t.npz", tmp_path / "result.json"
    TRACE.save(path)
    result = main(str(path), ["all"], seeds=2, steps=6, batch=16, out=out)
    assert set(result.methods) == set(applicable(TRACE.pool))
    table = capsys.readouterr().out
    written = json.loads(out.read_text())
    for name in result.methods:
        assert f"\n{name} " in table
        mean, half = result.interval("regret", name)
        assert f"{result.interval('effective_ratio', name)[0]:.3f}±" in table
        assert written["summary"][name]["regret"]["mean"] == pytest.approx(mean, rel=1e-4)
        assert written["summary"][name]["regret"]["half"] == pytest.approx(half, rel=1e-4)
        assert len(written["curves"]["regret"][name]["mean"]) == 6
    assert written["summary"]["mopps"]["regret"]["difference"] is not None
    assert "difference" not in written["summary"]["uniform"]["regret"]


def test_results_that_cannot_be_written_are_refused_before_the_work(tmp_path, monkeypatch):
    TRACE.save(tmp_path / "t.npz")
    monkeypatch.setattr("edgewise.replay.command.replay", None)
    with pytest.raises(ConfigError, match="make it first"):
        main(str(tmp_path / "t.npz"), ["mopps"], out=tmp_path / "nowhere" / "result.json")


def test_main_finds_traces(tmp_path, monkeypatch):
    monkeypatch.setattr("edgewise.replay.command.SHIPPED", tmp_path)
    TRACE.save(tmp_path / "tiny.npz")
    assert len(find_trace("tiny")) == len(TRACE)
    with pytest.raises(ConfigError, match="shipped traces \\(tiny\\)"):
        main("tinny")
    with pytest.raises(ConfigError, match="Known: default"):
        main("simulator:easy")
    (tmp_path / "broken.npz").write_bytes(b"not a trace")
    with pytest.raises(CheckpointError):
        main(str(tmp_path / "broken.npz"))


def test_given_checkpoints_are_replayed_in_sixty_steps() -> None:
    found = replay(find_trace("gsm8k"), ["mopps"], seeds=[0], batch=4)
    assert found.settings["steps"] == 60
    assert found.curves["effective_ratio"].shape[-1] == 60
