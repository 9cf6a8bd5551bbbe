"""Curriculum in a plain training loop, with a policy that gets better at what it trains on.

python examples/plain_loop.py
"""

import numpy as np

import edgewise as ew

rng = np.random.default_rng(0)
ids = [f"problem-{i}" for i in range(5000)]
levels = rng.integers(1, 6, 5000)
difficulty = levels + rng.normal(0, 1, 5000)
ability = 0.0

pool = ew.PromptPool(ids, categories=levels)
curriculum = ew.Curriculum(pool, "edge", rollouts=8, random_share=0.05)

for step in range(100):
    batch = curriculum.select(64)  # to roll out: batch.ids, 8 times each
    rates = 1 / (1 + np.exp(difficulty[batch.rows] - ability))
    rewards = rng.random((64, 8)) < rates[:, None]  # yours: generate and verify; in [0, 1], grouped by prompt
    curriculum.observe(batch, rewards)
    ability += 0.001 * np.sum((rewards.mean(axis=1) > 0) & (rewards.mean(axis=1) < 1))  # yours: train on them
    if step % 20 == 19:
        numbers = curriculum.metrics()
        shown = ("effective_ratio", "success_rate", "spearman", "random_calibration_error")
        print(f"step {step + 1:3}: " + ", ".join(f"{name} {numbers[name]:.2f}" for name in shown))

# curriculum.save("curriculum.npz") beside each of your checkpoints; curriculum.load("curriculum.npz") resumes.
