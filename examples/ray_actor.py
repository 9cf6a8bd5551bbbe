"""One curriculum for several workers: a Ray actor that selects prompts and observes rewards, and a worker that dies.

    python examples/ray_actor.py

Each worker rolls out its prompts at its own pace; results come late or out of order. When a worker is lost with its batch,
the driver has the curriculum forget the batch, and its prompts can be selected again. Needs `pip install 'edgewise[ray]'`.
"""

import os

import numpy as np
import ray

import edgewise as ew

PROMPTS, ROLLOUTS, BATCH = 500, 8, 16
BATCHES, LOST, AFTER = 60, 5, 40
"""Batches to roll out, AFTER of them at least once the loss was noticed; the worker with batch number LOST dies."""
LEVELS = np.arange(PROMPTS) % 5


@ray.remote
class SharedCurriculum:
    """Ids are all that travels; the curriculum itself holds what is in flight."""

    def __init__(self, ids, categories, **options):
        self.curriculum = ew.Curriculum(ew.PromptPool(ids, categories), **options)
        self.curriculum.advance(0)  # prompts stay in flight across updates: the clock moves by `advance` alone

    def select(self, n):
        return self.curriculum.select(n).ids

    def observe(self, ids, rewards):
        self.curriculum.observe(ids, rewards)

    def forget(self, ids):
        self.curriculum.forget(ids)

    def advance(self):
        self.curriculum.advance()

    def in_flight(self):
        return self.curriculum.pool.ids[self.curriculum.in_flight].tolist()

    def metrics(self):
        return self.curriculum.metrics()

    def save(self, path):
        self.curriculum.save(path)


@ray.remote(max_retries=0)
def roll_out(number, ids):
    """Yours: generate and verify. Here prompts of level 2 are solved now and then, easier ones always, harder ones never."""
    if number == LOST:
        os._exit(1)
    rates = (LEVELS[ids] < 2) + 0.5 * (LEVELS[ids] == 2)
    return np.random.default_rng(number).random((len(ids), ROLLOUTS)) < rates[:, None]


def run(workers=3):
    """Keeps every worker busy; returns the ids of each batch, those that were lost, how many batches had been selected when
    the loss was noticed, and the metrics."""
    curriculum = SharedCurriculum.options(num_cpus=0).remote(range(PROMPTS), LEVELS, selector="edge", rollouts=ROLLOUTS)
    batches, lost, running = [], [], {}
    end, noticed = BATCHES, 0
    while len(batches) < end or running:
        while len(batches) < end and len(running) < workers:
            ids = ray.get(curriculum.select.remote(BATCH))
            running[roll_out.remote(len(batches), ids)] = ids
            batches.append(ids.tolist())
        (done,), _ = ray.wait(list(running))
        ids = running.pop(done)
        try:
            ray.get(curriculum.observe.remote(ids, ray.get(done)))
            ray.get(curriculum.advance.remote())  # yours: after each update of the policy
        except ray.exceptions.WorkerCrashedError:
            ray.get(curriculum.forget.remote(ids))
            lost += ids.tolist()
            # Ray may take its time to notice: the others went on meanwhile.
            noticed = len(batches)
            end = max(end, noticed + AFTER)
    assert ray.get(curriculum.in_flight.remote()) == []
    return batches, lost, noticed, ray.get(curriculum.metrics.remote())


def show(batches, lost, noticed, numbers):
    again = {prompt for batch in batches[noticed:] for prompt in batch} & set(lost)
    print(f"{len(lost)} prompts were lost with a worker; {len(again)} of them were selected again")
    # `effective_ratio` is of the present policy step, in which nothing was observed yet.
    shown = ("steps", "rollouts", "mean_effective_ratio", "spearman")
    print(", ".join(f"{name} {numbers[name]:.2f}" for name in shown))


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    show(*run())
