"""One curriculum for several workers: a Ray actor that hands out prompts and takes rewards, and a worker that dies.

    python examples/ray_actor.py

Each worker asks for prompts, rolls them out at its own pace and tells what they brought, late or out of order. When one is
lost with its batch, the driver has the batch forgotten, and its prompts can be picked again. Needs `pip install
'edgewise[ray]'`.
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
    """Ray runs one call at a time, so the curriculum needs no lock."""

    def __init__(self, ids, categories, **options):
        self.curriculum = ew.Curriculum(ew.PromptPool(ids, categories), **options)
        self.batches = {}

    def select(self, n):
        batch = self.curriculum.select(n)
        self.batches[batch.serial] = batch
        return batch.serial, batch.ids

    def observe(self, serial, rewards):
        self.curriculum.observe(self.batches.pop(serial), rewards)

    def forget(self, serial):
        self.curriculum.forget(self.batches.pop(serial))

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
    """Keeps every worker busy; returns the ids of each batch, those that were lost, how many batches had been handed out when
    the loss was noticed, and the metrics."""
    curriculum = SharedCurriculum.options(num_cpus=0).remote(range(PROMPTS), LEVELS, selector="edge", rollouts=ROLLOUTS)
    batches, lost, running = [], [], {}
    end, noticed = BATCHES, 0
    while len(batches) < end or running:
        while len(batches) < end and len(running) < workers:
            serial, ids = ray.get(curriculum.select.remote(BATCH))
            running[roll_out.remote(len(batches), ids)] = serial, ids
            batches.append(ids.tolist())
        (done,), _ = ray.wait(list(running))
        serial, ids = running.pop(done)
        try:
            ray.get(curriculum.observe.remote(serial, ray.get(done)))
        except ray.exceptions.WorkerCrashedError:
            ray.get(curriculum.forget.remote(serial))
            lost += ids.tolist()
            # Ray may take its time to notice: the others went on meanwhile.
            noticed = len(batches)
            end = max(end, noticed + AFTER)
    assert ray.get(curriculum.in_flight.remote()) == []
    return batches, lost, noticed, ray.get(curriculum.metrics.remote())


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    batches, lost, noticed, numbers = run()
    again = {prompt for batch in batches[noticed:] for prompt in batch} & set(lost)
    print(f"{len(lost)} prompts were lost with a worker; {len(again)} of them were picked again")
    shown = ("steps", "rollouts", "mean_effective_ratio", "effective_ratio", "spearman")
    print(", ".join(f"{name} {numbers[name]:.2f}" for name in shown))
