"""prime-rl: a curriculum as its task sampler and gate, in an orchestrator with groups in flight (a stand-in of it)."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
from tests.adapters.standins.loading import standing_in

from edgewise import Curriculum, gates
from edgewise.errors import CheckpointError, ConfigError, PoolError, RewardError

RATES = (0.0, 0.0, 0.5, 1.0, 1.0)
TASKS, K = 60, 4


@pytest.fixture
def prime_rl():
    with standing_in("prime_rl", "prime_rl") as adapter:
        yield adapter


def tasks_of(count=TASKS, prefix="t"):
    return [
        SimpleNamespace(key=f"{prefix}{i}", data=SimpleNamespace(level=i % 5, rate=RATES[i % 5])) for i in range(count)
    ]


def env_of(name="math", tasks=None, sampler=None, infinite=False):
    tasks = tasks_of() if tasks is None else tasks
    config = SimpleNamespace(ratio=1.0, group_size=K, curriculum=sampler and SimpleNamespace(sampler=sampler))
    return SimpleNamespace(name=name, tasks=iter(tasks), num_tasks=None if infinite else len(tasks), config=config)


def trace_of(reward, has_error=False, trainable=True, tokens=10):
    agent = SimpleNamespace(trainable=trainable)
    return SimpleNamespace(reward=reward, has_error=has_error, agent=agent, num_output_tokens=tokens)


def episode_of(task, *traces, env="math"):
    return SimpleNamespace(env=SimpleNamespace(name=env), task=task, traces=list(traces))


def group_of(task, *rewards, env="math"):
    return [episode_of(task, trace_of(reward), env=env) for reward in rewards]


def engine(seed=0, reported=None):
    """Finishes one to three of the groups in flight, in any order, by the rates of their tasks."""
    rng = np.random.default_rng(seed)

    def roll_out(groups):
        order = rng.permutation(len(groups))[: 1 + rng.integers(3)]
        done = [groups[i] for i in order]
        groups[:] = [group for i, group in enumerate(groups) if i not in order]
        finished = [
            group_of(
                request.task, *(float(rng.random() < request.task.data.rate) for _ in range(K)), env=request.env_name
            )
            for request in done
        ]
        if reported is not None:
            reported.extend(finished)
        return finished

    return roll_out


def orchestrator(prime_rl, *envs, luck=0, reported=None, **options):
    from prime_rl.orchestrator import orchestrator as module

    prime_rl.install(**options)
    return module.Orchestrator(envs or [env_of()], engine(luck, reported), batch_size=8, inflight=12)


def share(batches):
    """Of groups whose tasks are solved now and then."""
    return np.mean([int(key[1:]) % 5 == 2 for keys in batches for key in keys])


def level(task):
    return task.data.level


def test_an_option_that_does_not_exist_is_refused_at_once(prime_rl):
    with pytest.raises(TypeError, match="selector"):
        prime_rl.install(selector="edge")


def test_selection_pays(prime_rl):
    shares = {}
    for selector in ("uniform", "edge"):
        run = orchestrator(prime_rl, curriculum=selector, category=level)
        shares[selector] = share(run.run(14)[6:])
    assert shares["edge"] > shares["uniform"] + 0.3
    logged = run.train_source.metrics()
    assert logged["curriculum/math/sampler/mean_effective_ratio"] > 0
    # A step is a step of the training, however many tasks are drawn in it.
    assert logged["curriculum/math/sampler/steps"] == 14


def test_each_group_is_observed_once_and_nothing_in_flight_is_selected_again(prime_rl):
    reported = []
    run = orchestrator(prime_rl, reported=reported)
    sampler = run.train_source.curricula["math"].sampler
    drawn, original = [], sampler._in_flight.select

    def select(n, step):
        rows = original(n, step)
        assert not {sampler.tasks[rows[0]].key} & {request.task.key for request in run.groups}
        drawn.append(int(rows[0]))
        return rows

    sampler._in_flight.select = select
    run.run(5)
    numbers = sampler.metrics()
    assert numbers["rollouts"] == K * len(reported)
    assert numbers["in_flight"] == len(run.groups) == len(drawn) - len(reported)
    assert numbers["mean_success_rate"] == np.mean([e.traces[0].reward for group in reported for e in group])


def test_a_gate_filters(prime_rl):
    reported = []
    gated = lambda pool: Curriculum(pool, "uniform", gates=gates.make_gate("informative", max_rounds=1), rollouts=K)  # noqa: E731
    run = orchestrator(prime_rl, reported=reported, curriculum=gated)
    shipped = run.run(4)
    informative = {g[0].task.key for g in reported if 0 < sum(e.traces[0].reward for e in g) < K}
    assert {key for keys in shipped for key in keys} <= informative
    assert share(shipped) == 1
    run.train_source.load_state_dict(copy.deepcopy(run.train_source.state_dict()))


def test_each_environment_has_its_own(prime_rl):
    code = env_of("code", tasks_of(30, "c"))
    run = orchestrator(prime_rl, env_of(), code, envs="code")
    run.run(3)
    samplers = {name: curriculum.sampler for name, curriculum in run.train_source.curricula.items()}
    assert isinstance(samplers["code"], prime_rl.CurriculumSampler)
    assert not isinstance(samplers["math"], prime_rl.CurriculumSampler)
    with pytest.raises(ConfigError, match="no train environment 'maths'; there are math, code"):
        orchestrator(prime_rl, env_of(), env_of("code"), envs=["maths"])


def test_exact_resume(prime_rl):
    import io

    import torch

    run = orchestrator(prime_rl, category=level)
    run.run(4)
    # As prime-rl's checkpoints do.
    file = io.BytesIO()
    torch.save(run.train_source.state_dict(), file)
    in_flight = [request.task.key for request in run.groups]
    before = run.train_source.metrics()
    expected = [run.train_source.next_task(step=5).task.key for _ in range(20)]

    resumed = orchestrator(prime_rl, category=level)
    file.seek(0)
    resumed.train_source.load_state_dict(torch.load(file, weights_only=False))
    assert resumed.train_source.metrics() == before
    # Groups in flight died with the process: their tasks come first, then what the uninterrupted run would have drawn.
    drawn = [resumed.train_source.next_task(step=5).task.key for _ in range(len(in_flight) + 20)]
    assert sorted(drawn[: len(in_flight)]) == sorted(in_flight)
    assert drawn[len(in_flight) :] == expected


def test_a_taskset_that_was_reordered_and_shrank(prime_rl):
    tasks = tasks_of()
    old = prime_rl.CurriculumSampler(tasks, K)
    drawn = [next(old) for _ in range(6)]
    for task in drawn[:3]:
        old.observe(group_of(task, 1.0, 1.0, 1.0, 0.0))
    gone = drawn[3].key
    new = prime_rl.CurriculumSampler([task for task in reversed(tasks) if task.key != gone], K)
    new.load_state_dict(old.state_dict())
    assert [next(new).key for _ in range(2)] == [task.key for task in drawn[4:]]
    rows = [old.curriculum.pool.rows([drawn[0].key]), new.curriculum.pool.rows([drawn[0].key])]
    assert old.curriculum.selector.predict(rows[0]) == new.curriculum.selector.predict(rows[1])


def test_groups_that_never_come_back(prime_rl):
    sampler = prime_rl.CurriculumSampler(tasks_of(8), K, patience=2)
    sampler.step = 1
    lost = [next(sampler) for _ in range(4)]
    sampler.step = 3
    later = [next(sampler) for _ in range(4)]
    assert {task.key for task in lost} | {task.key for task in later} == {f"t{i}" for i in range(8)}
    with pytest.raises(PoolError, match="8 of the 8 are in flight"):
        next(sampler)
    sampler.step = 4  # more than two steps after step 1
    assert next(sampler).key in {task.key for task in lost}
    assert sampler.metrics()["forgotten"] == 4
    late = next(task for task in lost if task.key != sampler.tasks[sampler.curriculum.in_flight[-1]].key)
    row = sampler.curriculum.pool.rows([late.key])
    before = sampler.curriculum.predict(row)
    sampler.observe(group_of(late, 1.0, 1.0, 1.0, 1.0))
    # Slow groups are often the hard ones: they are evidence, and without a gate they train.
    assert sampler.admitted
    assert sampler.metrics()["late_groups"] == 1
    assert sampler.metrics()["rollouts"] == K
    assert sampler.curriculum.predict(row) > before
    sampler.observe(group_of(late, 1.0, 1.0, 1.0, 1.0))
    assert sampler.metrics()["unmatched_groups"] == 1
    assert sampler.metrics()["rollouts"] == K


def test_an_episode_whose_correctness_is_unknown_is_no_evidence(prime_rl):
    sampler = prime_rl.CurriculumSampler(tasks_of(), K, success=lambda episode: None)
    sampler.observe(group_of(next(sampler), 1.0, 0.0, 0.0, 0.0))
    numbers = sampler.metrics()
    assert sampler.admitted
    assert (numbers["rollouts"], numbers["unscored_rollouts"], numbers["in_flight"]) == (0, K, 0)


def test_a_gate_by_reward_sees_the_reward_and_not_its_correctness(prime_rl):
    gated = lambda pool: Curriculum(pool, gates=gates.Informative(by="reward", max_rounds=1), rollouts=K)  # noqa: E731
    sampler = prime_rl.CurriculumSampler(tasks_of(), K, gated, success=5.0)
    sampler.observe(group_of(next(sampler), 1.0, 2.0, 1.0, 1.0))  # all wrong, and not all equal
    assert sampler.admitted
    assert sampler.metrics()["success_rate"] == 0
    sampler.observe(group_of(next(sampler), 2.0, 2.0, 2.0, 2.0))
    assert not sampler.admitted


def test_episodes_with_errors_frozen_agents_and_several_traces(prime_rl):
    sampler = prime_rl.CurriculumSampler(tasks_of(), K)
    task = next(sampler)
    sampler.observe(
        [
            episode_of(task, trace_of(1.0), trace_of(0.2)),  # two agents that train: 0.6
            episode_of(task, trace_of(0.0), trace_of(1.0, trainable=False)),  # and a judge, which does not
            episode_of(task, trace_of(1.0, has_error=True)),
            episode_of(task, trace_of(1.0), trace_of(None)),  # one that was not scored
            episode_of(task),
        ]
    )
    numbers = sampler.metrics()
    assert numbers["rollouts"] == 2
    assert numbers["success_rate"] == 0.5
    failed = next(sampler)
    sampler.observe([episode_of(failed, trace_of(0.0, has_error=True))])
    assert not sampler.admitted
    assert sampler.metrics()["forgotten"] == 1
    assert sampler.metrics()["in_flight"] == 0


def test_metrics_name_learnable_saturated_and_hopeless_tasks(prime_rl):
    """prime-rl#3262."""
    tasks = tasks_of(8)
    sampler = prime_rl.CurriculumSampler(tasks, K, "uniform")
    for rewards in ((1, 1, 1, 1), (0, 0, 0, 0), (0, 0, 0, 0), (1, 0, 0, 0)):
        sampler.observe(group_of(next(sampler), *map(float, rewards)))
    numbers = sampler.metrics()
    names = ("learnable", "saturated", "hopeless", "unseen", "coverage", "wasted_token_frac")
    assert [numbers[name] for name in names] == [1 / 8, 1 / 8, 2 / 8, 4 / 8, 4 / 8, 3 / 4]
    # A task's last group counts.
    other = prime_rl.CurriculumSampler(list(reversed(tasks))[:6], K, "uniform")
    other.load_state_dict(copy.deepcopy(sampler.state_dict()))
    kept = sum(task.key in {t.key for t in tasks[2:]} for task in tasks if sampler._shares._last[tasks.index(task)])
    assert other.metrics()["coverage"] == pytest.approx(kept / 6)


def test_a_group_without_a_trainable_trace_is_not_admitted_whatever_the_gate_says(prime_rl):
    """prime-rl drops such groups itself: they are counted apart, and are no evidence."""
    every = lambda pool: Curriculum(pool, gates=gates.Band(0.0, 1.0, max_rounds=1), rollouts=K)  # noqa: E731
    sampler = prime_rl.CurriculumSampler(tasks_of(), K, every)
    sampler.observe([episode_of(next(sampler), trace_of(1.0, trainable=False)) for _ in range(K)])
    assert not prime_rl.CurriculumGate(sampler).admit([])
    numbers = sampler.metrics()
    assert (numbers["untrainable_groups"], numbers["rollouts"], numbers["unseen"]) == (1, 0, 1)
    sampler.observe(group_of(next(sampler), 1.0, 1.0, 1.0, 1.0))
    assert sampler.admitted


@pytest.mark.parametrize("gated", [False, True])
def test_a_result_for_a_task_that_is_not_in_the_dataset_any_more(prime_rl, caplog, gated):
    gate = [gates.Informative(max_rounds=1)] if gated else None
    sampler = prime_rl.CurriculumSampler(tasks_of(), K, lambda pool: Curriculum(pool, gates=gate, rollouts=K))
    sampler.observe(group_of(SimpleNamespace(key="gone"), 1.0, 0.0, 1.0, 0.0))
    assert sampler.metrics()["unmatched_groups"] == 1
    assert sampler.metrics()["rollouts"] == 0
    assert "'gone', which is not in the dataset any more" in caplog.text
    # Without a gate prime-rl alone decides.
    assert sampler.admitted is not gated


def test_the_oversampling_factor_is_a_metric(prime_rl):
    """prime-rl#636: how many groups to draw for each that trains."""
    sampler = prime_rl.CurriculumSampler(tasks_of(), K, "uniform")
    for turn in range(40):
        sampler.observe(group_of(next(sampler), 1.0, float(turn % 4 > 0), 1.0, 1.0))
    assert sampler.metrics()["oversampling_factor"] == pytest.approx(4, rel=0.2)


def test_success_is_the_users(prime_rl):
    def after(rewards, **options):
        sampler = prime_rl.CurriculumSampler(tasks_of(), K, **options)
        sampler.observe(group_of(next(sampler), *rewards))
        return sampler.metrics()["success_rate"]

    assert after((1.5, 2.0, -1.0, 3.0), success=1.8) == 0.5
    assert after((1.5, 2.0, -1.0, 3.0), success=lambda episode: episode.traces[0].reward > 0) == 0.75
    with pytest.raises(RewardError, match=r"prompt 't\d+' has reward 1.5, outside \[0, 1\].*success="):
        after((0.0, 1.5, 0.0, 0.0))
    with pytest.raises(RewardError, match="success must return 4 bools"):
        after((0.0, 1.0, 0.0, 0.0), success=lambda episode: episode.traces[0].reward)
    with pytest.raises(RewardError, match="reports 5 rollouts, 4 were selected"):
        after((0.0, 1.0, 0.0, 0.0, 1.0))


@pytest.mark.parametrize("reward", ["correct", {"score": 1.0}, [0.0, 1.0]], ids=str)
def test_a_reward_that_is_no_number_is_refused_in_words(prime_rl, reward):
    sampler = prime_rl.CurriculumSampler(tasks_of(), K)
    with pytest.raises(RewardError, match=r"prompt 't\d+' has the reward .*, which is no number"):
        sampler.observe(group_of(next(sampler), 0.0, 1.0, 0.0, reward))
    assert sampler.metrics()["rollouts"] == 0


def test_a_pool_that_grew_beyond_the_tasks(prime_rl):
    sampler = prime_rl.CurriculumSampler(tasks_of(), K)
    sampler.curriculum.grow(["new"])
    with pytest.raises(ConfigError, match=r"has grown by 1 prompts, such as 'new'"):
        next(sampler)


def test_what_does_not_fit_is_named_at_once(prime_rl):
    from prime_rl.orchestrator.curriculum import DifficultyPoolSampler

    with pytest.raises(ConfigError, match="the taskset of environment 'math' is infinite"):
        orchestrator(prime_rl, env_of(infinite=True))
    with pytest.raises(ConfigError, match="configured with the sampler DifficultyPoolSampler"):
        orchestrator(prime_rl, env_of(sampler=DifficultyPoolSampler))
    with pytest.raises(ConfigError, match=r"rows 0 and 1 have the same id 't0' \(Task.key\).*property `key`"):
        orchestrator(prime_rl, env_of(tasks=tasks_of(1) * 2))
    with pytest.raises(ConfigError, match="unknown method 'edgy'"):
        orchestrator(prime_rl, curriculum="edgy")
    for patience in (0, 1.5, None, "16"):
        with pytest.raises(ConfigError, match="patience must be a whole number >= 1"):
            orchestrator(prime_rl, patience=patience)


def test_checkpoints_that_do_not_fit(prime_rl):
    saved = prime_rl.CurriculumSampler(tasks_of(), K, "mopps").state_dict()
    with pytest.raises(CheckpointError, match="selector 'mopps', this curriculum has 'edge'"):
        prime_rl.CurriculumSampler(tasks_of(), K).load_state_dict(saved)
    with pytest.raises(CheckpointError, match="saved without a curriculum"):
        prime_rl.CurriculumSampler(tasks_of(), K).load_state_dict({"cursor": 3})
    with pytest.raises(PoolError, match="another dataset"):
        prime_rl.CurriculumSampler(tasks_of(prefix="x"), K, "mopps").load_state_dict(saved)
