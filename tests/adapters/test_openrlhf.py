"""OpenRLHF: a curriculum's loader and generator in its PPO trainer (a stand-in of it), also inside a Ray actor."""

from __future__ import annotations

import copy
import json
import logging
import os
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("ray", reason="OpenRLHF's trainers are Ray actors: pip install 'edgewise[ray]'")
from tests.adapters.standins.loading import FOLDER, standing_in

from edgewise import Curriculum, gates
from edgewise.errors import CheckpointError, ConfigError, PoolError, RewardError

RATES = (0.0, 0.0, 0.5, 1.0, 1.0)
PROMPTS, K = 64, 4


@pytest.fixture
def openrlhf():
    with standing_in("openrlhf", "openrlhf") as adapter:
        yield adapter


def rows_of(count=PROMPTS, prefix="p"):
    return [{"input": f"{prefix}{i}", "label": f"answer {i}", "datasource": f"level {i % 5}"} for i in range(count)]


def strategy_of(rows=None, **changed):
    values = {"batch_size": 8, "n_samples_per_prompt": K, "filtering": False, "remote_url": "reward.py", **changed}
    rollout = SimpleNamespace(batch_size=values["batch_size"], n_samples_per_prompt=values["n_samples_per_prompt"])
    if "generate" in values:
        rollout.vllm_generate_batch_size = values["generate"]
    args = SimpleNamespace(
        rollout=rollout,
        algo=SimpleNamespace(dynamic_filtering_enable=values["filtering"], dynamic_filtering_range=(0.0, 1.0)),
        reward=SimpleNamespace(remote_url=values["remote_url"]),
        train=SimpleNamespace(seed=3),
        data=SimpleNamespace(rows=rows_of() if rows is None else rows),
    )
    return SimpleNamespace(args=args)


def response_of(prompt, label, reward, scores):
    turns = [(5, 9), (12, 15)]  # two turns of the policy, 4 and 3 tokens
    return {
        "prompt": prompt,
        "label": label,
        "reward": reward,
        "scores": scores,
        "extra_logs": {},
        "action_ranges": turns,
    }


def engine(seed=0, calls=None):
    rng = np.random.default_rng(seed)

    def generate(prompt, label, n):
        if calls is not None:
            calls.append(prompt)
        rewards = rng.random(n) < RATES[int(prompt[1:]) % 5]
        return [response_of(prompt, label, float(r), float(r)) for r in rewards]

    return generate


def trainer_of(openrlhf, engines, strategy=None, **options):
    from openrlhf.trainer import ppo_trainer

    openrlhf.install(**options)
    cls = ppo_trainer.PPOTrainer.__ray_metadata__.modified_class
    return cls(strategy or strategy_of(), engines)


def prompts_of(history):
    return [list(dict.fromkeys(sample.prompts[0] for sample in step.samples)) for step in history]


def share(steps):
    """Of groups whose prompts are solved now and then."""
    return np.mean([int(prompt[1:]) % 5 == 2 for prompts in steps for prompt in prompts])


def test_selection_pays(openrlhf):
    shares = {}
    for selector in ("uniform", "edge"):
        history = trainer_of(openrlhf, engine(), curriculum=selector).fit(14)
        assert all(len(prompts) == 8 for prompts in prompts_of(history))
        shares[selector] = share(prompts_of(history)[6:])
        # OpenRLHF logs the mean of `info` over the samples of a step.
        logged = [sample.info["edgewise_steps"].item() for step in history for sample in step.samples]
        assert logged == [float(step) for step in range(1, 15) for _ in range(8 * K)]
        assert history[-1].samples[0].info["edgewise_mean_effective_ratio"].shape == (1,)
        assert history[-1].samples[0].info["reward"].shape == (1,)
    assert shares["edge"] > shares["uniform"] + 0.3


def test_an_episode_has_as_many_prompts_as_the_dataset(openrlhf):
    calls = []
    trainer = trainer_of(openrlhf, engine(calls=calls), strategy_of(rows_of(60)), curriculum="uniform")
    generate = trainer.samples_generator.generate_samples
    outcomes = [generate() for _ in range(8)]
    assert [exhausted for *_, exhausted in outcomes] == [False] * 7 + [True]
    assert sorted(calls) == sorted(row["input"] for row in rows_of(60))
    assert [len(samples) for samples, *_ in outcomes] == [8 * K] * 7 + [4 * K]
    assert len(trainer.prompts_dataloader) == trainer.max_steps == 60


def test_filtered_groups_are_observed_too_and_their_replacements_selected_at_once(openrlhf):
    calls = []
    # One level of five is informative: without a limit on its share the dataset is not drawn through within three steps.
    chosen = "edge:category_share=1"
    trainer = trainer_of(openrlhf, engine(calls=calls), strategy_of(filtering=True), curriculum=chosen)
    history = trainer.fit(3)
    assert share(prompts_of(history)) == 1
    numbers = trainer.prompts_dataloader.metrics()
    assert numbers["rollouts"] == K * len(calls) > 3 * 8 * K
    assert numbers["steps"] == 3
    assert numbers["in_flight"] == 0


def test_tokens_of_silent_groups_are_counted(openrlhf):
    trainer = trainer_of(openrlhf, engine(), curriculum="uniform")
    trainer.fit(2)
    numbers = trainer.prompts_dataloader.metrics()
    assert numbers["tokens"] == 7 * numbers["rollouts"]
    assert numbers["wasted_tokens"] == 7 * numbers["wasted_rollouts"] > 0


def test_a_response_to_a_prompt_that_is_not_in_the_dataset_any_more(openrlhf, caplog):
    loader = trainer_of(openrlhf, engine()).prompts_dataloader
    loader.observe(response_of("gone", "answer", 1.0, 1.0))
    assert "not in flight changes no belief: 'gone'" in caplog.text
    assert loader.metrics()["rollouts"] == 0


@pytest.mark.parametrize(
    "missing", [{"extra_logs": None}, {"extra_logs": {}}, {"extra_logs": {"right": None}}], ids=str
)
def test_a_rollout_without_the_named_score_is_unknown(openrlhf, missing):
    loader = trainer_of(openrlhf, engine(), success="right").prompts_dataloader
    (prompt,) = next(iter(loader))[1]
    for i in range(K):
        known = {"extra_logs": {"right": 1.0}, "action_ranges": None}
        loader.observe({**response_of(prompt, "answer", 0.0, 0.0), **(known if i else missing)})
    numbers = loader.metrics()
    assert (numbers["rollouts"], numbers["unscored_rollouts"], numbers["success_rate"]) == (K - 1, 1, 1.0)


def test_a_named_score_that_no_response_has_names_those_that_are_there(openrlhf):
    def observe(loader, entries):
        (prompt,) = next(iter(loader))[1]
        for _ in range(K):
            loader.observe({**response_of(prompt, "answer", 0.0, 0.0), "extra_logs": entries})

    loader = trainer_of(openrlhf, engine(), success="rihgt").prompts_dataloader
    with pytest.raises(RewardError, match=r"score 'rihgt', which success= names, is not there; there are right"):
        observe(loader, {"right": 1.0})
    loader = trainer_of(openrlhf, engine(), success="right").prompts_dataloader
    observe(loader, {"right": 1.0})
    # A verifier that is down for a while.
    observe(loader, {"style": 1.0})
    numbers = loader.metrics()
    assert (numbers["rollouts"], numbers["unscored_rollouts"]) == (K, K)


def test_responses_that_are_of_no_prompt_that_was_drawn_end_the_run(openrlhf):
    """An agent that writes over the prompt: nothing would ever be observed."""

    def generate(prompt, label, n):
        return [response_of(f"system: {prompt}", label, 1.0, 1.0) for _ in range(n)]

    with pytest.raises(RewardError, match=r"no response is of a prompt that was drawn; the last one has .*'system: p"):
        trainer_of(openrlhf, generate).samples_generator.generate_samples()


def test_an_option_that_does_not_exist_is_refused_before_the_trainer_exists(openrlhf):
    with pytest.raises(TypeError, match="selector"):
        openrlhf.install(selector="edge")


def test_evaluation_is_not_observed(openrlhf):
    trainer = trainer_of(openrlhf, engine())
    trainer.samples_generator.generate_eval_samples()
    assert trainer.prompts_dataloader.metrics()["rollouts"] == 0


def test_lost_rollouts_and_an_engine_that_fails(openrlhf):
    kinds = iter([*"pnx", *"wwwww", *"!"])

    def generate(prompt, label, n):
        kind = next(kinds)
        if kind == "!":
            raise OSError("engine lost")
        whole = [response_of(prompt, label, 1.0, 1.0) for _ in range(n)]
        partly = [response_of(prompt, label, None, None), *whole[:2]]  # a reward that could not be fetched, one lost
        return {"p": partly, "n": [response_of(prompt, label, None, None)] * n, "x": [], "w": whole}[kind]

    trainer = trainer_of(openrlhf, generate)
    trainer.samples_generator.generate_samples()
    numbers = trainer.prompts_dataloader.metrics()
    assert numbers["rollouts"] == 2 + 5 * K
    assert numbers["forgotten"] == 2
    assert numbers["in_flight"] == 0
    with pytest.raises(OSError, match="engine lost"):
        trainer.samples_generator.generate_samples()
    numbers = trainer.prompts_dataloader.metrics()
    assert numbers["forgotten"] == 2 + 8
    assert numbers["in_flight"] == 0


@pytest.mark.parametrize("steps", [3, 8])
def test_exact_resume(openrlhf, steps):
    whole = trainer_of(openrlhf, engine())
    history = whole.fit(steps)
    saved = copy.deepcopy(history[-1].state)
    luck = engine(seed=9)
    whole.samples_generator.vllm_engines = luck
    after = whole.fit(4)

    resumed = trainer_of(openrlhf, engine(seed=9))
    again = resumed.fit(4, saved)
    assert prompts_of(again) == prompts_of(after)
    loaders = [trainer.prompts_dataloader for trainer in (whole, resumed)]
    assert loaders[0].metrics() == loaders[1].metrics()
    assert np.array_equal(*(loader.curriculum.selector.predict() for loader in loaders))


def test_checkpoints_that_do_not_fit(openrlhf):
    saved = copy.deepcopy(trainer_of(openrlhf, engine(), curriculum="mopps").fit(1)[0].state)
    with pytest.raises(CheckpointError, match="selector 'mopps', this curriculum has 'edge'"):
        trainer_of(openrlhf, engine()).fit(1, saved)
    with pytest.raises(CheckpointError, match="saved without a curriculum"):
        trainer_of(openrlhf, engine()).fit(1, {"_snapshot": {}})
    with pytest.raises(PoolError, match="another dataset"):
        trainer_of(openrlhf, engine(), strategy_of(rows_of(prefix="q")), curriculum="mopps").fit(1, saved)


def test_ids_in_the_label_distinguish_equal_texts(openrlhf):
    rows = [{"input": "p2", "label": json.dumps({"id": f"r{i}", "answer": i})} for i in range(10)]
    strategy = strategy_of(rows, batch_size=5)
    with pytest.raises(ConfigError, match=r"rows 0 and 1 have the same id .*put an id into the label"):
        trainer_of(openrlhf, engine(), strategy)
    trainer = trainer_of(openrlhf, engine(), strategy, identify=lambda prompt, label: json.loads(label)["id"])
    history = trainer.fit(2)
    ids = [json.loads(sample.labels[0])["id"] for step in history for sample in step.samples]
    assert set(ids) <= {f"r{i}" for i in range(10)}
    assert trainer.prompts_dataloader.metrics()["rollouts"] == 2 * 5 * K
    assert trainer.prompts_dataloader.metrics()["forgotten"] == 0


def test_without_identify_the_prompt_is_hashed_and_that_is_said(openrlhf, caplog):
    with caplog.at_level(logging.WARNING, "edgewise"):
        trainer = trainer_of(openrlhf, engine())
    assert "no identify given" in caplog.text
    assert trainer.prompts_dataloader.curriculum.pool.category_names == [f"level {i}" for i in range(5)]


def test_success_is_the_users(openrlhf):
    def generate(prompt, label, n):
        return [response_of(prompt, label, 3.0 - i, 2.0 - i) for i in range(n)]  # scores 2, 1, 0, -1

    def after(**options):
        trainer = trainer_of(openrlhf, generate, **options)
        trainer.samples_generator.generate_samples()
        return trainer.prompts_dataloader.metrics()["success_rate"]

    assert after(success=1.5) == 1 / 4
    assert after(success=lambda response: response["reward"] > 0.5) == 3 / 4
    with pytest.raises(RewardError, match=r"has reward 2.0, outside \[0, 1\].*success="):
        after()
    with pytest.raises(RewardError, match="success must return 4 bools"):
        after(success=lambda response: response["reward"])


@pytest.mark.parametrize("rule", [lambda response: response["extra_logs"]["correct"] == 1, "correct"])
def test_success_reads_the_tensors_of_a_reward_function(openrlhf, rule):
    import torch

    def generate(prompt, label, n):
        right = torch.arange(n) == 0
        responses = [response_of(prompt, label, 2.0, torch.tensor([2.0])) for _ in right]
        return [
            {**response, "extra_logs": {"correct": right[i : i + 1].float()}} for i, response in enumerate(responses)
        ]

    trainer = trainer_of(openrlhf, generate, success=rule)
    trainer.samples_generator.generate_samples()
    assert trainer.prompts_dataloader.metrics()["success_rate"] == 1 / K


@pytest.mark.parametrize("reward", ["correct", {"score": 1.0}, [0.0, 1.0]], ids=str)
def test_a_reward_that_is_no_number_is_refused_in_words(openrlhf, reward):
    loader = trainer_of(openrlhf, engine()).prompts_dataloader
    (prompt,) = next(iter(loader))[1]
    for score in (0.0, 1.0, 0.0):
        loader.observe(response_of(prompt, "answer", 0.0, score))
    with pytest.raises(RewardError, match=r"prompt '\w+' has the reward .*, which is no number"):
        loader.observe(response_of(prompt, "answer", 0.0, reward))
    assert loader.metrics()["rollouts"] == 0


def test_scores_in_bfloat16_are_read(openrlhf):
    import torch

    loader = trainer_of(openrlhf, engine()).prompts_dataloader
    (prompt,) = next(iter(loader))[1]
    for score in range(K):
        loader.observe(response_of(prompt, "answer", 0.0, torch.tensor([float(score > 0)], dtype=torch.bfloat16)))
    assert loader.metrics()["success_rate"] == (K - 1) / K


def test_what_does_not_fit_is_named_at_once(openrlhf):
    with pytest.raises(ConfigError, match="a reward model's rewards come after generation"):
        trainer_of(openrlhf, engine(), strategy_of(remote_url=None))
    gated = lambda pool: Curriculum(pool, gates=gates.make_gate("informative", max_rounds=1), rollouts=K)  # noqa: E731
    with pytest.raises(ConfigError, match="OpenRLHF filters groups itself"):
        trainer_of(openrlhf, engine(), curriculum=gated)
    with pytest.raises(ConfigError, match="make the curriculum with rollouts=4"):
        trainer_of(openrlhf, engine(), curriculum=lambda pool: Curriculum(pool, rollouts=8))
    trainer = trainer_of(openrlhf, engine(), strategy_of(rows_of(5)))
    # A generation of 8 prompts out of 5, without an end to the episode in between.
    trainer.prompts_dataloader._left, trainer.prompts_dataloader._resumed = 8, True
    with pytest.raises(PoolError, match="5 of the 5 are in flight"):
        trainer.samples_generator.generate_samples()


def test_the_asynchronous_trainer_is_served_as_well(openrlhf):
    from openrlhf.trainer import ppo_trainer_async

    openrlhf.install()
    actor = ppo_trainer_async.GenerateSamplesActor(strategy_of(), engine())
    samples, *_ = actor.samples_generator.generate_samples()
    assert len(samples) == 8 * K
    assert actor.prompts_dataloader.metrics()["rollouts"] == 8 * K


@pytest.mark.filterwarnings("default")
def test_ray_takes_the_curriculum_to_the_trainers_actor(openrlhf, local_ray):
    from openrlhf.trainer import ppo_trainer

    threshold = 0.5
    openrlhf.install(success=lambda response: response["scores"] >= threshold)
    paths = [str(FOLDER / "openrlhf"), str(FOLDER.parent), str(FOLDER.parents[2]), os.environ.get("PYTHONPATH", "")]
    trainer = ppo_trainer.PPOTrainer.options(
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, paths))}}
    ).remote(strategy_of(), engine())
    history = local_ray.get(trainer.fit.remote(2))
    assert history[-1].samples[0].info["edgewise_rollouts"].item() == 2 * 8 * K
    again = trainer_of(openrlhf, engine()).fit(1, history[0].state)
    assert len(prompts_of(again)[0]) == 8
