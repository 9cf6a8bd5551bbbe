"""Random operations on a curriculum, compared call by call with a model made of plain dicts and lists."""

from typing import ClassVar

import numpy as np
import pytest

import edgewise as ew
from edgewise import Curriculum, PromptPool
from edgewise.errors import PoolError, RewardError
from edgewise.gates import Informative

OPERATIONS = 20_000
K, ROUNDS = 3, 4


class Lowest(ew.Selector):
    """The lowest rows, in order; remembers all evidence."""

    permute = False
    by_row: ClassVar = {"right": 0.0, "seen": 0.0}

    def __init__(self, pool):
        super().__init__(pool)
        self.right, self.seen = np.zeros(len(pool)), np.zeros(len(pool))
        self.steps = []

    def choose(self, n, candidates):
        return candidates.rows[:n]

    def learn(self, rows, successes, trials):
        self.right[rows] += successes
        self.seen[rows] += trials


class Model:
    """What the curriculum has to do, without arrays."""

    def __init__(self, ids):
        self.ids = list(ids)
        self.flying, self.lost = {}, []  # id -> (serial, k, step); (serial, id, k)
        self.evidence = dict.fromkeys(ids, (0, 0))
        self.steps, self.manual = 0, False
        self.total = dict.fromkeys(["rollouts", "groups", "informative", "successes", "late", "forgotten"], 0)
        self.wanted = self.admitted = self.rounds = self.shortfall = self.surplus = 0
        self.tried, self.closed, self.exhausted = set(), False, 0

    def begin(self, wanted):
        self.wanted, self.admitted, self.rounds = wanted, self.surplus, 0
        self.shortfall, self.surplus, self.tried, self.closed = 0, 0, set(), False

    def waiting(self):
        return sum(step >= self.steps for _, _, step in self.flying.values())

    def select(self, n, serial):
        refill = self.shortfall > 0
        begins = self.steps == 0 or (not self.waiting() and not self.manual and not refill)
        busy = set(self.flying)
        if not begins and n <= len(self.ids) - len(busy | self.tried):
            busy |= self.tried
        if begins:
            self.steps += 1
            self.begin(n)
        elif not refill:
            self.wanted, self.rounds, self.closed = self.wanted + n, max(self.rounds, 1), False
            self.surplus = max(self.surplus - n, 0)
        if begins or refill:
            self.rounds += 1
        chosen = [i for i in self.ids if i not in busy][:n]
        self.flying.update(dict.fromkeys(chosen, (serial, K, self.steps)))
        return chosen

    def observe(self, results):
        """`results`: (id, serial or None, correct rollouts, rollouts)."""
        admitted = []
        for i, serial, right, k in results:
            late = not (i in self.flying and serial in (None, self.flying[i][0]))
            if late:
                found = [entry for entry in self.lost if entry[1] == i and serial in (None, entry[0])]
                self.lost.remove(found[-1])
            else:
                del self.flying[i]
            s, t = self.evidence[i]
            self.evidence[i] = s + right, t + k
            admitted.append(0 < right < k and (self.manual or not late))
            self.tried.add(i)
            for name, value in zip(self.total, (k, 1, 0 < right < k, right, late), strict=False):
                self.total[name] += int(value)
        self.admitted += sum(admitted)
        self.settle()
        return admitted

    def settle(self):
        missing, waiting = max(self.wanted - self.admitted, 0), self.waiting()
        exhausted = missing > 0 and self.rounds >= ROUNDS and not waiting
        self.shortfall = 0 if exhausted or waiting else missing
        self.surplus = max(self.admitted - self.wanted, 0)
        self.exhausted += exhausted and not self.closed
        self.closed = exhausted

    def forget(self, ids):
        for i in ids:
            serial, k, step = self.flying.pop(i)
            self.lost.append((serial, i, k))
            if step == self.steps:
                self.tried.add(i)
        self.total["forgotten"] += len(ids)
        self.settle()


def compare(curriculum, model):
    pool = curriculum.pool
    assert sorted(pool.ids[curriculum.in_flight].tolist()) == sorted(model.flying)
    assert (curriculum.steps, curriculum.shortfall) == (model.steps, model.shortfall)
    evidence = zip(curriculum.selector.right.tolist(), curriculum.selector.seen.tolist(), strict=True)
    assert dict(zip(pool.ids.tolist(), evidence, strict=True)) == model.evidence
    metrics = curriculum.metrics()
    assert metrics["rollouts"] == model.total["rollouts"]
    assert metrics.get("late_groups", 0) == model.total["late"]
    assert metrics.get("forgotten", 0) == model.total["forgotten"]
    assert metrics["exhausted_steps"] == model.exhausted
    if model.total["groups"]:
        assert metrics["mean_effective_ratio"] == model.total["informative"] / model.total["groups"]
        assert metrics["mean_success_rate"] == model.total["successes"] / model.total["rollouts"]


def made(pool):
    return Curriculum(pool, Lowest(pool), rollouts=K, gates=Informative(max_rounds=ROUNDS))


@pytest.mark.parametrize("asynchronous", [False, True])
def test_random_operations_give_what_a_plain_model_gives(asynchronous, tmp_path):
    rng = np.random.default_rng(asynchronous)
    curriculum = made(PromptPool([f"p{i}" for i in range(25)]))
    model, batches = Model(curriculum.pool.ids.tolist()), []
    actions = ["select", "whole", "part", "by_id", "late", "forget", "bad", "grow", "save"]
    weights = np.array([4, 3, 2, 2, 1, 1, 1, 0.02, 0.1])
    if asynchronous:
        actions, weights = [*actions, "advance"], np.append(weights, 1)
    for number in range(OPERATIONS // 2):
        action = rng.choice(actions, p=weights / weights.sum())
        batches = [batch for batch in batches if any(model.flying.get(i, (0,))[0] == batch.serial for i in batch.ids)]
        if action == "select":
            n = int(rng.integers(0, 7))
            if n > len(model.ids) - len(model.flying):
                with pytest.raises(PoolError):
                    curriculum.select(n)
                continue
            batch = curriculum.select(n)
            assert batch.ids.tolist() == model.select(n, batch.serial)
            batches.append(batch)
        elif action == "advance":
            steps = int(rng.integers(0, 3))
            curriculum.advance(steps)
            model.manual = True
            if steps:
                model.steps += steps
                model.begin(0)
        elif action in ("whole", "part") and batches:
            batch = batches[rng.integers(len(batches))]
            mask = np.array([model.flying.get(i, (0,))[0] == batch.serial for i in batch.ids], bool)
            if action == "part":
                mask &= rng.random(len(mask)) < 0.5
            part = batch.take(mask)
            right = rng.integers(0, K + 1, len(part))
            rewards = np.arange(K) < right[:, None]
            results = [(i, batch.serial, int(s), K) for i, s in zip(part.ids.tolist(), right, strict=True)]
            assert curriculum.observe(part, rewards).admitted.tolist() == model.observe(results)
        elif action == "by_id" and model.flying:
            ids = rng.permutation(sorted(model.flying))[: rng.integers(1, 4)].tolist()
            k = rng.integers(1, K + 1, len(ids))
            right = rng.integers(0, k + 1)
            rewards = [[1.0] * s + [0.0] * (t - s) for s, t in zip(right, k, strict=True)]
            results = [(i, None, int(s), int(t)) for i, s, t in zip(ids, right, k, strict=True)]
            assert curriculum.observe(ids, rewards).admitted.tolist() == model.observe(results)
        elif action == "late" and model.lost:
            i = model.lost[rng.integers(len(model.lost))][1]
            if i not in model.flying:
                right = int(rng.integers(0, K + 1))
                feedback = curriculum.observe([i], np.arange(K) < right)
                assert feedback.late.tolist() == [True]
                assert feedback.admitted.tolist() == model.observe([(i, None, right, K)])
        elif action == "forget" and model.flying:
            ids = rng.permutation(sorted(model.flying))[: rng.integers(1, 4)].tolist()
            curriculum.forget(ids)
            model.forget(ids)
        elif action == "bad" and len(model.flying) < len(model.ids):
            idle = next(i for i in model.ids if i not in model.flying)
            if not any(entry[1] == idle for entry in model.lost):
                with pytest.raises(RewardError):
                    curriculum.observe([idle], [0.0] * K)
        elif action == "grow":
            new = [f"p{len(model.ids) + i}" for i in range(2)]
            curriculum.grow(new)
            model.ids += new
            model.evidence.update(dict.fromkeys(new, (0, 0)))
        elif action == "save":
            curriculum.save(tmp_path / "c.npz")
            other = made(PromptPool(model.ids))
            other.load(tmp_path / "c.npz")
            curriculum = other
        if number % 10 == 0:
            compare(curriculum, model)
    compare(curriculum, model)
    assert model.total["late"] > 50
    assert model.steps > 100
